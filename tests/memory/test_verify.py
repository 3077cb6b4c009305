"""Proofs of the store: a sound one passes, and each kind of damage is found and named."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from db.engine import Database, open_database, sqlite_url
from db.tables import Embedding, SleepRun
from memory.artifacts import move_pointer, record_artifact
from memory.embedders.hashing import HashingEmbedder
from memory.erasure import Target, erase
from memory.index import Index
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.verify import Checks, Report, verify
from memory.verify.problems import MOST


@dataclass
class Store:
    """A space on disk with facts, decisions, vectors, a published recipe and an index."""

    world: Any
    home: Path
    ids: dict[str, str]

    def verify(self) -> Report:
        checks = Checks(hashers={"adapter": lambda path: (path / "weights").read_text()})
        return verify(self.world.database, self.world.space_id, self.home, self.world.registry, checks)

    def found(self) -> set[str]:
        return {problem.check for problem in self.verify().problems}

    def sql(self, statement: str, *values: Any) -> None:
        """Damage done past the program, references not looked at."""
        with closing(sqlite3.connect(self.home / "graph.db")) as store:
            store.execute("PRAGMA foreign_keys=OFF")
            store.execute(statement, values)
            store.commit()


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory, world_class: Any, migrated: Path) -> Any:
    """The home of such a space, to copy; its space's id, its people and its other ids."""
    home = tmp_path_factory.mktemp("sound")
    shutil.copy(migrated, home / "graph.db")
    with closing(open_database(sqlite_url(home / "graph.db"))) as database:
        now = datetime(2026, 1, 1, 12, tzinfo=UTC)
        world = world_class(database, ensure_space(database), Registry.load(), now)
        ids = {"lisbon": world.store("Lisbon", 0), "porto": world.store("Porto", 30, change="update")}
        ids["faro"] = world.claim("Faro", 40, about="Ben Ode", by="Ben Ode", to="Ana Reis")
        ids["episode"] = world.facts()[0].evidence[0]
        ids |= publish(world, home)
        with database.transaction() as session:
            session.add(
                Embedding(
                    owner_kind="episode",
                    owner_id=ids["episode"],
                    model="m",
                    space_id=world.space_id,
                    width=2,
                    vector=b"\0" * 8,
                )
            )
    return home, world, ids


@pytest.fixture
def store(tmp_path: Path, sound: Any) -> Iterator[Store]:
    template, world, ids = sound
    home = tmp_path / "home"
    shutil.copytree(template, home)
    database = open_database(sqlite_url(home / "graph.db"))
    yield Store(replace(world, database=database), home, ids)
    database.close()


def publish(world: Any, home: Path) -> dict[str, str]:
    """Artifact ids and paths of a night that was published."""
    (home / "adapters" / "a").mkdir(parents=True)
    (home / "adapters" / "a" / "weights").write_text("a" * 64)
    (home / "recipes").mkdir()
    content = json.dumps({"entries": [{"adapter_sha256": "a" * 64, "path": "adapters/a"}]})
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    (home / "recipes" / f"{sha256}.json").write_text(content)
    with world.database.transaction() as session:
        session.add(
            SleepRun(
                id="r1", space_id=world.space_id, status="done", seed=0, settings={}, started_at=world.now
            )
        )
        made = {
            kind: record_artifact(
                session, world.space_id, run_id="r1", kind=kind, path=path, sha256=hashed, meta={}
            )
            for kind, path, hashed in (
                ("adapter", "adapters/a", "a" * 64),
                ("recipe", f"recipes/{sha256}.json", sha256),
            )
        }
        move_pointer(session, world.space_id, run_id="r1", recipe_id=made["recipe"], readout_id=None)
    return {**made, "recipe_path": f"recipes/{sha256}.json"}


def test_a_store_that_agrees_with_itself_is_sound(store: Store) -> None:
    report = store.verify()
    assert report.problems == ()
    assert (report.counts["facts"], report.counts["decisions"], report.counts["artifacts"]) == (3, 2, 2)
    assert report.as_json()["sound"] is True


