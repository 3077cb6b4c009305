from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from db import tables
from db.engine import Database
from memory.embedders.hashing import HashingEmbedder
from memory.episodes import append_turn
from memory.errors import WrongEmbedder
from memory.facts import add_candidates
from memory.index import Index
from memory.people import get_or_create_node
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import Episode, FactCandidate, Hit

MAY = datetime(2024, 5, 4, 18, tzinfo=UTC)
AUTUMN = datetime(2024, 10, 12, 9, tzinfo=UTC)


class Store:
    """A chat of Nadia and Otto, and one of Nadia and Pavel."""

    def __init__(self, database: Database, home: Path) -> None:
        self.database, self.home = database, home
        self.space_id = ensure_space(database)
        with database.transaction() as session:
            self.people = {
                name: get_or_create_node(session, self.space_id, name, is_speaker=True)
                for name in ("Nadia", "Otto", "Pavel")
            }
        self.index = self.open()

    def open(self, width: int = 64) -> Index:
        return Index.open(self.database, self.space_id, self.home, HashingEmbedder(width))

    def say(
        self, who: str, text: str, time: datetime, chat: str = "Otto", origin: str = "observed"
    ) -> Episode:
        return append_turn(
            self.database,
            self.space_id,
            conversation=chat,
            speaker_id=self.people[who],
            text=text,
            origin=origin,
            time=time,
            participants={self.people["Nadia"], self.people[chat]},
        )

    def texts(self, hits: list[Hit]) -> list[str]:
        with self.database.transaction() as session:
            rows = {row[0]: row[1] for row in session.execute(select(tables.Episode.id, tables.Episode.text))}
        return [rows[hit.id] for hit in hits if hit.kind == "episode"]


@pytest.fixture
def store(database: Database, tmp_path: Path) -> Store:
    store = Store(database, tmp_path)
    store.say("Nadia", "I repaired the barometer", MAY)
    store.say("Otto", "the lighthouse keeper wanted a barometer too", MAY + timedelta(minutes=1))
    store.say("Nadia", "he collects them", MAY + timedelta(minutes=2))
    store.say("Otto", "my allotment grows only rhubarb", AUTUMN)
    store.say("Nadia", "the barometer is a surprise for Otto", MAY + timedelta(hours=9), chat="Pavel")
    store.index.refresh()
    return store


def test_a_rare_word_finds_its_message_first(store: Store) -> None:
    assert store.texts(store.index.search("who grows rhubarb?", 1)) == ["my allotment grows only rhubarb"]


def test_parts_of_a_hit_add_up_to_its_score(store: Store) -> None:
    for hit in store.index.search("What did Nadia repair in May 2024?"):
        assert sum(hit.parts.values()) == pytest.approx(hit.score, abs=1e-3)


def test_a_message_beside_the_match_is_found_without_sharing_a_word(store: Store) -> None:
    assert "he collects them" in store.texts(store.index.search("lighthouse keeper barometer", 3))


def test_the_named_speaker_comes_first(store: Store) -> None:
    best = store.index.search("What did Nadia say of the barometer?", 1)
    assert best[0].parts["speaker"] > 0


def test_as_of_leaves_out_what_was_said_later(store: Store) -> None:
    hits = store.index.search("rhubarb barometer", as_of=MAY + timedelta(days=1))
    assert hits
    assert "my allotment grows only rhubarb" not in store.texts(hits)


def test_known_to_leaves_out_conversations_of_others(store: Store) -> None:
    hits = store.index.search("barometer surprise", known_to=store.people["Otto"])
    assert "the barometer is a surprise for Otto" not in store.texts(hits)
    assert "the barometer is a surprise for Otto" in store.texts(store.index.search("barometer surprise"))


def test_refresh_adds_only_what_is_new(store: Store) -> None:
    store.say("Otto", "a heron stood in the rhubarb", AUTUMN + timedelta(minutes=1))
    assert store.index.refresh() == 1
    assert store.index.refresh() == 0
    assert store.texts(store.index.search("heron", 1)) == ["a heron stood in the rhubarb"]


def test_growing_by_steps_and_rebuilding_give_the_same_hits(store: Store) -> None:
    store.say("Nadia", "in the middle: a gasket for the barometer", MAY + timedelta(seconds=90))
    store.index.refresh()
    grown = store.index.search("barometer gasket keeper", 10)
    store.index.rebuild()
    rebuilt = store.index.search("barometer gasket keeper", 10)
    assert [(hit.id, hit.score) for hit in grown] == [
        (hit.id, pytest.approx(hit.score, rel=0.1))
        for hit in rebuilt  # BM25 still counts replaced texts
    ]


def test_what_a_model_wrote_is_not_indexed(store: Store) -> None:
    store.say("Otto", "a simulated zeppelin", AUTUMN, origin="simulated")
    assert store.index.refresh() == 0


@pytest.mark.parametrize(
    "file", ["vector.col", "owner.col", "text/units/meta.json", "links-0.start.npy", "../manifest.json"]
)
@pytest.mark.parametrize("damage", ["garbage", "missing"])
def test_a_damaged_index_is_made_again(store: Store, file: str, damage: str) -> None:
    store.index.close()
    (build,) = store.index.folder.glob("build-*")
    if damage == "missing":
        (build / file).unlink()
    else:
        (build / file).write_bytes(b"no index" * 3)
    index = store.open()
    index.refresh()
    assert store.texts(index.search("rhubarb", 1)) == ["my allotment grows only rhubarb"]
    assert index.check() == []


def test_erased_messages_leave_the_index_files(store: Store) -> None:
    with store.database.transaction() as session:
        session.execute(delete(tables.Episode).where(tables.Episode.text.contains("rhubarb")))
    store.index.refresh()
    assert "my allotment grows only rhubarb" not in store.texts(store.index.search("rhubarb"))
    files = [path for path in store.index.folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not any(b"rhubarb" in path.read_bytes() for path in files)


def test_another_encoder_is_refused_until_a_rebuild(store: Store) -> None:
    other = store.open(width=32)
    with pytest.raises(WrongEmbedder, match="slowwave index rebuild"):
        other.refresh()
    assert other.rebuild() == 5
    assert other.search("rhubarb", 1)


def test_facts_are_found_and_retired_ones_are_not(store: Store, now: datetime) -> None:
    said = store.say("Otto", "we moved to Trondheim", AUTUMN)
    fact = FactCandidate("Otto", "lives_in", "Trondheim", (said.id,), "Otto", 0.9, "test")
    with store.database.transaction() as session:
        (fact_id,) = add_candidates(session, store.space_id, [fact], Registry.load(), clock=lambda: now)
    store.index.refresh()
    assert [hit.id for hit in store.index.search("Where does Otto live?", kinds=("fact",))] == [fact_id]
    assert not store.index.search("Where does Otto live?", kinds=("fact",), known_to=store.people["Pavel"])
    with store.database.transaction() as session:
        session.get_one(tables.Fact, fact_id).state = "rejected"
    store.index.refresh()
    assert not store.index.search("Where does Otto live?", kinds=("fact",))


@pytest.mark.parametrize("query", ["", "???", '"; DROP TABLE row', "the of and", "NEAR(a b) OR *", "🙂"])
def test_odd_queries_are_harmless(store: Store, query: str) -> None:
    assert len(store.index.search(query)) <= 10


def test_an_empty_space_has_no_hits(database: Database, tmp_path: Path) -> None:
    index = Index.open(database, ensure_space(database), tmp_path, HashingEmbedder(16))
    assert index.refresh() == 0
    assert index.search("anything") == []
