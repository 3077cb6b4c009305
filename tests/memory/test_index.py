from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import delete, select

from db import tables
from db.engine import Database
from memory.decisions import decide
from memory.embedders.hashing import HashingEmbedder
from memory.episodes import append_turn
from memory.errors import UnusableId, WrongEmbedder
from memory.facts import add_candidates, get_fact
from memory.index import Index
from memory.people import get_or_create_node
from memory.ports import FloatMatrix
from memory.registry import Registry
from memory.search import build, manifest, nearest, recent_texts
from memory.search.columns import Columns
from memory.search.recent import Recent
from memory.spaces import ensure_space
from memory.types import Episode, FactCandidate, Hit

MAY = datetime(2024, 5, 4, 18, tzinfo=UTC)
AUTUMN = datetime(2024, 10, 12, 9, tzinfo=UTC)


on_disk = pytest.mark.parametrize("database", ["disk"], indirect=True)  # a store in memory is for one thread


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


def claim(store: Store, value: str, *episodes: Episode, predicate: str = "lives_in") -> str:
    fact = FactCandidate("Otto", predicate, value, tuple(e.id for e in episodes), "Otto", 0.9, "test")
    with store.database.transaction() as session:
        (fact_id,) = add_candidates(session, store.space_id, [fact], Registry.load())
    return fact_id


def ids(hits: list[Hit]) -> list[str]:
    return [hit.id for hit in hits]


def test_nothing_new_costs_one_small_query_and_writes_nothing(store: Store) -> None:
    before = (store.index.folder / "manifest.json").stat().st_mtime_ns
    assert store.index.refresh() == 0
    assert (store.index.folder / "manifest.json").stat().st_mtime_ns == before


def test_a_session_is_found_under_its_first_message(store: Store) -> None:
    hits = store.index.search("lighthouse keeper barometer", kinds=("session",))
    assert hits[0].kind == "session"
    assert store.texts([Hit("episode", hits[0].id, 0.0)]) == ["I repaired the barometer"]
    assert store.index.units == {"episode": 5, "fact": 0, "session": 3}


def test_a_session_that_goes_on_after_as_of_is_not_found(store: Store) -> None:
    inside = MAY + timedelta(seconds=70)
    hits = store.index.search("lighthouse keeper barometer", kinds=("session",), as_of=inside)
    assert not hits


def test_a_session_of_others_is_not_found(store: Store) -> None:
    hits = store.index.search("barometer surprise", kinds=("session",), known_to=store.people["Otto"])
    firsts = store.texts([Hit("episode", hit.id, 0.0) for hit in hits])
    assert sorted(firsts) == ["I repaired the barometer", "my allotment grows only rhubarb"]


def test_a_fact_is_known_by_any_of_its_messages(store: Store) -> None:
    secret = store.say("Nadia", "Otto moves to Bergen", MAY, chat="Pavel")
    fact_id = claim(store, "Bergen", secret)
    store.index.refresh()
    asked = "Where does Otto live?"
    assert not store.index.search(asked, kinds=("fact",), known_to=store.people["Otto"])
    told = store.say("Otto", "I moved to Bergen", AUTUMN)
    with store.database.transaction() as session:
        session.add(tables.Evidence(fact_id=fact_id, episode_id=told.id, space_id=store.space_id))
    store.index.refresh()
    assert ids(store.index.search(asked, kinds=("fact",), known_to=store.people["Otto"])) == [fact_id]
    earlier = MAY + timedelta(days=1)
    assert not store.index.search(asked, kinds=("fact",), known_to=store.people["Otto"], as_of=earlier)
    assert ids(store.index.search(asked, kinds=("fact",), known_to=store.people["Pavel"], as_of=earlier))
    assert store.index.check() == []


def test_who_heard_only_a_restatement_finds_the_fact_under_that(store: Store) -> None:
    first = claim(store, "Bergen", store.say("Nadia", "Otto moves to Bergen", MAY, chat="Pavel"))
    again = claim(store, "Bergen", store.say("Otto", "I moved to Bergen", AUTUMN))
    store.index.refresh()
    for fact_id in (first, again):
        with store.database.transaction() as session:
            decide(session, store.space_id, fact_id, "STORE", ["for a test"], Registry.load(), run_id=None)
    store.index.refresh()

    def found(**limits: Any) -> list[str]:
        return ids(store.index.search("Where does Otto live?", kinds=("fact",), **limits))

    assert found() == found(known_to=store.people["Pavel"]) == [first]
    assert found(known_to=store.people["Otto"]) == [again]
    assert not found(known_to=store.people["Otto"], as_of=MAY + timedelta(days=1))
    fact = get_fact(store.database, store.space_id, again, known_to=store.people["Otto"])
    assert fact.object == "Bergen"
    assert store.index.check() == []


