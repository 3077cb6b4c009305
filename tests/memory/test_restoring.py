"""A restore that is killed at its last step, backups that are cut off or overtaken by an erasure, and files that lie."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from db.engine import Database, open_database, sqlite_url
from db.tables import Node, Token
from memory import backup, erasure, kept_lines, restoring
from memory.artifacts import record_artifact
from memory.backup import KeptSettings, back_up, cut_off, known_backups
from memory.backup_parts import STAGING
from memory.erasure import Target
from memory.erasure.files import backups_that_hold
from memory.errors import BackupExists, BackupNotProved, BadBackup, BeingRestored, ErasedMeanwhile
from memory.restore import restore
from memory.spaces import ensure_space

N_FILES = 6


@pytest.fixture(params=["disk"])
def database(tmp_path: Path, migrated: Path) -> Iterator[Database]:
    """One kind is enough here; test_backup has the others."""
    path = tmp_path / "made" / "graph.db"
    path.parent.mkdir()
    path.write_bytes(migrated.read_bytes())
    opened = open_database(sqlite_url(path))
    yield opened
    opened.close()


@pytest.fixture
def home(world: Any, tmp_path: Path) -> Path:
    """A home with a fact and a few recipes."""
    world.store("Porto", 1)
    folder = tmp_path / "made"
    (folder / "recipes").mkdir()
    with world.database.transaction() as session:
        for number in range(N_FILES):
            path = f"recipes/{number}.json"
            (folder / path).write_text(f"of the backup {number}")
            record_artifact(
                session, world.space_id, run_id=None, kind="recipe", path=path, sha256="0", meta={}
            )
    return folder


@pytest.fixture
def archive(world: Any, home: Path, tmp_path: Path) -> Path:
    settings = KeptSettings({"config.toml": b"keeper = 'Ana'\n"}, ("database_url",))
    back_up(world.database, home, tmp_path / "b.zip", settings, clock=lambda: world.now)
    return tmp_path / "b.zip"


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A home that holds something else."""
    folder = tmp_path / "full"
    (folder / "recipes").mkdir(parents=True)
    (folder / "recipes" / "old.json").write_text("of before")
    (folder / "recipes" / "0.json").write_text("of before")
    database = open_database(sqlite_url(folder / "graph.db"))
    ensure_space(database, "of before")
    database.close()
    return folder


def files(home: Path) -> dict[str, str]:
    found = (home / "recipes").rglob("*")
    return {path.name: path.read_text() for path in found if path.is_file()}


def killed(do: Callable[..., None], *given: Any) -> None:
    """Do it in a child that kills itself."""
    context = multiprocessing.get_context("forkserver")  # its children start at once
    context.set_forkserver_preload([__name__])
    child = context.Process(target=do, args=given)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL


def restore_and_die(archive: Path, home: Path, n_left: int) -> None:
    """Killed right after the swap and the n-th file of it; with -1 right before the swap."""
    if n_left < 0:
        os.replace = die
    put, left = restoring._put, [n_left]

    def counted(source: Path, target: Path) -> None:
        if left[0] == 0:
            die()
        left[0] -= 1
        put(source, target)

    restoring._put = counted
    restore(archive, home, sqlite_url(home / "graph.db"), force=True)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("n_left", [-1, 3])
def test_a_restore_killed_around_its_swap_is_nothing_or_all(archive: Path, full: Path, n_left: int) -> None:
    killed(restore_and_die, archive, full, n_left)
    url = sqlite_url(full / "graph.db")
    restoring.settle(full, url)
    opened = open_database(url)
    with opened.reading() as session:
        people = session.scalars(select(Node.name).where(Node.kind == "person")).all()
    opened.close()
    if n_left < 0:
        assert people == []
        assert files(full) == {"old.json": "of before", "0.json": "of before"}
    else:
        assert "Ana Reis" in people
        assert files(full) == {f"{number}.json": f"of the backup {number}" for number in range(N_FILES)}
        assert (full / "config.toml").read_text() == "keeper = 'Ana'\n"
    assert not (full / STAGING).exists()
    assert not list(full.glob("graph.db.restoring*"))


