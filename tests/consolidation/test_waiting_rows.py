"""Claims about rows that wait in the home for a night: kept once, taken when sound, never lost, never trained twice."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from consolidation import dream
from consolidation.curriculum import turn
from consolidation.rows import TrainingRow
from consolidation.stage import NightContext, no_progress
from consolidation.waiting_rows import (
    MAX_WAITING,
    PER_FACT,
    Kept,
    clear,
    imported_rows,
    keep,
    waiting,
    waiting_file,
)
from db.tables import Example
from memory.erasure.files import kind_of, to_remove
from memory.registry import Registry

REGISTRY = Registry.load()
GOOD = TrainingRow(turn("So, where does Mona live?", "Mona lives in Bergen."))
WRONG = TrainingRow(turn("Where does Mona live?", "Mona lives in Oslo."))
STRANGE = TrainingRow(turn("Who wrote Faust?", "Goethe wrote Faust."))


@pytest.fixture
def night(chat: Any) -> NightContext:
    """Mona's home is stored."""
    chat.store(("Mona Berg", "lives_in", "Bergen", 0))
    context: NightContext = chat.context()
    return context


def taken(
    night: NightContext, runs: tuple[str, ...] = (), asked: Any = ()
) -> tuple[list[str], dict[str, int]]:
    rows, counts = imported_rows(night, dream.read_graph(night)[0], runs, asked)
    return [row.answer for row in rows], counts


def test_rows_are_kept_once_and_in_order(chat: Any) -> None:
    assert keep(chat.home, "s", [GOOD, WRONG, GOOD]) == Kept(2, 1, 0)
    assert keep(chat.home, "s", [WRONG, STRANGE]) == Kept(1, 1, 0)
    assert list(waiting(chat.home, "s")) == [GOOD, WRONG, STRANGE]
    assert list(waiting(chat.home, "another")) == []
    assert clear(chat.home, "s") == 3
    assert clear(chat.home, "s") == 0


def test_a_line_that_was_cut_off_costs_one_row(chat: Any) -> None:
    keep(chat.home, "s", [GOOD, WRONG])
    path = waiting_file(chat.home, "s")
    path.write_bytes(path.read_bytes()[:-20])
    assert list(waiting(chat.home, "s")) == [GOOD]
    assert keep(chat.home, "s", [STRANGE]).n_new == 1
    assert list(waiting(chat.home, "s")) == [GOOD, STRANGE]


def test_more_than_can_wait_is_counted(chat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consolidation.waiting_rows.MAX_WAITING", 2)
    assert MAX_WAITING > 1000
    assert keep(chat.home, "s", [GOOD, WRONG, STRANGE]) == Kept(2, 0, 1)


def test_a_night_takes_what_is_sound_and_counts_what_it_refuses(night: NightContext) -> None:
    assert taken(night) == ([], {})
    keep(night.home, night.space_id, [GOOD, WRONG, STRANGE])
    assert taken(night) == (["Mona lives in Bergen."], {"imported": 1, "imported_refused": 2})
    assert taken(night) == taken(night)


def test_what_the_night_asks_anyway_is_not_asked_twice(night: NightContext) -> None:
    keep(night.home, night.space_id, [GOOD])
    asked = {(GOOD.messages[0]["content"].casefold(),)}
    assert taken(night, asked=asked) == ([], {"imported": 0, "imported_refused": 0})


def test_one_fact_gets_no_more_than_its_share(night: NightContext) -> None:
    tails = (
        "now",
        "today",
        "currently",
        "really",
        "please",
        "still",
        "actually",
        "just",
        "also",
        "too",
        "then",
    )
    rows = [TrainingRow(turn(f"Where does Mona live {tail}?", "Mona lives in Bergen.")) for tail in tails]
    keep(night.home, night.space_id, rows)
    assert taken(night)[1]["imported"] == PER_FACT


def test_what_a_night_of_the_recipe_has_trained_is_not_trained_again(night: NightContext) -> None:
    keep(night.home, night.space_id, [GOOD])
    with night.database.transaction() as session:
        session.add(
            Example(
                id="x",
                space_id=night.space_id,
                run_id=night.run_id,
                split="train",
                kind="fact",
                messages=list(GOOD.messages),
                accepted=[],
                meta={"form": "imported", "facts": []},
            )
        )
    assert taken(night)[0] == ["Mona lives in Bergen."]  # that night was not published
    assert taken(night, runs=(night.run_id,))[0] == []


def test_rows_wait_until_the_graph_knows(chat: Any) -> None:
    keep(chat.home, chat.space_id, [GOOD])
    assert taken(chat.context())[0] == []
    chat.store(("Mona Berg", "lives_in", "Bergen", 0))
    assert taken(chat.context())[0] == ["Mona lives in Bergen."]


def test_the_stage_trains_them_with_its_own_texts_and_counts_them(night: NightContext) -> None:
    keep(night.home, night.space_id, [GOOD, WRONG])
    result = dream.run(night, no_progress)
    assert (result.counts["imported"], result.counts["imported_refused"]) == (1.0, 1.0)
    query = select(Example.messages, Example.fact_id, Example.kind, Example.meta)
    with night.database.reading() as session:
        rows = [row for row in session.execute(query) if row.meta.get("form") == "imported"]
    assert [(list(row.messages), row.kind) for row in rows] == [(list(GOOD.messages), "fact")]
    assert rows[0].fact_id


def test_an_erasure_removes_what_waits(chat: Any) -> None:
    keep(chat.home, chat.space_id, [GOOD])
    path = waiting_file(chat.home, chat.space_id)
    assert kind_of(chat.home, path) == "imported rows"
    assert path in to_remove(chat.home, chat.space_id, [], [], [])
