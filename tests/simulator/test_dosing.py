"""Doses on the tiny random model: what is counted, what is clamped, what is drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from simulator import dosing
from simulator.dosing import Bed, Plan, clamped, dose_response, picture, repeated
from simulator.steering import Direction, Steering

PLAN = Plan(("I went", "We saw it", "They"), per_opening=1, max_new_tokens=6, temperature=1.0, n_random=2)


@pytest.fixture
def model(tiny_folder: Path, model_cache: Path) -> LanguageModel:
    spec = ModelSpec(cache_dir=model_cache, source=str(tiny_folder), dtype="float32", device="cpu")
    return LanguageModel.load(spec)


@pytest.fixture
def direction(model: LanguageModel) -> Direction:
    """Towards writing the letter e: its row of the head."""
    row = model.model.get_output_embeddings().weight[model.template.encode("e")[0]].numpy()
    unit = row / np.linalg.norm(row)
    return Direction("e", "concept", model.base_hash, {1: unit, 2: unit}, {1: 50.0, 2: 50.0})


def letters(texts: object) -> list[float]:
    return [text.count("e") / max(1, len(text)) for text in texts]  # type: ignore[attr-defined]


def test_the_same_plan_writes_the_same_and_the_model_is_as_before(
    model: LanguageModel, direction: Direction
) -> None:
    bed = Bed(model, PLAN)
    before = model.logits([5, 6, 7])
    assert bed.write(direction.added(0.5)) == bed.write(direction.added(0.5))
    assert bed.write(direction.added(0.5)) != bed.write({})
    assert np.array_equal(model.logits([5, 6, 7]), before)


def test_a_dose_towards_a_letter_writes_more_of_it_than_random_ones(
    model: LanguageModel, direction: Direction
) -> None:
    found = dose_response(Bed(model, PLAN, judge=letters), direction, (0.5, 3.0))
    assert [row.dose for row in found.random] == [0.5, 3.0]
    strong = next(row for row in found.steered if row.dose == 3.0)
    assert strong.judged is not None
    assert strong.judged > max(found.plain.judged or 0, found.random[-1].judged or 0)
    assert strong.kl > found.steered[0].kl > found.plain.kl == 0


def test_the_strongest_dose_lies_before_the_first_that_breaks(
    model: LanguageModel, direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dosing, "_is_fluent", lambda ratio, rise: ratio <= limit)
    bed = Bed(model, replace(PLAN, n_random=0))
    limit = float("inf")
    assert dose_response(bed, direction, (0.5, 1.0)).strongest == 1.0
    limit = -1.0
    assert dose_response(bed, direction, (0.5, 1.0)).strongest is None
    measured = {row.dose: row.ppl_ratio for row in dose_response(bed, direction, (0.5, 1.0)).steered}
    assert set(measured) == {0.5, 1.0, 0.25, 0.125, 0.062}


def test_a_clamped_dose_is_measured_once_and_kept_without_a_name(
    model: LanguageModel, direction: Direction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steering = Steering(((direction, 3.0),))
    monkeypatch.setattr(dosing, "fluent_share", lambda bed, steering: 0.375)
    assert clamped(model, steering, tmp_path, None).clamped_to == 0.375
    (kept,) = tmp_path.iterdir()
    assert json.loads(kept.read_text()) == {"share": 0.375}
    monkeypatch.setattr(dosing, "fluent_share", lambda bed, steering: 1.0)
    assert clamped(model, steering, tmp_path, None).clamped_to == 0.375
    assert clamped(model, steering, tmp_path, "recipe").clamped_to == 1.0
    kept.write_text("{")
    assert clamped(model, steering, tmp_path, None).clamped_to == 1.0


def test_a_share_that_breaks_is_halved_until_texts_are_fluent(
    model: LanguageModel, direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    steering = Steering(((direction, 1.0),))
    bed = Bed(model, replace(PLAN, n_random=0))
    monkeypatch.setattr(dosing, "_is_fluent", lambda ratio, rise: True)
    assert dosing.fluent_share(bed, steering) == 1.0
    monkeypatch.setattr(dosing, "_is_fluent", lambda ratio, rise: False)
    assert dosing.fluent_share(bed, steering) == 0.0


def test_repeated_trigrams_are_counted() -> None:
    assert repeated("a b c d e") == 0
    assert repeated("a b c a b c") == pytest.approx(1 / 4)
    assert repeated("a b") == 0


def test_numbers_and_picture_of_a_trial(model: LanguageModel, direction: Direction) -> None:
    found = dose_response(Bed(model, PLAN, judge=letters), direction, (0.5, 1.0))
    told = json.loads(json.dumps(found.as_json()))
    assert told["texts"] == 3
    assert {"dose", "readout", "judged", "ppl", "ppl_ratio", "repetition", "kl", "is_fluent"} == set(
        told["plain"]
    )
    drawn = picture(found)
    assert drawn.startswith("<svg xmlns=")
    assert "random" in drawn
    assert "Judged" in drawn
    assert "Readout of" not in drawn
