"""The truth probe as a judge: it speaks only where it was proven for exactly these weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from consolidation.probes import Probe, write_probe
from consolidation.recipe_serving import Place
from consolidation.truth_check import TruthCheck, usable_truth_probe
from memory.artifacts import record_artifact
from memory.ports import FloatMatrix
from tests.made_probes import GOOD, TRUTH

MANIFEST = replace(TRUTH, others=(replace(GOOD, set="other"),))
PROBE = Probe(MANIFEST, {1: np.eye(1, 4, dtype=np.float32)})


class ByLength:
    """Reads a text as how far its length is from twenty characters."""

    def residual_statistics(
        self, texts: Sequence[str], layers: Sequence[int], *, token_rule: str
    ) -> tuple[FloatMatrix, FloatMatrix]:
        acts = np.zeros((len(texts), len(layers), 4), np.float32)
        acts[:, :, 0] = np.array([[len(text) - 20] for text in texts])
        return acts, np.ones(len(layers), np.float32)


@pytest.mark.parametrize(
    ("statement", "label"),
    [
        ("a statement of some length.", "supported"),
        ("short.", "unsupported"),
        ("this is of twenty ch.", "supported"),
    ],
)
def test_it_says_what_the_probe_is_sure_of(statement: str, label: str) -> None:
    assert TruthCheck(PROBE, ByLength()).supports(statement).label == label


def test_it_is_unclear_where_the_probe_is_not_sure() -> None:
    verdict = TruthCheck(PROBE, ByLength()).supports("just twenty letters.")
    assert (verdict.label, verdict.confidence) == ("unclear", 0.5)


def test_without_a_probe_it_abstains_and_says_why() -> None:
    verdict = TruthCheck(None, ByLength(), "it was tested on no other set").supports("anything at all")
    assert (verdict.label, verdict.reason) == (None, "it was tested on no other set")


def keep(place: Place, probe: Probe) -> None:
    folder, sha256 = write_probe(probe, place.home / "probes")
    meta = {"name": probe.manifest.name, "kind": probe.manifest.kind, "episodes": []}
    with place.database.transaction() as session:
        record_artifact(
            session,
            place.space_id,
            run_id=None,
            kind="probe",
            path=f"probes/{folder.name}",
            sha256=sha256,
            meta=meta,
            clock=place.clock,
        )


def found(place: Place, *, recipe: str | None = None) -> tuple[Probe | None, str]:
    return usable_truth_probe(place.database, place.space_id, place.home, MANIFEST.model_hash, recipe)


def test_only_a_usable_truth_probe_of_these_weights_is_found(place: Place) -> None:
    assert found(place) == (None, "no truth probe was trained")
    keep(place, replace(PROBE, manifest=replace(MANIFEST, kind="labels")))
    assert found(place) == (None, "no truth probe was trained")
    keep(place, PROBE)
    assert found(place)[0] is not None
    assert found(place, recipe="tonight") == (None, "the truth probe truth was made with other weights")


def test_a_newer_probe_that_failed_is_not_passed_over(place: Place) -> None:
    keep(place, PROBE)
    keep(place, replace(PROBE, manifest=replace(MANIFEST, usable=False, reason="it flips", seed=1)))
    assert found(place) == (None, "the truth probe truth is not usable: it flips")
