"""How questions are put to personas, and how their answers are graded."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.persona_qa import Answers as Said
from bench.persona_qa import Asked, is_same, numbers, opened, put
from memory.artifacts import list_artifacts
from memory.people import list_people
from memory.types import Episode, Person

ANA, BEN = Person("a", "Ana Reis", (), True), Person("b", "Ben Ode", ("Benji",), True)
CY = Person("c", "Cy Dahl", ())
DAY = datetime(2025, 3, 1, tzinfo=UTC)
SAID = [
    Episode("0", "t", 0, "a", "Ana Reis", DAY, "hi"),
    Episode("1", "t", 1, "b", "Ben Ode", DAY, "Cy has a boat"),
]


def row(question: str, **rest: Any) -> dict[str, Any]:
    return {
        "id": "q",
        "question": question,
        "answer": "Porto",
        "answer_aliases": [],
        "kind": "current",
    } | rest


@pytest.mark.parametrize(
    ("given", "person", "text"),
    [
        (row("Where does Ana live?"), "Ana Reis", "Where do you live?"),
        (row("Is Benji taller than Ana?"), "Ben Ode", "Are you taller than Ana?"),
        (row("What does Cy own?", evidence=[1]), "Ben Ode", "What does Cy own?"),
        (row("Who was Ana's boss?", as_of="2025-05-01"), "Ana Reis", "On 1 May 2025, who was your boss?"),
        (row("Who was Ana's boss in May 2025?", as_of="2025-05-01"), "Ana Reis", "Who was your boss in May 2025?"),
        (row("Where does Ana live?", persona_view="Ben Ode", as_of="2025-05-01"), "Ben Ode", "Where does Ana live?"),
    ],
)  # fmt: skip
def test_a_question_is_put_to_whom_it_is_about(given: dict[str, Any], person: str, text: str) -> None:
    asked = put(given, [ANA, BEN, CY], SAID, None)
    assert asked is not None
    assert (asked.person, asked.text) == (person, text)
    assert {asked.person, asked.partner} == {"Ana Reis", "Ben Ode"}


def asked(gold: str, kind: str = "current", text: str = "Where do you live?", **rest: Any) -> Asked:
    return Asked("q", text, kind, (gold,), "Ana Reis", "Ben Ode", **rest)


@pytest.mark.parametrize(
    ("one", "answer", "is_right"),
    [
        (asked("Porto"), "I live in Porto.", True),
        (asked("Porto"), "I don't know.", False),
        (asked("Porto"), "not in Porto", False),
        (asked("unknown", "unanswerable"), "no idea, sorry", True),
        (asked("unknown", "unanswerable"), "In Porto.", False),
        (asked("no, it was a joke", "unanswerable"), "No, never.", True),
        (asked("no, he sold her"), "Nope, not any more.", True),
    ],
)
def test_answers_are_graded_by_what_they_hold(one: Asked, answer: str, is_right: bool) -> None:
    assert one.is_right(answer) is is_right


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("I live in Porto.", "Porto, of course", True),
        ("I don't know.", "No idea.", True),
        ("I don't know.", "In Lagos.", False),
        ("In Lagos.", "In Lagos by the sea.", True),
        ("In Lagos.", "In Faro.", False),
        ("I live in Porto.", "In Faro.", False),
        ("Yes, in Lagos.", "No, not in Lagos.", False),
        ("", "", True),
    ],
)
def test_two_answers_agree_where_they_tell_the_same(first: str, second: str, same: bool) -> None:
    assert is_same(asked("Porto"), first, second) is same


def test_the_numbers_have_the_keys_that_are_wanted() -> None:
    known = Said(asked("Porto"), ["Porto.", "Porto!"], ["Faro.", "Lagos."])
    hidden = Said(
        asked("unknown", "unanswerable", until=DAY, is_unknowable=True), ["I don't know.", "In Faro."]
    )
    found = numbers([known, hidden])
    assert (found["right"], found["unknowable_declined"], found["same_answer_later"]) == (1.0, 1.0, 0.5)
    assert found["control"]["right"] == 0.0
    assert found["by_kind"] == {"current": 1.0, "unanswerable": 1.0}


@pytest.mark.slow
def test_styles_are_trained_of_those_who_agreed_before_the_nights(
    tiny_folder: Path, model_cache: Path, tmp_path: Path
) -> None:
    chat = tmp_path / "chat"
    chat.mkdir()
    rows = [
        {"time": f"2025-03-{1 + i // 12:02}T10:{i % 12:02}:00Z", "speaker": ("Ana Reis", "Ben Ode")[i % 2], "text": f"hi {i}"}
        for i in range(280)
    ]  # fmt: skip
    (chat / "chat.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    args = argparse.Namespace(
        chat=chat, cache=model_cache, model=str(tiny_folder), seed=0, train=True, minutes=0.02
    )
    with opened(args, tmp_path / "home", None) as (services, _):
        rows_of_styles = list_artifacts(services.database, services.space_id, kind="adapter")
        people = {person.id for person in list_people(services.database, services.space_id)}
    assert {row.meta.get("style") for row in rows_of_styles} - {None} == people
