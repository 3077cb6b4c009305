from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from db.engine import Database
from memory.episodes import list_episodes
from memory.errors import BrokenExport
from memory.exchange.detect import read_notebook
from memory.exchange.mcp_memory import write_mcp_memory
from memory.exchange.told import STAND_IN
from memory.people import find_person, list_people
from memory.types import ImportReport

BringIn = Callable[..., ImportReport]
Lines = Callable[..., bytes]

ADA = {
    "type": "entity",
    "name": "Ada_Lund",
    "entityType": "person",
    "observations": ["Speaks fluent Spanish", "Lives in Porto", "Graduated in 2019", "Has a dog named Rex"],
}
BO = {"type": "entity", "name": "Bo Rask", "entityType": "Human", "observations": []}
ATLAS = {"type": "entity", "name": "Project Atlas", "entityType": "project", "observations": ["Uses Rust"]}
OFFICE = {"type": "entity", "name": "Harbour Office", "entityType": "company", "observations": []}
WORKS = {"type": "relation", "from": "Ada_Lund", "to": "Harbour Office", "relationType": "works_at"}
SISTER = {"type": "relation", "from": "Ada_Lund", "to": "Bo Rask", "relationType": "is_sister_of"}
LEADS = {"type": "relation", "from": "Ada_Lund", "to": "Project Atlas", "relationType": "leads"}


@pytest.fixture
def database(one_store: Database) -> Database:
    """One kind of store: they are compared in test_notes.py."""
    return one_store


def facts(world: Any) -> set[tuple[str, str, str]]:
    return {(fact.subject, fact.predicate, fact.object) for fact in world.facts()}


def written(world: Any) -> list[dict[str, Any]]:
    file = io.BytesIO()
    n = write_mcp_memory(world.database, world.space_id, world.registry, file, clock=world.clock)
    rows = [json.loads(line) for line in file.getvalue().splitlines()]
    assert len(rows) == n
    return rows


