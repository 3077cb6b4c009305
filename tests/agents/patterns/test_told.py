"""Claims about what people say of themselves and each other; the sentences are invented here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from agents.patterns import Pattern
from agents.patterns.told import third_person, told
from memory.types import Episode

START = datetime(2025, 5, 1, tzinfo=UTC)


def talk(*lines: tuple[str, str]) -> list[Episode]:
    return [
        Episode(f"e{n}", "c", n, speaker.lower(), speaker, START + timedelta(hours=n), text)
        for n, (speaker, text) in enumerate(lines)
    ]


def found(*lines: tuple[str, str]) -> list[Pattern]:
    episodes = talk(*lines)
    return told(episodes, list(dict.fromkeys(e.speaker_id for e in episodes)))


def texts(patterns: Sequence[Pattern]) -> set[tuple[str, str]]:
    return {(p.person_id, p.text) for p in patterns}


@pytest.mark.parametrize(
    ("said", "pattern"),
    [
        ("when i'm bored i rearrange my shelves", "rearranges their shelves when bored"),
        ("Honestly, I always buy plants when I am sad.", "buys plants when sad"),
        ("whenever I get anxious I go silent", "goes quiet when stressed"),
        ("every time I'm hungry I end up at the kiosk", None),  # "up at" is no deed that starts with a verb
        ("i wash the car when i’m furious", "washes the car when furious"),
        ("when I'm happy I sing all day", "sings all day when happy"),
    ],
)
def test_a_habit_told_of_oneself_is_a_pattern(said: str, pattern: str | None) -> None:
    patterns = found(("Ada", said), ("Ben", "ok"))
    assert texts(patterns) >= ({("ada", pattern)} if pattern else set())
    assert all(p.kind == "told" and p.is_strong for p in patterns)


@pytest.mark.parametrize(
    "said",
    [
        "do i snore when i'm tired?",
        "when i was sad i cried",
        "i think i'm happy when i'm tired",
        "i'll call you when i'm tired of this",
        "she said 'i always dance when i'm drunk' and left",
        "when I'm happy I buy yachts, just kidding",
    ],
)
def test_a_question_a_memory_a_plan_a_joke_or_a_quotation_is_none(said: str) -> None:
    assert found(("Ada", said), ("Ben", "ok")) == []


def test_what_the_other_one_says_is_about_the_other_one_and_less_sure() -> None:
    (pattern,) = found(("Ada", "hello"), ("Ben", "you always whistle when you're nervous"))
    assert texts([pattern]) == {("ada", "whistles when nervous")}
    assert pattern.told_by == "Ben"
    (own,) = found(("Ada", "i always whistle when i'm nervous"), ("Ben", "ok"))
    assert own.confidence > pattern.confidence


def test_among_three_you_is_nobody() -> None:
    assert found(("Ada", "you always whistle when you're nervous"), ("Ben", "me?"), ("Cleo", "yes")) == []


def test_said_again_and_by_both_is_surer_and_keeps_every_message() -> None:
    once = found(("Ada", "i bake when i'm stressed"), ("Ben", "ok"))[0]
    (both,) = found(
        ("Ada", "i bake when i'm stressed"),
        ("Ben", "you bake when you're stressed"),
        ("Ada", "i bake when i'm stressed"),
    )
    assert both.evidence == ("e0", "e1", "e2")
    assert once.confidence < both.confidence <= 0.95


@pytest.mark.parametrize(
    ("deed", "turned"),
    [
        ("carry my bag", "carries their bag"),
        ("go home", "goes home"),
        ("never answer me", "never answers them"),
    ],
)
def test_deeds_are_told_in_the_third_person(deed: str, turned: str) -> None:
    assert third_person(deed) == turned
