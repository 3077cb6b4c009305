from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from db.engine import Database
from memory.episodes import list_episodes
from memory.errors import BrokenExport, EmptyChat
from memory.exchange.detect import read_notebook
from memory.people import find_person, list_people
from memory.types import ImportReport

BringIn = Callable[..., ImportReport]

PORTO: dict[str, Any] = {
    "id": "0b6f3c1e-0000-4000-8000-000000000001",
    "memory": "Lives in Porto",
    "hash": "aa",
    "metadata": {"category": "home"},
    "created_at": "2025-03-01T09:00:00.123456-07:00",
    "updated_at": None,
    "user_id": "ada_lund",
    "agent_id": None,
    "run_id": None,
    "categories": ["personal"],
}
NUTS: dict[str, Any] = {
    "id": "0b6f3c1e-0000-4000-8000-000000000002",
    "memory": "User is allergic to nuts",
    "created_at": "2025-03-02T09:00:00Z",
    "user_id": "ada_lund",
}


@pytest.fixture
def database(one_store: Database) -> Database:
    """One kind of store: they are compared in test_notes.py."""
    return one_store


def dumped(value: Any, **options: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, **options).encode()


def facts(world: Any) -> set[tuple[str, str, str]]:
    return {(fact.subject, fact.predicate, fact.object) for fact in world.facts()}


WANTED = {("ada lund", "lives_in", "Porto"), ("ada lund", "allergy", "nuts")}


@pytest.mark.parametrize(
    "raw",
    [
        dumped({"results": [PORTO, NUTS]}),
        dumped({"results": [PORTO, NUTS], "relations": []}, indent=2),
        dumped({"count": 2, "next": None, "previous": None, "results": [PORTO, NUTS]}),
        dumped({"memories": [PORTO, NUTS]}),
        dumped([PORTO, NUTS]),
        dumped([PORTO, NUTS], indent=4),
        dumped(PORTO) + b"\n" + dumped(NUTS) + b"\n",
        dumped(
            [
                {k.replace("user_id", "userId").replace("created_at", "createdAt"): v for k, v in row.items()}
                for row in (PORTO, NUTS)
            ]
        ),
        b"\xef\xbb\xbf" + dumped({"results": [PORTO, NUTS]}).replace(b"{", b"{\r\n", 1),
    ],
    ids=["results", "indented", "page", "memories", "list", "long list", "lines", "camel", "bom"],
)
def test_every_shape_gives_the_same_facts(world: Any, bring_in: BringIn, raw: bytes) -> None:
    report = bring_in(raw)
    assert (report.kind, report.n_new, report.people) == ("mem0", 2, ("ada lund",))
    assert facts(world) == WANTED


def test_a_memory_is_observed_when_it_was_created(world: Any, bring_in: BringIn) -> None:
    bring_in(dumped([NUTS, PORTO]))
    times = [episode.time for episode in list_episodes(world.database, world.space_id)]
    assert times == [
        datetime(2025, 3, 1, 16, 0, 0, 123456, tzinfo=UTC),
        datetime(2025, 3, 2, 9, tzinfo=UTC),
    ]


def test_a_memory_without_a_time_is_observed_at_the_import(world: Any, bring_in: BringIn) -> None:
    bring_in(dumped([{"memory": "Likes tea", "id": 7}]))
    (episode,) = list_episodes(world.database, world.space_id)
    assert (episode.time, episode.text) == (world.now, "Likes tea")


def test_the_user_knows_what_they_told_and_others_do_not(world: Any, bring_in: BringIn) -> None:
    bring_in(dumped([PORTO]))
    ada = find_person(world.database, world.space_id, "Ada Lund").id
    assert len(world.facts(known_to=ada)) == 1
    assert world.facts(known_to=world.person("Ben Ode")) == []


def test_a_user_whom_the_graph_knows_is_that_person(world: Any, bring_in: BringIn) -> None:
    known = world.person("Ada Lund")
    bring_in(dumped([PORTO]))
    assert [fact.subject_id for fact in world.facts()] == [known]


def test_an_agents_memory_is_about_no_person(world: Any, bring_in: BringIn) -> None:
    bring_in(dumped([{"id": "1", "memory": "Answers in French", "agent_id": "helper"}]))
    assert list_people(world.database, world.space_id) == []


def test_a_second_export_adds_only_what_is_new(world: Any, bring_in: BringIn) -> None:
    bring_in(dumped([PORTO]))
    assert bring_in(dumped({"results": [PORTO, NUTS]})).n_new == 1
    assert bring_in(dumped([NUTS, PORTO])).n_new == 0