def entity(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = (row for row in rows if row.get("name") == name)
    return found


def relations(rows: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {(r["from"], r["relationType"], r["to"]) for r in rows if r["type"] == "relation"}


def test_observations_and_relations_become_facts(world: Any, bring_in: BringIn, lines: Lines) -> None:
    bring_in(lines(ADA, BO, ATLAS, OFFICE, WORKS, SISTER, LEADS))
    assert facts(world) >= {
        ("Ada Lund", "speaks", "Spanish"),
        ("Ada Lund", "lives_in", "Porto"),
        ("Ada Lund", "dog", "Rex"),
        ("Ada Lund", "workplace", "Harbour Office"),
        ("Ada Lund", "leads", "Project Atlas"),
        ("Bo Rask", "sister", "Ada Lund"),
        ("Project Atlas", "is_a", "project"),
    }


def test_the_notebook_is_no_person_and_asserts_nothing(world: Any, bring_in: BringIn, lines: Lines) -> None:
    bring_in(lines(ADA, BO, WORKS))
    assert {person.name for person in list_people(world.database, world.space_id)} == {"Ada Lund", "Bo Rask"}
    assert {fact.asserted_by for fact in world.facts()} == {None}


def test_a_note_keeps_its_words_and_says_what_it_is_about(
    world: Any, bring_in: BringIn, lines: Lines
) -> None:
    bring_in(lines(ADA))
    notes = list_episodes(world.database, world.space_id)
    assert [note.text for note in notes] == [f"Ada Lund: {said}" for said in ADA["observations"]]
    assert {note.time for note in notes} == {world.now}


def test_a_name_with_underscores_is_the_person_the_graph_knows(
    world: Any, bring_in: BringIn, lines: Lines
) -> None:
    known = world.person("Ada Lund")
    bring_in(lines(ADA))
    assert find_person(world.database, world.space_id, "Ada_Lund").id == known
    assert ("Ada Lund", "lives_in", "Porto") in facts(world)


def test_nobody_is_taken_to_know_a_note(world: Any, bring_in: BringIn, lines: Lines) -> None:
    bring_in(lines(ADA))
    assert world.facts(known_to=find_person(world.database, world.space_id, "Ada Lund").id) == []


def test_a_second_import_adds_only_what_is_new(world: Any, bring_in: BringIn, lines: Lines) -> None:
    first = bring_in(lines(ADA, BO, ATLAS, SISTER))
    before = facts(world)
    grown = ADA | {"observations": [*ADA["observations"], "Plays the cello"]}
    second = bring_in(lines(ATLAS, BO, grown, SISTER))
    assert (first.n_new, second.n_new) == (7, 1)
    assert facts(world) - before == {("Ada Lund", "plays", "cello")}
    assert bring_in(lines(ATLAS, BO, grown, SISTER)).n_new == 0


def test_what_holds_now_is_written_for_the_server(world: Any) -> None:
    world.store("Porto", 1, object_kind="place")
    world.store("Lagos", 40, change="update", object_kind="place")
    world.store("22 March", 2, predicate="birthday")
    rows = written(world)
    ana = entity(rows, "Ana Reis")
    assert ana["entityType"] == "person"
    assert (
        ana["observations"] == ["Ana Reis's birthday is on 22 March."] or "22 March" in ana["observations"][0]
    )
    assert relations(rows) == {("Ana Reis", "lives_in", "Lagos")}


def test_what_came_in_is_written_as_it_came(world: Any, bring_in: BringIn, lines: Lines) -> None:
    bring_in(lines(ADA, BO, ATLAS, OFFICE, WORKS, SISTER, LEADS))
    rows = written(world)
    assert entity(rows, "Ada Lund")["observations"] == ADA["observations"]
    assert entity(rows, "Project Atlas") == ATLAS
    assert relations(rows) >= {
        ("Ada Lund", "workplace", "Harbour Office"),
        ("Bo Rask", "sister", "Ada Lund"),
        ("Ada Lund", "leads", "Project Atlas"),
    }


def test_what_was_written_comes_back_without_a_second_voice(
    world: Any, bring_in: BringIn, lines: Lines
) -> None:
    bring_in(lines(ADA, BO, ATLAS, OFFICE, WORKS, SISTER, LEADS))
    world.store("Faro", 1, object_kind="place")
    world.store("tea", 2, predicate="likes")
    before = [(fact.id, fact.confidence, fact.evidence) for fact in world.facts()]
    report = bring_in(lines(*written(world)))
    assert report.n_new == 0
    assert [(fact.id, fact.confidence, fact.evidence) for fact in world.facts()] == before


def test_a_note_whose_facts_are_over_is_not_written(world: Any, bring_in: BringIn, lines: Lines) -> None:
    bring_in(lines(ADA))
    world.now += timedelta(days=300)
    bring_in(lines(ADA | {"observations": ["Moved to Lagos"]}))
    observations = entity(written(world), "Ada Lund")["observations"]
    assert "Lives in Porto" not in observations
    assert "Moved to Lagos" in observations


def test_two_nodes_of_one_name_are_told_apart(world: Any) -> None:
    world.store("Florence", 1, object_kind="place")
    world.store("Florence", 2, predicate="sister", object_kind="person")
    assert {row["name"] for row in written(world) if row["type"] == "entity"} >= {
        "Florence",
        "Florence (place)",
    }


def test_an_entity_that_comes_twice_is_one(world: Any, bring_in: BringIn, lines: Lines) -> None:
    again = {
        "type": "entity",
        "name": "Ada_Lund",
        "entityType": "dragon",
        "observations": ["Lives in Porto", "Likes tea"],
    }
    report = bring_in(lines(ADA, again))
    assert report.n_new == 5
    assert [person.name for person in list_people(world.database, world.space_id)] == ["Ada Lund"]


def test_entities_that_differ_in_case_alone_share_a_node(world: Any, bring_in: BringIn, lines: Lines) -> None:
    rows = [
        {"type": "entity", "name": name, "entityType": "tool", "observations": ["is a store", "Fast"]}
        for name in ("Redis", "redis")
    ]
    uses = {"type": "relation", "from": "redis", "to": "Redis", "relationType": "same_as"}
    bring_in(lines(*rows, uses))
    assert [row["name"] for row in written(world) if row["type"] == "entity"] == ["Redis"]
    assert bring_in(lines(*rows, uses) + b"\n").n_new == 0


def test_cycles_loops_and_undescribed_ends_are_taken(world: Any, bring_in: BringIn, lines: Lines) -> None:
    there = {"type": "relation", "from": "A", "to": "B", "relationType": "before"}
    back = {"type": "relation", "from": "B", "to": "A", "relationType": "before"}
    loop = {"type": "relation", "from": "A", "to": "A", "relationType": "before"}
    report = bring_in(lines(there, back, loop))
    assert facts(world) == {("A", "before", "B"), ("B", "before", "A")}
    assert report.n_new == 3
    assert "names that only relations mention: 2" in report.notes
    assert "relations of a thing to itself, no facts: 1" in report.notes


@pytest.mark.parametrize(
    "name",
    [
        "Łucja",
        "محمد",
        "‮Ada",
        "👩‍👩‍👧",
        "a\u0000b",
        "N" * 300,
        "x\ud83d",
        "“Bo”",
        "名前",
        "Zal\u0334g\u0335o",
        "a\nb",
    ],
)
def test_any_name_comes_in_and_goes_out(world: Any, bring_in: BringIn, name: str) -> None:
    row = {"type": "entity", "name": name, "entityType": "person", "observations": ["Lives in Porto"]}
    bring_in(json.dumps(row).encode())
    assert len(list_people(world.database, world.space_id)) == 1
    assert [row["observations"] for row in written(world) if row.get("entityType") == "person"] == [
        ["Lives in Porto"]
    ]


@pytest.mark.parametrize("name", ["alex", "user_91", "“Bo”", "محمد", "a@b.example", "名前", "R2-D2"])
def test_a_name_that_does_not_look_like_one_has_facts_too(
    world: Any, bring_in: BringIn, lines: Lines, name: str
) -> None:
    said = ["Lives in Porto", "I am allergic to nuts", "Works at Harbour Office"]
    bring_in(lines({"type": "entity", "name": name, "entityType": "person", "observations": said}))
    (person,) = list_people(world.database, world.space_id)
    known = {(fact.subject_id, fact.predicate, fact.object) for fact in world.facts()}
    assert known == {
        (person.id, "lives_in", "Porto"),
        (person.id, "allergy", "nuts"),
        (person.id, "workplace", "Harbour Office"),
    }


def test_a_stand_in_for_a_name_leaves_no_trace(world: Any, bring_in: BringIn, lines: Lines) -> None:
    said = [
        "Has a sister named Emma who lives in Boston",
        "His mother works at Harbour Office",
        "user_91's brother moved to Faro",
        "Used to live in Paris, now in Lyon",
        "Sister of Tomas",
        "Met Zed in Faro; Zed likes user_91",
    ]
    bring_in(lines({"type": "entity", "name": "user_91", "entityType": "user", "observations": said}))
    stored = (
        json.dumps(written(world)) + str(list_people(world.database, world.space_id)) + str(world.facts())
    )
    assert STAND_IN.split()[0] not in stored
    assert "Emma" in stored


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"type":"entity","name":"B', "line 2: malformed JSON at column"),
        ("[1]", "line 2: no object"),
        ('{"type":"entity","entityType":"person","observations":[]}', "line 2: name is missing"),
        ('{"type":"entity","name":" ","entityType":"person"}', "line 2: name is empty"),
        ('{"type":"entity","name":"\\u200b","entityType":"person"}', "line 2: name is empty"),
        ('{"type":"entity","name":{},"entityType":"person"}', "line 2: name is no text"),
        ('{"type":"entity","name":"B","observations":"x"}', "line 2: observations is no list"),
        ('{"type":"entity","name":"B","observations":["x",null]}', "line 2: observation 2 is no text"),
        ('{"type":"relation","from":"A","relationType":"knows"}', "line 2: to is missing"),
        ('{"type":"relation","from":"A","to":"B"}', "line 2: relationType is missing"),
        ("[" * 100_000, "line 2: nested too deeply"),
    ],
)
def test_a_damaged_line_is_named(lines: Lines, line: str, why: str) -> None:
    with pytest.raises(BrokenExport, match=why):
        read_notebook(lines(ADA) + b"\n" + line.encode(), "memory.jsonl")


