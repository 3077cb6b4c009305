"""The feed of changes after a long insert: as the trigger would have written it, and the trigger is there again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.engine import Database
from db.feed import NewEpisode, inserting_episodes
from db.tables import Change, Conversation, Episode, Node, Source, Space

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def world(session: Session) -> None:
    session.add(Space(id="s", name="s", created_at=NOW))
    session.flush()
    session.add(Source(id="src", space_id="s", kind="jsonl", name="x", sha256="0", created_at=NOW))
    session.add(Conversation(id="c", space_id="s", name="c"))
    session.add(Node(id="n", space_id="s", kind="person", name="Ana", name_key="ana", created_at=NOW))
    session.flush()


def episode(number: int, key: str | None = None) -> NewEpisode:
    return NewEpisode(
        f"e{number}", "c", number, "n", "2026-01-01 00:00:00.000001", "x", "text", False, "observed",
        key or str(number), None,
    )  # fmt: skip


def noted(session: Session) -> list[str]:
    return sorted(session.scalars(select(Change.owner_id).where(Change.kind == "episode")))


def fail_inside(database: Database) -> None:
    with database.transaction() as session:
        world(session)
        with inserting_episodes(session, "s", "src") as inserter:
            inserter.insert([episode(1)])
            raise ZeroDivisionError


def insert_the_same_key_twice(database: Database) -> None:
    with database.transaction() as session:
        world(session)
        with inserting_episodes(session, "s", "src") as inserter:
            inserter.insert([episode(1)])
            inserter.insert([episode(2, key="1")])


def test_every_new_episode_is_in_the_feed_once_and_later_ones_are_noted_again(database: Database) -> None:
    with database.transaction() as session:
        world(session)
        with inserting_episodes(session, "s", "src") as inserter:
            inserter.insert([episode(1)])
            inserter.insert([episode(2)])
        assert noted(session) == ["e1", "e2"]
        assert session.get_one(Episode, "e1").time == NOW + timedelta(microseconds=1)
    with database.transaction() as session:
        row = {**episode(3)._asdict(), "time": NOW}
        session.add(Episode(space_id="s", source_id="src", **row))
        session.flush()
        assert noted(session) == ["e1", "e2", "e3"]


def test_what_goes_wrong_beside_is_raised_and_takes_everything_back(database: Database) -> None:
    with pytest.raises(IntegrityError):
        insert_the_same_key_twice(database)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Episode)) == 0


def test_a_batch_of_any_size_goes_in_in_its_order(database: Database) -> None:
    with database.transaction() as session:
        world(session)
        with inserting_episodes(session, "s", "src") as inserter:
            inserter.insert([episode(number) for number in range(2345)])
        assert session.scalar(select(func.count()).select_from(Episode)) == 2345
        assert len(noted(session)) == 2345


def test_a_failure_inside_leaves_the_trigger_as_it_was(database: Database) -> None:
    def triggers() -> list[str]:
        if database.engine.dialect.name != "sqlite":
            return []
        with database.reading() as session:
            return list(
                session.scalars(text("SELECT sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"))
            )

    before = triggers()
    with pytest.raises(ZeroDivisionError):
        fail_inside(database)
    assert triggers() == before
