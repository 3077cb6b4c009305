from __future__ import annotations

import pytest

from memory.search.mentions import Gazetteer

NAMES = Gazetteer(
    [
        ("a", "person", "Ana Novák"),
        ("b", "person", "Ana Horvat"),
        ("w", "person", "Will"),
        ("z", "person", "Zoë Brandt"),
        ("c", "place", "Casa Verde"),
        ("t", "thing", "Bread"),
    ]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Where does Ana Novák live?", [("Ana Novák", ("a",))]),
        ("where does ana novak live", [("ana novak", ("a",))]),
        ("Where does Ana live?", [("Ana", ("a", "b"))]),
        ("What is Zoe's job?", [("Zoe", ("z",))]),
        ("zoë’s job", [("zoë", ("z",))]),
        ("Does she like Casa Verde?", [("Casa Verde", ("c",))]),
        ("where will she go", []),
        ("who eats bread", []),
        ("Anabel and Zoey", []),
    ],
)
def test_names_are_whole_words_in_any_case(text: str, expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert [(mention.text, mention.node_ids) for mention in NAMES.find(text)] == expected
