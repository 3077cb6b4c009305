"""Claims about gold files that were written by somebody else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.chats import export_of
from bench.gold import as_moment, load_gold, read_list
from db.engine import Database
from memory.facts import list_facts
from memory.importing import import_file
from memory.registry import Registry
from memory.spaces import ensure_space

MESSAGES = [
    {"time": "2024-03-01T10:00:00", "speaker": "Ana", "text": "I live in Kotor"},
    {"time": "2024-03-02T10:00:00", "speaker": "Bo", "text": "my sister Ida has 3 llamas"},
]


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [
        (None, None, None),
        ("soon", None, None),
        ("2024", (2024, 1, 1), (2024, 12, 31)),
        ("2024-02", (2024, 2, 1), (2024, 2, 29)),
        ("2024-02-03", (2024, 2, 3), (2024, 2, 3)),
        (2024, (2024, 1, 1), (2024, 12, 31)),
    ],
)
def test_dates_come_as_year_month_or_day(words: Any, start: Any, end: Any) -> None:
    first, last = as_moment(words), as_moment(words, is_end=True)
    assert (first and (first.year, first.month, first.day)) == start
    assert (last and (last.year, last.month, last.day)) == end


def test_a_moment_keeps_its_time() -> None:
    assert as_moment("2024-02-03T08:30:00", is_end=True) == datetime(2024, 2, 3, 8, 30, tzinfo=UTC)


def test_what_is_missing_or_odd_stops_no_fact(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    folder.mkdir()
    (folder / "chat.jsonl").write_text("\n".join(map(json.dumps, MESSAGES)))
    facts = {
        "facts": [
            {"subject": "Ana", "predicate": "lives_in", "object": "Kotor", "evidence": [0]},
            {"subject": "Ida", "predicate": "number_of_llamas", "object": 3, "evidence": ["1"], "valid_from": "2024"},
            {"subject": "Bo", "predicate": "launch", "object": "boat", "evidence": [{"message": 1}],
             "valid_from": "2024-03-02", "valid_to": "2024-03-02"},
            {"subject": "Bo", "predicate": "hobby", "object": "chess"},
            {"subject": "Bo", "predicate": "cat", "object": None, "evidence": [1]},
            {"subject": "Bo", "predicate": "dog", "object": "Rex", "evidence": [77]},
        ]
    }  # fmt: skip
    (folder / "facts.json").write_text(json.dumps(facts))
    space_id, registry = ensure_space(database), Registry.load()
    import_file(database, space_id, export_of(folder))
    load_gold(database, space_id, read_list(folder / "facts.json"), registry)
    found = {(f.subject, f.predicate, f.object) for f in list_facts(database, space_id, registry)}
    assert found == {
        ("Ana", "lives_in", "Kotor"),
        ("Ida", "number_of_llamas", "3"),
        ("Bo", "launch", "boat"),
        ("Bo", "hobby", "chess"),
    }
