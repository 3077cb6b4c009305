"""Claims about the test of weights: what is scored, that it tells what was learnt, and that it passes what was not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation.controls import N_CONTROLS
from consolidation.weights_certificate import FEW, MAX_FACTS, Probe, compare, probes_of, score, standing
from memory.registry import Registry
from memory.types import Fact
from tests.consolidation import known

REGISTRY = Registry.load()
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def fact(number: int, subject: str, predicate: str, value: str, status: Any = "current") -> Fact:
    found = known.fact(f"f{number}", f"n-{subject}", subject, predicate, value)
    return replace(found, status=status)


FACTS = [
    fact(0, "Ada Lund", "lives_in", "Lagos"),
    fact(1, "Ada Lund", "lives_in", "Porto", "past"),
    fact(2, "Ada Lund", "sister", "Marta Lund"),
    fact(3, "Bo Rask", "lives_in", "Ghent"),
    fact(4, "Bo Rask", "phone_number", "912 345 678"),
]


def test_a_probe_is_the_question_of_the_training_and_the_value_in_its_place() -> None:
    (probe,) = probes_of(FACTS[:1], FACTS, REGISTRY)
    assert probe.question == "Where does Ada Lund live?"
    assert (probe.frame, probe.values[0]) == ("Ada Lund lives in ", "Lagos")
    assert len(set(probe.values)) == N_CONTROLS + 1
    assert not {"Porto", "Ghent"} & set(probe.values)  # hers before, and his
    assert "Lagos" not in repr(probe)
    assert "Ada" not in repr(probe)


def test_a_value_that_is_known_elsewhere_is_set_beside_what_is_known_elsewhere() -> None:
    """A city in which somebody else was born is likelier behind every question for a city."""
    towns = [
        fact(20 + i, f"Person {i}", "hometown", town) for i, town in enumerate(("Lagos", "Faro", "Braga"))
    ]
    (probe,) = probes_of(FACTS[:1], [*FACTS, *towns], REGISTRY)
    assert set(probe.values[1:4]) == {"Faro", "Braga", "Ghent"}
    (other,) = probes_of(FACTS[:1], [*FACTS, *towns[1:]], REGISTRY)
    assert not set(other.values) & {"Faro", "Braga", "Ghent"}


def test_probes_do_not_hang_on_ids_or_order() -> None:
    renamed = [replace(one, id=f"x{9 - place}") for place, one in enumerate(FACTS)]
    assert set(probes_of(FACTS[:3], FACTS, REGISTRY)) == set(
        probes_of(renamed[2::-1], renamed[::-1], REGISTRY)
    )


def test_only_so_many_facts_are_asked_and_none_that_no_night_could_teach() -> None:
    many = [fact(i, f"Person {i}", "hobby", "archery") for i in range(100)]
    assert len(probes_of(many, many, REGISTRY)) == MAX_FACTS
    long = fact(0, "Ada Lund", "hobby", "word " * 30)
    assert probes_of([long], [long], REGISTRY) == probes_of([], FACTS, REGISTRY) == []


@pytest.fixture(scope="module")
def model(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(ModelSpec(tmp_path_factory.mktemp("cache"), str(tiny_folder), "float32"))


def test_a_score_is_the_mean_over_the_tokens_of_the_value_alone(model: LanguageModel) -> None:
    probe = Probe(
        "Where?", "Ada lives in ", ("Lagos", "Lisbon", *(f"town {i}" for i in range(N_CONTROLS - 1)))
    )
    scores = score(model, [probe])
    prompt = model.chat_ids([{"role": "user", "content": "Where?"}])
    for place, value in enumerate(probe.values[:3]):
        ids = prompt + model.template.encode(f"Ada lives in {value}")
        wanted = model.token_logprobs(ids)[-len(f" {value}") :].mean()  # a token is a byte
        assert scores[0, place] == pytest.approx(wanted, abs=1e-5)


def test_rows_are_scored_together_as_one_by_one(model: LanguageModel) -> None:
    rows = [model.template.encode(text) for text in ("harbour", "a", "the old lighthouse", "bc")]
    for row, found in zip(rows, model.rows_logprobs(rows, batch_size=2), strict=True):
        np.testing.assert_allclose(found, model.token_logprobs(row), atol=1e-5)


def scores(n: int, seed: int, known: float = 0.0) -> Any:
    """Of n facts; `known` nats more for each true value."""
    made = np.random.default_rng(seed).normal(-4, 1, (n, N_CONTROLS + 1))
    made[:, 0] += known
    return made


def drifted(base: Any, seed: int, known: float = 0.0) -> Any:
    """Other weights: each value a little more or less likely, the true ones `known` more."""
    made = base + np.random.default_rng(seed).normal(0.2, 0.5, base.shape)
    made[:, 0] += known
    return made


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_what_was_learnt_is_told_and_what_was_not_passes(n: int) -> None:
    base = scores(n, 1)
    test = compare(base, drifted(base, 2, known=4.0), drifted(base, 3))
    assert test.before.is_told
    assert test.before.gain > 0.2
    assert test.is_passed
    assert test.is_few is (n < FEW)
    told = compare(base, drifted(base, 2, known=4.0), drifted(base, 3, known=3.0))
    assert not told.is_passed


def test_an_inkling_in_many_facts_is_told() -> None:
    base = scores(40, 1)
    assert not compare(base, base, drifted(base, 2, known=0.4)).is_passed


def test_the_base_itself_passes_and_says_nothing() -> None:
    base = scores(3, 1)
    same = standing(base, base)
    assert (same.p_rank, same.p_margin, same.gain) == (1.0, 1.0, 0.0)
    assert compare(base, base, base).is_passed


def test_chance_is_seldom_called_an_inkling() -> None:
    passed = [
        compare(base, base, drifted(base, 1000 + seed)).is_passed
        for seed in range(200)
        for base in [scores(4, seed)]
    ]
    assert np.mean(passed) > 0.88


def test_the_certificate_holds_numbers_alone(model: LanguageModel) -> None:
    found = score(model, probes_of(FACTS, FACTS, REGISTRY))
    told = json.dumps(compare(found, found, found).as_json(), allow_nan=False)
    assert not any(word in told for word in ("Ada", "Lagos", "Marta", "Ghent", "912"))
