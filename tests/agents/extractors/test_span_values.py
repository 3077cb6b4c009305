from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agents.extractors.span_values import Value, value_of
from agents.span_head import ME, Span

SAID = datetime(2025, 3, 10, 9, 30, tzinfo=UTC)


def value(predicate: str, text: str, words: str) -> Value | None:
    at = text.index(words)
    return value_of(Span(at, at + len(words), predicate, "state", ME, 0.9, 0.9), text, SAID, {"ines": "Ines"})


@pytest.mark.parametrize(
    ("predicate", "text", "words", "found"),
    [
        ("lives_in", "moved to brno!!", "brno", "Brno"),
        ("sister", "my sister ines", "ines", "Ines"),
        ("job", "i'm a train driver now", "a train driver", "train driver"),
        ("age", "she is thirty-four", "thirty-four", "34"),
        ("birthday", "it's on the 3rd of April", "the 3rd of April", "3 April"),
        ("starts_on", "i start on 1 April", "1 April", "2025-04-01"),
        ("injury", "broke my left wrist", "left wrist", "broken left wrist"),
        ("phone_number", "call 07700 900 183", "07700 900 183", "07700 900 183"),
    ],
)
def test_words_become_the_value_of_their_kind(predicate: str, text: str, words: str, found: str) -> None:
    made = value(predicate, text, words)
    assert made is not None
    assert made.text == found


@pytest.mark.parametrize(
    ("predicate", "text", "words"),
    [
        ("age", "she is ancient", "ancient"),
        ("starts_on", "i start soon", "soon"),
        ("phone_number", "room 204", "204"),
        ("email", "email me", "me"),
        ("boss", "my boss the old one", "the old one"),
    ],
)
def test_words_that_are_no_value_of_their_kind_make_no_fact(predicate: str, text: str, words: str) -> None:
    assert value(predicate, text, words) is None


def test_places_people_and_things_say_what_kind_of_node_they_are() -> None:
    assert [
        getattr(value(predicate, text, words), "kind", None)
        for predicate, text, words in (
            ("lives_in", "in Brno", "Brno"),
            ("workplace", "at Siemens", "Siemens"),
            ("brother", "Tomek is here", "Tomek"),
            ("owns", "a canoe", "a canoe"),
            ("age", "i am 34", "34"),
        )
    ] == ["place", "organisation", "person", "thing", None]
