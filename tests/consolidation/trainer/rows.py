"""Rows that the tests of engines train."""

from __future__ import annotations

from consolidation.trainer.job import Row


def make_rows() -> list[Row]:
    """Nine of several lengths, with a beginning in common."""
    return [
        Row(
            f"r{i}",
            "fact",
            (
                {"role": "user", "content": "Where is " + "x" * i * 3},
                {"role": "assistant", "content": "In " + "L" * (i % 4 + 1)},
            ),
            f"f{i}",
        )
        for i in range(9)
    ]
