from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.peer import Memory, answer

VECTORS = np.eye(16, dtype=np.float32)


def row(number: int, text: str, time: str, speaker: str = "Runa") -> dict[str, Any]:
    return {
        "id": f"D{number}",
        "text": f"{speaker} ({time}): {text}",
        "speaker": speaker,
        "time": time,
        "vec": VECTORS[number].tolist(),
    }


ROWS = [
    row(0, "I took up falconry", "1:56 pm on 8 May, 2023"),
    row(1, "my kiln exploded", "1:56 pm on 8 May, 2023", "Teo"),
    row(2, "I took up falconry", "2024-02-01"),
    row(3, "a note without a date", "some day"),
]


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    opened = Memory(tmp_path, 16)
    assert answer(opened, {"op": "add", "rows": ROWS}) == {}
    return opened


def search(memory: Memory, text: str, number: int) -> list[str]:
    asked = {"op": "search", "text": text, "vec": VECTORS[number].tolist(), "k": 3}
    return answer(memory, asked)["ids"]


def test_rows_are_found_under_the_ids_they_came_with(memory: Memory) -> None:
    assert search(memory, "kiln", 1)[0] == "D1"
    assert search(memory, "falconry", 0)[0] == "D0"
    assert search(memory, "falconry", 2)[0] == "D2"


def test_a_single_row_is_searchable_at_once_and_after_opening_again(memory: Memory, tmp_path: Path) -> None:
    memory.add([row(4, "the new kiln came from Faenza", "2024-03-01", "Teo")])
    assert search(memory, "Faenza", 4)[0] == "D4"
    memory.close()
    again = Memory(tmp_path, 16)
    assert search(again, "Faenza", 4)[0] == "D4"
    again.add([row(5, "glazing is next", "2024-03-02", "Teo")])
    assert search(again, "glazing", 5)[0] == "D5"
