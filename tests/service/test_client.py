"""The Python client on a daemon that listens; and the session of docs/http.md, as it stands there."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn

from service.client import Away, Client, Problem
from service.http.application import create_app
from service.settings import PersonaSettings, Settings
from service.wiring import Services

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def url(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("daemon")
    shutil.copytree(imported, folder / "home")
    (folder / "replies.txt").write_text("The gulls are loud.\n")
    persona = PersonaSettings(engine="scripted", script=str(folder / "replies.txt"))
    with Services(replace(Settings(home=folder / "home"), persona=persona)) as services:
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(services), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


def test_the_session_of_the_documentation_runs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    (session,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "http.md").read_text("utf-8"), re.DOTALL)
    exec(compile(session.replace("http://127.0.0.1:7777", url), "docs/http.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "['Ada Lund', 'Bo Rask', 'Marta']"
    assert "Porto" in said[1]
    assert said[2] == "2025-06-05 I moved to Lagos last week."
    assert "403 no-consent" in said
    assert said[-1] == "turn"


def test_lists_are_read_over_all_of_their_pages(url: str) -> None:
    with Client(url) as memory:
        assert len(list(memory.pages("/v1/episodes", "episodes", limit=2))) == 5


def test_a_refusal_carries_the_problem(url: str) -> None:
    with Client(url) as memory:
        with pytest.raises(Problem, match="did you mean") as refused:
            list(memory.facts("Adda"))
        assert (refused.value.status, refused.value.kind) == (404, "unknown-person")
        with pytest.raises(Problem) as invalid:
            memory.post("/v1/ask", {"question": ""})
        assert invalid.value.errors[0]["field"] == "body.question"
        with pytest.raises(Problem) as broken:
            list(memory.follow("nosuchnight"))
        assert broken.value.status == 404


def test_a_request_whose_answer_was_lost_is_done_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(url) as memory:
        send, lost = Client._send, []

        def losing(self: Client, *given: object) -> object:
            answer = send(self, *given)  # type: ignore[arg-type]
            if not lost:
                lost.append(answer)
                raise ConnectionResetError("lost on the way")
            return answer

        monkeypatch.setattr(Client, "_send", losing)
        made = memory.add_fact("Ada", "likes", "sardines")
        assert made["fact"]["object"] == "sardines"
        assert [fact["object"] for fact in memory.facts("Ada", predicate="likes")] == ["sardines"]


def test_nobody_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.client._WAIT_S", 0.001)
    with pytest.raises(Away, match="start `slowwave serve`"), Client("http://127.0.0.1:9") as memory:
        memory.ask("Who is Ada?")