def test_a_home_that_is_being_restored_is_not_opened(archive: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    url = sqlite_url(other / "graph.db")

    def look(done: int, total: int, note: str = "") -> None:
        if note == "rows":
            with pytest.raises(BeingRestored, match="wait"):
                restoring.settle(other, url)

    restore(archive, other, url, progress=look)
    restoring.settle(other, url)


def test_a_restored_home_names_the_backups_that_it_comes_from(archive: Path, tmp_path: Path) -> None:
    report = restore(archive, tmp_path / "other", sqlite_url(tmp_path / "other" / "graph.db"))
    assert [record.path for record in backups_that_hold(tmp_path / "other")] == [archive]
    assert report.left_out == ("database_url",)


def test_no_token_of_a_backup_opens_the_store_again(world: Any, home: Path, tmp_path: Path) -> None:
    with world.database.transaction() as session:
        session.add(Token(name="phone", sha256="0" * 64, scopes=["read"], created_at=world.now))
    file, other = tmp_path / "with-token.zip", tmp_path / "other"
    back_up(world.database, home, file)
    restore(file, other, sqlite_url(other / "graph.db"))
    opened = open_database(sqlite_url(other / "graph.db"))
    with opened.reading() as session:
        assert session.scalars(select(Token.revoked_at)).one() is not None
    opened.close()


def test_what_an_erasure_overtakes_is_made_again(world: Any, home: Path, tmp_path: Path) -> None:
    erased: list[str] = []

    def erase_once(done: int, total: int, note: str = "") -> None:
        if note == "files" and not erased:
            erased.append("Ana Reis")
            target = Target("person", world.person("Ana Reis"))
            erasure.erase(world.database, world.space_id, home, target, world.registry)

    back_up(world.database, home, tmp_path / "b.zip", progress=erase_once)
    with zipfile.ZipFile(tmp_path / "b.zip") as made:
        assert b"Ana Reis" not in b"".join(made.read(name) for name in made.namelist())
    assert [record.path.exists() for record in known_backups(home)] == [True, True]  # the same name twice


def test_a_backup_gives_up_where_somebody_erases_on_and_on(
    world: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(100))
    monkeypatch.setattr(backup, "_n_erasures", lambda database: next(numbers))
    with pytest.raises(ErasedMeanwhile):
        back_up(world.database, home, tmp_path / "b.zip")
    assert list(tmp_path.glob("b.zip*")) == []


def back_up_and_die(url: str, home: Path, target: Path) -> None:
    back_up(open_database(url), home, target, progress=lambda done, total, note="": note == "files" and die())


def test_a_backup_that_was_killed_is_on_record_and_made_again(world: Any, home: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.zip"
    killed(back_up_and_die, world.database.url, home, target)
    assert cut_off(home) == [tmp_path / "b.zip.part"]
    assert known_backups(home) == []
    back_up(world.database, home, target)
    assert cut_off(home) == []
    assert target.exists()


def test_an_erasure_takes_what_a_cut_off_backup_left(world: Any, home: Path, tmp_path: Path) -> None:
    record = backup.BackupRecord(tmp_path / "b.zip.part", world.now, "")
    kept_lines.append(home / backup.RECORDS_NAME, backup.line_of(record))
    (tmp_path / "b.zip.part").write_text("Ana Reis said")
    target = Target("person", world.person("Ana Reis"))
    outcome = erasure.erase(world.database, world.space_id, home, target, world.registry)
    assert outcome.scan.is_clean
    assert not (tmp_path / "b.zip.part").exists()


def test_one_backup_is_written_by_one_process(world: Any, home: Path, tmp_path: Path) -> None:
    def again(done: int, total: int, note: str = "") -> None:
        if note == "files":
            assert cut_off(home) == []
            with pytest.raises(BackupExists):
                back_up(world.database, home, tmp_path / "b.zip")

    back_up(world.database, home, tmp_path / "b.zip", progress=again)
    assert (tmp_path / "b.zip").exists()


def test_a_disk_that_gives_back_something_else_is_noticed(
    world: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = backup._hash_file

    def rot(file: Any) -> tuple[str, int]:
        found = whole(file)
        file.seek(found[1] // 2)
        file.write(b"\0" * 300)
        file.flush()
        return found

    monkeypatch.setattr(backup, "_hash_file", rot)
    with pytest.raises(BackupNotProved, match="another"):
        back_up(world.database, home, tmp_path / "b.zip")
    assert list(tmp_path.glob("b.zip*")) == []


def test_a_file_that_would_fill_the_disk_is_refused(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as grown:
        grown.writestr("files/recipes/bomb.json", b"\0" * (64 << 20))
    assert archive.stat().st_size < 1 << 20
    with pytest.raises(BadBackup, match="inflate"):
        restore(archive, tmp_path / "other", sqlite_url(tmp_path / "other" / "graph.db"))
    assert not (tmp_path / "other").exists()


def test_settings_outside_of_a_home_are_refused(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(tmp_path / "bad.zip", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "manifest.json":
                manifest = json.loads(data)
                manifest["settings"][0]["path"] = "../config.toml"
                data = json.dumps(manifest).encode()
            new.writestr(name.replace("settings/config", "settings/../config"), data)
    with pytest.raises(BadBackup, match="settings"):
        restore(tmp_path / "bad.zip", tmp_path / "other", sqlite_url(tmp_path / "other" / "graph.db"))
