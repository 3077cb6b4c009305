from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.ask import Bench, is_right
from memory.embedders.minilm import MiniLM
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


@pytest.mark.parametrize(
    "gold", [{"answer": ["Rome", "Ostia"]}, {"answer": None, "answer_aliases": ["Rome"]}]
)
def test_a_gold_answer_may_be_a_list_or_only_aliases(gold: dict[str, Any]) -> None:
    answer = Answer("Rome. She lives in Rome.", False, 0.9, (), ())
    assert is_right({"kind": "current", **gold}, answer)
    assert not is_right({"kind": "current"}, answer)
    assert not is_right({"kind": "unanswerable"}, answer)


def test_a_chat_of_our_own_passes_the_bars(tmp_path: Path) -> None:
    folder = Path(__file__).parents[1] / "memory" / "fixtures" / "chats" / "ledger"
    bench = Bench(folder, tmp_path, "gold", MiniLM.load())
    for question in bench.questions:
        bench.run(question)
    result = bench.result()
    bench.close()
    assert result["accuracy"] >= 0.8
    assert result["abstained_unanswerable"] >= 0.9
    assert result["perspective_leaks"] == 0
