"""The tools of the MCP memory server: the answers that the official one gave to recorded, invented calls are ours too.

`fixtures/memory_server_calls.jsonl.gz` was written by `python -m bench.mcp --calls 160 --seed 7 --record FILE`.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from bench.mcp import ours, seen
from db import tables
from memory.facts import list_facts
from service.access.callers import LOOPBACK, Caller
from service.cli import cli
from service.mcp.memory import Stores, _call
from service.settings import Settings
from service.spaces import App, Spaces
from service.wiring import Services

RECORDED = Path(__file__).parent / "fixtures" / "memory_server_calls.jsonl.gz"
READER = Caller("token", frozenset({"read"}))


@pytest.fixture
def app(tmp_path: Path, migrated: Path) -> Iterator[App]:
    shutil.copy(migrated, tmp_path / "graph.db")
    with Services(Settings(home=tmp_path)) as opened, Spaces.around(opened).use() as found:
        yield found


class Memory:
    """The tools on one space, called as the server calls them."""

    def __init__(self, app: App, caller: Caller = LOOPBACK, *, is_exact: bool = True) -> None:
        self._app, self._caller, self._is_exact, self._stores = app, caller, is_exact, Stores()

    def __call__(self, name: str, /, **given: Any) -> dict[str, Any]:
        @contextmanager
        def reach(_: Any) -> Iterator[tuple[App, Caller]]:
            yield self._app, self._caller

        context: Any = None
        return _call(reach, context, self._stores, name, given, self._is_exact)


def test_recorded_calls_are_answered_as_the_official_server_answered_them(app: App) -> None:
    call = Memory(app)
    with gzip.open(RECORDED, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            made = json.loads(line)
            name, given = made["call"]
            assert seen(call(name, **given)) == seen(made["answer"]), f"call {number}, {name}"


def test_a_question_finds_what_no_words_of_it_hold(app: App) -> None:
    rows = [
        {"name": "Ilka", "entityType": "person", "observations": ["adopted two stray kittens"]},
        {"name": "Orin", "entityType": "person", "observations": ["repairs church organs"]},
    ]
    Memory(app)("create_entities", entities=rows)
    question = "who took in homeless cats?"
    found = Memory(app, is_exact=False)("search_nodes", query=question)["structuredContent"]["entities"]
    assert found[0] == rows[0]
    assert Memory(app)("search_nodes", query=question)["structuredContent"]["entities"] == []


def test_what_is_observed_of_a_person_can_be_asked_about(app: App) -> None:
    row = {"name": "Ilka_Brask", "entityType": "person", "observations": ["Lives in Talvik"]}
    Memory(app)("create_entities", entities=[row])
    app.services.read()
    services = app.services
    (fact,) = list_facts(services.database, services.space_id, services.registry)
    assert (fact.subject, fact.predicate, fact.object) == ("Ilka Brask", "lives_in", "Talvik")
    assert "Talvik" in services.ask("Where does Ilka Brask live?").text


def test_an_imported_file_is_what_the_tools_show_and_links_to_its_notes(app: App, tmp_path: Path) -> None:
    rows = [
        {"type": "entity", "name": "Ilka_Brask", "entityType": "Diver", "observations": ["sails", "sails "]},
        {"type": "relation", "from": "Ilka_Brask", "to": "Ilka_Brask", "relationType": "knows"},
    ]
    file = tmp_path / "memory.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    app.services.import_file(file)
    shown = Memory(app)("read_graph")["structuredContent"]
    assert shown["entities"] == [{key: rows[0][key] for key in ("name", "entityType", "observations")}]
    with app.services.database.reading() as session:
        for mapped in (tables.MemoryEntity, tables.MemoryObservation, tables.MemoryRelation):
            assert None not in session.scalars(select(mapped.episode_id)).all()
        assert session.scalar(select(func.count()).select_from(tables.Episode)) == 3  # none of them twice


def test_a_reader_changes_nothing(app: App) -> None:
    answer = Memory(app, READER)("create_entities", entities=[])
    assert answer["isError"]
    assert "may not write" in answer["content"][0]["text"]
    assert "isError" not in Memory(app, READER)("read_graph")


def test_a_file_of_the_official_server_is_taken_over_once(tmp_path: Path) -> None:
    row = {"type": "entity", "name": "Ilka", "entityType": "person", "observations": ["sails", "sails"]}
    file = tmp_path / "memory.jsonl"
    file.write_text(json.dumps(row), encoding="utf-8")
    with ours(tmp_path / "home", MEMORY_FILE_PATH=str(file)) as peer:
        assert peer.ask("resources/subscribe", {"uri": "memory://knowledge-graph"}) == {}
        peer.call("add_observations", {"observations": [{"entityName": "Ilka", "contents": ["rows"]}]})
        assert [note["method"] for note in peer.notes] == ["notifications/resources/updated"]
        (entity,) = peer.call("read_graph", {})["structuredContent"]["entities"]
    assert entity["observations"] == ["sails", "sails", "rows"]


def test_exactness_without_the_memory_server_is_a_mistake() -> None:
    done = CliRunner().invoke(cli, ["mcp", "--exact"])
    assert done.exit_code == 2
    assert "--exact goes with --memory-server" in done.output
