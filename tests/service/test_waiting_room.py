from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from fastapi.testclient import TestClient

from service.access.callers import LOOPBACK
from service.entrances.waiting_room import THREADS, WaitingRoom
from service.errors import PersonasBusy
from service.http.application import create_app
from service.mcp.server import TOOLS
from service.settings import Settings
from service.spaces import App, Spaces
from service.wiring import Services


@pytest.fixture
def spaces(tmp_path: Path) -> Iterator[Spaces]:
    with Services(Settings(home=tmp_path)) as opened:
        yield Spaces.around(opened)


@pytest.fixture
def app(spaces: Spaces) -> Iterator[App]:
    with spaces.use() as opened:
        yield opened


def test_who_waits_for_a_persona_takes_no_thread_of_those_who_read() -> None:
    room, may_end, done = WaitingRoom(), threading.Event(), []

    def speak() -> None:
        assert may_end.wait(10)
        done.append("spoke")

    async def all_at_once() -> None:
        others = anyio.to_thread.current_default_thread_limiter()
        async with anyio.create_task_group() as tasks:
            for _ in range(3 * THREADS):
                tasks.start_soon(room.run, speak)
            await anyio.wait_all_tasks_blocked()
            assert others.borrowed_tokens == 0
            assert await anyio.to_thread.run_sync(lambda: "read") == "read"
            may_end.set()

    anyio.run(all_at_once)
    assert len(done) == 3 * THREADS


def test_too_many_are_sent_away_at_once_and_there_is_room_again_afterwards() -> None:
    room, may_end = WaitingRoom(2), threading.Event()

    async def crowd() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(room.run, may_end.wait)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(PersonasBusy, match="ask again in 5 s"):
                await room.run(may_end.wait)
            may_end.set()
        assert await room.run(lambda: "again") == "again"

    anyio.run(crowd)


def test_a_full_room_is_answered_with_when_to_come_again(spaces: Spaces, app: App) -> None:
    app.room._most = 0
    with TestClient(create_app(spaces), base_url="http://localhost") as client:
        answer = client.post("/v1/chat", json={"person": "Ada", "as": "Bo", "text": "hello"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["type"] == "urn:slowwave:problem:personas-busy"


@pytest.mark.parametrize(
    ("name", "given"), [("ask", {"question": "Where does Ada live?"}), ("search", {"query": "Porto"})]
)
def test_a_tool_that_reads_waits_for_no_persona(app: App, name: str, given: dict[str, str]) -> None:
    (tool,) = (tool for tool in TOOLS if tool.name == name)
    answered = threading.Event()

    def call() -> None:
        assert not tool.call(app, LOOPBACK, given).is_error
        answered.set()

    with app.lock:  # as while a persona speaks
        thread = threading.Thread(target=call)
        thread.start()
        assert answered.wait(30)
    thread.join()
