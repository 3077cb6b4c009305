from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from consolidation import dream
from consolidation.curriculum import Course
from consolidation.slots import Names
from consolidation.stage import no_progress
from consolidation.voices import Voice, knowing_rows
from db.tables import Example
from memory.consent import record
from memory.types import Person
from memory.wordings import Wordings

START = datetime(2025, 5, 1, 9, tzinfo=UTC)
VOICE = Voice("Ada Reis", "Bo Lund")
COURSE = Course(
    Wordings.load(), Names([Person("a", "Ada Reis", (), True), Person("b", "Bo Lund", (), True)]), 0
)


@pytest.fixture
def taught(chat: Any) -> Any:
    chat.store(("Mona Berg", "lives_in", "Bergen", 0), ("Mona Berg", "sister", "Vera", 2))
    return chat


def rows_of(chat: Any) -> list[Example]:
    context = chat.context()
    dream.run(context, no_progress)
    with chat.database.transaction() as session:
        return list(
            session.scalars(select(Example).where(Example.run_id == context.run_id, Example.split == "train"))
        )


def test_no_voice_is_trained_without_consent(taught: Any) -> None:
    assert not [row for row in rows_of(taught) if row.meta["form"] == "knowing"]


def test_with_consent_only_that_persons_voice_is_trained(taught: Any) -> None:
    mona = next(e.speaker_id for e in taught.episodes if e.speaker == "Mona Berg")
    record(taught.database, taught.space_id, mona, agreed_by="Mona Berg")
    rows = rows_of(taught)
    knowing = [row for row in rows if row.meta["form"] == "knowing"]
    assert knowing
    assert all("You are Mona Berg" in row.messages[0]["content"] for row in knowing)
    assert not any("You are Karl" in message["content"] for row in rows for message in row.messages)


def test_half_of_the_knowing_rows_name_the_fact_and_half_leave_it_to_the_weights(taught: Any) -> None:
    mona = next(e.speaker_id for e in taught.episodes if e.speaker == "Mona Berg")
    record(taught.database, taught.space_id, mona, agreed_by="Mona Berg")
    rows = [row for row in rows_of(taught) if row.meta["form"] == "knowing"]
    named = [row.messages[-1]["content"] in row.messages[-2]["content"] for row in rows]
    assert 0 < sum(named) < len(named)
    assert knowing_rows(COURSE, VOICE, [], START) == []
