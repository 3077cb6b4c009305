"""What vectors were trained from, said by hand: `recipe add --about` and `recipe about`, and what an erasure does then."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from db.tables import Example, Fact, Node, SleepRun
from service.settings import load_settings
from service.wiring import Services

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADA, BO = "Ada Lund", "Bo Rask"
QUIET, LAUGHS, LAGOS = "00000000000000a1", "00000000000000b1", "00000000000000b2"


def edges(program: Any, entry: str) -> list[tuple[str, str]]:
    found = program("recipe", "about", entry, "--json").json
    return [(one["kind"], one["name"]) for one in found["about"]]


def serving(program: Any) -> list[str]:
    return [entry["label"] for entry in program("recipe", "show", "--json").json["entries"]]


def test_an_erasure_takes_the_vector_of_its_person_and_leaves_the_others(
    told_vectors: Any, tmp_path: Path
) -> None:
    added = told_vectors("recipe", "add", tmp_path / "one", "--about", "Ada", "--json").json
    assert [(one["kind"], one["name"]) for one in added["about"]] == [("person", ADA)]
    assert told_vectors("recipe", "add", tmp_path / "two", "--about", "Bo").code == 0
    assert told_vectors("recipe", "add", tmp_path / "three", "--constitution", "Ada").code == 0
    assert edges(told_vectors, "three") == [("constitution", ADA)]
    plan = told_vectors("forget", "person", "Ada", "--json").json
    assert {line["act"]: line["n"] for line in plan["lines"] if line["kind"] == "artifact"}["tainted"] == 5
    done = told_vectors("forget", "person", "Ada", "--yes", "--json").json
    assert done["scan"]["clean"]
    assert done["certificate"]["weights"]["vectors"] == {"before": 3, "tainted": 2, "after": 1}
    assert serving(told_vectors) == ["two"]
    assert "what was erased" in told_vectors("recipe", "add", tmp_path / "one").refusal
    assert told_vectors("verify").code == 0


def test_what_a_vector_was_trained_from_can_be_said_later(told_vectors: Any, tmp_path: Path) -> None:
    assert "so that no erasure takes it" in told_vectors("recipe", "add", tmp_path / "one").out
    assert "so that no erasure takes it" in told_vectors("recipe", "about", "one").out
    assert told_vectors("recipe", "about", "one", "Bo").out.splitlines()[1:] == [f"    {BO}"]
    assert told_vectors("recipe", "about", "one", "Ada", "Bo").code == 0
    assert edges(told_vectors, "one") == [("person", ADA), ("person", BO)]
    shown = told_vectors("recipe", "show")
    assert f"{ADA}, {BO}" in " ".join(shown.out.split())
    assert told_vectors("forget", "person", "Bo", "--yes").code == 0
    assert serving(told_vectors) == []


def test_a_pattern_and_a_night_bring_those_whom_they_are_about(told_vectors: Any, tmp_path: Path) -> None:
    with Services(load_settings()) as services:
        people = {name: services.person(name).id for name in (ADA, BO)}
        night = {"id": "aaaa1", "status": "done", "seed": 0, "settings": {}, "started_at": NOW}
        with services.database.transaction() as session:
            session.add(SleepRun(space_id=services.space_id, **night))
            session.add(_node(services.space_id, QUIET, "pattern"))
            session.flush()
            session.add(_fact(services.space_id, LAUGHS, people[BO], "pattern", "laughs", object_id=QUIET))
            session.add(_fact(services.space_id, LAGOS, people[ADA], "lives_in", "Lagos"))
            session.flush()
            row = {"messages": [], "accepted": [], "meta": {}, "kind": "fact", "split": "train"}
            session.add(Example(space_id=services.space_id, run_id="aaaa1", fact_id=LAGOS, **row))
    assert told_vectors("recipe", "add", tmp_path / "one", "--about", LAUGHS).code == 0
    assert edges(told_vectors, "one") == [("pattern", QUIET), ("person", BO)]
    assert told_vectors("recipe", "add", tmp_path / "two", "--about", "aaaa1").code == 0
    assert edges(told_vectors, "two") == [("night", "aaaa1"), ("person", ADA)]
    assert f"{LAGOS} is no pattern" in told_vectors("recipe", "about", "one", LAGOS).refusal
    assert (
        told_vectors("forget", "fact", LAGOS, "--yes").code == 0
    )  # the night learnt it, and so did the vector
    assert serving(told_vectors) == ["one"]
    assert told_vectors("forget", "fact", LAUGHS, "--yes").code == 0
    assert serving(told_vectors) == []


def test_nobody_known_is_refused_and_nothing_is_written(told_vectors: Any, tmp_path: Path) -> None:
    rows = told_vectors.rows()
    assert (
        "nobody called Zoe is known"
        in told_vectors("recipe", "add", tmp_path / "one", "--about", "Zoe").refusal
    )
    assert not (told_vectors.home / "adapters").exists()
    assert told_vectors.rows() == rows
    assert "the plain base has no entries" in told_vectors("recipe", "about", "one", "Ada").refusal
    assert told_vectors("recipe", "add", tmp_path / "one").code == 0
    assert "no entry of the recipe" in told_vectors("recipe", "about", "none", "Ada").refusal


def _node(space_id: str, name: str, kind: str) -> Node:
    return Node(id=name, space_id=space_id, kind=kind, name=name, name_key=name, created_at=NOW)


def _fact(space_id: str, fact_id: str, subject_id: str, predicate: str, value: str, **rest: Any) -> Fact:
    stated = {"recorded_at": NOW, "confidence": 1.0, "rule": "test", "object": value, "object_key": value}
    return Fact(id=fact_id, space_id=space_id, subject_id=subject_id, predicate=predicate, **stated, **rest)
