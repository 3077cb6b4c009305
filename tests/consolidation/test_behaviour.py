"""Behaviours: what a file may say, how a reply is measured, and a vector that is trained, measured and put on record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation import behaviour_training as training
from consolidation.behaviour import (
    Effect,
    Yardstick,
    measured,
    read_behaviour,
    shipped,
    shipped_names,
    split,
    values_of,
    yardstick_of,
)
from consolidation.behaviour_measures import MEASURES, asks, asks_over_suggests, suggests, words
from consolidation.errors import BadBehaviour, UnknownBehaviour
from consolidation.recipe_serving import Place
from consolidation.stage import TrainSettings
from consolidation.vectors import MANIFEST
from memory.artifacts import list_artifacts
from memory.people import find_person
from memory.vector_nodes import trained_from
from tests.made_recipes import linear_shapes, make_vector

SETTINGS = TrainSettings(rank=2, alpha=4, dtype="float32")


def write(path: Path, n: int = 16, held_out: Any = None, **fields: Any) -> Path:
    """A behaviour's file with `n` examples."""
    table = {
        "description": "answers with a number",
        "measure": "words_per_reply",
        "wanted": "less",
        "examples": [[f"question {place}?", f"{place}."] for place in range(n)],
        "held_out": [f"another {place}?" for place in range(4)] if held_out is None else held_out,
    } | fields
    # JSON's lists and strings are TOML's
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if value is not ...]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["asks-back", "short-sentences", "shorter"])
def test_a_shipped_behaviour_shows_in_its_own_examples(name: str) -> None:
    found = shipped(name)
    assert len(found.examples) >= 80
    assert len(found.yardstick.held_out) >= 30
    shown = found.yardstick.rule.over([example[-1]["content"] for example in found.examples])
    assert shown > 0.95 if name == "asks-back" else shown < 10


