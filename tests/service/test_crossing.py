"""A token of one space against every route there is: nothing of another space comes out, nothing in it changes.

The routes are those of the application, with the parameters and bodies that its description names, so that a route that
is new is tried without anybody thinking of it. What is tried is somebody else's ids and names, and paths of files.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import Connection
from starlette.testclient import TestClient

from db.tables import Base
from memory.ports import utc_now
from memory.spaces import create_space, find_space
from service.access import tokens
from service.access.callers import SCOPES
from service.access.scopes import OPEN, SCOPE_OF
from service.access.tokens import Wanted
from service.entrances import fact
from service.http.application import create_app, routers
from service.http.given import SPACE_HEADER
from service.settings import LimitSettings, ServeSettings, Settings
from service.spaces import App, Spaces

# of the other space: what was said there, by whom, and what it is called
WORDS = ("Lund", "Rask", "Porto", "Faro", "Lagos", "Marta", "harbour office", "new boat", "secretspace")
CANARY = "canary-in-the-home"
FILES = ("../canary.txt", "..%2fcanary.txt", "/etc/passwd", "canary.txt\0.json", "..")
UNTRIED = {"POST /v1/login", "POST /v1/logout"}  # know nothing of spaces; the first counts its failures


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    described: dict[str, Any]  # of the OpenAPI document

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parts(self) -> list[str]:
        return re.findall(r"{(\w+)(?::path)?}", self.path)

    @property
    def queries(self) -> list[str]:
        given = self.described.get("parameters", [])
        return [one["name"] for one in given if one["in"] == "query" and one["name"] != "space"]

    def at(self, value: str) -> str:
        return re.sub(r"{\w+(?::path)?}", quote(value, safe=""), self.path)


@dataclass(frozen=True)
class World:
    """Two spaces of one daemon: the theirs, full, and ours, whose token `client` has."""

    spaces: Spaces
    client: TestClient
    document: dict[str, Any]
    theirs: dict[str, str]  # an id of each table

    def routes(self) -> list[Route]:
        found = []
        for part in routers():
            for route in part.routes:
                for method in sorted(getattr(route, "methods", ())):
                    path = getattr(route, "path", "")
                    described = self.document["paths"].get(path, {}).get(method.lower(), {})
                    found.append(Route(method, path, described))
        return [route for route in found if route.name not in UNTRIED]

    def guesses(self, route: Route) -> list[str]:
        """What the other space calls what the route asks for; any id of it where that is not told by its name."""
        stems = [part.removesuffix("_id") for part in route.parts]
        fitting = [one for table, one in self.theirs.items() if any(stem in table for stem in stems)]
        named = ["Ada Lund", "secretspace"] if "name" in stems else ["Ada Lund"]
        return named + (fitting or list(self.theirs.values())[:3] if stems else [])

    def body(self, route: Route, value: str) -> Any:
        """What the route takes, with that value wherever a text fits."""
        content = route.described.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        return None if schema is None else self._made(schema, value, depth=0)

    def ask(self, route: Route, value: str, **options: Any) -> httpx.Response:
        params = dict.fromkeys(route.queries, value)
        body = self.body(route, value)
        given = {} if body is None else {"json": body}
        return self.client.request(route.method, route.at(value), params=params, **given, **options)

    def _made(self, schema: dict[str, Any], value: str, depth: int) -> Any:
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if "anyOf" in schema:
            schema = schema["anyOf"][0]
            return self._made(schema, value, depth)
        if "enum" in schema or "const" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        kind = schema.get("type")
        if kind == "object" and depth < 4:
            inner = schema.get("properties", {})
            return {name: self._made(one, value, depth + 1) for name, one in inner.items()}
        if kind == "array":
            return [self._made(schema.get("items", {}), value, depth + 1)]
        plain: dict[Any, Any] = {"integer": 1, "number": 1.0, "boolean": False, "object": {}}
        return plain.get(kind, value)


@pytest.fixture(scope="module")
def world(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("world") / "home"
    shutil.copytree(imported, home)
    (home / "canary.txt").write_text(CANARY)
    (home.parent / "canary.txt").write_text(CANARY)
    settings = Settings(
        home=home, space="mine", serve=ServeSettings(host="0.0.0.0", limits=LimitSettings(requests_per_s=0))
    )
    settings = replace(settings, night=replace(settings.night, base_model=str(home / "no model")))
    spaces = Spaces(settings)
    _rename(spaces)
    with spaces.use("secretspace") as theirs:
        _fill(theirs)
    create_space(spaces.database, "mine")
    tokens.add(spaces.database, Wanted("theirs of Lund", space="secretspace"))
    _, secret = tokens.add(spaces.database, Wanted("mine", space="mine", scopes=("admin",)))
    app = create_app(spaces)
    headers = {"Authorization": f"Bearer {secret}"}
    document = app.openapi()
    with TestClient(app, base_url="http://memory.example", headers=headers) as client:
        yield World(spaces, client, document, _ids(spaces))
    spaces.close()


def _rename(spaces: Spaces) -> None:
    with spaces.database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE space SET name = 'secretspace' WHERE name = 'default'")


def _fill(theirs: App) -> None:
    """Besides the chat: facts stated by hand, a decision, a night that ended, somebody's consent."""
    from memory import consent
    from memory.statements import Statement

    services = theirs.services
    for value in ("Porto", "Lagos"):
        statement = Statement("Ada Lund", "lives_in", value, None, None, None, False, False)
        fact.state(services, statement, None)
    ada = services.person("Ada Lund").id
    consent.record(services.database, services.space_id, ada, agreed_by="Ada Lund", clock=utc_now)
    now = utc_now().replace(tzinfo=None).isoformat(" ")
    with services.database.transaction() as session:
        session.connection().exec_driver_sql(
            "INSERT INTO sleep_run (id, space_id, status, seed, settings, started_at, is_published, error) "
            f"VALUES ('{'ab' * 8}', '{services.space_id}', 'failed', 0, '{{}}', '{now}', false, 'Porto')"
        )


