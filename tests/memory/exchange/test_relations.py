from __future__ import annotations

import pytest

from memory.exchange.relations import predicate, words
from memory.registry import Registry


@pytest.mark.parametrize(
    ("said", "ours", "is_turned"),
    [
        ("works_at", "workplace", False),
        ("worksAt", "workplace", False),
        ("WORKS FOR", "workplace", False),
        ("employs", "workplace", True),
        ("lives_in", "lives_in", False),
        ("is_married_to", "spouse", False),
        ("sister_of", "sister", True),
        ("is the sister of", "sister", True),
        ("isSisterOf", "sister", True),
        ("has_sister", "sister", False),
        ("parent_of", "child", False),
        ("child_of", "child", True),
        ("mother_of", "mother", True),
        ("friend_of", "friend", False),
        ("reports_to", "boss", False),
        ("manages", "boss", True),
        ("has_dog", "dog", False),
        ("knows", "knows", False),
        ("part_of", "part_of", False),
        ("is_a", "is_a", False),
        ("depends-on", "depends_on", False),
        ("знает", "знает", False),
        ("→", "", False),
        ("x" * 200, "x" * 64, False),
    ],
)
def test_a_relation_of_another_program_is_one_of_our_predicates(
    said: str, ours: str, is_turned: bool
) -> None:
    assert predicate(said, Registry.load()) == (ours, is_turned)


def test_a_relation_reads_as_words() -> None:
    assert [words(said) for said in ("worksAt", "works_at", "Works-At ")] == ["works at"] * 3
