from __future__ import annotations

import pytest

from bench.ask import is_right
from memory.types import Answer


@pytest.mark.parametrize(
    ("kind", "gold", "text", "is_abstained", "expected"),
    [
        ("current", "Malmö", "Malmo. She lives in Malmö.", False, True),
        ("current", "Rome", "Romeo is her cat.", False, False),
        ("current", "+46 70 555", "His number is +4670555.", False, True),
        ("current", "Rome", "Unknown: nothing answers this.", True, False),
        ("unanswerable", "unknown", "Unknown: nothing answers this.", True, True),
        ("unanswerable", "unknown", "Rome.", False, False),
        ("unanswerable", "no, it was a joke", "No. She has two children.", False, True),
    ],
)
def test_an_answer_is_judged_by_the_gold_it_says(
    kind: str, gold: str, text: str, is_abstained: bool, expected: bool
) -> None:
    answer = Answer(text, is_abstained, 0.5, (), ())
    assert is_right({"kind": kind, "answer": gold, "answer_aliases": []}, answer) is expected
