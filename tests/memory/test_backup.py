"""Backups and their restoring, within one kind of store and from one to another."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import stat
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from db.copying import copied_tables
from db.engine import Database, open_database, sqlite_url
from db.errors import StoreUnusable
from db.tables import Change, Embedding, Episode, Node, SleepRun
from memory import ledger
from memory.artifacts import record_artifact
from memory.backup import back_up, known_backups
from memory.backup_parts import MANIFEST
from memory.episodes import append_turn
from memory.errors import BackupExists, BackupTooNew, BadBackup, GraphError, HomeInUse, HomeNotEmpty
from memory.people import get_or_create_node
from memory.restore import restore
from memory.spaces import ensure_space


@pytest.fixture
def home(world: Any, tmp_path: Path) -> Path:
    """A home with facts, decisions, a vector, a night under way and artifacts, of which one is a folder."""
    world.store("Porto", 1)
    world.store("Lisbon", 3, change="update")
    world.claim("a text\0with what no store holds \ud800", 4, predicate="likes")
    folder = tmp_path / "home"
    (folder / "adapters" / "a1").mkdir(parents=True)
    (folder / "adapters" / "a1" / "weights.safetensors").write_bytes(bytes(range(256)) * 5000)
    (folder / "adapters" / "a1" / "adapter.json").write_text("{}")
    (folder / "recipes").mkdir()
    (folder / "recipes" / "r1.json").write_text('{"r": 1}')
    with world.database.transaction() as session:
        for path in ("adapters/a1", "recipes/r1.json", "readouts/gone"):
            record_artifact(
                session, world.space_id, run_id=None, kind="adapter", path=path, sha256="0" * 64, meta={}
            )
        vector = np.random.default_rng(3).normal(size=384).astype("<f4")
        session.add(
            Embedding(
                owner_kind="fact",
                owner_id="f1",
                model="m",
                width=384,
                vector=vector.tobytes(),
                space_id=world.space_id,
            )
        )
        session.add(
            SleepRun(space_id=world.space_id, status="running", seed=1, settings={}, started_at=world.now)
        )
    return folder


@pytest.fixture
def archive(world: Any, home: Path, tmp_path: Path) -> Path:
    back_up(world.database, home, tmp_path / "backup.zip", clock=world.clock)
    return tmp_path / "backup.zip"


@pytest.fixture(params=["disk", "postgres"])
def target_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store to restore into, other than the one that was backed up."""
    if request.param == "disk":
        yield sqlite_url(tmp_path / "restored" / "graph.db")
        return
    with request.getfixturevalue("new_postgres")("template0") as url:
        yield url


on_disk = pytest.mark.parametrize("database", ["disk"], indirect=True)  # what is backed up does not matter


def rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.reading() as session:
        return {
            table.name: sorted(map(tuple, session.execute(select(*table.columns))), key=repr)
            for table in copied_tables()
            if table.name != SleepRun.__tablename__
        }


def files(home: Path) -> dict[str, bytes]:
    return {
        path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()
    }


def test_a_restored_home_holds_the_same_rows_and_files_on_any_store(
    world: Any, home: Path, archive: Path, target_url: str, tmp_path: Path
) -> None:
    report = restore(archive, tmp_path / "restored", target_url)
    opened = open_database(target_url)
    assert rows(opened) == rows(world.database)
    assert ledger.verify(opened, world.space_id) == []
    opened.close()
    restored = {
        name: data for name, data in files(tmp_path / "restored").items() if not name.startswith("graph.db")
    }
    assert [record.path for record in known_backups(tmp_path / "restored")] == [archive]
    assert restored.pop("backups.jsonl")
    assert restored == {name: data for name, data in files(home).items() if name != "backups.jsonl"}
    assert report.missing == ("readouts/gone",)
    assert report.made_at == world.now


