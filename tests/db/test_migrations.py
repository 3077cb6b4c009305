from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from db.engine import alembic_config, known_revisions, make_engine, open_database, sqlite_url
from db.tables import Base
from memory.episodes import dated_key


@pytest.fixture(params=["disk", "postgres"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a store that nobody has migrated."""
    if request.param == "disk":
        yield sqlite_url(tmp_path / "graph.db")
        return
    new_postgres: Callable[[str], Any] = request.getfixturevalue("new_postgres")
    with new_postgres("template0") as url:
        yield url


def test_the_migrations_make_what_the_tables_say(bare_url: str) -> None:
    opened = open_database(bare_url)
    command.check(alembic_config(opened.engine))  # raises where they differ
    opened.close()


def test_the_revisions_make_every_table_and_can_be_taken_back(bare_url: str) -> None:
    engine = make_engine(bare_url)
    config = alembic_config(engine)
    command.upgrade(config, "head")
    made = set(inspect(engine).get_table_names())
    assert made == {*Base.metadata.tables, "alembic_version"}
    command.downgrade(config, "base")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    command.upgrade(config, "head")
    engine.dispose()


def test_vectors_are_kept_when_their_width_is_checked_from_now_on(tmp_path: Path) -> None:
    engine = make_engine(sqlite_url(tmp_path / "graph.db"))
    command.upgrade(alembic_config(engine), "0002")
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO space VALUES ('s', 'default', 'UTC', '2026-01-01 00:00:00')"))
        connection.execute(
            text("INSERT INTO embedding VALUES ('fact', 'f', 'm', 's', 2, x'0000803f00000040')")
        )
    command.upgrade(alembic_config(engine), "0003")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT vector FROM embedding")) == bytes.fromhex("0000803f00000040")
    engine.dispose()


def test_facts_are_kept_and_nobody_pinned_them_when_pins_come(bare_url: str) -> None:
    engine = make_engine(bare_url)
    command.upgrade(alembic_config(engine), "0004")
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO space VALUES ('s', 'default', 'UTC', '2026-01-01 00:00:00')",
            "INSERT INTO node (id, space_id, kind, name, name_key, is_speaker, created_at) "
            "VALUES ('n', 's', 'person', 'Ana', 'ana', false, '2026-01-01 00:00:00')",
            "INSERT INTO fact (id, space_id, subject_id, predicate, object, object_key, recorded_at, state, "
            "change, confidence, origin, rule, is_contested) VALUES ('f', 's', 'n', 'likes', 'tea', 'tea', "
            "'2026-01-01 00:00:00', 'stored', 'state', 0.8, 'observed', 'test', false)",
        ):
            connection.execute(text(statement))
    command.upgrade(alembic_config(engine), "0005")
    kept = text("SELECT object, pinned_at FROM fact")
    with engine.begin() as connection:
        assert connection.execute(kept).all() == [("tea", None)]
        connection.execute(text("UPDATE fact SET pinned_at = '2026-02-01 00:00:00'"))
    command.downgrade(alembic_config(engine), "0004")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT object FROM fact")).all() == [("tea",)]
    engine.dispose()


def test_what_is_there_is_kept_when_digests_come_and_go(bare_url: str) -> None:
    engine = make_engine(bare_url)
    command.upgrade(alembic_config(engine), "0005")
    day = "'2026-01-01 00:00:00'"
    with engine.begin() as connection:
        for statement in (
            f"INSERT INTO space VALUES ('s', 'default', 'UTC', {day})",
            "INSERT INTO conversation (id, space_id, name) VALUES ('c', 's', 'chat')",
            "INSERT INTO node (id, space_id, kind, name, name_key, is_speaker, created_at) "
            f"VALUES ('n', 's', 'digest', 'd', 'd', false, {day})",
        ):
            connection.execute(text(statement))
    command.upgrade(alembic_config(engine), "0006")
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO digest VALUES ('n', 's', 'c', {day}, {day}, 20, 'h', {day})"))
    command.downgrade(alembic_config(engine), "0005")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM node")).all() == [("d",)]
        assert connection.execute(text("SELECT name FROM conversation")).all() == [("chat",)]
    engine.dispose()


def test_known_messages_get_keys_with_their_times_and_notes_keep_theirs(bare_url: str) -> None:
    engine = make_engine(bare_url)
    command.upgrade(alembic_config(engine), "0007")
    day, digest = "'2026-01-01 00:00:00'", "ab" * 32
    with engine.begin() as connection:
        for statement in (
            f"INSERT INTO space VALUES ('s', 'default', 'UTC', {day})",
            "INSERT INTO conversation (id, space_id, name) VALUES ('c', 's', 'chat')",
            "INSERT INTO node (id, space_id, kind, name, name_key, is_speaker, created_at) "
            f"VALUES ('n', 's', 'person', 'Ana', 'ana', false, {day})",
            *(
                f"INSERT INTO source VALUES ('{kind}', 's', '{kind}', 'x', '{kind}', {day})"
                for kind in ("telegram", "mem0")
            ),
            *(
                "INSERT INTO episode (id, space_id, source_id, conversation_id, position, speaker_id, time, text, "
                f"kind, is_edited, origin, key) VALUES ('{kind}', 's', '{kind}', 'c', 0, 'n', "
                f"'1969-12-31 23\\:59\\:58.999999', 'hi', 'text', false, 'observed', '{key}')"
                for kind, key in (("telegram", digest), ("mem0", digest[::-1]))
            ),
        ):
            connection.execute(text(statement))
    command.upgrade(alembic_config(engine), "0008")
    with engine.begin() as connection:
        keys = {row.id: row.key for row in connection.execute(text("SELECT id, key FROM episode"))}
        time = datetime(1969, 12, 31, 23, 59, 58, 999999, tzinfo=UTC)
        assert keys == {"telegram": dated_key(time, digest), "mem0": digest[::-1]}
    command.downgrade(alembic_config(engine), "0007")
    with engine.connect() as connection:
        assert set(connection.scalars(text("SELECT text FROM episode"))) == {"hi"}
    engine.dispose()


DAY = "'2026-01-01 00:00:00'"


def keep_a_message(engine: Engine, *, origin: str) -> None:
    with engine.begin() as connection:
        for statement in (
            f"INSERT INTO space VALUES ('s', 'default', 'UTC', {DAY})",
            "INSERT INTO node (id, space_id, kind, name, name_key, is_speaker, created_at) "
            f"VALUES ('n', 's', 'person', 'Ana', 'ana', true, {DAY})",
            "INSERT INTO conversation (id, space_id, name) VALUES ('c', 's', 'chat')",
            "INSERT INTO source (id, space_id, kind, name, sha256, created_at) "
            f"VALUES ('o', 's', 'jsonl', 'chat', 'h', {DAY})",
            "INSERT INTO episode (id, space_id, source_id, conversation_id, position, speaker_id, time, text, kind, "
            f"is_edited, origin, key) VALUES ('e', 's', 'o', 'c', 0, 'n', {DAY}, 'hi', 'text', false, '{origin}', 'k')",
        ):
            connection.execute(text(statement))


A_TURN = (
    "INSERT INTO chat_session (id, space_id, person_id, conversation_id, kind, began_at, settings, engine) "
    f"VALUES ('t', 's', 'n', 'c', 'reply', {DAY}, '{{}}', 'embedded')",
    "INSERT INTO chat_turn (id, space_id, session_id, number, episode_id, status, adapters, seed, n_draws, "
    "objections, seconds, deliberation) VALUES ('u', 's', 't', 1, 'e', 'whole', '[]', 7, 1, '[]', 0.5, '')",
)
ROWS = {  # of the tables that a revision brings, beside the message
    "0010": (f"INSERT INTO pending VALUES ('e', 's', 'away', {DAY})",),
    "0012": (f"INSERT INTO reading VALUES ('e', 'r', 's', '{{\"joy\": 1.5}}', {DAY})",),
    "0013": (
        *A_TURN,
        "INSERT INTO claim (id, space_id, person_id, episode_id, subject, predicate, object, object_key, "
        "is_negated, basis, state, said_at) VALUES ('k', 's', 'n', 'e', 'Ana', 'likes', 'tea', 'tea', false, "
        f"'invented', 'kept', {DAY})",
    ),
    "0014": (f"INSERT INTO persona_setting VALUES ('n', 's', '{{\"top_k\": 40}}', {DAY})",),
    "0017": (
        "INSERT INTO job (id, space_id, kind, state, asked_by, queued_at, step, done, total, n_tries, is_unwanted, "
        f"wanted, result) VALUES ('j', 's', 'import', 'queued', 'test', {DAY}, '', 0, 0, 0, false, '{{}}', '{{}}')",
    ),
    "0018": (
        "INSERT INTO memory_graph VALUES ('s', 'v')",
        "INSERT INTO memory_entity (id, space_id, position, name, entity_type, node_id, episode_id) "
        "VALUES ('x', 's', 0, 'Ana', 'person', 'n', NULL)",
        "INSERT INTO memory_observation (id, space_id, position, entity_id, text, episode_id) "
        "VALUES ('o', 's', 1, 'x', 'hi', 'e')",
        "INSERT INTO memory_relation (id, space_id, position, source, target, relation_type, episode_id) "
        "VALUES ('r', 's', 2, 'Ana', 'Ben', 'knows', 'e')",
    ),
    "0019": (
        "INSERT INTO token (id, space_id, name, sha256, scopes, created_at) "
        f"VALUES ('t', 's', 'phone', '{'a' * 64}', '[]', {DAY})",
        "INSERT INTO act (seq, space_id, at, via, what, ids, outcome, prev_hash, hash) "
        f"VALUES (1, 's', {DAY}, 'token', 'POST /v1/facts', '{{}}', '201', '{'0' * 64}', '{'b' * 64}')",
    ),
    "0020": (
        "INSERT INTO kept_answer (space_id, key, request_sha256, holder, at, status, body) "
        f"VALUES ('s', 'k', '{'a' * 64}', 'here 1', {DAY}, 201, '{{}}')",
    ),
}


def test_a_message_is_kept_while_tables_come_and_go_with_their_rows(bare_url: str) -> None:
    engine = make_engine(bare_url)
    config = alembic_config(engine)
    command.upgrade(config, "0009")
    keep_a_message(engine, origin="observed")
    for revision, rows in ROWS.items():
        command.upgrade(config, revision)
        with engine.begin() as connection:
            for row in rows:
                connection.exec_driver_sql(row)
        command.downgrade(config, f"{int(revision) - 1:04}")
        with engine.connect() as connection:
            kept = connection.execute(text("SELECT text FROM episode")).all()
        assert (revision, kept) == (revision, [("hi",)])
    engine.dispose()


def test_turns_are_kept_when_what_they_quoted_comes_and_goes(bare_url: str) -> None:
    engine = make_engine(bare_url)
    command.upgrade(alembic_config(engine), "0014")
    keep_a_message(engine, origin="simulated")
    with engine.begin() as connection:
        for statement in A_TURN:
            connection.exec_driver_sql(statement)
    command.upgrade(alembic_config(engine), "0015")
    with engine.connect() as connection:
        quoted = text("SELECT CAST(rests_on AS TEXT) FROM chat_turn")
        assert connection.execute(quoted).all() == [("[]",)]
    command.downgrade(alembic_config(engine), "0014")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id, episode_id FROM chat_turn")).all() == [("u", "e")]
    engine.dispose()


def test_what_a_daemon_knows_of_nights_takes_the_place_of_pickles(bare_url: str) -> None:
    engine = make_engine(bare_url)
    command.upgrade(alembic_config(engine), "0015")
    keep_a_message(engine, origin="observed")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE apscheduler_jobs (id VARCHAR(191))")
    command.upgrade(alembic_config(engine), "0016")
    assert not inspect(engine).has_table("apscheduler_jobs")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO schedule (space_id, settled_until, wanted) VALUES ('s', {DAY}, '{{}}')"
        )
    command.downgrade(alembic_config(engine), "0015")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT text FROM episode")).all() == [("hi",)]
    engine.dispose()


def test_the_feed_tells_of_what_stands_on_a_fact_only_while_that_is_watched(bare_url: str) -> None:
    engine = make_engine(bare_url)
    command.upgrade(alembic_config(engine), "0020")
    with engine.begin() as connection:
        for statement in (
            f"INSERT INTO space VALUES ('s', 'default', 'UTC', {DAY})",
            "INSERT INTO node (id, space_id, kind, name, name_key, is_speaker, created_at) "
            f"VALUES ('n', 's', 'person', 'Ana', 'ana', false, {DAY})",
            "INSERT INTO fact (id, space_id, subject_id, predicate, object, object_key, recorded_at, state, "
            f"change, confidence, origin, rule, is_contested) VALUES ('f', 's', 'n', 'likes', 'tea', 'tea', {DAY}, "
            "'stored', 'state', 0.8, 'observed', 'test', false)",
        ):
            connection.exec_driver_sql(statement)
    command.upgrade(alembic_config(engine), "0021")
    surer = text("UPDATE fact SET confidence = confidence + 0.1, check_result = NULL")
    told = text("SELECT owner_id FROM change WHERE kind = 'standing'")
    with engine.begin() as connection:
        connection.execute(surer)
        connection.execute(text("UPDATE fact SET check_result = NULL"))
        assert connection.scalars(told).all() == ["f"]
    command.downgrade(alembic_config(engine), "0020")
    with engine.begin() as connection:
        connection.execute(surer)
        assert connection.scalars(told).all() == ["f"]
    engine.dispose()


def test_entities_get_the_source_of_their_notes(bare_url: str) -> None:
    engine = make_engine(bare_url)
    command.upgrade(alembic_config(engine), "0021")
    keep_a_message(engine, origin="observed")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO memory_entity (id, space_id, position, name, entity_type, episode_id) "
            "VALUES ('a', 's', 0, 'Ana', 'person', 'e'), ('b', 's', 1, 'Bo', 'person', NULL), "
            "('c', 's', 2, '***', 'sign', NULL)"
        )
        connection.exec_driver_sql(
            "INSERT INTO memory_observation (id, space_id, entity_id, position, text, episode_id) "
            "VALUES ('o', 's', 'b', 3, 'hi', 'e')"
        )
    command.upgrade(alembic_config(engine), "0022")
    with engine.connect() as connection:
        (source,) = connection.scalars(text("SELECT source_id FROM episode"))
        found = connection.execute(text("SELECT id, source_id FROM memory_entity ORDER BY id")).all()
    assert [tuple(row) for row in found] == [("a", source), ("b", source), ("c", None)]
    command.downgrade(alembic_config(engine), "0021")
    with engine.connect() as connection:
        assert len(connection.execute(text("SELECT name FROM memory_entity")).all()) == 3
    engine.dispose()


def test_revisions_are_one_line() -> None:
    script = ScriptDirectory.from_config(alembic_config())
    assert len(script.get_heads()) == 1
    assert script.get_bases() == ["0001"]
    assert [item.revision for item in script.walk_revisions()] == list(known_revisions())


def test_lines_of_a_constitution_are_kept_when_lines_get_an_identity(bare_url: str) -> None:
    engine = make_engine(bare_url)
    config = alembic_config(engine)
    command.upgrade(config, "0008")
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO space VALUES ('s', 'default', 'UTC', '2026-01-01 00:00:00')"))
        connection.execute(
            text(
                "INSERT INTO node (id, space_id, kind, name, name_key, is_speaker, created_at)"
                " VALUES ('n', 's', 'person', 'Ana', 'ana', true, '2026-01-01 00:00:00')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO principle (id, space_id, person_id, version, kind, text, evidence, created_at)"
                " VALUES ('p', 's', 'n', 1, 'value', 'Hums', '[]', '2026-01-01 00:00:00')"
            )
        )
    command.upgrade(config, "0009")
    with engine.begin() as connection:
        row = connection.execute(text("SELECT text, line, author, is_weak, rank FROM principle")).one()
    assert tuple(row) == ("Hums", "", "night", False, 0)
    command.downgrade(config, "0008")
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT text FROM principle")) == "Hums"
    engine.dispose()
