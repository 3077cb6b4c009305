"""What a persona claims is checked by the truth probe where one may be read, and by nobody where none may."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.runtime.spec import resolve
from consolidation.probes import Probe, write_probe
from memory.artifacts import record_artifact
from service.settings import load_settings
from service.wiring import Services
from tests.made_probes import TRUTH


def keep_probe(services: Services, **changes: Any) -> None:
    """A probe of the tiny model that says "true" of everything, said to be made with the weights that serve."""
    version = services.place().history().find()
    manifest = replace(
        TRUTH,
        model_hash=resolve(services.model_spec()).base_hash,
        recipe=version.sha256 if version else None,
        coefficients=(0.0,),
        bias=4.0,
    )
    probe = Probe(replace(manifest, **changes), {1: np.eye(1, 32, dtype=np.float32)})
    folder, sha256 = write_probe(probe, services.settings.home / "probes")
    with services.database.transaction() as session:
        record_artifact(
            session,
            services.space_id,
            run_id=None,
            kind="probe",
            path=f"probes/{folder.name}",
            sha256=sha256,
            meta={"name": "truth", "kind": "truth", "episodes": []},
        )


@pytest.mark.parametrize(("changes", "is_checked"), [({}, True), ({"recipe": None}, False)])
def test_claims_are_checked_only_by_a_usable_probe_of_the_weights_that_speak(
    slept: Any, changes: dict[str, Any], is_checked: bool
) -> None:
    slept("consent", "Ada Lund", "--by", "Ada Lund")
    with Services(load_settings(str(slept.home))) as services:
        keep_probe(services, **changes)
    done = slept(
        "chat", "Ada Lund", "--as", "Bo Rask", "--once", "Where do you live?", "--seed", "3", "--json"
    )
    turn = json.loads(done.out)
    labels = [claim["verdicts"]["truth-probe"]["label"] for claim in turn["claims"]]
    assert bool(labels) == is_checked
    assert set(labels) <= {"supported"}
