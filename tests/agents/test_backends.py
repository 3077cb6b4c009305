"""Back-ends against a real HTTP server of this machine that speaks each protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agents.backends import make_chat_model
from agents.backends.gemini import GeminiChat
from agents.backends.openai import OpenAIChat
from agents.backends.scripted import ScriptedChat
from agents.errors import BackendRefused, BackendUnreachable, BackendUnset, BadAnswer, UnknownBackend

Reply = tuple[int, dict[str, str], bytes]
ASK = [{"role": "system", "content": "be short"}, {"role": "user", "content": "where is the boat"}]


class Server:
    """Answers each POST with what `reply(n, body)` gives, n counting from 0; keeps paths and bodies."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.reply: Callable[[int, dict[str, Any]], Reply] = lambda n, body: chat("ok")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, headers, data = outer.reply(len(outer.requests) - 1, body)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(value).encode()


def chat(text: str, finish: str = "stop") -> Reply:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return as_json({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


def refusal(status: int, message: str, **headers: str) -> Reply:
    return as_json({"error": {"message": message, "code": status}}, status, **headers)


def events(*pieces: Any) -> Reply:
    body = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces)
    return 200, {"Content-Type": "text/event-stream"}, body.encode()


def delta(text: str) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def openai(server: Server, **settings: Any) -> OpenAIChat:
    return OpenAIChat("m", f"{server.url}/v1", api_key="secret", **settings)


def gemini(server: Server, **settings: Any) -> GeminiChat:
    return GeminiChat("g", "secret", base_url=server.url, first_delay_s=0.01, **settings)


def candidate(text: str, finish: str = "STOP") -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}]}
    return {"candidates": [{"content": content, "finishReason": finish, "index": 0}]}


def test_openai_sends_messages_and_limits_and_gives_the_text(server: Server) -> None:
    server.reply = lambda n, body: chat("in the harbour")
    assert openai(server).complete(ASK, max_tokens=7, temperature=0.5) == "in the harbour"
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer secret"
    assert (body["messages"], body["max_tokens"], body["temperature"]) == (ASK, 7, 0.5)


def test_openai_retries_when_the_server_is_busy(server: Server) -> None:
    server.reply = lambda n, body: refusal(429, "busy", **{"retry-after-ms": "5"}) if n < 2 else chat("ok")
    assert openai(server).complete(ASK) == "ok"
    assert len(server.requests) == 3


def test_openai_gives_up_after_its_retries(server: Server) -> None:
    server.reply = lambda n, body: refusal(503, "down", **{"retry-after-ms": "5"})
    with pytest.raises(BackendUnreachable, match="503"):
        openai(server, retries=1).complete(ASK)
    assert len(server.requests) == 2


def test_openai_does_not_retry_a_refusal(server: Server) -> None:
    server.reply = lambda n, body: refusal(401, "wrong key")
    with pytest.raises(BackendRefused, match="401"):
        openai(server).complete(ASK)
    assert len(server.requests) == 1


def test_openai_names_the_time_out() -> None:
    with pytest.raises(BackendUnreachable, match="out of reach"):
        OpenAIChat("m", "http://127.0.0.1:9/v1", retries=0, timeout_s=1).complete(ASK)


def test_openai_streams_pieces_that_join_to_the_answer(server: Server) -> None:
    server.reply = lambda n, body: events(delta("in the "), delta("harbour"))
    assert list(openai(server).stream(ASK)) == ["in the ", "harbour"]
    assert server.requests[0][2]["stream"] is True


def test_openai_stream_raises_on_an_error_event(server: Server) -> None:
    server.reply = lambda n, body: events(delta("in "), {"error": {"message": "lost"}})
    with pytest.raises(BackendUnreachable):
        list(openai(server).stream(ASK))


def test_openai_asks_for_the_schema_and_falls_back_to_plain_json(server: Server) -> None:
    def reply(n: int, body: dict[str, Any]) -> Reply:
        if body["response_format"]["type"] == "json_schema":
            return refusal(400, "response_format json_schema is not supported")
        return chat("{}")

    server.reply = reply
    model = openai(server)
    assert [model.complete_json(ASK, {"type": "object"}) for _ in range(2)] == ["{}", "{}"]
    kinds = [body["response_format"]["type"] for _, _, body in server.requests]
    assert kinds == ["json_schema", "json_object", "json_object"]


