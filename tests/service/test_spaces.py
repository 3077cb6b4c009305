"""Many spaces behind one daemon: which one a request is about, and when each is open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from memory.importing import import_file
from memory.spaces import create_space
from service.http.application import create_app
from service.settings import Settings
from service.spaces import Spaces
from service.streams import Line, streamed

LINES = Path(__file__).parents[1] / "memory" / "fixtures" / "lines.jsonl"
LOOPBACK = "http://127.0.0.1:7777"


@pytest.fixture
def spaces(tmp_path: Path) -> Iterator[Spaces]:
    """Two spaces; Ada and Bo are known in `harbour` alone."""
    opened = Spaces(Settings(home=tmp_path))
    harbour = create_space(opened.database, "harbour", timezone="Europe/Lisbon")
    import_file(opened.database, harbour.id, LINES)
    yield opened
    opened.close()


@pytest.fixture
def client(spaces: Spaces) -> TestClient:
    return TestClient(create_app(spaces), base_url=LOOPBACK)


def knows_ada(client: TestClient, **options: Any) -> bool:
    answer = client.get("/v1/people", **options)
    assert answer.status_code == 200
    return '"Ada"' in answer.text


def test_a_space_is_named_by_header_or_query_and_else_the_settings_own(client: TestClient) -> None:
    assert not knows_ada(client)
    assert knows_ada(client, params={"space": "harbour"})
    assert knows_ada(client, headers={"Slowwave-Space": "harbour"})
    assert knows_ada(client, headers={"Slowwave-Space": "har%62our"})


def test_two_names_for_one_request_are_refused(client: TestClient) -> None:
    answer = client.get("/v1/people?space=default", headers={"Slowwave-Space": "harbour"})
    assert answer.status_code == 400
    assert "name one space" in answer.json()["detail"]


def test_an_unknown_space_is_a_404_and_is_not_made(client: TestClient, spaces: Spaces) -> None:
    assert client.get("/v1/people?space=nowhere").status_code == 404
    assert [space.name for space in spaces.all()] == ["harbour"]


def test_a_new_space_is_there_at_once_with_its_time_zone(client: TestClient) -> None:
    made = client.post("/v1/spaces", json={"name": "Família", "timezone": "Europe/Lisbon"})
    assert made.status_code == 201
    assert not knows_ada(client, headers={"Slowwave-Space": "Fam%C3%ADlia"})
    assert client.get("/v1/spaces/Família").json() == made.json()
    assert client.post("/v1/spaces", json={"name": "Família"}).status_code == 409


@pytest.mark.parametrize("name", ["", " x", "../x", "a/b", "x\0", "-", "x" * 65])
def test_a_name_that_no_space_can_have_is_refused(client: TestClient, name: str) -> None:
    answer = client.post("/v1/spaces", json={"name": name})
    assert answer.status_code == 400
    assert "cannot name a space" in answer.json()["detail"]


def test_spaces_share_the_engine_and_nothing_else(spaces: Spaces) -> None:
    with spaces.use() as own, spaces.use("harbour") as harbour, spaces.use("harbour") as again:
        assert own.services.database is harbour.services.database
        assert harbour is again
        assert own.lock is not harbour.lock
        assert harbour.services.settings.timezone == "Europe/Lisbon"


def test_a_space_is_closed_when_it_is_idle_and_opened_again_when_it_is_asked_for(
    client: TestClient, spaces: Spaces
) -> None:
    with spaces.use("harbour"):
        assert spaces.close_idle(0.0) == 0
    assert spaces.close_idle(3600.0) == 0
    assert spaces.close_idle(0.0) == 1
    assert spaces.opened() == []
    assert knows_ada(client, params={"space": "harbour"})


def test_a_space_stays_open_for_work_that_nobody_listens_to(spaces: Spaces) -> None:
    may_end = threading.Event()

    def work(line: Line[str]) -> None:
        line.tell("begun")
        may_end.wait(90)
        line.tell("done")

    with spaces.use("harbour") as app:
        told = streamed(work, "work", app.users)
        assert next(told) == "begun"
    assert spaces.close_idle(0.0) == 0
    may_end.set()
    assert list(told) == ["done"]
    while not app.users.have_left_for(0.0):
        pass
    assert spaces.close_idle(0.0) == 1