def test_lines_of_unknown_types_are_passed_over_with_a_word(lines: Lines) -> None:
    notebook = read_notebook(lines(ADA, {"type": "meta"}), "memory.jsonl")
    assert notebook is not None
    assert "lines of unknown types, passed over: 1" in notebook.remarks


def test_an_observation_of_10_megabytes_comes_in(world: Any, bring_in: BringIn, lines: Lines) -> None:
    bring_in(lines(ADA | {"observations": ["tide " * (2 * 2**20)]}))
    (note,) = list_episodes(world.database, world.space_id)
    assert len(note.text) > 10 * 2**20 - 10


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """The official server, fetched by npm."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    package = "@modelcontextprotocol/server-memory@2026.8.31"
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(tmp_path), package]
    if subprocess.run(command, capture_output=True, timeout=300).returncode:
        pytest.skip("the server cannot be fetched")
    return tmp_path / "node_modules" / "@modelcontextprotocol" / "server-memory" / "dist" / "index.js"


def call(server: Path, file: Path, tool: str, arguments: dict[str, Any]) -> Any:
    """One tool of the server on the file, over its standard input and output."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}},
    ]
    environment = os.environ | {"MEMORY_FILE_PATH": str(file)}
    with subprocess.Popen(
        ["node", str(server)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for message in messages:
            process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        answers = (json.loads(line) for line in process.stdout)
        answer = next(answer for answer in answers if answer.get("id") == 2)
        process.terminate()
    return json.loads(answer["result"]["content"][0]["text"])


@pytest.mark.network
def test_the_real_server_reads_what_was_written_and_what_it_adds_comes_back(
    world: Any, bring_in: BringIn, lines: Lines, server: Path, tmp_path: Path
) -> None:
    bring_in(lines(ADA, BO, ATLAS, OFFICE, WORKS, SISTER, LEADS))
    file = tmp_path / "memory.jsonl"
    rows = written(world)
    file.write_bytes(lines(*rows) + b"\n")
    graph = call(server, file, "read_graph", {})
    assert {e["name"] for e in graph["entities"]} == {r["name"] for r in rows if r["type"] == "entity"}
    assert len(graph["relations"]) == len(relations(rows))
    new = [{"entityName": "Ada Lund", "contents": ["Plays the cello"]}]
    call(server, file, "add_observations", {"observations": new})
    call(
        server,
        file,
        "create_relations",
        {"relations": [{"from": "Bo Rask", "to": "Harbour Office", "relationType": "works_at"}]},
    )
    before = facts(world)
    report = bring_in(file.read_bytes())
    assert report.n_new == 2
    assert facts(world) - before == {
        ("Ada Lund", "plays", "cello"),
        ("Bo Rask", "workplace", "Harbour Office"),
    }
