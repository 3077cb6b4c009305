"""`slowwave steer` and steered talks, on the tiny model with a readout of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.runtime.spec import ModelSpec, resolve
from consolidation.readouts import Activations, Contrast, Provenance, Readout, build, write_readout

CONCEPTS = ("joy", "sadness", "zest")


@pytest.fixture(scope="module")
def made(talkative: Path, model_cache: Path) -> Readout:
    """Three concepts whose directions are axes of the tiny model's residual stream."""
    base = resolve(ModelSpec(model_cache, str(talkative))).base_hash
    acts = np.random.default_rng(0).normal(size=(80, 2, 32)).astype(np.float32)
    contrasts = {}
    for k, concept in enumerate(CONCEPTS):
        rows = tuple(range(20 * k, 20 * k + 20))
        acts[list(rows), :, k] += 6
        contrasts[concept] = Contrast(rows, tuple(range(60, 80)))
    seen = Activations(acts, np.array([20.0, 20.0], dtype=np.float32), (1, 2))
    return build(seen, contrasts, (), Provenance(base, "template", None, {}, 0), n_layers=2)


@pytest.fixture
def steerable(slowwave: Any, tiny_nights: None, made: Readout, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder, _ = write_readout(made, slowwave.home / "readouts")
    monkeypatch.setenv("SLOWWAVE_READOUT_VECTORS", str(folder / "vectors.safetensors"))
    monkeypatch.setenv("SLOWWAVE_READOUT_MANIFEST", str(folder / "manifest.json"))
    assert slowwave("consent", "Ada Lund", "--by", "Ada Lund").code == 0
    return slowwave


def test_directions_are_listed_with_what_is_near_and_far(steerable: Any) -> None:
    found = steerable("steer", "list", "--json").json
    assert found["layers"] == [1, 2]
    assert [one["direction"] for one in found["concepts"]] == list(CONCEPTS)
    assert all(
        {one["nearest"], one["farthest"], one["direction"]} == set(CONCEPTS) for one in found["concepts"]
    )
    assert "zest" in steerable("steer", "list").out


def test_without_a_readout_the_list_says_how_to_get_one(slowwave: Any, tiny_nights: None) -> None:
    assert "no readout serves; `slowwave sleep` makes one" in slowwave("steer", "list").out


def test_a_trial_gives_numbers_a_table_and_a_picture(steerable: Any, tmp_path: Path) -> None:
    picture = tmp_path / "joy.svg"
    arguments = ("steer", "try", "joy-sadness", "--texts", 1, "--controls", 1, "--doses", "0.05,2")
    found = steerable(*arguments, "--json", "--picture", picture).json
    assert (found["kind"], found["layers"], found["positions"]) == ("pair", [1, 2], "reply")
    assert found["judge"] == "emotion tagger"
    assert {row["dose"] for row in found["random"]} == {0.05, 2.0}
    assert found["plain"]["readout"] is not None
    assert picture.read_text().startswith("<svg")
    table = steerable(*arguments).out
    assert "joy-sadness, layers 1, 2, 24 texts a dose" in table


def test_a_concept_that_the_tagger_does_not_know_is_not_judged(steerable: Any) -> None:
    found = steerable("steer", "try", "zest", "--texts", 1, "--controls", 0, "--doses", "0.05", "--json").json
    assert (found["judge"], found["plain"]["judged"], found["random"]) == (None, None, [])


@pytest.mark.parametrize(
    ("direction", "why"),
    [
        ("envy", "there is no direction envy: the readout has joy, sadness, zest"),
        ("joy-envy", "there is no direction joy-envy"),
        ("topic:boats", "topic:boats has "),
        ("mentions:Marta", "mentions:Marta has 1 messages"),
        ("probe:truth", "no probe goes by truth"),
    ],
)
def test_what_cannot_be_steered_by_is_refused_in_one_line(steerable: Any, direction: str, why: str) -> None:
    assert why in steerable("steer", "try", direction).refusal


def test_vectors_of_another_base_are_refused_with_both_hashes(
    steerable: Any, made: Readout, tmp_path: Path
) -> None:
    other = replace(made, manifest=replace(made.manifest, model_hash="f" * 64))
    folder, _ = write_readout(other, tmp_path)
    refusal = steerable("steer", "try", "joy", "--readout", folder).refusal
    assert "f" * 12 in refusal
    assert made.manifest.model_hash[:12] in refusal


def test_a_layer_that_does_not_exist_is_refused(steerable: Any, made: Readout, tmp_path: Path) -> None:
    manifest = replace(made.manifest, layers=(1, 9))
    folder, _ = write_readout(Readout(manifest, {1: made.vectors[1], 9: made.vectors[2]}), tmp_path)
    assert (
        "no layer 9; the model has layers 0 to 2"
        in steerable("steer", "try", "joy", "--readout", folder, "--texts", 1, "--controls", 0).refusal
    )


CHAT = ("chat", "Ada Lund", "--as", "Bo Rask", "--once", "hello", "--seed", 1)


def test_a_turn_is_recorded_with_its_steering(steerable: Any) -> None:
    plain = steerable(*CHAT, "--json").json
    steered = steerable(*CHAT, "--json", "--steer", "joy=2", "--steer", "sadness=-1", "--force").json
    assert plain["steering"] == []
    assert [(one["direction"], one["wanted"], one["dose"]) for one in steered["steering"]] == [
        ("joy", 2.0, 2.0),
        ("sadness", -1.0, -1.0),
    ]
    assert steered["steering"][0]["positions"] == "reply"


def test_a_dose_that_breaks_fluency_is_clamped_with_a_notice(
    steerable: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.dosing._is_fluent", lambda ratio, rise: ratio < 0)
    clamped = steerable(*CHAT, "--json", "--steer", "joy=3.5")
    assert clamped.json["steering"][0] == {
        "direction": "joy",
        "kind": "concept",
        "wanted": 3.5,
        "dose": 0.0,
        "layers": [1, 2],
        "positions": "reply",
    }
    assert "joy=3.5 breaks fluency; steering at 0 instead (--force keeps the whole dose)" in clamped.err
    (kept,) = (steerable.home / "cache" / "steering").iterdir()
    assert json.loads(kept.read_text()) == {"share": 0.0}


@pytest.mark.parametrize("wish", ["joy", "joy=many", "joy=9"])
def test_what_is_no_dose_is_refused(steerable: Any, wish: str) -> None:
    assert "is no dose; write DIRECTION=DOSE" in steerable(*CHAT, "--steer", wish).refusal
