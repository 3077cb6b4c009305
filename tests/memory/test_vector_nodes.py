"""Claims about task vectors as nodes of the graph: mapped once, found from both ends, and nobody's reason to stay."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from db.engine import Database
from db.tables import Edge, Episode, Example, Fact, Node, SleepRun
from memory import vector_nodes
from memory.artifacts import list_artifacts, record_artifact
from memory.erasure import Target, erase
from memory.people import list_people
from memory.search import units
from memory.spaces import ensure_space
from memory.vector_nodes import connect, taught_by, trained_from, vectors_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VECTOR = "a" * 64


@pytest.fixture
def space(database: Database) -> str:
    """A space with two people and a pattern, whose ids are their names."""
    space_id = ensure_space(database)
    kinds = {"ada": "person", "ben": "person", "quiet": "pattern"}
    with database.transaction() as session:
        for name, kind in kinds.items():
            session.add(Node(id=name, space_id=space_id, kind=kind, name=name, name_key=name, created_at=NOW))
    return space_id


def test_a_vector_is_found_from_both_ends_and_mapped_once(database: Database, space: str) -> None:
    for _ in range(2):
        with database.transaction() as session:
            connect(session, space, VECTOR, run_id="night1", people=["ada"], patterns=["quiet"])
    with database.transaction() as session:
        connect(session, space, VECTOR, constitutions=["ada"])
    found = trained_from(database, space, VECTOR)
    assert [(one.kind, one.name) for one in found] == [
        ("constitution", "ada"),
        ("night", "night1"),
        ("pattern", "quiet"),
        ("person", "ada"),
    ]
    assert all(vectors_of(database, space, one.node_id) == [VECTOR] for one in found)
    assert vectors_of(database, space, "ben") == []


@pytest.mark.parametrize("edges", [{"people": ["quiet"]}, {"patterns": ["ada"]}, {"people": ["nobody"]}])
def test_what_is_no_such_node_is_refused(database: Database, space: str, edges: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="of this space"), database.transaction() as session:
        connect(session, space, VECTOR, **edges)
    assert trained_from(database, space, VECTOR) == []


def test_a_night_teaches_of_the_people_and_patterns_of_its_rows(database: Database, space: str) -> None:
    with database.transaction() as session:
        session.add(SleepRun(id="night1", space_id=space, status="done", seed=0, settings={}, started_at=NOW))
        for fact_id, subject, value in (("f1", "ada", "quiet"), ("f2", "ben", None)):
            session.add(
                Fact(
                    id=fact_id,
                    space_id=space,
                    subject_id=subject,
                    predicate="shows",
                    object="x",
                    object_key="x",
                    object_id=value,
                    recorded_at=NOW,
                    confidence=1.0,
                    rule="test",
                )
            )
        session.flush()
        for fact_id, split in (("f1", "train"), ("f1", "train"), ("f2", "exam")):
            row = {"messages": [], "accepted": [], "meta": {}, "kind": "fact"}
            session.add(Example(space_id=space, run_id="night1", fact_id=fact_id, split=split, **row))
    with database.reading() as session:
        assert taught_by(session, "night1") == (["ada"], ["quiet"])


def test_the_search_does_not_walk_vectors(database: Database, space: str) -> None:
    with database.transaction() as session:
        vector = connect(session, space, VECTOR, run_id="night1", people=["ada"])
    with database.reading() as session:
        night = session.scalars(select(Node.id).where(Node.kind == vector_nodes.NIGHT)).one()
        found = units.nodes(session, space, [vector, night, "ada"])
        assert session.scalars(select(Edge.dst_id).where(Edge.src_id == vector)).all()
    assert [node.id for node in found] == ["ada"]


def test_an_erasure_takes_people_whom_only_a_vector_still_points_at(world: Any, tmp_path: Path) -> None:
    world.say("Cy Dahl", 0, to="Dee Eng")
    world.say("Ana Reis", 1)
    with world.database.transaction() as session:
        connect(session, world.space_id, VECTOR, run_id="night1", people=[world.person("Cy Dahl")])
        source = session.scalars(
            select(Episode.source_id).where(Episode.speaker_id == world.person("Cy Dahl"))
        ).one()
    erase(world.database, world.space_id, tmp_path, Target("source", source), world.registry)
    assert "Cy Dahl" not in {person.name for person in list_people(world.database, world.space_id)}
    assert [one.kind for one in trained_from(world.database, world.space_id, VECTOR)] == ["night"]


def test_an_erased_person_taints_the_vectors_trained_from_them(world: Any, tmp_path: Path) -> None:
    """Also a vector of no night, of which no training row is known."""
    vectors = {"Ana Reis": "a" * 64, "Ben Ode": "b" * 64}
    world.say("Ana Reis", 0)
    world.say("Ben Ode", 1)
    with world.database.transaction() as session:
        for name, vector in vectors.items():
            connect(session, world.space_id, vector, people=[world.person(name)])
            record_artifact(
                session,
                world.space_id,
                run_id=None,
                kind="adapter",
                path=f"adapters/{vector[:12]}",
                sha256=vector,
                meta={},
            )
    erase(
        world.database, world.space_id, tmp_path, Target("person", world.person("Ana Reis")), world.registry
    )
    tainted = {row.sha256: row.tainted_at for row in list_artifacts(world.database, world.space_id)}
    assert tainted["a" * 64] is not None
    assert tainted["b" * 64] is None
