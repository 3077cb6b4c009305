from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, insert, select

from db.engine import Database, open_database, sqlite_url
from db.tables import Base, Episode, Fact, Space, new_id
from memory import consent, constitutions, emotions, ledger
from memory.entities.store import EntityStore, NewEntity, NewRelation
from memory.errors import BrokenExport, NewerFormat, SpaceInUse, WrongEntrance
from memory.exchange import records
from memory.exchange.dump import dump, lines
from memory.exchange.load import load
from memory.persona_settings import set_sampling
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import EmotionTag, Principle

Lines = list[dict[str, Any]]
Rows = list[tuple[str, dict[str, Any]]]


def fill_every_table(world: Any) -> None:
    """At least one row of every type, most of them as the program writes them."""
    world.store("Porto", 1)
    world.store("Lagos", 40, change="update")
    world.claim("tea", 3, predicate="likes")
    simulated = world.say(
        "Ana Reis", 5, origin="simulated", text='a "quoted" line\nwith é, 日本, 🧵 and \u2028'
    )
    person = world.person("Ana Reis")
    said = world.say("Ana Reis", 6)
    consent.record(world.database, world.space_id, person, agreed_by="Ana Reis", clock=world.clock)
    set_sampling(world.database, world.space_id, person, {"temperature": 0.9}, clock=world.clock)
    agents = EntityStore(world.database, world.space_id, world.registry, clock=world.clock)
    agents.create_entities([NewEntity("Ana Reis", "person", ("sails",))])
    agents.create_relations([NewRelation("Ana Reis", "Faro", "lives_in")])
    now = datetime(2025, 5, 1, 3, 4, 5, 678901, tzinfo=UTC)
    with world.database.transaction() as session:
        emotions.add_tags(session, world.space_id, [EmotionTag(said, "joy", 7.25, "test")])
        principle = Principle("value", "keeps her word", (said,))
        constitutions.write(session, world.space_id, person, [principle], run_id=None, clock=world.clock)
        fact_id = session.scalar(select(Fact.id).order_by(Fact.id).limit(1))
        other = world_node(session, world.space_id)
        conversation = session.scalar(select(Episode.conversation_id).where(Episode.id == said))
        run, artifact, example, digest = new_id(), new_id(), new_id(), new_id()
        rows: Rows = [
            ("alias", {"node_id": person, "name": "Ani", "name_key": "ani"}),
            (
                "episode_version",
                {
                    "episode_id": said,
                    "number": 1,
                    "source_id": session.get_one(Episode, said).source_id,
                    "text": "before it was edited",
                    "kind": "text",
                    "is_edited": False,
                    "key": "k",
                    "replaced_at": now,
                },
            ),
            (
                "person_merge",
                {"kept_id": person, "merged_id": other, "effects": [["alias", 1]], "merged_at": now},
            ),
            ("node", {"id": digest, "kind": "digest", "name": "d", "name_key": "d", "created_at": now}),
            (
                "digest",
                {
                    "id": digest,
                    "conversation_id": conversation,
                    "began_at": now,
                    "ended_at": now,
                    "n_messages": 20,
                    "made_from": "d" * 64,
                    "made_at": now,
                },
            ),
            ("digest_line", {"digest_id": digest, "episode_id": said}),
            ("fact_use", {"fact_id": fact_id, "n": 3, "last_at": now}),
            (
                "reading",
                {"episode_id": said, "readout": "r" * 64, "concepts": {"joy": -0.1}, "read_at": now},
            ),
            *a_talk(person, conversation, simulated, fact_id, now),
            ("edge", {"src_id": person, "dst_id": other, "kind": "friend", "weight": 0.1}),
            (
                "sleep_run",
                {"id": run, "status": "done", "seed": 7, "settings": {"b": 1, "a": [1.5]}, "started_at": now},
            ),
            (
                "stage_run",
                {
                    "run_id": run,
                    "name": "score",
                    "position": 2,
                    "status": "done",
                    "inputs_hash": "ab",
                    "started_at": now,
                    "seconds": 1 / 3,
                    "counts": {},
                    "output": {"x": None},
                },
            ),
            (
                "artifact",
                {
                    "id": artifact,
                    "kind": "recipe",
                    "path": "recipes/a",
                    "sha256": "c" * 64,
                    "meta": {},
                    "created_at": now,
                },
            ),
            ("pointer", {"name": "current", "recipe_id": artifact, "moved_at": now}),
            (
                "example",
                {
                    "id": example,
                    "run_id": run,
                    "fact_id": fact_id,
                    "split": "exam",
                    "kind": "question",
                    "messages": [{"role": "user", "content": "?"}],
                    "accepted": ["Porto"],
                    "meta": {},
                },
            ),
            (
                "exam_answer",
                {
                    "run_id": run,
                    "example_id": example,
                    "condition": "both",
                    "answer": "Porto",
                    "is_right": True,
                },
            ),
            (
                "embedding",
                {
                    "owner_kind": "episode",
                    "owner_id": said,
                    "model": "m",
                    "width": 3,
                    "vector": np.arange(3, dtype=np.float32).tobytes(),
                },
            ),
        ]
        for kind, row in rows:
            session.execute(insert(Base.metadata.tables[kind]).values(space_id=world.space_id, **row))


