"""Encrypted homes: sealed on the disk, whole in memory, taken over after a kill, refused where they were changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from db import sealing
from db.engine import open_database, sqlite_url
from db.errors import StoreSealed, StoreUnusable
from memory import whole
from memory.errors import BrokenSeal, NoMemoryFolder, WrongKey
from memory.sealed import homes
from memory.sealed.keys import HomeKey

KEY = HomeKey(b"k" * 32)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    homes.make(tmp_path / "home", KEY)
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    yield
    assert homes._open == {}


def opened(place: Path, key: HomeKey = KEY) -> homes.OpenHome:
    return homes.open_home(place, key, homes.memory_folder())


def holds(place: Path, words: bytes) -> bool:
    return any(words in path.read_bytes() for path in place.rglob("*") if path.is_file())


def sealed(place: Path) -> list[Path]:
    return sorted((place / "sealed").glob("??/*"))


def test_files_are_there_while_it_is_open_and_sealed_when_it_is_not(place: Path) -> None:
    home = opened(place)
    (home.home / "runs" / "secretrun").mkdir(parents=True)
    (home.home / "runs" / "secretrun" / "log.txt").write_text("zanzibarine")
    assert home.home.stat().st_mode & 0o777 == 0o700
    assert not holds(place, b"zanzibarine")
    where = home.home
    homes.close_home(home)
    assert not where.exists()
    assert not holds(place, b"zanzibarine")
    assert not any("secretrun" in str(path) for path in place.rglob("*"))
    again = opened(place)
    assert (again.home / "runs" / "secretrun" / "log.txt").read_text() == "zanzibarine"
    homes.close_home(again)


def test_a_whole_file_is_on_the_disk_when_its_writer_returns(place: Path, tmp_path: Path) -> None:
    home = opened(place)
    whole.write_text(home.home / "recipes" / "a.json", "zanzibarine")
    with whole.whole_folder(home.home / "adapters" / "b") as part:
        (part / "weights").write_bytes(b"w" * 3_000_000)
    copied = shutil.copytree(place, tmp_path / "after a power cut")
    homes.close_home(home)
    again = opened(copied)
    assert (again.home / "recipes" / "a.json").read_text() == "zanzibarine"
    assert (again.home / "adapters" / "b" / "weights").read_bytes() == b"w" * 3_000_000
    homes.close_home(again)


def test_nothing_is_sealed_again_that_did_not_change(place: Path) -> None:
    home = opened(place)
    (home.home / "index").mkdir()
    (home.home / "index" / "units.col").write_bytes(b"12345")
    (home.home / "note").write_text("x")
    homes.close_home(home)
    before = {path: path.stat().st_ino for path in sealed(place)}
    assert len(before) == 2
    homes.close_home(opened(place))
    assert {path: path.stat().st_ino for path in sealed(place)} == before


def test_what_was_removed_for_good_is_gone_from_the_disk_at_once(place: Path) -> None:
    home = opened(place)
    whole.write_text(home.home / "runs" / "a" / "report.html", "words")
    whole.write_text(home.home / "runs" / "b" / "report.html", "words")
    shutil.rmtree(home.home / "runs" / "a")
    whole.drop(home.home / "runs")
    assert len(sealed(place)) == 1
    homes.close_home(home)


def test_a_small_store_is_sealed_as_its_rows_are_with_its_log(place: Path) -> None:
    home = opened(place)
    with closing(sqlite3.connect(home.home / "spending.db")) as store:
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("CREATE TABLE spent(n)")
        store.execute("INSERT INTO spent VALUES (7)")
        store.commit()
        home.sync()
    homes.close_home(home)
    again = opened(place)
    with closing(sqlite3.connect(again.home / "spending.db")) as store:
        assert store.execute("SELECT n FROM spent").fetchone() == (7,)
    homes.close_home(again)


def test_temporary_files_lie_in_memory_too(place: Path) -> None:
    before = tempfile.gettempdir()
    home = opened(place)
    child = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
    for said in (tempfile.gettempdir(), subprocess.check_output(child, text=True).strip()):
        assert Path(said).is_relative_to(home.home)
    homes.close_home(home)
    assert tempfile.gettempdir() == before


def test_a_variable_is_hidden_from_children_while_it_is_open(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_OF_A_TEST", "secret")
    home = opened(place)
    home.hide("KEY_OF_A_TEST")
    assert "secret" not in subprocess.check_output(["env"], text=True)
    homes.close_home(home)
    assert os.environ["KEY_OF_A_TEST"] == "secret"


KILLED = """
import os, signal, sys
from pathlib import Path
from memory.sealed import homes
from memory.sealed.keys import HomeKey
home = homes.open_home(Path(sys.argv[1]), HomeKey(b"k" * 32), homes.memory_folder())
(home.home / "metrics.jsonl").write_text("not sealed yet")
print(home.home, flush=True)
if sys.argv[2] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
homes.close_home(home)
"""


def another_process(place: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KILLED, str(place), how]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_what_a_killed_process_left_in_memory_is_taken_over(place: Path, tmp_path: Path) -> None:
    with another_process(place, "kill") as killed:
        left = Path(killed.communicate()[0].strip())
    assert left.is_dir()
    copied = shutil.copytree(place, tmp_path / "a copy")
    other = opened(copied)  # lies elsewhere: what is left is none of its own
    assert other.home != left
    homes.close_home(other)
    home = opened(place)
    assert home.home == left
    assert (home.home / "metrics.jsonl").read_text() == "not sealed yet"
    homes.close_home(home)
    assert not left.exists()


def test_two_processes_share_what_is_open_and_the_last_one_seals_it(place: Path) -> None:
    with another_process(place, "wait") as other:
        assert other.stdout is not None
        where = Path(other.stdout.readline().strip())
        home = opened(place)
        assert home.home == where
        (home.home / "mine").write_text("of the first to go")
        homes.close_home(home)
        assert where.is_dir()
        other.communicate()
    assert not where.exists()
    again = opened(place)
    assert (again.home / "mine").read_text() == "of the first to go"
    assert (again.home / "metrics.jsonl").exists()
    homes.close_home(again)


def test_it_is_open_until_whoever_opened_it_last_has_closed_it(place: Path) -> None:
    first, second = opened(place), opened(place)
    assert first is second
    homes.close_home(first)
    (second.home / "note").write_text("x")
    assert homes.place_of(second.home) == place
    homes.close_home(second)
    assert homes.place_of(second.home) == second.home


def test_another_key_opens_nothing_and_touches_nothing(place: Path) -> None:
    home = opened(place)
    (home.home / "note").write_text("x")
    homes.close_home(home)
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    with pytest.raises(WrongKey, match="was encrypted with another key"):
        opened(place, HomeKey(b"x" * 32))
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_a_changed_moved_or_damaged_file_keeps_the_home_shut(place: Path) -> None:
    home = opened(place)
    (home.home / "one").write_text("1")
    (home.home / "two").write_text("2")
    homes.close_home(home)
    first, second = sealed(place)
    kept = first.read_bytes()
    for content in (kept[:-1], kept[:60] + bytes([kept[60] ^ 1]) + kept[61:], second.read_bytes()):
        first.write_bytes(content)
        with pytest.raises(BrokenSeal, match=f"sealed/{first.parent.name}/{first.name} is damaged"):
            opened(place)
    first.write_bytes(kept)
    homes.close_home(opened(place))
    (place / homes.MARKER).write_text("{}")
    with pytest.raises(BrokenSeal, match=r"encrypted\.json is damaged"):
        opened(place)


def test_its_store_opens_with_the_key_and_in_no_other_way(place: Path) -> None:
    home = opened(place)
    url = sqlite_url(place / "graph.db")
    database = open_database(url)
    with database.transaction() as session:
        session.connection().exec_driver_sql("CREATE TABLE said(what)")
        session.connection().exec_driver_sql("INSERT INTO said VALUES ('zanzibarine')")
    database.close()
    assert any(b"zanzibarine" in page for page in sealing.pages(place / "graph.db"))
    homes.close_home(home)
    assert not holds(place, b"zanzibarine")
    assert not holds(place, b"SQLite format 3")
    with pytest.raises(StoreSealed, match="is encrypted; open it with the key"):
        open_database(url)


def test_a_flipped_bit_of_the_store_is_found_when_its_page_is_read(place: Path) -> None:
    home = opened(place)
    url = sqlite_url(place / "graph.db")
    open_database(url).close()
    stored = bytearray((place / "graph.db").read_bytes())
    stored[2000] ^= 1
    (place / "graph.db").write_bytes(stored)
    with pytest.raises(StoreUnusable, match="cannot be used"):
        open_database(url)
    homes.close_home(home)


def test_a_folder_on_a_disk_is_no_memory(tmp_path: Path) -> None:
    with pytest.raises(NoMemoryFolder, match=r"which is a disk; set encryption\.memory_folder"):
        homes.memory_folder("/proc")
    with pytest.raises(NoMemoryFolder, match="is not there"):
        homes.memory_folder(str(tmp_path / "none"))
