"""The graph by day on the command line: what commands print, and what their JSON holds."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from service.cli import MODULES
from tests.cli_commands import every_command

FACT = {
    "id",
    "subject",
    "predicate",
    "object",
    "valid_from",
    "valid_to",
    "confidence",
    "evidence",
    "status",
    "stale",
    "kind",
    "sensitive",
}


def all_commands() -> list[list[str]]:
    found: list[list[str]] = [[]]
    for name, command in every_command():
        found.append([name])
        if isinstance(command, click.Group):
            found += [[name, inner] for inner in command.commands]
    return found


def test_every_module_holds_the_commands_that_it_is_loaded_for() -> None:
    held = {name: import_module(f"service.cli.{name}").COMMANDS for name in MODULES}
    assert {name: tuple(command.name for command in commands) for name, commands in held.items()} == MODULES


@pytest.mark.parametrize("command", all_commands(), ids=" ".join)
def test_every_command_explains_itself_without_a_home(empty: Any, command: list[str]) -> None:
    shown = empty(*command, "--help")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("Usage: ")
    assert not empty.home.exists()


def test_import_reports_what_it_did_and_again_that_there_is_nothing_new(empty: Any, chat: Path) -> None:
    first = empty("import", chat, "--json").json
    assert set(first) == {
        "source", "kind", "messages", "new", "edited", "deleted", "people", "candidates", "emotion_tags",
        "pending", "skipped",
    }  # fmt: skip
    assert (first["kind"], first["messages"], first["new"]) == ("jsonl", 5, 5)
    assert first["people"] == ["Ada Lund", "Bo Rask"]
    assert first["candidates"] >= 3
    rows = empty.rows()
    again = empty("import", chat, "--json").json
    assert (again["source"], again["new"], again["candidates"]) == (first["source"], 0, 0)
    assert empty("import", chat).out.startswith("nothing new")
    assert empty.rows() == rows


def test_a_preview_writes_nothing_not_even_a_home(empty: Any, chat: Path) -> None:
    shown = empty("import", chat, "--preview")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("jsonl: 5 messages by Ada Lund, Bo Rask, 2025-03-01 to 2025-06-05")
    (found,) = empty("import", chat, "--preview", "--json").json
    assert (found["messages"], found["skipped"], len(found["rows"])) == (5, [], 3)
    assert not empty.home.exists()


def test_a_preview_tells_what_importing_would_change(empty: Any, tmp_path: Path) -> None:
    def export(name: str, *words: str) -> Path:
        lines = [f"12/03/2025, 18:0{i} - {('Ana', 'Bo')[i % 2]}: {said}" for i, said in enumerate(words)]
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    empty("import", export("a.txt", "one", "two", "three"))
    rows = empty.rows()
    later = export("b.txt", "one", "This message was deleted", "drei <This message was edited>", "four")
    would = {"new": 1, "edited": 1, "deleted": 1}
    assert empty("import", later, "--preview", "--json").json[0]["would"] == would
    assert "would add 1, change 1 that were edited and mark 1" in empty("import", later, "--preview").out
    assert empty.rows() == rows
    report = empty("import", later, "--json").json
    assert {key: report[key] for key in would} == would


def test_what_bo_lets_a_program_write_becomes_no_fact(empty: Any, chat: Path) -> None:
    shown = empty("import", chat, "--preview", "--json", "--bot", "Bo Rask").json
    assert shown[0]["simulated"] > 0
    assert empty("import", chat, "--bot", "bo rask").code == 0
    assert not empty("facts", "Bo Rask", "--json").json
    assert "is no pattern" in empty("import", chat, "--bot-pattern", "[").refusal


def test_facts_as_json_hold_the_documented_keys(slowwave: Any) -> None:
    found = slowwave("facts", "Ada Lund", "--json").json
    assert found
    episodes = {row[0] for row in slowwave.rows()["episode"]}
    for fact in found:
        assert set(fact) == FACT
        assert fact["subject"] == "Ada Lund"
        assert fact["evidence"]
        assert set(fact["evidence"]) <= episodes
        assert 0 <= fact["confidence"] <= 1
    homes = [fact for fact in found if fact["predicate"] == "lives_in"]
    assert [(fact["object"], fact["valid_to"], fact["status"]) for fact in homes] == [
        ("Lagos", None, "candidate")
    ]


def test_facts_follow_time_and_who_may_know(slowwave: Any) -> None:
    then = slowwave("facts", "Ada", "--as-of", "2025-04-01", "--json").json
    assert "Porto" in [fact["object"] for fact in then if fact["predicate"] == "lives_in"]
    ever = slowwave("facts", "Ada", "--history", "--json").json
    assert {"Porto", "Lagos"} <= {fact["object"] for fact in ever}
    assert slowwave("facts", "Ada", "--known-to", "Bo", "--json").json
    table = slowwave("facts", "Ada").out
    assert "lives in" in table
    assert "Lagos" in table


def test_ask_as_json_names_facts_and_messages_or_abstains(slowwave: Any) -> None:
    answer = slowwave("ask", "Where does Ada live now?", "--json").json
    assert set(answer) == {"answer", "abstained", "facts", "evidence"}
    assert "Lagos" in answer["answer"]
    assert answer["abstained"] is False
    assert all(set(fact) == FACT for fact in answer["facts"])
    assert [fact["object"] for fact in answer["facts"]] == ["Lagos"]
    assert all(
        set(message) == {"episode", "speaker", "time", "text", "sensitive"} for message in answer["evidence"]
    )
    assert "I moved to Lagos last week." in [message["text"] for message in answer["evidence"]]
    assert datetime.fromisoformat(answer["evidence"][0]["time"]).tzinfo is not None
    unknown = slowwave("ask", "Which opera did Ada sing in?", "--json").json
    assert (unknown["abstained"], unknown["facts"]) == (True, [])


def test_people_are_listed(slowwave: Any) -> None:
    found = slowwave("people", "--json").json
    assert {person["name"] for person in found if person["speaks"]} == {"Ada Lund", "Bo Rask"}
    assert all(set(person) == {"id", "name", "aliases", "speaks"} for person in found)
    assert "Ada Lund" in slowwave("people").out


def test_config_and_path_tell_where_things_are(empty: Any) -> None:
    assert empty("config").json["home"] == str(empty.home)
    assert empty("config").json["night"]["train"]["rank"] == 16
    assert empty("path").out.strip() == str(empty.home)
    assert not empty.home.exists()


def test_a_changed_ledger_is_found(slowwave: Any) -> None:
    slowwave("consent", "Ada", "--by", "Ada Lund")
    slowwave("consent", "Bo", "--by", "Bo Rask")
    assert slowwave("ledger", "verify").out == "the ledger is sound\n"
    sound = {"sound": True, "entries": 2, "first_broken": None, "problems": []}
    assert slowwave("ledger", "verify", "--json").json == sound
    assert len(slowwave("ledger", "show", "--json").json) == 2
    with closing(sqlite3.connect(slowwave.home / "graph.db")) as store:
        store.execute("UPDATE ledger SET payload = '{}' WHERE seq = (SELECT min(seq) FROM ledger)")
        store.commit()
    found = slowwave("ledger", "verify")
    assert found.code == 1
    assert found.out
    assert found.line.startswith("the ledger is broken in 1 place, first at entry 1; ")
    told = json.loads(slowwave("ledger", "verify", "--json").out)
    assert (told["sound"], told["entries"], told["first_broken"]) == (False, 2, 1)
    assert [item["seq"] for item in told["problems"]] == [1]


def test_a_persona_speaks_with_consent_only(slowwave: Any) -> None:
    rows = slowwave.rows()
    refused = slowwave("chat", "Ada", "--as", "Bo", "--once", "Hello!")
    assert '`slowwave consent "Ada Lund" --by WHO`' in refused.refusal
    slowwave("consent", "Ada", "--by", "Ada Lund")
    slowwave("consent", "Ada", "--by", "Ada Lund", "--withdraw")
    assert slowwave("chat", "Ada", "--as", "Bo", "--once", "Hello!").refusal == refused.line
    assert slowwave.rows()["episode"] == rows["episode"]


def test_the_indexes_can_be_made_again(slowwave: Any) -> None:
    before = slowwave("ask", "Where does Ada live now?", "--json").json
    assert slowwave("index", "rebuild").code == 0
    assert slowwave("ask", "Where does Ada live now?", "--json").json == before


def test_a_process_keeps_its_words_on_stdout_and_tells_nobody_what_was_said(empty: Any, chat: Path) -> None:
    done = empty.process("import", chat)
    assert done.code == 0
    facts = empty.process("facts", "Ada")
    assert "Lagos" in facts.out
    for heard in (done.err, facts.err):
        assert "Traceback" not in heard
        assert not any(word in heard for word in ("Porto", "Lagos", "Marta", "Ada", "harbour", "boat"))


def test_a_reader_that_has_enough_is_no_traceback(slowwave: Any) -> None:
    command = [sys.executable, "-m", "service", "facts", "Ada", "--history"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(240)