@on_disk
def test_a_restored_store_goes_on_as_before(archive: Path, target_url: str, tmp_path: Path) -> None:
    restore(archive, tmp_path / "restored", target_url)
    opened = open_database(target_url)
    space_id = ensure_space(opened)
    with opened.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Change)) == 0
        assert session.scalars(select(SleepRun.status)).all() == ["failed"]  # nobody works on that night
        get_or_create_node(session, space_id, "Somebody New")
        ledger.append(session, space_id, "test", {})
    with opened.reading() as session:
        assert session.scalar(select(func.count()).select_from(Change)) == 1
    assert ledger.verify(opened, space_id) == []
    opened.close()


@on_disk
def test_a_backup_of_an_older_revision_is_migrated(
    world: Any, archive: Path, target_url: str, tmp_path: Path
) -> None:
    older = without_column(archive, tmp_path / "no-pins.zip", "fact", "pinned_at")
    older = without_column(older, tmp_path / "no-kinds.zip", "fact", "volatility")
    older = without_column(older, tmp_path / "no-ids.zip", "episode", "external_id")
    older = rewritten(older, tmp_path / "older.zip", lambda manifest: manifest.update(revision="0002"))
    if target_url.startswith("postgres"):  # 0003 drops the vectors of before there
        older = without_rows(older, tmp_path / "no-vectors.zip", "embedding")
    restore(older, tmp_path / "restored", target_url)
    opened = open_database(target_url)
    assert rows(opened)["fact"] == rows(world.database)["fact"]
    opened.close()


@on_disk
def test_a_backup_is_its_owners_alone_and_is_listed(world: Any, home: Path, archive: Path) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    (record,) = known_backups(home)
    assert (record.path, record.made_at) == (archive, world.now)
    assert stat.S_IMODE((home / "backups.jsonl").stat().st_mode) == 0o600


