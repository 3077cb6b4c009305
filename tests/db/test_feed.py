"""The feed of changes after a long insert: as the trigger would have written it, and the trigger is there again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.engine import Database
from db.feed import episodes_noted_together
from db.tables import Change, Conversation, Episode, Node, Source, Space

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def world(session: Session) -> None:
    session.add(Space(id="s", name="s", created_at=NOW))
    session.flush()
    session.add(Source(id="src", space_id="s", kind="jsonl", name="x", sha256="0", created_at=NOW))
    session.add(Conversation(id="c", space_id="s", name="c"))
    session.add(Node(id="n", space_id="s", kind="person", name="Ana", name_key="ana", created_at=NOW))
    session.flush()


def episode(number: int) -> Episode:
    return Episode(
        id=f"e{number}", space_id="s", source_id="src", conversation_id="c", position=number, speaker_id="n",
        time=NOW, text="x", key=str(number),
    )  # fmt: skip


def noted(session: Session) -> list[str]:
    return sorted(session.scalars(select(Change.owner_id).where(Change.kind == "episode")))


def fail_inside(database: Database) -> None:
    with database.transaction() as session:
        world(session)
        with episodes_noted_together(session, Episode.source_id == "src"):
            raise ZeroDivisionError


def test_every_new_episode_is_in_the_feed_once_and_later_ones_are_noted_again(database: Database) -> None:
    with database.transaction() as session:
        world(session)
        with episodes_noted_together(session, Episode.source_id == "src"):
            session.add_all([episode(1), episode(2)])
            session.flush()
        assert noted(session) == ["e1", "e2"]
    with database.transaction() as session:
        session.add(episode(3))
        session.flush()
        assert noted(session) == ["e1", "e2", "e3"]


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