def test_every_shipped_behaviour_is_told_by_name() -> None:
    assert shipped_names() == ["asks-back", "short-sentences", "shorter"]
    with pytest.raises(UnknownBehaviour, match="longer"):
        shipped("longer")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"examples": []}, "it has no examples"),
        ({"examples": ...}, "it has no examples"),
        ({"n": 11}, "11 examples are too few; give 12 or more"),
        ({"held_out": []}, "it has no held_out"),
        ({"held_out": ["one?", "two?"]}, "2 held-out prompts tell nothing; give 4 or more"),
        (
            {"held_out": ["a?", "b?", "c?", "Question  3"]},
            "the held-out prompt 'Question 3' stands in an example",
        ),
        (
            {"held_out": ["a?", "b?", "c?", ["d?", "e."]]},
            "each of held_out is a message, or a list that ends",
        ),
        ({"examples": [["only a question?"]] * 16}, "each of examples is a list of message, reply"),
        ({"examples": [["a?", " "]] * 16}, "each of examples is a list of message, reply"),
        ({"measure": "charm"}, "there is no measure 'charm'; take one of words_per_reply, asks"),
        ({"measure": 3}, "it has no measure"),
        ({"wanted": "none"}, "wanted is 'none'; write less or more"),
        ({"kind": "x"}, "behaviour.toml has a field 'kind'"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    n = changes.pop("n", 16)
    with pytest.raises(BadBehaviour, match=r"^the behaviour numbers cannot be used: ") as refused:
        read_behaviour(write(tmp_path / "behaviour.toml", n, **changes), "numbers")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_toml_no_file_and_no_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("examples = [", encoding="utf-8")
    for path, name, said in (
        (tmp_path / "a.toml", "numbers", "is no valid TOML"),
        (tmp_path / "b.toml", "numbers", "cannot be read"),
        (tmp_path / "a.toml", "Two Words", "a name has small letters, digits and dashes"),
    ):
        with pytest.raises(BadBehaviour, match=said):
            read_behaviour(path, name)


def test_prompts_are_held_out_by_their_hash_where_a_file_names_none(tmp_path: Path) -> None:
    found = read_behaviour(write(tmp_path / "a.toml", 40, ...), "numbers")
    assert (len(found.examples), len(found.yardstick.held_out)) == (30, 10)
    trained = {example[0]["content"] for example in found.examples}
    assert trained.isdisjoint(prompt[-1]["content"] for prompt in found.yardstick.held_out)
    turned = split(list(reversed([*found.examples])))
    assert {prompt[0]["content"] for prompt in turned[1]} == {
        prompt[0]["content"] for prompt in split(list(found.examples))[1]
    }


def test_a_prompt_with_two_replies_is_on_one_side() -> None:
    examples = [
        ({"role": "user", "content": f"{place}?"}, {"role": "assistant", "content": reply})
        for place in range(20)
        for reply in ("yes", "no")
    ]
    kept, held_out = split(examples)
    assert (len(kept), len(held_out)) == (30, 5)


@pytest.mark.parametrize(
    ("reply", "n_words", "is_question", "is_advice"),
    [
        ("What happened?", 2, 1, 0),
        ("Oh no. What happened then?\n", 5, 1, 0),
        ('He said "why?" and left.', 5, 0, 0),
        ("Take a walk. How does that sound?", 7, 1, 1),
        ("You should call her.", 4, 0, 1),
        ("Have you tried calling her?", 5, 1, 1),
        ("What do you think you should do?", 7, 1, 0),
        ("First, make a list.", 4, 0, 1),
        ("1. Sleep\n2. Eat", 4, 0, 1),
        ("That sounds hard.", 3, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_what_a_reply_looks_like(reply: str, n_words: int, is_question: int, is_advice: int) -> None:
    assert (words(reply), asks(reply), suggests(reply)) == (n_words, is_question, is_advice)
    assert asks_over_suggests(reply) == is_question - is_advice


@pytest.mark.parametrize(
    ("reply", "expected"),
    [("Yes. I came by train.", 2.5), ("One two three. And then we", 3.0), ("And then we", 3.0), ("", 0.0)],
)
def test_a_sentence_that_breaks_off_is_not_counted_where_there_are_others(
    reply: str, expected: float
) -> None:
    assert MEASURES["words_per_sentence"].of(reply) == expected


def test_the_other_measures_see_what_they_are_named_after() -> None:
    seen = {name: MEASURES[name].over(["hahaha ok 🎉", "Fine."]) for name in ("laughs", "emoji", "lowercase")}
    assert seen == {"laughs": 0.5, "emoji": 0.5, "lowercase": 0.5}
    assert MEASURES["asks"].shown(0.5) == "50 %"
    assert MEASURES["words_per_reply"].shown(12.34) == "12.3"


def test_an_effect_counts_the_prompts_that_moved_as_wanted(tmp_path: Path) -> None:
    less = read_behaviour(write(tmp_path / "a.toml"), "numbers").yardstick
    effect = Effect(less, (10, 10, 10, 10, 10), (1, 1, 1, 20, 10))
    assert (effect.n_toward, effect.n_away) == (3, 1)
    assert effect.p == pytest.approx(5 / 16)  # 3 or 4 of 4
    assert effect.change == pytest.approx((9 * 3 - 10) / 5)


def test_a_vector_is_measured_and_kept_with_what_measures_it(
    talkative: Path, place: Place, tmp_path: Path
) -> None:
    ada = person(place, "Ada Lund")
    examples = [[f"question {n} by Ada Lund?", "no."] for n in range(16)]
    behaviour = read_behaviour(write(tmp_path / "a.toml", examples=examples), "numbers")
    spec = ModelSpec(place.home / "cache", str(talkative), "float32")
    job = training.job_of(behaviour, spec, SETTINGS, seed=1)
    model = LanguageModel.load(spec)
    vector = replace(make_vector(model.base_hash, 1, linear_shapes(talkative), scale=0.5), meta=job.meta)
    outcome = training.examined(model, behaviour.yardstick, vector)
    assert outcome.effect.before == values_of(model, behaviour.yardstick)  # it ends up plain
    assert outcome.effect.before == (measured(model, behaviour.yardstick),) * 4
    assert outcome.drift.ppl_change != 0
    done = training.Trained(vector, 2, 0.1)
    path = training.keep(place, behaviour, done, outcome, people=training.named_in(place, behaviour))
    assert training.keep(place, behaviour, done, outcome) == path
    (row,) = list_artifacts(place.database, place.space_id, kind="adapter")
    kept = {"behaviour": "numbers", "n_examples": 16, "effect": outcome.as_json()}
    assert (row.sha256, row.path) == (vector.sha256, path)
    assert kept.items() <= row.meta.items()
    assert [edge.node_id for edge in trained_from(place.database, place.space_id, row.sha256)] == [ada]
    notes = json.loads((place.home / path / MANIFEST).read_text(encoding="utf-8"))["meta"]
    assert yardstick_of(notes) == behaviour.yardstick
    assert notes["data_sha256"] == behaviour.sha256
    assert "question 1 by" not in json.dumps(notes)  # nothing of the examples
    assert yardstick_of({"behaviour": "numbers"}) is None


def test_another_training_takes_away_what_one_left_unfinished(place: Place, tmp_path: Path) -> None:
    one = read_behaviour(write(tmp_path / "a.toml"), "numbers")
    spec = ModelSpec(place.home / "cache")
    first = training.folder_of(place, one, training.job_of(one, spec, SETTINGS, seed=1))
    first.path.mkdir(parents=True)
    assert training.folder_of(place, one, training.job_of(one, spec, SETTINGS, seed=1)).path == first.path
    assert first.path.exists()
    training.folder_of(place, one, training.job_of(one, spec, SETTINGS, seed=2))
    assert not first.path.exists()


@pytest.mark.parametrize(("n", "steps", "at_once"), [(12, 24, 8), (84, 42, 8), (5000, 400, 8), (6, 24, 6)])
def test_steps_go_by_the_number_of_examples(n: int, steps: int, at_once: int) -> None:
    found = training.training_settings(SETTINGS, n)
    assert (found.steps, found.style_per_step) == (steps, at_once)
    assert (found.facts_per_step, found.negatives_per_step, found.rank) == (0, 0, SETTINGS.rank)


def person(place: Place, name: str) -> str:
    from memory.people import get_or_create_node

    with place.database.transaction() as session:
        get_or_create_node(session, place.space_id, name, "person", clock=place.clock)
    return find_person(place.database, place.space_id, name).id


def test_a_yardstick_is_the_same_after_json(tmp_path: Path) -> None:
    yardstick = shipped("asks-back").yardstick
    assert yardstick_of(json.loads(json.dumps(yardstick.as_json()))) == yardstick
    with pytest.raises(BadBehaviour):
        Yardstick("x", "asks", "more", yardstick.held_out[:3])