@on_disk
def test_a_backup_replaces_no_file(world: Any, home: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(BackupExists):
        back_up(world.database, home, tmp_path / "letter.txt")
    assert (tmp_path / "letter.txt").read_text() == "dear"
    assert known_backups(home) == []


@on_disk
def test_a_backup_that_fails_leaves_no_file_and_no_record(world: Any, home: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        back_up(world.database, home, tmp_path / "no" / "folder.zip")

    def full(done: int, total: int, note: str = "") -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(Exception, match=r"[Nn]o space"):
        back_up(world.database, home, tmp_path / "b.zip", progress=full)
    assert list(tmp_path.glob("b.zip*")) == []
    assert known_backups(home) == []


@on_disk
def test_a_home_that_holds_something_is_refused_and_kept(
    archive: Path, target_url: str, tmp_path: Path
) -> None:
    (tmp_path / "restored").mkdir()
    tell(target_url, "Zoe Lund")
    with pytest.raises(HomeNotEmpty, match="--force"):
        restore(archive, tmp_path / "restored", target_url)
    assert people(target_url) == ["Zoe Lund"]
    restore(archive, tmp_path / "restored", target_url, force=True)
    assert people(target_url) == ["Ana Reis", "Ben Ode"]


def tell(url: str, name: str) -> None:
    opened = open_database(url)
    space_id = ensure_space(opened)
    with opened.transaction() as session:
        get_or_create_node(session, space_id, name)
    opened.close()


def people(url: str) -> list[str]:
    opened = open_database(url)
    with opened.reading() as session:
        names = sorted(session.scalars(select(Node.name).where(Node.kind == "person")))
    opened.close()
    return names


@on_disk
def test_force_replaces_artifacts_and_indexes_and_keeps_settings(archive: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for name in ("adapters/old/w.bin", "recipes/r1.json", "index/x/a.col", "config.toml", "cache/base.bin"):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text("of before")
    restore(archive, other, sqlite_url(other / "graph.db"), force=True)
    assert sorted(files(other)) == [
        "adapters/a1/adapter.json",
        "adapters/a1/weights.safetensors",
        "backups.jsonl",
        "cache/base.bin",
        "config.toml",
        "graph.db",
        "recipes/r1.json",
    ]
    assert (other / "recipes/r1.json").read_text() == '{"r": 1}'


@on_disk
def test_a_store_that_somebody_has_open_is_not_replaced(
    archive: Path, target_url: str, tmp_path: Path
) -> None:
    home = tmp_path / "restored"
    (home / "recipes").mkdir(parents=True)
    (home / "recipes/r1.json").write_text("of before")
    opened = open_database(target_url)
    space_id = ensure_space(opened)
    with pytest.raises(HomeInUse, match="stop it"):
        restore(archive, home, target_url, force=True)
    assert ensure_space(opened) == space_id
    opened.close()
    assert {name for name in files(home) if "graph.db" not in name} == {"recipes/r1.json"}
    assert (home / "recipes/r1.json").read_text() == "of before"


@on_disk
def test_an_error_at_the_last_moment_brings_everything_back(
    archive: Path, target_url: str, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (other / "recipes").mkdir(parents=True)
    (other / "recipes/r1.json").write_text("of before")
    (other / "adapters").write_text("a file where a folder has to be")
    (tmp_path / "restored").mkdir()
    tell(target_url, "Zoe Lund")
    with pytest.raises(OSError, match="adapters"):
        restore(archive, other, target_url, force=True)
    assert files(other) == {"recipes/r1.json": b"of before", "adapters": b"a file where a folder has to be"}
    assert people(target_url) == ["Zoe Lund"]


def restore_and_die(archive: Path, home: Path, url: str, step: str) -> None:
    def die(done: int, total: int, note: str = "") -> None:
        if note == step and done == total:
            os.kill(os.getpid(), signal.SIGKILL)

    restore(archive, home, url, force=True, progress=die)


@on_disk
def test_a_restore_that_is_killed_leaves_what_was_there_and_can_be_done_again(
    archive: Path, target_url: str, tmp_path: Path
) -> None:
    home = tmp_path / "restored"
    (home / "recipes").mkdir(parents=True)
    (home / "recipes/r1.json").write_text("of before")
    tell(target_url, "Zoe Lund")
    child = multiprocessing.get_context("spawn").Process(
        target=restore_and_die, args=(archive, home, target_url, "rows")
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert people(target_url) == ["Zoe Lund"]
    assert (home / "recipes/r1.json").read_text() == "of before"
    restore(archive, home, target_url, force=True)
    assert people(target_url) == ["Ana Reis", "Ben Ode"]
    assert not [name for name in files(home) if "restoring" in name]


@on_disk
def test_a_server_out_of_reach_is_no_home_that_holds_something(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable):
        restore(archive, tmp_path / "other", f"postgresql://ana@/graph?host={tmp_path}")


def rewritten(archive: Path, target: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of the archive whose manifest was changed."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == MANIFEST:
                manifest = json.loads(data)
                change(manifest)
                data = json.dumps(manifest).encode()
            new.writestr(name, data)
    return target


def without_rows(archive: Path, target: Path, table: str) -> Path:
    def drop(manifest: dict[str, Any]) -> None:
        manifest["tables"] = [part for part in manifest["tables"] if part["name"] != table]

    rewritten(archive, target, drop)
    with zipfile.ZipFile(target) as old, zipfile.ZipFile(target.with_suffix(".z"), "w") as new:
        for name in old.namelist():
            if name != f"tables/{table}.jsonl":
                new.writestr(name, old.read(name))
    return target.with_suffix(".z")


def without_column(archive: Path, target: Path, table: str, column: str) -> Path:
    """A copy of the archive as it was before the table had that column."""
    with zipfile.ZipFile(archive) as old:
        manifest = json.loads(old.read(MANIFEST))
        part = next(part for part in manifest["tables"] if part["name"] == table)
        place = [name for name, _ in part["columns"]].index(column)
        del part["columns"][place]
        rows_left = [json.loads(line) for line in old.read(f"tables/{table}.jsonl").splitlines()]
        for row in rows_left:
            del row[place]
        lines = b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows_left)
        part["sha256"] = hashlib.sha256(lines).hexdigest()
        with zipfile.ZipFile(target, "w") as new:
            for name in old.namelist():
                changed = {MANIFEST: json.dumps(manifest).encode(), f"tables/{table}.jsonl": lines}
                new.writestr(name, changed.get(name) or old.read(name))
    return target


def cut_short(archive: Path, target: Path) -> Path:
    target.write_bytes(archive.read_bytes()[:-300])
    return target


def with_a_flipped_bit(archive: Path, target: Path) -> Path:
    data = bytearray(archive.read_bytes())
    for at in range(len(data) // 3, len(data) // 3 + 200):  # wider than what a zip's reader passes over
        data[at] ^= 4
    target.write_bytes(data)
    return target


def a_letter(archive: Path, target: Path) -> Path:
    target.write_text("Dear Ana, this is no backup.")
    return target


def another_zip(archive: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as made:
        made.writestr("photo.jpg", b"\xff\xd8")
    return target


def with_other_rows(archive: Path, target: Path) -> Path:
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"Porto", b"Paris"))
    return target


def out_of_the_home(archive: Path, target: Path) -> Path:
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == MANIFEST:
                data = data.replace(b"recipes/r1.json", b"recipes/../../x.json")
            new.writestr(name.replace("recipes/r1.json", "recipes/../../x.json"), data)
    return target


def from_the_future(archive: Path, target: Path) -> Path:
    return rewritten(archive, target, lambda manifest: manifest.update(revision="9999"))


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (cut_short, BadBackup),
        (with_a_flipped_bit, BadBackup),
        (a_letter, BadBackup),
        (another_zip, BadBackup),
        (with_other_rows, BadBackup),
        (out_of_the_home, BadBackup),
        (from_the_future, BackupTooNew),
    ],
)
@on_disk
def test_a_damaged_backup_is_refused_in_one_line_with_nothing_changed(
    damage: Callable[[Path, Path], Path], error: type[GraphError], archive: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    with pytest.raises(error) as caught:
        restore(damage(archive, tmp_path / "damaged.zip"), other, sqlite_url(other / "graph.db"))
    assert "\n" not in str(caught.value)
    assert not other.exists()


def keep_writing(url: str, go: Event, stop: Event) -> None:
    """Turns of a chat, each with a person of its own and a ledger entry, until told to stop."""
    opened = open_database(url)
    space_id = ensure_space(opened)
    number = 0
    while not stop.is_set():
        number += 1
        with opened.transaction() as session:
            name = f"Writer Number{os.getpid()}x{number}"
            node_id = get_or_create_node(session, space_id, name, is_speaker=True)
            ledger.append(session, space_id, "test", {"number": number})
        append_turn(
            opened,
            space_id,
            conversation="live",
            speaker_id=node_id,
            text=f"turn {number}",
            origin="observed",
            time=datetime(2026, 1, 1, tzinfo=UTC),
        )
        if number == 5:
            go.set()
    opened.close()


@pytest.mark.parametrize("n_writers", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_backup_beside_busy_writers_is_one_moment_of_them(
    n_writers: int, shared_url: str, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    go, stop = context.Event(), context.Event()
    writers = [
        context.Process(target=keep_writing, args=(shared_url, go, stop), daemon=True)  # ends with us
        for _ in range(n_writers)
    ]
    for writer in writers:
        writer.start()
    assert go.wait(60 * n_writers)
    opened = open_database(shared_url)
    (tmp_path / "home").mkdir()
    for number in range(4):
        back_up(opened, tmp_path / "home", tmp_path / f"{number}.zip")
    stop.set()
    for writer in writers:
        writer.join(60)
    space_id = ensure_space(opened)
    opened.close()
    assert [writer.exitcode for writer in writers] == [0] * n_writers
    sizes = []
    for number in range(4):
        folder = tmp_path / f"restored-{number}"
        restore(tmp_path / f"{number}.zip", folder, sqlite_url(folder / "graph.db"))
        restored = open_database(sqlite_url(folder / "graph.db"))
        assert ledger.verify(restored, space_id) == []
        with restored.reading() as session:
            n_people, n_turns = (
                session.scalar(select(func.count()).select_from(item)) for item in (Node, Episode)
            )
            assert len(ledger.entries(restored, space_id, 10_000)) == n_people
            assert (
                0 <= n_people - n_turns <= n_writers
            )  # the person of a turn comes one transaction before it
            sizes.append(n_turns)
        restored.close()
    assert sizes == sorted(sizes)