def test_a_fact_withdrawn_since_the_refresh_is_not_found(store: Store) -> None:
    fact_id = claim(store, "Trondheim", store.say("Otto", "we moved to Trondheim", AUTUMN))
    store.index.refresh()
    with store.database.transaction() as session:
        session.get_one(tables.Fact, fact_id).retracted_at = AUTUMN
    assert not store.index.search("Where does Otto live?", kinds=("fact",))


def test_a_new_name_is_found_and_changes_the_sentences_of_its_facts(store: Store) -> None:
    claim(store, "Trondheim", store.say("Otto", "we moved to Trondheim", AUTUMN))
    store.index.refresh()
    with store.database.transaction() as session:
        node = session.get_one(tables.Node, store.people["Otto"])
        node.name, node.name_key = "Ottokar", "ottokar"
    store.index.refresh()
    assert store.index.understand("And Ottokar?").named == {store.people["Otto"]}
    assert store.index.search("Ottokar", 1, kinds=("fact",))[0].parts["fulltext"] > 0
    assert store.index.check() == []


def test_a_merged_person_counts_as_the_one_who_was_kept(store: Store) -> None:
    with store.database.transaction() as session:
        session.get_one(tables.Node, store.people["Pavel"]).merged_into = store.people["Otto"]
    store.say("Pavel", "a kite on the beach", AUTUMN, chat="Pavel")
    store.index.refresh()
    assert store.index.understand("What did Pavel say?").named == {store.people["Otto"]}
    best = store.index.search("What did Otto say of the kite?", 1)
    assert best[0].parts["speaker"] > 0


def test_accents_make_no_difference(store: Store) -> None:
    store.say("Otto", "o cafe\u0301 da manhã", AUTUMN)
    store.index.refresh()
    assert store.texts(store.index.search("café manha", 1)) == ["o cafe\u0301 da manhã"]


def test_another_process_sees_what_this_one_wrote(store: Store) -> None:
    other = store.open()
    assert other.refresh() == 0
    store.say("Otto", "a heron stood in the rhubarb", AUTUMN + timedelta(minutes=1))
    assert store.index.refresh() == 1
    assert other.refresh() == 0
    assert store.texts(other.search("heron", 1)) == ["a heron stood in the rhubarb"]


@pytest.mark.parametrize("stage", ["encode", "extend", "save"])
def test_a_refresh_that_breaks_off_is_repeated(
    store: Store, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(store, "Trondheim", store.say("Otto", "we moved to Trondheim", AUTUMN + timedelta(minutes=2)))
    where = {"encode": HashingEmbedder, "extend": Columns, "save": Recent}[stage]

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(where, stage, killed)
        with pytest.raises(KeyboardInterrupt):
            store.index.refresh()
    store.say("Nadia", "with a gasket", MAY + timedelta(seconds=30))
    for index in (store.index, store.open()):
        index.refresh()
        assert index.check() == []
        assert store.texts(index.search("gasket", 1)) == ["with a gasket"]


def test_what_was_not_forced_to_the_disk_before_a_restart_is_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.say("Otto", "a heron stood in the rhubarb", AUTUMN + timedelta(minutes=1))
    store.index.refresh()
    (before,) = store.index.folder.glob("build-*")
    monkeypatch.setattr(manifest, "boot_id", lambda: "another start")
    store.open().refresh()
    assert not before.exists()


def test_after_a_close_a_restart_costs_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.say("Otto", "a heron stood in the rhubarb", AUTUMN + timedelta(minutes=1))
    store.index.refresh()
    store.index.close()
    (before,) = store.index.folder.glob("build-*")
    monkeypatch.setattr(manifest, "boot_id", lambda: "another start")
    assert store.open().refresh() == 0
    assert before.exists()


def test_a_store_put_back_to_an_earlier_state_is_read_anew(store: Store) -> None:
    with store.database.transaction() as session:
        last = session.scalars(select(tables.Change).order_by(tables.Change.seq.desc())).first()
        session.delete(last)
    assert store.index.refresh() == 0
    assert store.index.check() == []


def test_a_trimmed_feed_leads_to_a_full_read(store: Store) -> None:
    store.say("Otto", "a heron stood in the rhubarb", AUTUMN + timedelta(minutes=1))
    with store.database.transaction() as session:
        session.execute(delete(tables.Change))
    assert store.index.refresh() == 1
    assert store.index.check() == []


def test_growing_into_lists_of_vectors_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "EXACT", 12)
    for i in range(60):
        store.say("Otto", f"heron number {i} by {'the lake' * (i % 3)}", AUTUMN + timedelta(hours=i))
        if i % 7 == 0:
            claim(store, f"lake {i}", store.say("Otto", f"lake {i}", AUTUMN + timedelta(hours=i, minutes=5)))
            store.index.refresh()
            assert store.index.check() == []
    store.index.refresh()
    assert store.index.check() == []
    assert list(store.index.folder.glob("build-*/lists-*.faiss"))
    assert store.texts(store.index.search("heron number 44", 1)) == ["heron number 44 by the lakethe lake"]
    grown = ids(store.index.search("heron by the lake", 5))
    store.index.rebuild()
    assert set(grown) & set(ids(store.index.search("heron by the lake", 5)))


