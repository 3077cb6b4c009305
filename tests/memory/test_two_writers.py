"""Two processes that write to one store at once, on SQLite and on Postgres: nothing is lost and nothing is there twice."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from db.engine import Database, open_database, sqlite_url
from db.errors import LeaseHeld
from db.leases import acquire, holder_of
from db.tables import Alias, Decision, EmotionTag, Episode, Evidence, Fact, Node, Participant, Source
from memory import ledger
from memory.decisions import decide
from memory.episodes import append_turn
from memory.errors import CannotDecide
from memory.facts import candidates
from memory.importing import import_file
from memory.people import get_or_create_node
from memory.reading import read_episodes
from memory.registry import Registry
from memory.spaces import ensure_space
from tests.memory.chats import HomeReader, LengthTagger, write_chat

N_MESSAGES = 240  # a chat; more than one stretch of reading
N_ENTRIES = 25
WRITERS = ("left", "right")
SPEAKERS = {"left": ("Ana Reis", "Ben Ode"), "right": ("Ana Reis", "Cleo Faro")}
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def write(url: str, name: str, folder: Path, start: Barrier, answer: Connection) -> None:
    """What one process does; between the steps it waits for the other, so that they meet at each."""
    database = open_database(url)
    start.wait()
    space_id = ensure_space(database)
    registry = Registry.load()
    import_file(database, space_id, folder / f"{name}.jsonl", clock=lambda: NOW)
    start.wait()
    read_episodes(database, space_id, HomeReader(), LengthTagger(), registry, clock=lambda: NOW)
    start.wait()
    answers: dict[str, Any] = {"space": space_id, "decided": 0, "came late": 0}
    for fact in candidates(database, space_id):  # both decide all of them
        try:
            with database.transaction() as session:
                decide(session, space_id, fact.id, "STORE", [name], registry, run_id=None, clock=lambda: NOW)
            answers["decided"] += 1
        except CannotDecide:
            answers["came late"] += 1
    start.wait()
    for number in range(N_ENTRIES):
        with database.transaction() as session:
            node_id = get_or_create_node(session, space_id, f"Nova Number{number}")
            ledger.append(session, space_id, "test", {"by": name, "number": number})
        said = f"{name} {number}"
        append_turn(
            database,
            space_id,
            conversation="live",
            speaker_id=node_id,
            text=said,
            origin="observed",
            time=NOW,
        )
    start.wait()
    try:
        acquire(database, "night", name, now=NOW, ttl_s=60)
        answers["lease"] = "taken"
    except LeaseHeld as error:
        answers["lease"] = error.holder
    database.close()
    answer.send(answers)


@dataclass
class Aftermath:
    database: Database
    space_id: str = ""
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def count(self, table: type[Any], *where: Any) -> int:
        with self.database.reading() as session:
            return session.scalar(select(func.count()).select_from(table).where(*where)) or 0


@pytest.fixture(scope="module", params=["disk", "postgres"])
def aftermath(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: Path
) -> Iterator[Aftermath]:
    folder = tmp_path_factory.mktemp("two-writers")
    for name, speakers in SPEAKERS.items():
        write_chat(folder / f"{name}.jsonl", speakers, n_messages=N_MESSAGES, conversation=name)
    if request.param == "postgres":
        with request.getfixturevalue("new_postgres")("migrated") as url:
            yield from run_both(url, folder)
    else:
        shutil.copy(migrated, folder / "graph.db")
        yield from run_both(sqlite_url(folder / "graph.db"), folder)


def run_both(url: str, folder: Path) -> Iterator[Aftermath]:
    context = multiprocessing.get_context("spawn")
    start, pipes = context.Barrier(2, timeout=60), {name: context.Pipe() for name in WRITERS}
    writers = [
        context.Process(target=write, args=(url, name, folder, start, pipe[1]))
        for name, pipe in pipes.items()
    ]
    for writer in writers:
        writer.start()
    after = Aftermath(open_database(url))
    for name, (answer, _) in pipes.items():
        assert answer.poll(120), f"{name} gave no answer"
        after.answers[name] = answer.recv()
    for writer in writers:
        writer.join(30)
    after.space_id = after.answers["left"]["space"]
    yield after
    after.database.close()


def test_both_made_the_same_space(aftermath: Aftermath) -> None:
    assert aftermath.answers["left"]["space"] == aftermath.answers["right"]["space"]


def test_every_message_of_both_chats_is_there_once(aftermath: Aftermath) -> None:
    assert aftermath.count(Source, Source.kind == "jsonl") == 2
    assert aftermath.count(Episode) == 2 * N_MESSAGES + 2 * N_ENTRIES
    with aftermath.database.reading() as session:
        of_live = select(Episode.position).join(Source).where(Source.kind == "chat")
        assert sorted(session.scalars(of_live)) == list(range(2 * N_ENTRIES))


def test_one_name_is_one_node_whoever_came_first(aftermath: Aftermath) -> None:
    with aftermath.database.reading() as session:
        names = sorted(session.scalars(select(Node.name).where(Node.kind == "person")))
    assert names == sorted(
        ["Ana Reis", "Ben Ode", "Cleo Faro", *(f"Nova Number{n}" for n in range(N_ENTRIES))]
    )
    assert aftermath.count(Alias) == 0
    assert aftermath.count(Participant) == 4 + N_ENTRIES


def test_what_both_read_is_found_once(aftermath: Aftermath) -> None:
    assert aftermath.count(Fact) == aftermath.count(Evidence) == 2 * N_MESSAGES // 10
    assert aftermath.count(EmotionTag) == 2 * N_MESSAGES
    assert aftermath.count(Episode, Episode.extracted_by.is_(None)) == 2 * N_ENTRIES


def test_each_fact_is_decided_once(aftermath: Aftermath) -> None:
    n_facts = 2 * N_MESSAGES // 10
    assert sum(answer["decided"] for answer in aftermath.answers.values()) == n_facts
    assert aftermath.count(Decision) == n_facts
    assert aftermath.count(Fact, Fact.state == "candidate") == 0


def test_the_ledger_of_both_is_one_sound_chain(aftermath: Aftermath) -> None:
    assert ledger.verify(aftermath.database, aftermath.space_id) == []
    told = [row for row in ledger.entries(aftermath.database, aftermath.space_id, 1000) if row.kind == "test"]
    assert sorted((row.payload["by"], row.payload["number"]) for row in told) == [
        (name, number) for name in WRITERS for number in range(N_ENTRIES)
    ]


def test_one_of_two_gets_the_lease_and_the_other_hears_who(aftermath: Aftermath) -> None:
    holder = holder_of(aftermath.database, "night")
    said = {name: answer["lease"] for name, answer in aftermath.answers.items()}
    assert said == {name: "taken" if name == holder else holder for name in WRITERS}
