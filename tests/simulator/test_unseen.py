from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consolidation.recipe import Entry, Recipe
from consolidation.recipe_serving import Place
from consolidation.windows import Window, windows_of
from db.engine import open_database, sqlite_url
from db.tables import Example
from memory.artifacts import record_artifact
from memory.candidates import add_candidates
from memory.episodes import append_turn, list_episodes
from memory.people import get_or_create_node
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import FactCandidate
from simulator.held_out import BOUNDS
from simulator.unseen import unseen
from tests.made_recipes import begin

BEGIN = datetime(2025, 3, 1, 10, tzinfo=UTC)
LATER = "we are moving to Lagos in the spring"


@pytest.fixture
def place(tmp_path: Path, migrated: Path) -> Iterator[Place]:
    shutil.copy(migrated, tmp_path / "graph.db")
    database = open_database(sqlite_url(tmp_path / "graph.db"))
    yield Place(database, ensure_space(database), tmp_path, lambda: BEGIN + timedelta(days=400))
    database.close()


def person(place: Place, name: str) -> str:
    with place.database.transaction() as session:
        return get_or_create_node(session, place.space_id, name, clock=place.clock)


@pytest.fixture
def ada(place: Place) -> str:
    return person(place, "Ada Lund")


@pytest.fixture
def windows(place: Place, ada: str) -> list[Window]:
    """Twenty replies of Ada's to Bo's, the last but one with something new."""
    bo = person(place, "Bo Rask")
    for i in range(40):
        text = "and you?" if i % 2 == 0 else LATER if i == 37 else f"nothing new under number {i}"
        append_turn(
            place.database,
            place.space_id,
            conversation="talk",
            speaker_id=(bo, ada)[i % 2],
            text=text,
            origin="observed",
            time=BEGIN + timedelta(minutes=i),
            participants=(ada, bo),
        )
    return windows_of(list_episodes(place.database, place.space_id), ada, BOUNDS)


def taught(place: Place, run_id: str, text: str, fact_id: str | None = None) -> Entry:
    """What a night taught whose only text is this."""
    begin(place, run_id)
    with place.database.transaction() as session:
        messages = [{"role": "user", "content": "well?"}, {"role": "assistant", "content": text}]
        session.add(
            Example(
                space_id=place.space_id,
                run_id=run_id,
                fact_id=fact_id,
                split="train",
                kind="fact",
                messages=messages,
                accepted=[],
                meta={"facts": [fact_id] if fact_id else []},
            )
        )
    return Entry(f"{run_id}-vector", "adapters/x", 1.0, run_id, f"night {run_id}")


def style(place: Place, person_id: str, until: datetime) -> Entry:
    with place.database.transaction() as session:
        record_artifact(
            session,
            place.space_id,
            run_id=None,
            kind="adapter",
            path="adapters/style",
            sha256="style-vector",
            meta={"trained_until": until.isoformat()},
            clock=place.clock,
        )
    return Entry("style-vector", "adapters/style", 1.0, None, "style", person_id)


def fact_of(place: Place, window: Window) -> str:
    candidate = FactCandidate("Ada Lund", "lives_in", "Lagos", (window.reply[0].id,), "Ada Lund", 0.9, "made")
    with place.database.transaction() as session:
        (fact_id,) = add_candidates(session, place.space_id, [candidate], Registry.load(), clock=place.clock)
    return fact_id


def test_without_weights_the_newest_fifth_is_held_out(place: Place, ada: str, windows: list[Window]) -> None:
    found = unseen(place.database, place.space_id, None, ada, windows)
    assert found is not None
    assert (found.since, found.worn) == (windows[16].at, None)
    assert unseen(place.database, place.space_id, None, ada, windows[:1]) is None


def test_what_came_after_the_styles_training_is_unseen(place: Place, ada: str, windows: list[Window]) -> None:
    own = style(place, ada, windows[9].at)
    other = Entry("other-vector", "adapters/other", 1.0, None, "style", "somebody else")
    found = unseen(place.database, place.space_id, Recipe("base", (own, other)), ada, windows)
    assert found is not None
    assert found.worn is not None
    assert found.worn.entries == (own,)
    assert [window.at >= found.since for window in windows[9:11]] == [False, True]


def test_a_night_that_knew_of_what_is_held_out_is_left_out_and_named(
    place: Place, ada: str, windows: list[Window]
) -> None:
    clean = taught(place, "one", "I live in Porto.", fact_of(place, windows[2]))
    quotes = taught(place, "two", LATER)
    knows = taught(place, "three", "I live somewhere else.", fact_of(place, windows[18]))
    recipe = Recipe("base", (clean, quotes, knows, style(place, ada, windows[15].at)))
    found = unseen(place.database, place.space_id, recipe, ada, windows)
    assert found is not None
    assert found.worn is not None
    assert [entry.label for entry in found.worn.entries] == ["night one", "style"]
    assert found.left_out == ("night two", "night three")
