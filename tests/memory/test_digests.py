from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from db import tables
from db.engine import Database, make_engine, open_database, sqlite_url
from memory import digests, ledger
from memory.digests import LEAST, Stretch, due, get_digest, list_digests
from memory.embedders.hashing import HashingEmbedder
from memory.episodes import append_turn
from memory.erasure import Target, erase
from memory.erasure.needles import Needle, Scanner
from memory.erasure.residue import scan
from memory.errors import UnknownDigest
from memory.exchange.dump import dump
from memory.exchange.load import load
from memory.hits import describe
from memory.index import Index
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.verify import verify

MARCH = datetime(2025, 3, 3, 9, tzinfo=UTC)
SECRET = "the heron nests under the ferry landing"


class Talk:
    """Ana and Ben talk in March and April 2025, Ana and Cleo in March; somebody speaks once more in August."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.say("Ana Reis", "Ben Ode", MARCH, 30, SECRET)
        self.say("Ana Reis", "Ben Ode", MARCH + timedelta(days=31), LEAST - 1, "too little to tell")
        self.say("Ana Reis", "Cleo Park", MARCH, LEAST, "a word about boats and tides")
        self.say("Ben Ode", "Ana Reis", MARCH + timedelta(days=160), 1, "back from the sea at last")

    def say(self, who: str, to: str, time: datetime, n: int, first: str) -> None:
        for number in range(n):
            append_turn(
                self.world.database,
                self.world.space_id,
                conversation=" and ".join(sorted((who, to))),
                speaker_id=self.world.person((who, to)[number % 2]),
                text=first if not number else f"line {number} of what we said about the weather",
                origin="observed",
                time=time + timedelta(hours=number),
                participants=[self.world.person(to), self.world.person(who)],
            )

    def due(self) -> tuple[Stretch, ...]:
        return due(self.world.database, self.world.space_id).stretches

    def write(self, *, n_lines: int = 3) -> list[str]:
        found = self.due()
        with self.world.database.transaction() as session:
            return [
                digests.write(
                    session,
                    self.world.space_id,
                    stretch,
                    stretch.episode_ids[:n_lines],
                    run_id=None,
                    clock=self.world.clock,
                )
                for stretch in found
            ]

    def listed(self, **limits: Any) -> list[tuple[str, int]]:
        found = list_digests(self.world.database, self.world.space_id, **limits)
        return sorted((digest.conversation, digest.n_messages) for digest in found)


@pytest.fixture
def talk(migrated: Path, world_class: Any, now: datetime) -> Iterator[Talk]:
    """In memory, for what makes no difference between stores."""
    with closing(Database(make_engine("sqlite://"))) as opened:
        with closing(sqlite3.connect(migrated)) as template, opened.engine.connect() as connection:
            template.backup(connection.connection.driver_connection)  # type: ignore[arg-type]
        yield Talk(world_class(opened, ensure_space(opened), Registry.load(), now))


@pytest.fixture
def any_talk(world: Any) -> Talk:
    return Talk(world)


def test_old_months_with_enough_messages_are_due(talk: Talk) -> None:
    found = sorted((stretch.part, len(stretch.episode_ids)) for stretch in talk.due())
    assert found == [("2025-03", LEAST), ("2025-03", 30)]


def test_a_digest_is_made_once_and_again_when_its_month_is_another(any_talk: Talk) -> None:
    made = any_talk.write()
    assert any_talk.due() == ()
    any_talk.say("Ben Ode", "Ana Reis", MARCH + timedelta(days=20), 1, "an older export had this too")
    (again,) = any_talk.due()
    assert len(again.episode_ids) == 31
    assert set(any_talk.write()) < set(made)
    assert any_talk.due() == ()
    assert [row.kind for row in ledger.entries(any_talk.world.database, any_talk.world.space_id)].count(
        "digest"
    ) == 3


def test_a_digest_is_who_said_what_and_when(talk: Talk) -> None:
    talk.write()
    (found,) = [
        digest for digest in list_digests(talk.world.database, talk.world.space_id) if digest.n_messages == 30
    ]
    assert (found.lines[0].speaker, found.lines[0].text) == ("Ana Reis", SECRET)
    assert (found.began_at, found.ended_at) == (MARCH, MARCH + timedelta(hours=29))
    assert [line.time for line in found.lines] == sorted(line.time for line in found.lines)
    with talk.world.database.reading() as session:
        names = list(session.scalars(select(tables.Node.name).where(tables.Node.kind == "digest")))
    assert not any("Ana" in name or "heron" in name for name in names)


def test_a_month_that_is_no_more_loses_its_digest(talk: Talk) -> None:
    made = talk.write()
    with talk.world.database.transaction() as session:
        digests.drop(session, made)
    assert talk.listed() == []
    with talk.world.database.reading() as session:
        assert session.scalar(select(func.count()).where(tables.Node.kind == "digest")) == 0


def test_who_took_no_part_knows_no_digest(talk: Talk) -> None:
    talk.write()
    ben, cleo = talk.world.people["Ben Ode"], talk.world.people["Cleo Park"]
    assert talk.listed(known_to=ben) == [("Ana Reis and Ben Ode", 30)]
    assert talk.listed(known_to=cleo) == [("Ana Reis and Cleo Park", LEAST)]
    assert talk.listed(as_of=MARCH + timedelta(hours=25)) == [("Ana Reis and Cleo Park", LEAST)]
    (others,) = list_digests(talk.world.database, talk.world.space_id, known_to=cleo)
    with pytest.raises(UnknownDigest):
        get_digest(talk.world.database, talk.world.space_id, others.id, known_to=ben)
    with pytest.raises(UnknownDigest):
        get_digest(talk.world.database, talk.world.space_id, "nosuchdigest")


def test_a_search_finds_digests_by_what_was_said_in_them(talk: Talk, tmp_path: Path) -> None:
    talk.write()
    world = talk.world
    index = Index.open(world.database, world.space_id, tmp_path, HashingEmbedder(64))
    index.refresh()
    hits = index.search("where does the heron nest?", kinds=("digest",))
    told = describe(world.database, world.space_id, world.registry, hits)
    assert (told[0]["kind"], told[0]["conversation"]) == ("digest", "Ana Reis and Ben Ode")
    assert told[0]["text"].startswith(f"Ana Reis: {SECRET}\n")
    assert len({hit.id for hit in hits}) == len(hits)
    known = index.search("heron", kinds=("digest",), known_to=world.people["Cleo Park"])
    assert {
        row["conversation"] for row in describe(world.database, world.space_id, world.registry, known)
    } <= {"Ana Reis and Cleo Park"}
    assert index.search("heron", kinds=("digest",), as_of=MARCH) == []
    index.close()


def test_an_erased_message_takes_its_digest_and_leaves_no_word(any_talk: Talk, tmp_path: Path) -> None:
    any_talk.write()
    world = any_talk.world
    (found,) = [digest for digest in list_digests(world.database, world.space_id) if digest.n_messages == 30]
    erase(world.database, world.space_id, tmp_path, Target("episode", found.lines[0].id), world.registry)
    assert any_talk.listed() == [("Ana Reis and Cleo Park", LEAST)]
    seen = scan(world.database, tmp_path, Scanner([Needle(SECRET)]), space_id=world.space_id)
    assert seen.found == ()
    (again,) = any_talk.due()
    assert found.lines[0].id not in again.episode_ids
    assert verify(world.database, world.space_id, tmp_path, world.registry).problems == ()


def test_an_erased_person_takes_the_digests_of_their_talk(talk: Talk, tmp_path: Path) -> None:
    talk.write()
    world = talk.world
    target = Target("person", world.people["Cleo Park"])
    erase(world.database, world.space_id, tmp_path, target, world.registry)
    assert talk.listed() == [("Ana Reis and Ben Ode", 30)]
    assert verify(world.database, world.space_id, tmp_path, world.registry).problems == ()


def test_an_export_keeps_digests(talk: Talk, tmp_path: Path) -> None:
    talk.write()
    world = talk.world
    file = io.BytesIO()
    assert dump(world.database, world.space_id, file)["digest"] == 2
    other = open_database(sqlite_url(tmp_path / "other.db"))
    space_id = ensure_space(other)
    load(other, space_id, io.BytesIO(file.getvalue()), "export.jsonl")
    assert list_digests(other, space_id) == list_digests(world.database, world.space_id)
    assert due(other, space_id).stretches == ()
    other.close()


def test_a_digest_of_personas_is_apart_from_what_people_said_and_no_night_drops_it(talk: Talk) -> None:
    world = talk.world
    said = [
        append_turn(
            world.database,
            world.space_id,
            conversation="simulated: Ana Reis and Ben Ode",
            speaker_id=world.person("Ana Reis"),
            text=f"turn {number}",
            origin="simulated",
            time=MARCH + timedelta(minutes=number),
        )
        for number in range(4)
    ]
    stretch = Stretch(
        said[0].conversation_id, "turns 0-3", said[0].time, said[-1].time, tuple(turn.id for turn in said)
    )
    with world.database.transaction() as session:
        made = digests.write(session, world.space_id, stretch, [said[1].id], run_id=None, clock=world.clock)
    assert made not in due(world.database, world.space_id).gone
    assert talk.listed() == []
    (found,) = list_digests(
        world.database, world.space_id, origin="simulated", conversation_id=said[0].conversation_id
    )
    assert (found.origin, [line.text for line in found.lines]) == ("simulated", ["turn 1"])
