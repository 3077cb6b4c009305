from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from memory.types import Episode
from simulator.manner import LEAST, Manner, manner_of

MORNING = datetime(2025, 5, 1, 9, tzinfo=UTC)
SMALL = Manner(begins_small=True, has_small_i=True, ends_open=True)


def said_by(who: str, texts: Sequence[str]) -> list[Episode]:
    return [
        Episode(
            f"{who}{n}",
            "talk",
            n,
            who,
            who.title(),
            MORNING + timedelta(minutes=n),
            text,
            "text",
            False,
            "observed",
        )
        for n, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("plain", "written"),
    [
        ("I live in Kotor.", "i live in Kotor"),
        ("That's what I said. We moved in May.", "that's what i said. we moved in May"),
        ("Maren is my sister.", "Maren is my sister"),
        ("Will is my cousin...", "Will is my cousin..."),
        ("", ""),
    ],
)
def test_plain_words_are_written_as_they_write_and_names_keep_their_capital(plain: str, written: str) -> None:
    assert SMALL(plain) == written
    assert Manner()(plain) == plain


def test_what_nearly_all_messages_do_is_the_manner() -> None:
    small = said_by("ana", ["i saw it", "ok fine", "and i laughed", "no"] * LEAST)
    great = said_by("bo", ["I saw it.", "Fine.", "And I laughed."] * LEAST)
    assert manner_of([*small, *great], "ana") == SMALL
    assert manner_of([*small, *great], "bo") == Manner()


def test_of_a_few_messages_nothing_is_taken() -> None:
    assert manner_of(said_by("ana", ["i saw it"] * (LEAST - 1)), "ana") == Manner()


def test_marks_and_emoji_at_the_end_tell_nothing_of_full_stops() -> None:
    assert not manner_of(said_by("ana", ["really?", "wow!", "nice 🙂"] * LEAST), "ana").ends_open
