"""Replies are as long as the person's own are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

from memory.types import Episode
from simulator.lengths import LEAST_CHARS, LEAST_REPLIES, SLACK, Lengths, lengths_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def talk(*said: tuple[str, str, int], conversation: str = "c") -> list[Episode]:
    """(speaker, text, minutes since the first)."""
    number = count()
    return [
        Episode(f"e{n}", conversation, n, who.lower(), who, NOON + timedelta(minutes=minutes), text)
        for (who, text, minutes), n in zip(said, number, strict=False)
    ]


def test_messages_in_a_row_are_one_reply_to_the_run_before() -> None:
    found = lengths_of(
        talk(("Ana", "12345", 0), ("Ana", "123", 1), ("Bo", "1", 2), ("Bo", "12", 3), ("Ana", "1234", 4)),
        "bo",
    )
    assert found == Lengths(heard=(8,), chars=(3,), messages=(2,))


def test_a_pause_begins_a_new_reply_that_answers_nothing_of_ones_own() -> None:
    found = lengths_of(talk(("Bo", "1", 0), ("Bo", "12", 121)), "bo")
    assert found == Lengths(heard=(0, 0), chars=(1, 2), messages=(1, 1))


def test_conversations_that_run_side_by_side_are_kept_apart() -> None:
    one = talk(("Ana", "1234", 0), ("Bo", "12", 2), conversation="one")
    other = talk(("Bo", "123", 1), conversation="other")
    mixed = sorted([*one, *other], key=lambda episode: episode.time)
    found = lengths_of(mixed, "bo")
    assert sorted(zip(found.heard, found.chars, strict=True)) == [
        (0, 3),
        (4, 2),
    ]


def test_a_drawn_length_is_one_that_the_person_wrote() -> None:
    own = Lengths(heard=(10,) * 30, chars=tuple(range(40, 70)), messages=(1, 2, 3) * 10)
    drawn = [own.draw(10, seed) for seed in range(200)]
    allowed = {
        (round(SLACK * chars), messages) for chars, messages in zip(own.chars, own.messages, strict=True)
    }
    assert {(one.chars, one.messages) for one in drawn} <= allowed
    assert len({one.chars for one in drawn}) > 15
    assert own.draw(10, 7) == own.draw(10, 7)


def test_long_messages_get_the_replies_that_long_messages_got() -> None:
    own = Lengths(heard=(5, 500) * 20, chars=(30, 300) * 20, messages=(1,) * 40)
    to_short = sum(own.draw(5, seed).chars < 100 for seed in range(200))
    to_long = sum(own.draw(500, seed).chars > 100 for seed in range(200))
    assert to_short > 180
    assert to_long > 180


def test_who_wrote_little_gets_ordinary_lengths() -> None:
    few = Lengths((1,) * (LEAST_REPLIES - 1), (4000,) * (LEAST_REPLIES - 1), (9,) * (LEAST_REPLIES - 1))
    drawn = [few.draw(20, seed) for seed in range(100)]
    assert all(LEAST_CHARS <= one.chars <= 300 and one.messages <= 3 for one in drawn)