def _rows(connection: Connection, spaces: Spaces) -> dict[str, list[Any]]:
    """Every row of the other space."""
    theirs = find_space(spaces.database, "secretspace").id
    return {
        name: sorted(connection.execute(table.select().where(table.c.space_id == theirs)).all(), key=repr)
        for name, table in Base.metadata.tables.items()
        if "space_id" in table.c
    }


def _ids(spaces: Spaces) -> dict[str, str]:
    """An id of each table, and of the space itself."""
    with spaces.database.reading() as session:
        rows = _rows(session.connection(), spaces)
    found = {name: str(some[0].id) for name, some in rows.items() if some and hasattr(some[0], "id")}
    return {**found, "space": find_space(spaces.database, "secretspace").id}


def _check(world: World, answer: httpx.Response, given: str, route: Route) -> None:
    """No word and no id of the other space, but what was in the question itself."""
    text = answer.text
    said = [word for word in WORDS if word in text and word not in given]
    if route.name != "GET /v1/audit":  # where stands what we asked ourselves
        said += [one for one in world.theirs.values() if one in text and one not in given]
    assert said == [], f"{route.name} {answer.status_code}"
    assert answer.status_code < 500 or answer.status_code in (502, 503), f"{route.name} {text}"


def test_every_route_declares_its_scope() -> None:
    known = {
        f"{m} {getattr(r, 'path', '')}"
        for part in routers()
        for r in part.routes
        for m in getattr(r, "methods", ())
    }
    assert known == set(SCOPE_OF)
    assert set(SCOPE_OF.values()) <= {OPEN, *SCOPES}


def test_only_routes_without_words_are_open() -> None:
    opened = {route for route, scope in SCOPE_OF.items() if scope == OPEN}
    assert all(not re.search(r"/v1/(?!log(in|out)$)", route) for route in opened)


def test_no_route_gives_or_changes_anything_of_another_space(world: World) -> None:
    with world.spaces.database.reading() as session:
        before = _rows(session.connection(), world.spaces)
    for route in world.routes():
        for given in world.guesses(route):
            _check(world, world.ask(route, given), given, route)
    with world.spaces.database.reading() as session:
        assert _rows(session.connection(), world.spaces) == before


def test_no_route_can_be_turned_to_another_space(world: World) -> None:
    said: dict[str, list[int]] = {}
    for place, route in enumerate(world.routes()):
        for name in ("secretspace", "nowhere"):  # one that is there, and one that is not
            how: dict[str, Any] = (
                {"params": {"space": name}} if place % 2 else {"headers": {SPACE_HEADER: name}}
            )
            answer = world.client.request(route.method, route.at("Ada Lund"), **how)
            _check(world, answer, "Ada Lund secretspace", route)
            said.setdefault(route.name, []).append(answer.status_code)
    assert all(one == other for one, other in said.values())


def test_an_agent_cannot_be_turned_to_another_space(world: World) -> None:
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
    for path in ("/mcp", "/mcp/memory"):
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        refused = world.client.post(f"{path}?space=secretspace", json=asked, headers=headers)
        assert refused.status_code == 403
        tools = world.client.post(path, json=asked, headers=headers)
        for tool in _result(tools)["tools"]:
            for given in ("Ada Lund", world.theirs["fact"]):
                inner = dict.fromkeys(tool["inputSchema"].get("properties", {}), given)
                call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call"}
                answer = world.client.post(
                    path, json={**call, "params": {"name": tool["name"], "arguments": inner}}, headers=headers
                )
                _check(world, answer, given, Route("POST", f"{path} {tool['name']}", {}))


def _result(answer: httpx.Response) -> dict[str, Any]:
    text = answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        text = next(line for line in text.splitlines() if line.startswith("data: {")).removeprefix("data: ")
    result: dict[str, Any] = json.loads(text)["result"]
    return result


def test_no_path_from_outside_reaches_a_file(world: World) -> None:
    for route in world.routes():
        for given in FILES if route.parts else FILES[:1]:
            answer = world.ask(route, given)
            assert CANARY not in answer.text, route.name
            assert "root:" not in answer.text, route.name
            assert answer.status_code < 500 or answer.status_code in (502, 503), f"{route.name} {given!r}"


def test_no_words_are_in_the_audit_log(world: World) -> None:
    for route in world.routes():
        if route.name == "POST /v1/facts":
            world.ask(route, WORDS[0])
    with world.spaces.database.reading() as session:
        rows = repr(session.connection().exec_driver_sql("SELECT * FROM act").all())
    assert "POST /v1/facts" in rows
    for word in (*WORDS, "passwd", CANARY):
        assert word not in rows