def test_an_id_that_is_no_hex_number_is_refused_by_name(store: Store) -> None:
    with store.database.transaction() as session:
        session.add(
            tables.Node(
                id="node-1", space_id=store.space_id, kind="person", name="X", name_key="x", created_at=MAY
            )
        )
    with pytest.raises(UnusableId, match="node-1"):
        store.index.refresh()


def test_vectors_are_filed_beside_the_reading_of_the_tables(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(40):
        store.say("Otto", f"heron number {i}", AUTUMN + timedelta(hours=i))
    store.index.refresh()
    monkeypatch.setattr(build, "BESIDE", 30)
    store.index.rebuild()
    assert list(store.index.folder.glob("build-*/lists-0.faiss"))
    assert store.texts(store.index.search("heron number 31", 1)) == ["heron number 31"]
    assert store.index.check() == []


class Waiting(HashingEmbedder):
    """Holds up who encodes while `may_go` is clear."""

    def __init__(self) -> None:
        super().__init__(64)
        self.began, self.may_go = Event(), Event()
        self.may_go.set()
        self.n_calls = 0

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        self.n_calls += 1
        self.began.set()
        assert self.may_go.wait(30)
        return super().encode(texts)


@on_disk
def test_who_finds_what_is_there_waits_for_no_refresh(store: Store) -> None:
    encoder = Waiting()
    index = Index.open(store.database, store.space_id, store.home, encoder)
    vector = encoder.encode(["heron"])[0]
    before = index.search("barometer", vector=vector)
    store.say("Otto", "a heron stood in the rhubarb", AUTUMN + timedelta(minutes=1))
    encoder.began.clear()
    encoder.may_go.clear()
    with ThreadPoolExecutor() as threads:
        refreshing = threads.submit(index.refresh)
        assert encoder.began.wait(30)
        assert index.search("barometer", vector=vector) == before
        assert not refreshing.done()
        encoder.may_go.set()
    assert refreshing.result() == 1
    assert store.texts(index.search("heron", 1)) == ["a heron stood in the rhubarb"]


@on_disk
def test_one_refresh_takes_in_what_all_wait_for(store: Store) -> None:
    encoder = Waiting()
    index = Index.open(store.database, store.space_id, store.home, encoder)
    index.refresh()
    store.say("Otto", "a heron stood in the rhubarb", AUTUMN + timedelta(minutes=1))
    encoder.may_go.clear()
    with ThreadPoolExecutor() as threads:
        first = threads.submit(index.refresh)
        assert encoder.began.wait(30)
        store.say("Otto", "and flew off", AUTUMN + timedelta(minutes=2))
        others = [threads.submit(index.refresh) for _ in range(4)]
        encoder.may_go.set()
    assert [first.result(), sum(each.result() for each in others)] == [1, 1]
    assert encoder.n_calls == 2


@on_disk
def test_each_thread_finds_what_it_was_told_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_texts, "MOST", 20)

    def write(who: int) -> list[bool]:
        found = []
        for i in range(4):
            said = store.say(
                "Otto", f"heron{who}x{i} by the lake", AUTUMN + timedelta(minutes=who, seconds=i)
            )
            store.index.refresh()
            found.append(ids(store.index.search(f"heron{who}x{i}", 1)) == [said.id])
        return found

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(write, range(4)))
    assert all(all(each) for each in found)
    assert store.index.check() == []
    assert store.open().check() == []


@on_disk
def test_few_new_texts_stand_beside_the_engines_files(store: Store) -> None:
    (units,) = store.index.folder.glob("build-*/text/units/meta.json")
    before = units.read_bytes()
    store.say("Otto", "a heron stood in the rhubarb", AUTUMN + timedelta(minutes=1))
    store.index.refresh()
    assert units.read_bytes() == before
    for index in (store.index, store.open()):
        assert store.texts(index.search("heron", 1)) == ["a heron stood in the rhubarb"]
        assert index.check() == []


@on_disk
def test_many_new_texts_go_into_the_engines_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_texts, "MOST", 3)
    for i in range(3):
        store.say("Otto", f"heron{i} in the rhubarb", AUTUMN + timedelta(minutes=i + 1))
        store.index.refresh()
    assert len(list(store.index.folder.glob("build-*/texts-*.jsonl"))) <= 1
    for index in (store.index, store.open()):
        assert store.texts(index.search("heron1", 1)) == ["heron1 in the rhubarb"]
        assert index.check() == []


@on_disk
def test_a_damaged_file_of_recent_texts_is_made_again(store: Store) -> None:
    store.say("Otto", "a heron stood in the rhubarb", AUTUMN + timedelta(minutes=1))
    store.index.refresh()
    (path,) = store.index.folder.glob("build-*/texts-*.jsonl")
    path.write_bytes(b"x" * path.stat().st_size)
    index = store.open()
    index.refresh()
    assert index.check() == []
    assert store.texts(index.search("heron", 1)) == ["a heron stood in the rhubarb"]
