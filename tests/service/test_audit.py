"""Whatever changes something leaves a line in the audit log: held against the OpenAPI document, the tools and the commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from db import tables
from memory.importing import import_file
from service.access import scopes, tokens
from service.access.callers import LOOPBACK
from service.cli import cli
from service.cli.acts import CHANGES
from service.entrances.forgetting import Asked, forget
from service.http.application import create_app
from service.mcp import memory_calls
from service.mcp.memory import Stores
from service.mcp.memory import _changed as changed_by_memory_tool
from service.mcp.server import TOOLS
from service.settings import Settings
from service.spaces import App, Spaces
from tests.service.conftest import Program

LINES = Path(__file__).parents[1] / "memory" / "fixtures" / "lines.jsonl"
PLANTED = "quandary zephyrine"

# asked by POST, and changing nothing
LOOKS = {
    "POST /v1/ask",
    "POST /v1/readouts/score",
    "POST /v1/why-said",
    "POST /v1/people/{name}/persona/report",
}
OF_NO_SPACE = {
    "POST /v1/login",
    "POST /v1/logout",
    "POST /v1/spaces",
    "POST /v1/tokens",
    "DELETE /v1/tokens/{token_id}",
}


@pytest.fixture
def spaces(tmp_path: Path) -> Iterator[Spaces]:
    opened = Spaces(Settings(home=tmp_path))
    with opened.use() as app:
        import_file(app.services.database, app.services.space_id, LINES)
    yield opened
    opened.close()


@pytest.fixture
def app(spaces: Spaces) -> Iterator[App]:
    with spaces.use() as opened:
        yield opened


def acts(spaces: Spaces) -> list[tables.Act]:
    with spaces.database.reading() as session:
        return list(session.scalars(select(tables.Act).order_by(tables.Act.seq)))


def operations(client: TestClient) -> list[str]:
    paths = client.get("/v1/openapi.json").json()["paths"]
    return sorted(f"{method.upper()} {path}" for path, methods in paths.items() for method in methods)


def test_every_route_that_changes_something_leaves_a_line(spaces: Spaces) -> None:
    token, secret = tokens.add(spaces.database, tokens.Wanted("phone", None, ("admin",)))
    client = TestClient(create_app(spaces), base_url="http://127.0.0.1:7777", raise_server_exceptions=False)
    client.headers["Authorization"] = f"Bearer {secret}"
    with spaces.use() as app:
        space_id = app.services.space_id
    changing = [name for name in operations(client) if not name.startswith("GET ") and name not in LOOKS]
    assert len(changing) > 40
    for name in changing:
        method, path = name.split(" ", 1)
        filled = re.sub(r"\{\w+_id\}", "0123456789abcdef", path)
        answer = client.request(method, re.sub(r"\{\w+\}", PLANTED, filled), json={"quandary": PLANTED})
        act = acts(spaces)[-1]
        assert (act.what, act.outcome, act.via, act.token_id) == (
            name,
            str(answer.status_code),
            "token",
            token.id,
        )
        assert act.space_id == (None if name in OF_NO_SPACE else space_id), name
    assert len(acts(spaces)) == len(changing)
    assert not any(word in str(vars(act)) for act in acts(spaces) for word in PLANTED.split())


def test_what_only_looks_by_post_is_known(spaces: Spaces) -> None:
    client = TestClient(create_app(spaces), base_url="http://127.0.0.1:7777")
    unrecorded = {
        name for name in operations(client) if not name.startswith("GET ") and not scopes.is_recorded(name)
    }
    assert unrecorded == LOOKS


def test_every_tool_that_changes_something_leaves_a_line(app: App, spaces: Spaces) -> None:
    said: dict[str, dict[str, Any]] = {
        "remember": {"fact": {"person": "Ada", "predicate": "likes", "object": PLANTED}},
        "chat": {"person": "Ada", "as": "Bo", "text": PLANTED},
        "sleep": {"minutes": 1},
        "forget": {"kind": "person", "what": PLANTED, "plan": "0" * 64},
        "review": {"fact": "0" * 16, "verdict": "reject"},
    }
    changing = {tool.name: tool for tool in TOOLS if not tool.is_read_only}
    assert set(changing) == set(said)
    for name, tool in changing.items():
        app.nights.ask_to_stop()  # none begins
        tool.call(app, LOOPBACK, said[name])
        act = acts(spaces)[-1]
        assert (act.what, act.via, act.space_id) == (f"MCP {name}", "loopback", app.services.space_id)
    assert len(acts(spaces)) == len(said)
    assert not any(word in str(vars(act)) for act in acts(spaces) for word in PLANTED.split())


def test_every_tool_of_the_memory_server_that_changes_something_leaves_a_line(
    app: App, spaces: Spaces
) -> None:
    entity = {"name": PLANTED, "entityType": "thing", "observations": [PLANTED]}
    relation = {"from": PLANTED, "to": PLANTED, "relationType": "knows"}
    said: dict[str, dict[str, Any]] = {
        "create_entities": {"entities": [entity]},
        "create_relations": {"relations": [relation]},
        "add_observations": {"observations": [{"entityName": PLANTED, "contents": ["more"]}]},
        "delete_observations": {"deletions": [{"entityName": PLANTED, "observations": ["more"]}]},
        "delete_relations": {"relations": [relation]},
        "delete_entities": {"entityNames": [PLANTED]},
    }
    assert set(said) == memory_calls.CHANGES
    store = Stores().of(app)
    for name, given in said.items():
        changed_by_memory_tool(app, LOOPBACK, store, name, given)
    assert [act.what for act in acts(spaces)] == [f"MCP {name}" for name in said]
    assert not any(word in str(vars(act)) for act in acts(spaces) for word in PLANTED.split())


# Commands that look, and those that record by themselves: `token` and `restore` open no space; `serve` and `mcp` let
# others in, whose acts are recorded.
LOOKING = """
    ask, audit, behaviour list, behaviour show, budget, chats claims, chats list, chats show, config, config check, constitution diff,
    constitution show, curriculum waiting, decisions, digest list, digest show, doctor, exam, fact decisions, fact show, facts, forget,
    forget sources, index rebuild, ledger show, ledger verify, path, people, person merges, person patterns, person relations, person show,
    persona judge, predicates, probe list, probe score, probe show, probe test, readout list, readout picture, readout score, readout show,
    recipe bisect, recipe diff, recipe exports, recipe log, recipe show, runs, salience, search, sleep report, status, steer list, steer try,
    token list, verify, why, why-said