def test_an_end_that_was_said_apart_from_its_fact_leaves_no_two_values(world: Any, tmp_path: Path) -> None:
    ended = {"predicate": "workplace", "change": "end", "valid_to": world.day(50)}
    world.store("Bico", 1, predicate="workplace")
    new = world.candidate("Sal Grosso", 60, predicate="workplace", change="update", valid_from=world.day(50))
    world.decide(*world.add(new))
    world.store("Bico", 60, **ended)
    assert world.held(predicates=("workplace",)) == ["Sal Grosso"]
    assert verify(world.database, world.space_id, tmp_path, world.registry).problems == ()


def test_every_kind_of_store_can_be_proved(world: Any, tmp_path: Path) -> None:
    for value, day in (("Lisbon", 0), ("Porto", 30)):
        world.store(value, day, change="update")
    world.store("Lisbon", 3, by="Ben Ode", to="Ana Reis")
    report = verify(world.database, world.space_id, tmp_path, world.registry)
    assert report.problems == ()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def ensure_other(store: Store) -> str:
    return ensure_space(store.world.database, "other")


def cut_off(store: Store) -> None:
    target = Target("fact", store.ids["faro"])
    erase(store.world.database, store.world.space_id, store.home, target, store.world.registry)
    store.sql("DELETE FROM ledger WHERE kind = 'erasure' AND payload LIKE '%\"done\"%'")


