"""`slowwave constitution` and its routes: show, compare and edit what the nights wrote of somebody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from memory import constitutions
from memory.episodes import list_episodes
from memory.types import Principle
from service.http.application import create_app
from service.settings import Settings
from service.wiring import Services


@pytest.fixture
def written(slowwave: Any) -> Any:
    """The program with a chat, and two versions about Ada."""
    with Services(Settings(home=slowwave.home)) as services:
        said = list_episodes(services.database, services.space_id)
        ada = services.person("Ada Lund")
        own = [episode.id for episode in said if episode.speaker == "Ada Lund"]
        lines = [Principle("value", "Moves often", (own[0], own[2])), Principle("habit", "Hums", (own[1],))]
        for found in (lines[:1], lines):
            with services.database.transaction() as session:
                constitutions.write(
                    session, services.space_id, ada.id, found, run_id=None, clock=services.clock
                )
    return slowwave


def line_id(written: Any, text: str) -> str:
    lines = written("constitution", "show", "Ada", "--json").json["lines"]
    return str(next(line["line"] for line in lines if line["text"] == text))


def test_somebody_without_one_is_told_what_writes_it(slowwave: Any) -> None:
    assert "slowwave sleep" in slowwave("constitution", "show", "Ada").out
    assert "slowwave sleep" in slowwave("constitution", "diff", "Ada").refusal


def test_lines_come_with_their_messages_and_the_habits_in_numbers(written: Any) -> None:
    shown = written("constitution", "show", "Ada", "--evidence", "--json").json
    assert (shown["version"], shown["author"]) == (2, "night")
    assert [(line["kind"], line["text"]) for line in shown["lines"]] == [
        ("value", "Moves often"),
        ("habit", "Hums"),
    ]
    assert [said["text"] for said in shown["lines"][0]["evidence"]] == [
        "I live in Porto.",
        "I moved to Lagos last week.",
    ]
    assert shown["habits"]["messages"] == 3
    plain = written("constitution", "show", "Ada", "--evidence").out
    assert "I live in Porto." in plain
    assert "words in a message" in plain


def test_an_earlier_version_and_the_list_of_them(written: Any) -> None:
    shown = written("constitution", "show", "Ada", "--as-of", "1", "--json").json
    assert [line["text"] for line in shown["lines"]] == ["Moves often"]
    assert shown["habits"] is None
    every = written("constitution", "show", "Ada", "--versions", "--json").json
    assert [(one["version"], one["changes"]) for one in every] == [(2, {"added": 1}), (1, {"added": 1})]
    assert "no version 7" in written("constitution", "show", "Ada", "--as-of", "7").refusal


def test_somebody_else_sees_only_what_they_heard(written: Any) -> None:
    shown = written("constitution", "show", "Ada", "--known-to", "Marta", "--json").json
    assert shown["lines"] == []
    assert shown["habits"]["messages"] == 0


def test_a_diff_reads_like_one(written: Any) -> None:
    found = written("constitution", "diff", "Ada", "--json").json
    assert (found["from"], found["to"]) == (1, 2)
    assert [(line["change"], line["new"]["text"]) for line in found["lines"]] == [("added", "Hums")]
    assert "+ habit: Hums  (shown by one message)" in written("constitution", "diff", "Ada").out
    assert "- habit: Hums" in written("constitution", "diff", "Ada", "2", "1").out


def test_lines_are_edited_by_options(written: Any) -> None:
    hums = line_id(written, "Hums")
    edited = written(
        "constitution", "edit", "Ada", "--drop", hums[:8], "--add", "limit", "No boats", "--json"
    ).json
    assert [(line["text"], line["author"]) for line in edited["lines"]] == [
        ("Moves often", "night"),
        ("No boats", "person"),
    ]
    assert "id begins with" in written("constitution", "edit", "Ada", "--drop", hums).refusal


def test_a_view_added_by_hand_names_whom_it_is_of(written: Any) -> None:
    options = ("--add", "view", "Trusts him", "--about", "Bo", "--json")
    assert written("constitution", "edit", "Ada", *options).json["lines"][-1]["about"] == "Bo Rask"


def test_a_file_is_the_whole_constitution(written: Any, tmp_path: Any) -> None:
    path = tmp_path / "ada.txt"
    hums, moves = line_id(written, "Hums"), line_id(written, "Moves often")
    path.write_text(f"# mine\n[{hums}] speech: Hums loudly\nvalue: Likes boats\n", encoding="utf-8")
    edited = written("constitution", "edit", "Ada", "--file", str(path), "--json").json
    assert [(line["kind"], line["text"]) for line in edited["lines"]] == [
        ("value", "Likes boats"),
        ("speech", "Hums loudly"),
    ]
    assert moves not in [line["line"] for line in edited["lines"]]
    path.write_text("[zzz] value: Nothing of ours\n", encoding="utf-8")
    assert "line 1" in written("constitution", "edit", "Ada", "--file", str(path)).refusal
    path.write_text("no kind here\n", encoding="utf-8")
    assert "kind: text" in written("constitution", "edit", "Ada", "--file", str(path)).refusal


@pytest.fixture
def client(written: Any) -> Iterator[TestClient]:
    with Services(Settings(home=written.home)) as services:
        yield TestClient(create_app(services), base_url="http://127.0.0.1:7777")


def test_the_routes_have_the_shapes_of_the_commands(written: Any, client: TestClient) -> None:
    base = "/v1/people/Ada Lund"
    assert client.get(f"{base}/constitution").json() == written("constitution", "show", "Ada", "--json").json
    assert client.get(f"{base}/constitution", params={"version": 1}).json()["version"] == 1
    assert (
        client.get(f"{base}/constitution/diff").json()
        == written("constitution", "diff", "Ada", "--json").json
    )
    assert client.get(f"{base}/habits").json()["messages"] == 3
    assert client.get(f"{base}/constitution", params={"version": 9}).status_code == 404


def test_the_route_edits_all_or_nothing(written: Any, client: TestClient) -> None:
    hums = line_id(written, "Hums")
    wanted = {
        "add": [{"kind": "limit", "text": "No boats"}],
        "change": [{"line": hums, "kind": "habit", "text": "Sings"}],
    }
    edited = client.post("/v1/people/Ada Lund/constitution", json=wanted).json()
    assert {line["text"] for line in edited["lines"]} == {"Moves often", "Sings", "No boats"}
    refused = client.post("/v1/people/Ada Lund/constitution", json={"drop": ["zzz"], **wanted})
    assert refused.status_code == 404
    assert len(client.get("/v1/people/Ada Lund/constitution/versions").json()) == 3
