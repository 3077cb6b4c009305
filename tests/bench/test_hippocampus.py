"""Claims about the benchmark of the night's first half, on an invented chat of a dozen lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.claims import Claim, changes_of, claims_of
from bench.hippocampus import measure
from bench.nights import Nights
from bench.outcomes import auroc
from bench.rivals import cosine_band, last_writer
from memory.embedders.minilm import MiniLM
from memory.registry import Registry
from memory.types import Episode, Fact

START = datetime(2025, 3, 1, 9, tzinfo=UTC)
LINES = (
    ("Mara Quist", "we live in Lund now and the balcony has pigeons"),
    ("Ossi Rautio", "nice! morning"),
    ("Ossi Rautio", "my sister Tuuli is getting married on 12 june"),
    ("Ossi Rautio", "no wait, 21 june. i always mix them up"),
    ("Mara Quist", "i am the queen of laundry these days"),
    ("Mara Quist", "if i win the lottery i buy a castle"),
    ("Ossi Rautio", "haha ok"),
    ("Mara Quist", "big news: we moved to Ystad on saturday, bye bye Lund"),
    ("Ossi Rautio", "ok"),
    ("Mara Quist", "so what is the weather like"),
)
FACTS: list[dict[str, Any]] = [
    {
        "id": "m1",
        "subject": "Mara Quist",
        "predicate": "lives_in",
        "object": "Lund",
        "valid_from": "2025-03-01",
        "valid_to": "2025-03-08",
        "evidence": [0, 7],
    },
    {
        "id": "m2",
        "subject": "Mara Quist",
        "predicate": "lives_in",
        "object": "Ystad",
        "valid_from": "2025-03-08",
        "evidence": [7],
        "supersedes": "m1",
    },
    {
        "id": "m3",
        "subject": "Tuuli",
        "predicate": "wedding_date",
        "object": "21 June",
        "valid_from": "2025-03-03",
        "evidence": [3],
        "corrected_from": "12 June",
    },
    {"id": "m4", "subject": "Ossi Rautio", "predicate": "sister", "object": "Tuuli", "evidence": [2]},
]
TRAPS = [
    {
        "evidence": [5, 6],
        "text": LINES[5][1],
        "tempting_claim": {"subject": "Mara Quist", "predicate": "owns", "object": "a castle"},
    },
    {
        "evidence": [4],
        "text": LINES[4][1],
        "tempting_claim": {"subject": "Mara Quist", "predicate": "job", "object": "queen of laundry"},
    },
]
QUESTIONS = [
    {"question": "Where does Mara live?", "answer": "Ystad", "kind": "current", "evidence": [7]},
    {"question": "When does Tuuli marry?", "answer": "21 June", "kind": "correction", "evidence": [3]},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = (
        {"time": (START + timedelta(days=place, minutes=place)).isoformat(), "speaker": speaker, "text": text}
        for place, (speaker, text) in enumerate(LINES)
    )
    chat = tmp_path / "quist"
    chat.mkdir()
    (chat / "chat.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (chat / "facts.json").write_text(json.dumps(FACTS))
    return chat


def episodes() -> dict[int, Episode]:
    return {
        place: Episode(
            str(place), "talk", place, speaker, speaker, START + timedelta(minutes=10 * place), text
        )
        for place, (speaker, text) in enumerate(LINES)
    }


def claims() -> list[Claim]:
    return claims_of(FACTS, TRAPS, episodes(), Registry.load())


def claim(value: str) -> Claim:
    return next(found for found in claims() if found.candidate.object == value)


def test_a_superseded_fact_comes_open_ended_and_without_the_message_that_ends_it() -> None:
    old, new = claim("Lund").candidate, claim("Ystad").candidate
    assert (old.valid_to, old.episode_ids, old.change) == (None, ("0",), "state")
    assert (new.episode_ids, new.change, claim("Ystad").expected) == (("7",), "update", "CORRECT")


def test_a_withdrawn_value_comes_before_its_correction() -> None:
    values = [found.candidate.object for found in claims()]
    assert values.index("12 June") < values.index("21 June")
    assert claim("12 June").candidate.episode_ids == ("2",)
    assert claim("21 June").candidate.corrects == "12 June"


def test_a_trap_cites_the_tempting_message_and_is_as_sure_as_a_fact() -> None:
    trap, fact = claim("a castle"), claim("Ystad")
    assert (trap.candidate.episode_ids, trap.candidate.asserted_by) == (("5",), "Mara Quist")
    assert (trap.candidate.confidence, trap.candidate.rule) == (
        fact.candidate.confidence,
        fact.candidate.rule,
    )
    assert trap.expected == "REJECT"


def test_an_end_told_later_is_a_candidate_of_its_own() -> None:
    row = {"subject": "Mara Quist", "predicate": "job", "object": "pigeons", "valid_to": "2025-03-01"}
    ended = {**row, "evidence": [0, 8]}
    found = claims_of([ended], [], {**episodes(), 8: _at(8, hours=30)}, Registry.load())
    assert [(item.role, item.candidate.change, item.expected) for item in found] == [
        ("fact", "state", "STORE"),
        ("end", "end", "MERGE"),
    ]
    assert found[0].candidate.valid_to is None


def _at(place: int, hours: int) -> Episode:
    return Episode("late", "talk", place, "Mara Quist", "Mara Quist", START + timedelta(hours=hours), "quit!")


def test_without_supersedes_a_start_on_the_day_of_an_end_is_a_change() -> None:
    plain = [{k: v for k, v in row.items() if k != "supersedes"} for row in FACTS[:2]]
    (change,) = changes_of(plain)
    assert change.old is not None
    assert (change.new["object"], change.old["object"]) == ("Ystad", "Lund")


def test_the_nights_handle_changes_and_keep_traps_out(folder: Path, tmp_path: Path) -> None:
    for name, rows in (("not_facts", TRAPS), ("questions", QUESTIONS)):
        (folder / f"{name}.json").write_text(json.dumps(rows))
    (folder / "constitution.json").write_text(json.dumps({"Ossi Rautio": [{"evidence": [3]}]}))
    result = run(folder, tmp_path)
    shares = {"changes_right": 1.0, "traps_out": 1.0, "over_invalidation": 0.0, "stale_answers": 0.0}
    assert result["ours"] == {**shares, "stored_true": 1.0}
    assert result["last_writer"]["traps_out"] == 0.0
    assert result["salience_auroc"] > 0.9
    assert result["confusion"]["CORRECT"] == dict.fromkeys(("STORE", "MERGE", "REJECT", "QUARANTINE"), 0) | {
        "CORRECT": 2
    }


def test_what_a_folder_does_not_hold_is_null(folder: Path, tmp_path: Path) -> None:
    result = run(folder, tmp_path)
    assert result["ours"]["changes_right"] == 1.0
    assert (result["ours"]["traps_out"], result["salience_auroc"]) == (None, None)


def test_extracted_candidates_are_matched_with_the_gold(folder: Path, tmp_path: Path) -> None:
    result = run(folder, tmp_path, "extracted")
    assert result["candidates"] == "extracted"
    assert result["n"]["facts"] >= 2


def run(folder: Path, home: Path, source: str = "gold") -> dict[str, Any]:
    nights = Nights(folder, home, MiniLM.load())
    nights.hold(source)
    try:
        return measure(nights, source)
    finally:
        nights.database.close()


def fact(fact_id: str, predicate: str, value: str) -> Fact:
    given: dict[str, Any] = dict.fromkeys(
        ("object_id", "valid_from", "valid_to", "retracted_at", "asserted_by")
    )
    return Fact(
        id=fact_id, subject_id="mara", subject="Mara", predicate=predicate, object=value, recorded_at=START,
        state="candidate", status="candidate", confidence=0.8, origin="observed", rule="gold", evidence=(), **given,
    )  # fmt: skip


def test_the_last_writer_retires_what_can_stand_beside() -> None:
    kept = last_writer([fact("a", "likes", "tea"), fact("b", "likes", "rain"), fact("c", "likes", "rain")])
    assert [kept.is_live(key) for key in "abc"] == [False, True, True]


def test_the_cosine_band_retires_the_related_and_adds_to_the_same() -> None:
    vectors = np.array([[1.0, 0.0], [0.6, 0.8], [0.6, 0.8]], np.float32)
    kept = cosine_band([fact(key, "lives_in", "x") for key in "abc"], vectors)
    assert kept.home["c"] == "b"
    assert [kept.is_live(key) for key in "abc"] == [False, True, True]


def test_auroc_counts_ties_half_and_is_null_without_items() -> None:
    assert auroc([1.0, 0.5], [0.5, 0.0]) == 0.875
    assert auroc([], [0.1]) is None