DAMAGE: dict[str, tuple[str, Callable[[Store], None]]] = {
    "a reference to nothing": (
        "references",
        lambda s: s.sql("UPDATE fact SET subject_id = 'nobody' WHERE id = ?", s.ids["faro"]),
    ),
    "a row of another space": (
        "references",
        lambda s: s.sql("UPDATE fact SET space_id = ? WHERE id = ?", ensure_other(s), s.ids["faro"]),
    ),
    "an interval that ends before it starts": (
        "intervals",
        lambda s: s.sql("UPDATE fact SET valid_to = '2020-01-01 00:00:00' WHERE id = ?", s.ids["faro"]),
    ),
    "a fact without a message": (
        "evidence",
        lambda s: s.sql("DELETE FROM evidence WHERE fact_id = ?", s.ids["porto"]),
    ),
    "a fact from a model's mouth": (
        "evidence",
        lambda s: s.sql("UPDATE episode SET origin = 'simulated'"),
    ),
    "two values at once": (
        "slots",
        lambda s: s.sql(
            "UPDATE fact SET valid_to = NULL, stated_to = NULL, superseded_by = NULL WHERE id = ?",
            s.ids["lisbon"],
        ),
    ),
    "an end that nothing made": (
        "timeline",
        lambda s: s.sql("UPDATE fact SET valid_to = '2030-01-01 00:00:00' WHERE id = ?", s.ids["lisbon"]),
    ),
    "a fact accepted by nobody": (
        "decisions",
        lambda s: s.sql("UPDATE fact SET state = 'stored' WHERE id = ?", s.ids["faro"]),
    ),
    "a fact taken back by nobody": (
        "decisions",
        lambda s: s.sql("UPDATE fact SET retracted_at = '2026-01-01 00:00:00' WHERE id = ?", s.ids["porto"]),
    ),
    "a decision whose reasons were changed": (
        "ledger",
        lambda s: s.sql("UPDATE decision SET reasons = '[\"other\"]' WHERE fact_id = ?", s.ids["porto"]),
    ),
    "a decision that is gone": (
        "ledger",
        lambda s: s.sql("DELETE FROM decision WHERE fact_id = ?", s.ids["porto"]),
    ),
    "a ledger entry that was changed": (
        "ledger",
        lambda s: s.sql("UPDATE ledger SET kind = 'other' WHERE seq = 1"),
    ),
    "a vector of nothing": (
        "vectors",
        lambda s: s.sql("UPDATE embedding SET owner_id = 'nothing'"),
    ),
    "vectors of two models": (
        "vectors",
        lambda s: s.sql(
            "INSERT INTO embedding SELECT owner_kind, owner_id, 'other', space_id, width, vector FROM embedding"
        ),
    ),
    "people merged in a circle": (
        "people",
        lambda s: s.sql("UPDATE node SET merged_into = id WHERE name = 'Ana Reis'"),
    ),
    "somebody merged into nobody": (
        "people",
        lambda s: s.sql("UPDATE node SET merged_into = 'nobody' WHERE name = 'Ben Ode'"),
    ),
    "a speaker who takes no part": (
        "participants",
        lambda s: s.sql("DELETE FROM participant WHERE node_id = ?", s.world.person("Ana Reis")),
    ),
    "a pointer at a tainted recipe": (
        "pointer",
        lambda s: s.sql("UPDATE artifact SET tainted_at = '2026-01-01 00:00:00' WHERE kind = 'recipe'"),
    ),
    "a pointer at nothing": (
        "pointer",
        lambda s: s.sql("UPDATE pointer SET recipe_id = 'nothing'"),
    ),
    "a file that is gone": ("files", lambda s: (s.home / s.ids["recipe_path"]).unlink()),
    "a file that was changed": (
        "files",
        lambda s: (
            (s.home / s.ids["recipe_path"]).open("a").close()
            or ((s.home / s.ids["recipe_path"]).write_text("{}") and None)
        ),
    ),
    "weights that were changed": ("files", lambda s: write(s.home / "adapters" / "a" / "weights", "b" * 64)),
    "tainted weights on the disk": (
        "files",
        lambda s: s.sql("UPDATE artifact SET tainted_at = '2026-01-01 00:00:00' WHERE kind = 'adapter'"),
    ),
    "an erasure that was cut off": (
        "erasure",
        cut_off,
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found(store: Store, name: str) -> None:
    check, do = DAMAGE[name]
    do(store)
    problems = store.verify().problems
    assert check in {problem.check for problem in problems}
    assert all(problem.what and problem.remedy for problem in problems)
    assert "Ana" not in json.dumps([problem.as_json() for problem in problems])


def test_a_torn_page_is_found(store: Store) -> None:
    store.world.database.close()
    path = store.home / "graph.db"
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = opened.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_fact_slot'").fetchone()
    raw = bytearray(path.read_bytes())
    raw[(page - 1) * 4096 + 100 : page * 4096] = b"\x07" * (4096 - 100)
    path.write_bytes(raw)
    store.world.database = open_database(sqlite_url(path))
    assert "store" in store.found()


def test_much_damage_is_counted_after_the_first(store: Store) -> None:
    for day in range(MOST + 5):
        store.world.claim(f"place {day}", day, predicate="visited")
    store.sql("UPDATE fact SET valid_from = '2026-01-01', valid_to = '2020-01-01 00:00:00'")
    told = [problem.what for problem in store.verify().problems if problem.check == "intervals"]
    assert len(told) == MOST + 1
    assert told[-1].startswith("and ")


def test_what_an_erasure_took_is_no_damage(store: Store) -> None:
    erase(
        store.world.database,
        store.world.space_id,
        store.home,
        Target("fact", store.ids["porto"]),
        store.world.registry,
    )
    assert store.verify().problems == ()


def test_an_index_that_lacks_a_message_is_found(store: Store) -> None:
    database: Database = store.world.database
    store.sql("DELETE FROM embedding")
    index = Index.open(database, store.world.space_id, store.home, HashingEmbedder(32))
    index.rebuild()
    checks = Checks(index=lambda progress: index.check(progress))
    space, registry = store.world.space_id, store.world.registry
    assert "index" not in {p.check for p in verify(database, space, store.home, registry, checks).problems}
    store.sql("UPDATE change SET owner_id = 'nothing' WHERE 0")
    store.world.say("Ben Ode", 50, text="a message that came later")
    store.sql("DELETE FROM change")
    assert "index" in {p.check for p in verify(database, space, store.home, registry, checks).problems}
    index.close()


def test_progress_names_the_proofs(store: Store) -> None:
    notes: list[str] = []

    def watch(step: str) -> Callable[..., None]:
        return lambda done, total, note="": notes.append(note)

    verify(store.world.database, store.world.space_id, store.home, store.world.registry, watch=watch)
    assert "timeline" in notes