"""
BY_THEMSELVES = {"token add", "token revoke", "restore", "serve", "mcp"}
ELSEWHERE = {"encrypt", "decrypt"}  # make another home and leave this one as it is


def commands(command: click.Command, *path: str) -> Iterator[str]:
    if not isinstance(command, click.Group) or (command.invoke_without_command and path):
        yield " ".join(path)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            one = command.get_command(context, name)
            assert one is not None
            yield from commands(one, *path, name)


def test_every_command_is_known_to_look_or_to_change() -> None:
    looking = {" ".join(name.split()) for name in LOOKING.split(",")}
    every = set(commands(cli))
    assert looking | set(CHANGES) | BY_THEMSELVES | ELSEWHERE == every
    assert not looking & set(CHANGES)


def test_commands_that_change_leave_a_line_and_those_that_look_none(slowwave: Program) -> None:
    fact = slowwave("fact", "add", "Ada Lund", "likes", PLANTED, "--json").json["fact"]["id"]
    for arguments in (
        ("facts", "Ada"),
        ("forget", "person", "Ada"),
        ("pin", fact),
        ("person", "alias", "Ada Lund", PLANTED),
        ("person", "merge", "Ada Lund", "Bo Rask", "--dry-run"),
        ("consent", "Ada Lund", "--by", PLANTED),
        ("fact", "retract", "0123456789abcdef"),
    ):
        slowwave(*arguments)
    page = slowwave("audit", "--json")
    assert [
        (one["what"], one["outcome"], one["via"], one["space"]) for one in reversed(page.json["entries"])
    ] == [
        ("fact add", "done", "command", "default"),
        ("pin", "done", "command", "default"),
        ("person alias", "done", "command", "default"),
        ("consent", "done", "command", "default"),
        ("fact retract", "failed", "command", "default"),
    ]
    assert not any(word in page.out for word in (*PLANTED.split(), "Ada"))


def test_a_plan_by_the_shared_function_is_no_act(app: App, spaces: Spaces) -> None:
    forget(app.services, Asked("person", "Ada"), is_sure=False)
    assert acts(spaces) == []
