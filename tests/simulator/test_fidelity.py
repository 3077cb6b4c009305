from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.runtime.adapter import Adapter
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from simulator.adherence import adherence, as_episodes, countable
from simulator.agreement import Agreement
from simulator.fidelity import (
    BASE,
    BOTH,
    CONDITIONS,
    PROMPT,
    Drawing,
    Fidelity,
    Material,
    lines_of,
    measure_person,
)
from simulator.fidelity_page import render, summary
from tests.made_recipes import linear_shapes, make_vector
from tests.made_talk import chat, material_of


@pytest.fixture(scope="module")
def model(tiny_folder: Path, model_cache: Path) -> LanguageModel:
    return LanguageModel.load(ModelSpec(model_cache, str(tiny_folder), dtype="float32"))


@pytest.fixture(scope="module")
def material() -> Material:
    return material_of("Ada Lund", "Bo Rask")


@pytest.fixture(scope="module")
def worn(model: LanguageModel, tiny_folder: Path) -> list[tuple[Adapter, float]]:
    return [(make_vector(model.base_hash, 3, linear_shapes(tiny_folder), scale=0.05), 1.0)]


@pytest.fixture(scope="module")
def found(model: LanguageModel, worn: list[tuple[Adapter, float]], material: Material) -> Fidelity:
    return measure_person(model, worn, material, Drawing(max_new_tokens=8))


def test_every_condition_speaks_to_every_held_out_reply(found: Fidelity, material: Material) -> None:
    assert tuple(found.likelihoods) == tuple(found.made) == CONDITIONS
    assert {one.id for one in found.exchanges} == {one.id for one in material.replies}
    for condition in CONDITIONS:
        assert found.likelihoods[condition].characters_N.tolist() == [e.characters for e in found.exchanges]
        assert len(found.made[condition].replies) == len(found.exchanges)
    bits = {name: one.per_character for name, one in found.likelihoods.items()}
    assert len(set(bits.values())) == 4  # weights and prompt each make a difference


def test_the_model_wears_nothing_afterwards(
    model: LanguageModel, worn: Sequence[tuple[Adapter, float]], material: Material
) -> None:
    weights = model.model.state_dict()
    before = {name: tensor.clone() for name, tensor in weights.items()}
    measure_person(model, worn, material, Drawing(max_new_tokens=2), minutes=0)
    assert all(np.array_equal(before[name].numpy(), weights[name].numpy()) for name in before)


def test_the_same_seed_gives_the_same_report(
    model: LanguageModel, worn: Sequence[tuple[Adapter, float]], material: Material, found: Fidelity
) -> None:
    again = measure_person(model, worn, material, Drawing(max_new_tokens=8))
    assert again.as_json() == found.as_json()


def test_when_the_time_is_over_all_conditions_have_spoken_to_the_same_replies(
    model: LanguageModel,
    worn: Sequence[tuple[Adapter, float]],
    material: Material,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("simulator.fidelity.CHUNK", 3)
    short = measure_person(model, worn, material, Drawing(max_new_tokens=2), minutes=0)
    assert len(short.exchanges) == 3
    assert {len(one.bits_N) for one in short.likelihoods.values()} == {3}


def test_without_weights_only_the_base_speaks(model: LanguageModel, material: Material) -> None:
    found = measure_person(model, (), material, Drawing(max_new_tokens=2), minutes=0)
    assert tuple(found.made) == (BASE, PROMPT)
    assert found.as_json()["under_prompt"] is None


def test_real_replies_keep_to_the_constitution_and_are_recognised(found: Fidelity) -> None:
    assert found.real.recognised == 1
    assert found.real.adherence.kept["Writes in lowercase, without capital letters"]
    assert found.real.adherence.share == 1


def test_another_persons_replies_keep_to_little_of_it(material: Material) -> None:
    lines = countable(material.principles, material.own, material.others)
    theirs = as_episodes(material.partners, [one.lines for one in material.partners])
    judged = adherence(material.principles, lines, theirs, [e for e in chat(40) if e.speaker == "Ada Lund"])
    assert {line for line, is_kept in judged.kept.items() if is_kept} == {
        "Writes short messages, often only a handful of words"  # as both do
    }
    assert len(judged.kept) > 3


def test_what_no_count_settles_is_said_and_too_few_messages_are_not_counted(material: Material) -> None:
    lines = countable(material.principles, material.own, material.others)
    judged = adherence(material.principles, lines, material.own[:3], material.others)
    assert judged.share is None
    assert set(judged.unmeasured) == {line.text for line in material.principles} - lines


def test_a_drawn_reply_ends_where_somebody_else_speaks() -> None:
    assert lines_of(" fine\n[ADA] and you?\n[BO] me too", "[ADA]") == ("fine", "and you?")


def test_the_page_holds_every_condition_and_asks_no_network(found: Fidelity) -> None:
    page = render(found, {"weights": "made up <for> a test"})
    assert "made up &lt;for&gt; a test" in page
    assert "weights only" in page
    assert not any(sign in page for sign in ("http://", "https://", "src=", "@import"))
    assert [row[0] for row in summary(found)] == [
        "really said",
        "base",
        "prompt only",
        "weights only",
        "both",
    ]


def test_the_table_has_the_share_of_facts_that_agree(found: Fidelity) -> None:
    real = replace(found.real, agreement=Agreement(agrees=3, contradicts=1, new=5, replies=9))
    rows = summary(replace(found, real=real))
    assert [row[-1] for row in rows] == ["0.750", "", "", "", ""]


def test_the_json_holds_the_numbers_and_nobodys_words(found: Fidelity) -> None:
    text = json.dumps(found.as_json())
    assert "no idea about" not in text
    assert found.as_json()["bits_per_char"][BOTH]["mean"] > 0
