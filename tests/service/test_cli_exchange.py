from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import closing
from pathlib import Path
from typing import Any

import networkx
import pytest

ENTITY = {"type": "entity", "name": "Cleo_Ott", "entityType": "person", "observations": ["Lives in Faro"]}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A home that is not there yet."""
    return tmp_path / "other"


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_an_export_is_loaded_into_another_home_exactly(slowwave: Any, tmp_path: Path, other: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    assert "records of the space default written to" in slowwave("export", first).out
    loaded = slowwave("--home", other, "load", first, "--json").json
    slowwave("--home", other, "export", second)
    assert first.read_bytes() == second.read_bytes()
    assert loaded["records"]["episode"] == 5
    assert loaded["ledger_breaks"] == loaded["missing_artifacts"] == []
    assert slowwave("--home", other, "ledger", "verify").code == 0
    before = slowwave("facts", "Ada Lund").out
    assert slowwave("--home", other, "facts", "Ada Lund").out == before
    assert "Lagos" in before


def test_an_export_goes_through_a_pipe(slowwave: Any, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = slowwave("export", "-").out
    assert [json.loads(line)["type"] for line in printed.splitlines()][-1] == "trailer"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(printed.encode())))
    assert "loaded into the space default" in slowwave("--home", other, "load", "-").out
    assert slowwave("--home", other, "export", "-").out == printed


def test_a_load_goes_into_the_space_that_is_named(slowwave: Any, tmp_path: Path, other: Path) -> None:
    file = tmp_path / "a.jsonl"
    slowwave("export", file)
    assert "space copy" in slowwave("--home", other, "load", file, "--space", "copy").out
    assert "Ada Lund" in slowwave("--home", other, "--space", "copy", "people").out
    assert "Ada Lund" not in slowwave("--home", other, "people").out
    again = tmp_path / "b.jsonl"
    slowwave("--home", other, "export", again, "--space", "copy")
    assert len(again.read_bytes().splitlines()) == len(file.read_bytes().splitlines())


@pytest.mark.parametrize("format_", ["jsonl", "mcp-memory"])
def test_a_space_without_anything_is_not_exported(slowwave: Any, tmp_path: Path, format_: str) -> None:
    refusal = slowwave("export", tmp_path / "a", "--space", "defualt", "--format", format_).refusal
    assert "the space defualt holds nothing" in refusal
    assert list(tmp_path.glob("a*")) == []


def test_a_used_space_refuses_a_load(slowwave: Any, tmp_path: Path) -> None:
    slowwave("export", tmp_path / "a.jsonl")
    before = slowwave.rows()
    assert "holds something already" in slowwave("load", tmp_path / "a.jsonl").refusal
    assert slowwave.rows() == before


def test_a_cut_export_is_refused_with_its_line_and_changes_nothing(
    slowwave: Any, tmp_path: Path, other: Path
) -> None:
    file = tmp_path / "a.jsonl"
    slowwave("export", file)
    file.write_bytes(file.read_bytes()[:-200])
    assert "line" in slowwave("--home", other, "load", file).refusal
    with closing(sqlite3.connect(other / "graph.db")) as store:
        assert store.execute("SELECT count(*) FROM episode").fetchone() == (0,)


def test_missing_files_of_artifacts_are_told(slowwave: Any, tmp_path: Path, other: Path) -> None:
    with closing(sqlite3.connect(slowwave.home / "graph.db")) as store:
        store.execute(
            "INSERT INTO artifact (id, space_id, kind, path, sha256, meta, created_at) "
            "SELECT 'a1', id, 'recipe', 'recipes/a1', 'x', '{}', '2025-01-01 00:00:00.000000' FROM space"
        )
        store.commit()
    slowwave("export", tmp_path / "a.jsonl")
    assert "1 files of artifacts are not here" in slowwave("--home", other, "load", tmp_path / "a.jsonl").out


@pytest.mark.parametrize("place", ["nowhere/a.jsonl", "folder"])
def test_an_export_that_cannot_be_written_leaves_nothing(slowwave: Any, tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert str(tmp_path / place) in slowwave("export", tmp_path / place).refusal
    assert sorted(tmp_path.rglob("*")) == before


def test_an_interrupted_export_keeps_the_file_that_was_there(
    slowwave: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("what was there")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("memory.exchange.dump.dump", full)
    assert "no space left" in slowwave("export", file).refusal
    assert file.read_text() == "what was there"
    assert [path for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_each_entrance_names_the_other(slowwave: Any, tmp_path: Path, chat: Path, other: Path) -> None:
    slowwave("export", tmp_path / "a.jsonl")
    assert "slowwave load" in slowwave("import", tmp_path / "a.jsonl").refusal
    assert "slowwave import" in slowwave("--home", other, "load", chat).refusal


def test_memories_of_another_program_come_in_by_import(slowwave: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "memory.jsonl", ENTITY)
    (preview,) = slowwave("import", file, "--preview", "--json").json
    assert (preview["kind"], preview["messages"], preview["people"]) == ("mcp-memory", 1, ["Cleo Ott"])
    assert "Cleo" not in slowwave("people").out
    assert "1 new of 1 notes about Cleo Ott" in slowwave("import", file).out
    assert "nothing new" in slowwave("import", file).out
    assert "Faro" in slowwave("facts", "Cleo Ott").out


def test_forgetting_a_person_takes_the_notes_about_them_and_no_others(slowwave: Any, tmp_path: Path) -> None:
    office = {
        "type": "entity",
        "name": "Quay Office",
        "entityType": "company",
        "observations": ["Opens at 9"],
    }
    works = {"type": "relation", "from": "Cleo_Ott", "to": "Quay Office", "relationType": "works_at"}
    slowwave("import", write(tmp_path / "m.jsonl", ENTITY, office, works))
    assert slowwave("forget", "person", "Cleo Ott", "--yes").code == 0
    rows = slowwave.rows()
    notes = [str(row) for row in rows["episode"] if "notes" in str(row) or "Quay" in str(row)]
    assert len(notes) == 1
    assert "Quay Office: Opens at 9" in notes[0]
    assert any("Quay Office" in str(row) for row in rows["node"])
    assert not any("[erased]" in str(row) for row in rows["conversation"])


def test_relations_count_among_what_an_import_found(slowwave: Any, tmp_path: Path) -> None:
    knows = {"type": "relation", "from": "Cleo_Ott", "to": "Ada Lund", "relationType": "sister_of"}
    assert slowwave("import", write(tmp_path / "m.jsonl", ENTITY, knows), "--json").json["candidates"] == 2


def test_what_holds_now_goes_out_for_the_mcp_server(slowwave: Any, tmp_path: Path) -> None:
    file = tmp_path / "memory.jsonl"
    slowwave("export", "--format", "mcp-memory", file)
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert {"type": "relation", "from": "Ada Lund", "to": "Lagos", "relationType": "lives_in"} in rows
    assert not any(row.get("to") == "Porto" for row in rows)
    assert "nothing new" in slowwave("import", file).out


def test_a_damaged_memory_file_writes_nothing(slowwave: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "m.jsonl", ENTITY)
    file.write_text(file.read_text() + '\n{"type":"relation","from":"Cl')
    before = slowwave.rows()
    assert "line 2" in slowwave("import", file).refusal
    assert slowwave.rows() == before


def test_the_graph_goes_out_as_graphml(slowwave: Any, tmp_path: Path) -> None:
    file = tmp_path / "g.graphml"
    assert "nodes and" in slowwave("graph", "export", file, "--conversations").out
    graph = networkx.read_graphml(file, force_multigraph=True)
    kinds = {kind for _, kind in graph.nodes(data="kind")}
    assert kinds >= {"person", "place", "conversation"}
    past = tmp_path / "past.graphml"
    slowwave("graph", "export", past, "--as-of", "2025-04-01", "--known-to", "Bo Rask", "--no-values")
    names = {name for _, name in networkx.read_graphml(past).nodes(data="label")}
    assert "Porto" in names
    assert "Lagos" not in names


def test_the_graph_is_drawn(slowwave: Any, tmp_path: Path) -> None:
    page, image = tmp_path / "g.html", tmp_path / "g.svg"
    assert "drawn into" in slowwave("graph", "show", page).out
    assert "Marta" in page.read_text("utf-8")
    slowwave("graph", "show", image, "--person", "Ada")
    assert "Lagos" in ET.tostring(ET.parse(image).getroot(), encoding="unicode")


def test_the_graph_is_printed_for_programs(slowwave: Any, tmp_path: Path) -> None:
    data = slowwave("graph", "show", "--json").json
    graph = networkx.node_link_graph(data, edges="edges")
    assert {"Ada Lund", "Marta"} <= {name for _, name in graph.nodes(data="label")}
    assert not Path("graph.html").exists()


def test_an_unknown_person_is_refused(slowwave: Any, tmp_path: Path) -> None:
    for command in (
        ("show", tmp_path / "g.svg", "--person"),
        ("export", tmp_path / "g.graphml", "--known-to"),
    ):
        assert "nobody called Zed" in slowwave("graph", *command, "Zed").refusal
    assert list(tmp_path.glob("g.*")) == []


def test_a_reader_that_has_enough_of_an_export_is_no_traceback(slowwave: Any) -> None:
    command = f"{sys.executable} -m service --home {slowwave.home} export - | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=240)
    assert b"Traceback" not in done.stderr
