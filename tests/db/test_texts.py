"""What a store can hold, the same on every kind of it."""

from __future__ import annotations

import json
import math
from datetime import datetime

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import StatementError

from db.engine import Database
from db.tables import Conversation, Node, SleepRun, Source, Space, clean_text
from memory.spaces import ensure_space

ODD = {
    "a NUL": "be\0fore",
    "half a surrogate pair": "be\ud83dfore",
    "a pair in halves": "be\ud83d\ude00fore",
    "the other end of Unicode": "\U0010ffff\u202e\u0301\ufeff",
    "quotes and wildcards": "'; DROP TABLE space; -- %_\\",
}


@pytest.mark.parametrize("said", ODD.values(), ids=ODD.keys())
def test_odd_text_is_kept_and_found_alike(database: Database, now: datetime, said: str) -> None:
    space_id = ensure_space(database)
    with database.transaction() as session:
        session.add(Source(space_id=space_id, kind="chat", name=said, sha256="0" * 64, created_at=now))
        session.add(Conversation(space_id=space_id, name=said))
    with database.reading() as session:
        assert session.scalar(select(Source.name)) == clean_text(said)
        assert session.scalar(select(Conversation.name).where(Conversation.name == said)) == clean_text(said)


def test_what_no_store_can_hold_becomes_the_sign_for_it() -> None:
    assert clean_text("be\0fore") == "be\ufffdfore"
    assert clean_text("b\u00e9\0\ud83dfore") == "b\u00e9\ufffd\ufffdfore"
    assert clean_text("\ud83d\ude00") == "\U0001f600"
    assert clean_text("plain \u00e9") == "plain \u00e9"


def test_a_label_that_is_too_long_is_refused(database: Database, now: datetime) -> None:
    with pytest.raises(StatementError, match="256 characters"), database.transaction() as session:
        session.add(Space(name="n" * 256, created_at=now))
    with database.transaction() as session:
        session.add(Space(name="\U0001f600" * 255, created_at=now))


def test_text_of_ten_megabytes_is_kept(database: Database, now: datetime) -> None:
    space_id, long = ensure_space(database), "w\u00f6rd " * 1_700_000
    with database.transaction() as session:
        session.add(Source(space_id=space_id, kind="chat", name=long, sha256="0" * 64, created_at=now))
    with database.reading() as session:
        assert session.scalar(select(Source.name)) == long


def test_json_keeps_every_text_and_no_number_that_is_none(database: Database, now: datetime) -> None:
    space_id = ensure_space(database)
    settings = {"odd": list(ODD.values()), "loss": math.nan, "inner": [{"best": -math.inf, "n": 1.5}]}
    with database.transaction() as session:
        session.add(
            SleepRun(space_id=space_id, status="done", seed=2**32 - 1, settings=settings, started_at=now)
        )
    with database.reading() as session:
        kept = session.scalar(select(SleepRun.settings))
    assert kept == {
        "odd": json.loads(json.dumps(list(ODD.values()))),
        "loss": None,
        "inner": [{"best": None, "n": 1.5}],
    }


def test_letters_of_every_alphabet_have_a_lower_case(database: Database, now: datetime) -> None:
    space_id = ensure_space(database)
    with database.transaction() as session:
        session.add(
            Source(space_id=space_id, kind="chat", name="ÅSA und ЖЕНЯ", sha256="0" * 64, created_at=now)
        )
    with database.reading() as session:
        assert session.scalar(select(Source.id).where(func.lower(Source.name).contains("åsa und женя")))


def test_names_stand_in_the_order_of_code_points(database: Database, now: datetime) -> None:
    space_id = ensure_space(database)
    names = ["a b", "A", "ab", "a-b", "Ä", "a's", "z", "é", "_", "😀", "\uffee"]
    with database.transaction() as session:
        session.add_all(
            Node(space_id=space_id, kind="thing", name=name, name_key=name, created_at=now) for name in names
        )
    with database.reading() as session:
        assert session.scalars(select(Node.name_key).order_by(Node.name_key)).all() == sorted(names)
        begun = select(Node.name_key).where(Node.name_key >= "a", Node.name_key < "b")
        assert sorted(session.scalars(begun)) == sorted(name for name in names if name.startswith("a"))
