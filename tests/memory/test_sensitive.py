from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bench.sensitive import DATA, measure, read
from memory.sensitive import LONGEST, find, kinds, kinds_of, left_out, masked
from memory.types import Episode


def episode(number: int, text: str) -> Episode:
    return Episode(str(number), "c", number, "a", "Ana", datetime(2025, 3, 1, tzinfo=UTC), text)


def test_what_is_sensitive_is_found_and_little_else() -> None:
    for numbers in (measure(read(DATA))[name] for name in ("first", "second")):
        assert numbers["recall"] >= 0.95
        assert numbers["false_alarms"] <= 0.03


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("DE89 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"),
        ("4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("12345678Z", "12345678A"),
        ("529.982.247-25", "529.982.247-26"),
        ("811218-9876", "811218-9875"),
        ("11010519491231002X", "110105194912310021"),
    ],
)
def test_check_digits_decide(right: str, wrong: str) -> None:
    assert {"iban", "card", "id"} & set(kinds(right))
    assert not {"iban", "card", "id"} & set(kinds(wrong))


def test_a_facts_kind_follows_from_its_predicate_or_its_value() -> None:
    assert kinds_of("phone_number", "one two three") == ("phone",)
    assert kinds_of("medication", "levodopa") == ("health",)
    assert kinds_of("likes", "the sea") == ()
    assert kinds_of("job", "runs ana@example.org") == ("email",)


def test_stretches_lie_in_the_text_and_in_order() -> None:
    text = "mail ana@example.org or call +351 912 345 678"
    assert [(mark.kind, text[mark.start : mark.end]) for mark in find(text)] == [
        ("email", "ana@example.org"),
        ("phone", "+351 912 345 678"),
    ]


def test_a_long_text_is_looked_at_to_its_end() -> None:
    text = "word " * LONGEST + "ana@example.org"
    assert kinds(text) == ("email",)


def test_only_the_kinds_that_are_left_out_are_masked() -> None:
    text = "i'm diabetic, call +351 912 345 678"
    assert masked(text, {"phone"}) == "i'm diabetic, call (phone)"
    assert "diabetic" not in masked(text, {"health"})
    assert masked(text, ()) == text


def test_messages_are_left_out_by_kind() -> None:
    said = [
        episode(1, "call +351 912 345 678"),
        episode(2, "see you at 18:30"),
        episode(3, "she is pregnant"),
    ]
    assert left_out(said, ("phone",)) == {"1"}
    assert left_out(said, ("phone", "health")) == {"1", "3"}
    assert left_out(said, ()) == frozenset()