def test_openai_learns_the_other_name_of_the_token_limit(server: Server) -> None:
    def reply(n: int, body: dict[str, Any]) -> Reply:
        return refusal(400, "use max_completion_tokens") if "max_tokens" in body else chat("ok")

    server.reply = reply
    assert openai(server).complete(ASK, max_tokens=5) == "ok"
    assert server.requests[-1][2]["max_completion_tokens"] == 5


def test_openai_json_that_was_cut_off_is_a_bad_answer(server: Server) -> None:
    server.reply = lambda n, body: chat('{"a": ', finish="length")
    with pytest.raises(BadAnswer, match="cut off"):
        openai(server).complete(ASK, json=True)


def test_openai_never_takes_a_key_from_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    OpenAIChat("m", f"{server.url}/v1").complete(ASK)
    assert "from-the-environment" not in server.requests[0][1]["authorization"]


def test_gemini_turns_messages_into_contents_and_gives_the_text(server: Server) -> None:
    server.reply = lambda n, body: as_json(candidate("in the harbour"))
    turns = [*ASK, {"role": "assistant", "content": "which"}, {"role": "user", "content": "the old one"}]
    assert gemini(server).complete(turns, max_tokens=9) == "in the harbour"
    path, headers, body = server.requests[0]
    assert path.endswith("models/g:generateContent")
    assert headers["x-goog-api-key"] == "secret"
    assert body["systemInstruction"]["parts"][0]["text"] == "be short"
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    assert body["generationConfig"]["maxOutputTokens"] == 9


def test_gemini_retries_when_the_server_is_busy(server: Server) -> None:
    server.reply = lambda n, body: refusal(429, "busy") if n < 1 else as_json(candidate("ok"))
    assert gemini(server).complete(ASK) == "ok"


def test_gemini_maps_refusals_and_overload(server: Server) -> None:
    server.reply = lambda n, body: refusal(403, "wrong key")
    with pytest.raises(BackendRefused, match="403"):
        gemini(server).complete(ASK)
    server.reply = lambda n, body: refusal(503, "down")
    with pytest.raises(BackendUnreachable, match="503"):
        gemini(server, retries=0).complete(ASK)


def test_gemini_out_of_reach_is_one_line() -> None:
    model = GeminiChat("g", "k", base_url="http://127.0.0.1:9", retries=0, timeout_s=1)
    with pytest.raises(BackendUnreachable, match="out of reach"):
        model.complete(ASK)


def test_gemini_streams_and_asks_for_the_schema(server: Server) -> None:
    server.reply = lambda n, body: events(candidate("in the "), candidate("harbour"))
    assert list(gemini(server).stream(ASK)) == ["in the ", "harbour"]
    server.reply = lambda n, body: as_json(candidate("{}"))
    assert gemini(server).complete_json(ASK, {"type": "object"}) == "{}"
    assert server.requests[-1][2]["generationConfig"]["responseMimeType"] == "application/json"


def test_gemini_without_a_key_does_not_look_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "from-the-environment")
    with pytest.raises(BackendUnset, match="api_key"):
        GeminiChat("g", "")


@pytest.mark.parametrize(
    ("kind", "settings", "missing"),
    [
        ("openai", {"model": "m"}, "base_url"),
        ("openai", {"base_url": "http://127.0.0.1:9/v1"}, "model"),
        ("gemini", {"api_key": "k"}, "model"),
        ("local", {}, "cache_dir"),
    ],
)
def test_a_missing_setting_is_named(kind: str, settings: dict[str, str], missing: str) -> None:
    with pytest.raises(BackendUnset, match=missing):
        make_chat_model(kind, **settings)


def test_a_script_answers_in_order_and_is_away_when_it_ends() -> None:
    model = make_chat_model("scripted", answers=["one two", "three"])
    assert list(model.stream(ASK)) == ["one", " two"]
    assert model.complete(ASK) == "three"
    with pytest.raises(BackendUnreachable):
        model.complete(ASK)


def test_a_script_may_be_a_function_and_keeps_what_it_was_asked() -> None:
    model = ScriptedChat(lambda messages: messages[-1]["content"].upper())
    assert model.complete(ASK) == "WHERE IS THE BOAT"
    assert model.calls == [ASK]


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(UnknownBackend, match="openai, gemini, local, scripted"):
        make_chat_model("telepathy")