def a_talk(person: str, conversation: str, said: str, fact_id: str, now: datetime) -> Rows:
    """A session of one turn that rested on a fact and claimed it."""
    talk, turn = new_id(), new_id()
    return [
        (
            "chat_session",
            {
                "id": talk,
                "person_id": person,
                "conversation_id": conversation,
                "kind": "reply",
                "began_at": now,
                "settings": {"temperature": 0.7},
                "engine": "embedded",
                "recipe": "a" * 64,
            },
        ),
        (
            "chat_turn",
            {
                "id": turn,
                "session_id": talk,
                "number": 1,
                "episode_id": said,
                "status": "corrected",
                "adapters": ["b" * 64],
                "seed": 2**40,
                "n_draws": 2,
                "objections": [{"guard": "claims", "reason": "another value"}],
                "seconds": 0.5,
                "deliberation": "they ask where I live",
            },
        ),
        ("turn_fact", {"turn_id": turn, "fact_id": fact_id, "place": "prompt"}),
        (
            "claim",
            {
                "person_id": person,
                "episode_id": said,
                "subject_id": person,
                "subject": "Ana Reis",
                "predicate": "lives_in",
                "object": "Lagos",
                "object_key": "lagos",
                "basis": "fact",
                "fact_id": fact_id,
                "said_at": now,
            },
        ),
    ]


def world_node(session: Any, space_id: str) -> str:
    from memory.people import get_or_create_node

    return get_or_create_node(session, space_id, "Ana R.", is_speaker=True)


@pytest.fixture
def full(world: Any) -> Any:
    fill_every_table(world)
    return world


