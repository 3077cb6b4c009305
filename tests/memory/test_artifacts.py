from __future__ import annotations

import pytest

from db.tables import Artifact
from memory import ledger
from memory.artifacts import get_artifact, list_artifacts, move_pointer, pointer, record_artifact
from memory.errors import TaintedArtifact, UnknownArtifact


def record(world, path: str = "recipes/a.json", kind: str = "recipe") -> str:
    with world.database.transaction() as session:
        return record_artifact(
            session,
            world.space_id,
            run_id="r1",
            kind=kind,
            path=path,
            sha256="ab" * 32,
            meta={"rank": 16},
            clock=world.clock,
        )


def move(world, recipe_id: str | None, reason: str = "publish") -> None:
    with world.database.transaction() as session:
        move_pointer(
            session,
            world.space_id,
            run_id="r1",
            recipe_id=recipe_id,
            readout_id=None,
            reason=reason,
            clock=world.clock,
        )


def test_an_artifact_comes_back_as_recorded(world) -> None:
    artifact = get_artifact(world.database, record(world))
    assert (artifact.run_id, artifact.kind, artifact.path, artifact.meta) == (
        "r1",
        "recipe",
        "recipes/a.json",
        {"rank": 16},
    )


def test_recording_the_same_artifact_again_gives_the_same_id(world) -> None:
    assert record(world) == record(world)
    assert len(ledger.entries(world.database, world.space_id)) == 1


def test_an_unknown_artifact_is_refused(world) -> None:
    with pytest.raises(UnknownArtifact, match="no artifact has the id nothing"):
        get_artifact(world.database, "nothing")


def test_artifacts_are_listed_by_kind(world) -> None:
    record(world)
    adapter = record(world, "adapters/a", "adapter")
    assert [item.id for item in list_artifacts(world.database, world.space_id, kind="adapter")] == [adapter]


def test_there_is_no_pointer_before_the_first_publish(world) -> None:
    assert pointer(world.database, world.space_id) is None


def test_the_pointer_moves_with_a_ledger_entry_that_keeps_where_it_was(world) -> None:
    first, second = record(world), record(world, "recipes/b.json")
    move(world, first)
    move(world, second)
    now = pointer(world.database, world.space_id)
    assert now is not None
    assert now.recipe_id == second
    payload = ledger.entries(world.database, world.space_id, limit=1)[0].payload
    assert payload["before"]["recipe"] == first
    assert payload["after"]["recipe"] == second


def test_a_publish_that_fails_leaves_the_pointer_where_it_was(world) -> None:
    first = record(world)
    move(world, first)
    with pytest.raises(RuntimeError, match="killed"):
        move_and_die(world)
    now = pointer(world.database, world.space_id)
    assert now is not None
    assert now.recipe_id == first
    assert ledger.verify(world.database, world.space_id) == []


def move_and_die(world) -> None:
    with world.database.transaction() as session:
        move_pointer(session, world.space_id, run_id="r2", recipe_id=None, readout_id=None)
        raise RuntimeError("killed")


def test_what_was_tainted_since_it_was_chosen_is_not_pointed_to(world) -> None:
    first, second = record(world), record(world, "recipes/b.json")
    move(world, first)
    with world.database.transaction() as session:
        session.get_one(Artifact, second).tainted_at = world.now
    with pytest.raises(TaintedArtifact):
        move(world, second)
    now = pointer(world.database, world.space_id)
    assert now is not None
    assert now.recipe_id == first
