"""An erasure that is killed, wherever: nothing was done, or it is finished by `resume`; and who keeps it out."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from consolidation.lease import free_if_dead, lease_name
from db import leases
from db.engine import Database, open_database, sqlite_url
from db.errors import LeaseHeld
from memory import erasure, ledger
from memory.erasure import Target, Wish
from memory.erasure.needles import Needle, Scanner, stretches
from memory.erasure.residue import scan
from memory.people import list_people
from memory.ports import utc_now
from memory.registry import Registry
from memory.spaces import ensure_space

ROOT = Path(__file__).parents[2]
SAID = "the old lighthouse keeper gave me the key to the boathouse"

CHILD = """
import os, signal, sys
from pathlib import Path
from db.engine import open_database, sqlite_url
from memory import erasure
from memory.ports import utc_now
from memory.registry import Registry

home, space, person, place = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def watch(step):
    def progress(done, total, note=""):
        if place == f"{step} {done}" or (place == step and done):
            die()
    return progress

def clock():
    if place == "transaction":
        die()
    return utc_now()

def reindex():
    if place == "reindex":
        die()
    return 0

erasure.erase(
    open_database(sqlite_url(home / "graph.db")), space, home, erasure.Target("person", person), Registry.load(),
    erasure.Wish(reindex=reindex), clock=clock, watch=watch,
)
"""


@dataclass
class Home:
    database: Database
    space_id: str
    folder: Path
    person: str

    def scan(self) -> Any:
        needles = [*stretches([SAID]), Needle("Ana Reis", is_name=True)]
        return scan(self.database, self.folder, Scanner(needles))


@pytest.fixture
def home(tmp_path: Path, world_class: Any, now: Any) -> Iterator[Home]:
    folder = tmp_path / "home"
    folder.mkdir()
    database = open_database(sqlite_url(folder / "graph.db"))
    world = world_class(database, ensure_space(database), Registry.load(), now)
    world.say("Ana Reis", 0, text=SAID)
    world.store("Lisbon", 1)
    (folder / "index" / world.space_id).mkdir(parents=True)
    (folder / "index" / world.space_id / "texts").write_text(SAID)
    yield Home(database, world.space_id, folder, world.person("Ana Reis"))
    database.close()


def kill_at(home: Home, place: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(home.folder), home.space_id, home.person, place],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    free_if_dead(home.database, home.space_id)


@pytest.mark.parametrize("place", ["rows 0", "transaction"])
def test_killed_before_the_commit_nothing_was_done(home: Home, place: str) -> None:
    kill_at(home, place)
    assert erasure.unfinished(home.database, home.space_id) == []
    assert "Ana Reis" in {person.name for person in list_people(home.database, home.space_id)}
    assert ledger.verify(home.database, home.space_id) == []
    outcome = erasure.erase(
        home.database, home.space_id, home.folder, Target("person", home.person), Registry.load()
    )
    assert outcome.scan.is_clean


@pytest.mark.parametrize("place", ["files 0", "files 1", "store 0", "store 1", "reindex", "scan"])
def test_killed_after_the_commit_it_is_finished_by_resume(home: Home, place: str) -> None:
    kill_at(home, place)
    (waiting,) = erasure.unfinished(home.database, home.space_id)
    assert waiting.done is None
    (outcome,) = erasure.resume(home.database, home.space_id, home.folder, names=["Ana Reis"])
    assert outcome.certificate.done is not None
    assert outcome.certificate.done["scan"]["all_words"] is False
    assert home.scan().is_clean
    assert erasure.unfinished(home.database, home.space_id) == []
    assert erasure.resume(home.database, home.space_id, home.folder) == []
    assert ledger.verify(home.database, home.space_id) == []


def test_an_erasure_and_a_night_keep_each_other_out(home: Home) -> None:
    name = lease_name(home.space_id)
    leases.acquire(home.database, name, "77@elsewhere", now=utc_now(), ttl_s=60)
    with pytest.raises(LeaseHeld) as refused:
        erasure.erase(
            home.database, home.space_id, home.folder, Target("person", home.person), Registry.load()
        )
    assert refused.value.holder == "77@elsewhere"
    leases.release(home.database, name, "77@elsewhere")
    erasure.erase(
        home.database,
        home.space_id,
        home.folder,
        Target("person", home.person),
        Registry.load(),
        Wish(reindex=lambda: len(leases.holder_of(home.database, name) or "")),
    )
    assert leases.holder_of(home.database, name) is None


def test_a_name_lingers_in_no_page_of_the_store(home: Home) -> None:
    assert not home.scan().is_clean
    outcome = erasure.erase(
        home.database, home.space_id, home.folder, Target("person", home.person), Registry.load()
    )
    assert outcome.scan.is_clean
    assert home.scan().is_clean