def test_an_updated_memory_follows(world: Any, bring_in: BringIn) -> None:
    bring_in(dumped([PORTO]))
    moved = PORTO | {"memory": "Moved to Lagos", "hash": "bb", "updated_at": "2025-06-01T10:00:00Z"}
    assert bring_in(dumped([moved])).n_new == 1
    assert facts(world) == {("ada lund", "lives_in", "Lagos")}
    assert bring_in(dumped([moved], indent=1)).n_new == 0


def test_the_same_words_under_two_ids_are_two_memories(world: Any, bring_in: BringIn) -> None:
    assert bring_in(dumped([PORTO, PORTO | {"id": "another"}, PORTO])).n_new == 2


def test_graph_relations_become_facts(world: Any, bring_in: BringIn) -> None:
    relations = [
        {"source": "user_id:_ada_lund", "relationship": "works_at", "target": "harbour_office"},
        {"source": "ada_lund", "relation": "sister_of", "destination": "marta", "target_type": "person"},
        {
            "source": "ada_lund",
            "source_type": "person",
            "relationship": "owns",
            "target": "boat",
            "target_type": "thing",
        },
    ]
    bring_in(dumped({"results": [PORTO], "relations": relations}))
    assert facts(world) == {
        ("ada lund", "lives_in", "Porto"),
        ("ada lund", "workplace", "harbour office"),
        ("marta", "sister", "ada lund"),
        ("ada lund", "owns", "boat"),
    }


def test_only_who_told_it_knows_a_memory(world: Any, bring_in: BringIn) -> None:
    married = {"source": "marta", "source_type": "person", "relationship": "married_to", "target": "tomas"}
    bring_in(dumped({"results": [PORTO], "relations": [married]}))
    assert ("marta", "spouse", "tomas") in facts(world)
    marta = find_person(world.database, world.space_id, "marta").id
    assert world.facts(known_to=marta) == []


def test_users_whose_ids_differ_in_case_are_one_person(world: Any, bring_in: BringIn) -> None:
    assert bring_in(dumped([NUTS, NUTS | {"user_id": "ADA_LUND"}])).n_new == 1
    assert bring_in(dumped([NUTS | {"user_id": "Ada Lund"}])).n_new <= 1
    assert len(list_people(world.database, world.space_id)) == 1


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (dumped({"results": [PORTO, NUTS]})[:-30], "malformed at line 1, column"),
        (dumped([PORTO, NUTS], indent=1)[:200], "malformed at line"),
        (dumped(PORTO) + b'\n{"memory": "x', "line 2: malformed JSON"),
        (dumped(PORTO) + b"\n[]", "line 2: no object"),
        (dumped([PORTO, 7]), "memory 2: no object"),
        (dumped([PORTO, {"id": "1"}]), "memory 2: memory is missing"),
        (dumped([PORTO, {"id": "1", "memory": {}}]), "memory 2: memory is no text"),
        (dumped([PORTO | {"created_at": "yesterday"}]), "memory 1: created_at is no time"),
        (dumped([PORTO | {"created_at": 1e40}]), "memory 1: created_at is no time"),
        (dumped([PORTO | {"user_id": ["a"]}]), "memory 1: user_id is no text"),
        (dumped({"results": [PORTO], "relations": {}}), None),
        (dumped({"results": [PORTO], "relations": {"a": 1}}), "relations is no list"),
        (dumped({"results": [PORTO], "relations": [{"source": "a"}]}), "relation 1: relationship is missing"),
        (
            dumped({"results": [PORTO], "relations": [{"source": "_", "relationship": "r", "target": "b"}]}),
            "relation 1: source or target is empty",
        ),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(raw: bytes, why: str | None) -> None:
    if why is None:
        assert read_notebook(raw, "mem0.json") is not None
        return
    with pytest.raises(BrokenExport, match=why):
        read_notebook(raw, "mem0.json")


def test_an_export_without_memories_is_empty(database: Any) -> None:
    with pytest.raises(EmptyChat):
        read_notebook(dumped({"results": []}), "mem0.json")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"[]",
        b"{}",
        b"[1, 2]",
        b'{"name": "chat", "messages": []}',
        b'{"time": "2025-01-01", "speaker": "A", "text": "x"}',
        b'[{"time": "2025-01-01", "text": "x"}]',
        b'{"guild": {}, "channel": {}, "messages": [{"memory": "x"}]}',
        "﻿12/03/2025, 10:00 - Ana: hi".encode(),
    ],
)
def test_files_of_other_kinds_are_left_to_others(raw: bytes) -> None:
    assert read_notebook(raw, "x") is None