@pytest.fixture(scope="session")
def whole(world_class: Any, migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An export with a record of every type but vectors, for damaging."""
    path = tmp_path_factory.mktemp("whole") / "graph.db"
    path.write_bytes(migrated.read_bytes())
    database = open_database(sqlite_url(path))
    world = world_class(database, ensure_space(database), Registry.load(), datetime(2026, 1, 1, tzinfo=UTC))
    fill_every_table(world)
    raw = exported(database, world.space_id)
    database.close()
    return raw


@pytest.fixture
def elsewhere(tmp_path: Path, migrated: Path) -> Iterator[Database]:
    """Another store, on disk."""
    path = tmp_path / "elsewhere.db"
    path.write_bytes(migrated.read_bytes())
    opened = open_database(sqlite_url(path))
    yield opened
    opened.close()


def exported(database: Database, space_id: str, **options: Any) -> bytes:
    file = io.BytesIO()
    dump(database, space_id, file, **options)
    return file.getvalue()


def as_objects(raw: bytes) -> Lines:
    return [json.loads(line) for line in raw.splitlines()]


def sealed(objects: Lines) -> bytes:
    """The lines with a trailer that fits them."""
    body = b"".join(records.line(row) for row in objects if row["type"] != "trailer")
    counts: dict[str, int] = {}
    for row in objects:
        if row["type"] not in ("header", "space", "trailer"):
            counts[row["type"]] = counts.get(row["type"], 0) + 1
    digest = hashlib.sha256(body).hexdigest()
    return body + records.line({"type": "trailer", "counts": counts, "sha256": digest})


def n_rows(database: Database) -> int:
    with database.reading() as session:
        return sum(
            session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
            if table.name != "space"
        )


def test_every_table_is_exported_or_left_out_on_purpose() -> None:
    known = {*records.TYPES, records.VECTORS, records.SPACE} | records.LEFT_OUT
    assert known == set(Base.metadata.tables)


def test_no_type_comes_before_what_it_refers_to() -> None:
    for position, kind in enumerate(records.TYPES):
        wanted = {key.column.table.name for key in records.table(kind).foreign_keys} - {"space"}
        assert wanted <= set(records.TYPES[:position])


def test_an_export_holds_every_type_and_the_loaded_space_exports_the_same_bytes(
    full: Any, elsewhere: Database
) -> None:
    first = exported(full.database, full.space_id, vectors=True)
    rows = as_objects(first)
    assert {row["type"] for row in rows} == {"header", "space", "trailer", "embedding", *records.TYPES}
    (vector,) = (row["vector"] for row in rows if row["type"] == "embedding")
    assert np.frombuffer(base64.b64decode(vector), np.float32).tolist() == [0, 1, 2]
    report = load(elsewhere, ensure_space(elsewhere), io.BytesIO(first), "x.jsonl")
    assert exported(elsewhere, ensure_space(elsewhere), vectors=True) == first
    assert report.counts == rows[-1]["counts"]


def test_a_load_into_each_kind_of_store_gives_the_same_bytes(
    world: Any, elsewhere: Database, world_class: Any
) -> None:
    other = world_class(elsewhere, ensure_space(elsewhere), world.registry, world.now)
    fill_every_table(other)
    first = exported(elsewhere, other.space_id, vectors=True)
    load(world.database, world.space_id, io.BytesIO(first), "x.jsonl")
    assert exported(world.database, world.space_id, vectors=True) == first


def test_a_loaded_ledger_that_was_tampered_with_is_told(whole: bytes, elsewhere: Database) -> None:
    objects = as_objects(whole)
    next(row for row in objects if row["type"] == "ledger")["payload"] = {"fact": "another"}
    report = load(elsewhere, ensure_space(elsewhere), io.BytesIO(sealed(objects)), "x.jsonl")
    assert report.ledger_breaks == ("ledger entry 1 was changed after it was written",)


def test_the_loaded_space_answers_alike_and_its_ledger_goes_on(
    full: Any, elsewhere: Database, world_class: Any
) -> None:
    space_id = ensure_space(elsewhere)
    report = load(elsewhere, space_id, io.BytesIO(exported(full.database, full.space_id)), "x.jsonl")
    assert report.counts["ledger"] > 0
    assert report.ledger_breaks == ()
    other = world_class(elsewhere, space_id, full.registry, full.now)
    assert other.facts() == full.facts()
    other.store("Faro", 90, change="update")
    assert ledger.verify(elsewhere, space_id) == []


def test_a_simulated_message_is_marked_as_such(whole: bytes) -> None:
    simulated = [
        row for row in as_objects(whole) if row["type"] == "episode" and row["origin"] == "simulated"
    ]
    assert [row["text"] for row in simulated] == ['a "quoted" line\nwith é, 日本, 🧵 and \u2028']


def test_vectors_come_only_when_asked_for(whole: bytes) -> None:
    assert not any(row["type"] == "embedding" for row in as_objects(whole))


def test_an_empty_space_makes_the_round_trip(database: Database, elsewhere: Database, now: datetime) -> None:
    first = exported(database, ensure_space(database, timezone="Europe/Lisbon", clock=lambda: now))
    load(elsewhere, ensure_space(elsewhere), io.BytesIO(first), "x.jsonl")
    assert exported(elsewhere, ensure_space(elsewhere)) == first


def test_the_time_zone_comes_with_the_space_and_the_name_does_not(
    database: Database, elsewhere: Database
) -> None:
    first = exported(database, ensure_space(database, "home", timezone="Asia/Tokyo"))
    space_id = ensure_space(elsewhere, "copy")
    load(elsewhere, space_id, io.BytesIO(first), "x.jsonl")
    with elsewhere.reading() as session:
        space = session.get_one(Space, space_id)
    assert (space.name, space.timezone) == ("copy", "Asia/Tokyo")


def test_a_space_that_holds_something_is_refused(full: Any) -> None:
    first = exported(full.database, full.space_id)
    with pytest.raises(SpaceInUse, match="--space"):
        load(full.database, full.space_id, io.BytesIO(first), "x.jsonl")
    assert exported(full.database, full.space_id) == first


def test_a_space_holds_only_its_own_and_takes_none_of_another_in_the_same_store(full: Any) -> None:
    first = exported(full.database, full.space_id)
    other = ensure_space(full.database, "other")
    bare = exported(full.database, other)
    assert [row["type"] for row in as_objects(bare)] == ["header", "space", "trailer"]
    with pytest.raises(BrokenExport, match="line 3: its id is taken by another space"):
        load(full.database, other, io.BytesIO(first), "x.jsonl")
    assert exported(full.database, other) == bare


def test_a_newer_format_is_refused(elsewhere: Database) -> None:
    file = io.BytesIO(b'{"type":"header","format":"slowwave","version":3}\n')
    with pytest.raises(NewerFormat, match="version 3"):
        load(elsewhere, ensure_space(elsewhere), file, "x.jsonl")


@pytest.mark.parametrize(
    "raw",
    [b"", b"\n", b"hello\n", b"\xff\xfe\n", b"[1]\n", b'{"type":"entity"}\n', b"\0\0\0", b"[" * 100_000],
)
def test_a_file_of_another_kind_is_sent_to_import(elsewhere: Database, raw: bytes) -> None:
    with pytest.raises(WrongEntrance, match="slowwave import"):
        load(elsewhere, ensure_space(elsewhere), io.BytesIO(raw), "x.jsonl")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.999])
def test_a_cut_file_changes_nothing_and_says_where(whole: bytes, elsewhere: Database, share: float) -> None:
    cut = whole[: int(len(whole) * share)]
    number = cut.count(b"\n") + (not cut.endswith(b"\n"))
    space_id = ensure_space(elsewhere)
    with pytest.raises((BrokenExport, WrongEntrance), match=f"line {number}: it breaks off|slowwave import"):
        load(elsewhere, space_id, io.BytesIO(cut), "x.jsonl")
    assert n_rows(elsewhere) == 0


def test_a_file_cut_at_a_line_end_says_after_which(whole: bytes, elsewhere: Database) -> None:
    pieces = whole.splitlines(keepends=True)
    with pytest.raises(BrokenExport, match=f"line {len(pieces) - 1}: it breaks off after this line"):
        load(elsewhere, ensure_space(elsewhere), io.BytesIO(b"".join(pieces[:-1])), "x.jsonl")
    assert n_rows(elsewhere) == 0


def test_one_changed_letter_is_noticed(whole: bytes, elsewhere: Database) -> None:
    raw = whole.replace(b'"Porto"', b'"Qorto"', 1)
    with pytest.raises(BrokenExport, match="sha256"):
        load(elsewhere, ensure_space(elsewhere), io.BytesIO(raw), "x.jsonl")
    assert n_rows(elsewhere) == 0


def _set(kind: str, **values: Any) -> Callable[[Lines], None]:
    def change(objects: Lines) -> None:
        next(row for row in objects if row["type"] == kind).update(values)

    return change


def _without(kind: str, key: str) -> Callable[[Lines], None]:
    def change(objects: Lines) -> None:
        del next(row for row in objects if row["type"] == kind)[key]

    return change


def _twice(kind: str) -> Callable[[Lines], None]:
    def change(objects: Lines) -> None:
        position = next(i for i, row in enumerate(objects) if row["type"] == kind)
        objects.insert(position + 1, objects[position])

    return change


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        ("episode", _set("episode", text=7), "text is no text"),
        ("episode", _set("episode", text="a\0b"), "text holds a character"),
        ("episode", _set("episode", text="half \ud83d"), "text holds a character"),
        ("episode", _set("episode", time="yesterday"), "time is no time"),
        ("episode", _set("episode", time="2025-01-01T00:00:00"), "time is a time without a zone"),
        ("episode", _set("episode", is_edited=1), "is_edited is not true or false"),
        ("episode", _set("episode", position=2**70), "position is no whole number"),
        ("episode", _set("episode", position=True), "position is no whole number"),
        ("episode", _set("episode", source_id="nowhere"), "refers to"),
        ("episode", _set("episode", mood="?"), "episode has no mood"),
        ("episode", _set("episode", speaker_id=None), "speaker_id is null"),
        ("episode", _set("episode", key="k" * 65), "key is longer than 64"),
        ("episode", _without("episode", "text"), "episode lacks text"),
        ("episode", _twice("episode"), "its id was there before"),
        ("fact", _set("fact", confidence="high"), "confidence is no number"),
        ("fact", _set("fact", confidence=float("nan")), "confidence is no finite number"),
        ("artifact", _set("artifact", path="../../etc/passwd"), "path leads out"),
        ("artifact", _set("artifact", path="/etc/passwd"), "path leads out"),
        ("artifact", _set("artifact", path="c:\\x"), "path leads out"),
        ("node", _set("node", type="dragon"), "records of type 'dragon'"),
        ("node", _set("node", name="n" * 256), "name is longer than 255"),
    ],
)
def test_a_damaged_record_is_refused_with_its_line(
    whole: bytes, elsewhere: Database, kind: str, change: Callable[[Lines], None], why: str
) -> None:
    objects = as_objects(whole)
    number = next(i for i, row in enumerate(objects, start=1) if row["type"] == kind)
    change(objects)
    with pytest.raises(BrokenExport, match=rf"line ({number}|{number + 1}): .*({why})"):
        load(elsewhere, ensure_space(elsewhere), io.BytesIO(sealed(objects)), "x.jsonl")
    assert n_rows(elsewhere) == 0


def test_a_column_that_an_older_file_lacks_gets_its_default(whole: bytes, elsewhere: Database) -> None:
    objects = as_objects(whole)
    for row in objects:
        if row["type"] == "fact":
            del row["stated_to"], row["is_contested"]
    load(elsewhere, ensure_space(elsewhere), io.BytesIO(sealed(objects)), "x.jsonl")
    with elsewhere.reading() as session:
        assert set(session.execute(select(Fact.stated_to, Fact.is_contested)).all()) == {(None, False)}


def test_a_text_of_10_megabytes_makes_the_round_trip(
    one_store: Database, elsewhere: Database, world_class: Any, now: datetime
) -> None:
    words = "tide 🌊\n" * (10 * 2**20 // 10)
    world = world_class(one_store, ensure_space(one_store), Registry.load(), now)
    world.say("Ana Reis", 1, text=words)
    first = exported(world.database, world.space_id)
    load(elsewhere, ensure_space(elsewhere), io.BytesIO(first), "x.jsonl")
    with elsewhere.reading() as session:
        assert session.scalar(select(Episode.text)) == words


def test_progress_ends_at_the_total(full: Any, elsewhere: Database) -> None:
    seen: list[tuple[int, int]] = []
    raw = b"".join(
        lines(full.database, full.space_id, progress=lambda done, total, note="": seen.append((done, total)))
    )
    assert seen[-1][0] == seen[-1][1] == len(raw.splitlines()) - 3
    load(
        elsewhere,
        ensure_space(elsewhere),
        io.BytesIO(raw),
        "x.jsonl",
        n_bytes=len(raw),
        progress=lambda done, total, note="": seen.append((done, total)),
    )
    assert seen[-1] == (len(raw), len(raw))
