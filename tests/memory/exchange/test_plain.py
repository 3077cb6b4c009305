from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memory.exchange.plain import plain_fact
from memory.registry import Registry
from memory.types import Episode

EPISODE = Episode("e1", "c", 0, "n", "notes", datetime(2025, 3, 1, tzinfo=UTC), "")


def stated(sentence: str) -> tuple[str, str] | None:
    fact = plain_fact("Ada Lund", "person", sentence, EPISODE, Registry.load())
    if fact is None:
        return None
    assert (fact.subject, fact.episode_ids, fact.asserted_by) == ("Ada Lund", ("e1",), "")
    return fact.predicate, fact.object


@pytest.mark.parametrize(
    ("sentence", "fact"),
    [
        ("Ada Lund likes green tea.", ("likes", "green tea")),
        ("ada lund is fond of sailing", ("likes", "sailing")),
        ("Prefers morning meetings", ("likes", "morning meetings")),
        ("Ada Lund doesn't like crowds", ("dislikes", "crowds")),
        ("Ada Lund owns a boat", ("owns", "a boat")),
        ("Favorite color: blue", ("favourite_color", "blue")),
        ("Ada Lund's favourite food is sushi", ("favourite_food", "sushi")),
        ("Name is Ada", ("full_name", "Ada")),
        ("Birthday: July 12, 1990", ("birthday", "July 12, 1990")),
        ("City: Porto", ("lives_in", "Porto")),
        ("Occupation: nurse", ("job", "nurse")),
        ("Ada Lund's wife's name is Sofia", ("wife", "Sofia")),
        ("Her sister is Marta", ("sister", "Marta")),
        ("Has a dog named Rex", ("dog", "Rex")),
        ("Email address: ada@harbour.example", ("email", "ada@harbour.example")),
    ],
)
def test_a_plain_note_is_taken_at_its_word(sentence: str, fact: tuple[str, str]) -> None:
    assert stated(sentence) == fact


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "Ada Lund",
        "Her sister is ill",
        "Job is hard",
        "Note: call back on Monday",
        "2019: Lisbon",
        "Likes tea but not coffee",
        "Likes tea. Lives in Porto",
        "Likes people who read",
        "Likes " + "x" * 90,
        "Likes ...",
        "Uses Python",
        "日本語: はい",
        "a: " * 50_000,
        "is " * 50_000,
    ],
)
def test_what_is_not_plain_is_left_alone(sentence: str) -> None:
    assert stated(sentence) is None
