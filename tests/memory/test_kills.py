"""SIGKILL in the middle of bulk writing, importing, reading and deciding, on SQLite and on Postgres.

A child process does the work and kills itself somewhere within or after its n-th statement. Whatever the moment, the store
opens again, fits together, and doing the work once more gives what an undisturbed run gives.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, func, select, text

from db.engine import Database, open_database, sqlite_url
from db.tables import Change, Decision, Embedding, EmotionTag, Episode, Evidence, Fact, Node, Source
from memory import ledger
from memory.bulk import Told, add_facts
from memory.decisions import decide
from memory.embedders.hashing import HashingEmbedder
from memory.facts import candidates
from memory.importing import import_file
from memory.reading import read_episodes
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import FactCandidate
from tests.memory.chats import HomeReader, LengthTagger, write_chat

N_MESSAGES = 420  # three stretches of reading
N_TOLD = 60
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MAX_WAIT_S = 0.004  # from the chosen statement to the kill: within it, or within one of the next


def work(database: Database, chat: Path) -> str:
    """Write in bulk, import, read and decide: every write is repeatable. Returns the space's id."""
    space_id, registry = ensure_space(database, clock=lambda: NOW), Registry.load()
    add_facts(
        database, space_id, bulk(), registry, source="b", embedder=HashingEmbedder(16), clock=lambda: NOW
    )
    import_file(database, space_id, chat, clock=lambda: NOW)
    read_episodes(database, space_id, HomeReader(), LengthTagger(), registry, clock=lambda: NOW)
    for fact in candidates(database, space_id):
        with database.transaction() as session:
            decide(session, space_id, fact.id, "STORE", ["told"], registry, run_id=None, clock=lambda: NOW)
    return space_id


def bulk() -> Iterator[Told]:
    for number in range(N_TOLD):
        about = {"subject": "Cleo Faro", "object": f"hobby {number}", "asserted_by": "", "episode_ids": ()}
        fact = FactCandidate(**about, predicate="likes", confidence=0.8, rule="bulk")
        vector = np.full(16, 0.25, np.float32)
        yield Told(
            "Cleo Faro", "b", NOW, f"told {number}", (fact,) if number % 10 == 0 else (), vector=vector
        )


def work_until_killed(url: str, chat: Path, n_statements: int, wait_s: float) -> None:
    database = open_database(url)
    left = n_statements

    @event.listens_for(database.engine, "before_cursor_execute")
    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            threading.Timer(wait_s, os.kill, (os.getpid(), signal.SIGKILL)).start()

    work(database, chat)
    signal.pause()  # the last statement's kill is still to come


def summary(database: Database) -> dict[str, Any]:
    """What there is, without ids."""
    told = select(Node.name, Fact.predicate, Fact.object, Fact.state, Fact.valid_from, Fact.valid_to)
    with database.reading() as session:
        counts = {
            table.__tablename__: session.scalar(select(func.count()).select_from(table))
            for table in (Source, Node, Episode, Evidence, EmotionTag, Decision)
        }
        facts = sorted(map(tuple, session.execute(told.join(Node, Node.id == Fact.subject_id))), key=repr)
    return {**counts, "facts": facts}


def assert_it_fits_together(database: Database, space_id: str) -> None:
    with database.reading() as session:
        if database.engine.dialect.name == "sqlite":
            assert session.execute(text("PRAGMA foreign_key_check")).all() == []
            assert session.scalar(text("PRAGMA integrity_check")) == "ok"
        sizes = Counter(session.scalars(select(Source.name).join(Episode, Episode.source_id == Source.id)))
        whole = {"chat.jsonl": N_MESSAGES, "b": N_TOLD}
        assert sizes == {name: whole[name] for name in session.scalars(select(Source.name))}
        read = select(Episode.id).where(Episode.extracted_by == HomeReader.name)
        assert set(session.scalars(select(EmotionTag.episode_id))) == set(session.scalars(read))
        found = select(Evidence.episode_id).join(Fact).where(Fact.rule == HomeReader.name)
        assert set(session.scalars(found)) <= set(session.scalars(read))
        given = session.scalars(select(Embedding.owner_id).where(Embedding.owner_kind == "episode"))
        assert len(given.all()) == sizes["b"]
        decided = set(session.scalars(select(Decision.fact_id)))
        assert decided == set(session.scalars(select(Fact.id).where(Fact.state != "candidate")))
        told = set(session.scalars(select(Change.owner_id)))
        assert told >= set(session.scalars(select(Episode.id))) | set(session.scalars(select(Fact.id)))
    kinds = Counter(row.kind for row in ledger.entries(database, space_id, 10_000))
    assert kinds["decision"] == len(decided)
    assert ledger.verify(database, space_id) == []


@dataclass
class Yard:
    """Where stores of one kind are made, and what undisturbed work on one gives."""

    new_store: Callable[[], AbstractContextManager[str]]
    chat: Path
    n_statements: int = 0
    expected: dict[str, Any] | None = None


@pytest.fixture(scope="module", params=["disk", "postgres"])
def yard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Yard:
    folder = tmp_path_factory.mktemp("kills")

    @contextmanager
    def new_file() -> Iterator[str]:
        store = tmp_path_factory.mktemp("store") / "graph.db"
        shutil.copy(migrated, store)
        yield sqlite_url(store)

    @contextmanager
    def new_database() -> Iterator[str]:
        with request.getfixturevalue("new_postgres")("migrated") as url:
            yield url

    chat = write_chat(
        folder / "chat.jsonl", ("Ana", "Ben"), n_messages=N_MESSAGES, conversation="c", tells_every=35
    )
    yard = Yard(new_file if request.param == "disk" else new_database, chat)
    with yard.new_store() as url:
        database = open_database(url)
        executed: list[str] = []
        event.listen(database.engine, "before_cursor_execute", lambda *given: executed.append(given[2]))
        space_id = work(database, chat)
        yard.n_statements = len(executed)
        yard.expected = summary(database)
        assert_it_fits_together(database, space_id)
        database.close()
    return yard


def kill_once(yard: Yard, seed: int) -> None:
    chance = random.Random(seed)
    n_statements, wait_s = chance.randint(1, yard.n_statements), chance.uniform(0, MAX_WAIT_S)
    context = multiprocessing.get_context("forkserver")  # its children start at once
    context.set_forkserver_preload([__name__])
    with yard.new_store() as url:
        child = context.Process(target=work_until_killed, args=(url, yard.chat, n_statements, wait_s))
        child.start()
        child.join(60)
        if child.is_alive():
            child.kill()
        assert child.exitcode == -signal.SIGKILL
        database = open_database(url)
        space_id = ensure_space(database, clock=lambda: NOW)
        assert_it_fits_together(database, space_id)
        work(database, yard.chat)
        assert_it_fits_together(database, space_id)
        assert summary(database) == yard.expected
        database.close()


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_leaves_a_store_that_fits_together_and_can_go_on(yard: Yard, seed: int) -> None:
    kill_once(yard, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5, 65))
def test_many_kills_leave_a_store_that_fits_together_and_can_go_on(yard: Yard, seed: int) -> None:
    kill_once(yard, seed)


def test_what_was_imported_but_never_read_is_read_the_next_time(yard: Yard) -> None:
    with yard.new_store() as url:
        database = open_database(url)
        space_id = ensure_space(database, clock=lambda: NOW)
        import_file(database, space_id, yard.chat, clock=lambda: NOW)  # and here the process ends
        assert import_file(database, space_id, yard.chat).n_new == 0
        report = read_episodes(database, space_id, HomeReader(), LengthTagger(), Registry.load())
        assert report.n_episodes == N_MESSAGES
        database.close()
