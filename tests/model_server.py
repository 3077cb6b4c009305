"""A model's server on this machine, over real HTTP: it speaks the protocols of OpenAI and of Gemini.

`reply(n, body)` decides each answer, n counting from 0; the server keeps what it was asked and how many requests it had
to answer at the same time.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]


class ModelServer:
    """Runs from its making until `close`."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.reply: Callable[[int, dict[str, Any]], Reply] = lambda n, body: chat("ok")
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer._counted(self.path, {k.lower(): v for k, v in self.headers.items()}, body) as n:
                    status, headers, data = outer.reply(n, body)
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

    @contextmanager
    def _counted(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Iterator[int]:
        with self._lock:
            self.requests.append((path, headers, body))
            n = len(self.requests) - 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            yield n
        finally:
            with self._lock:
                self._at_once -= 1

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(value).encode()


def chat(text: str, finish: str = "stop", usage: tuple[int, int] | None = None) -> Reply:
    """An OpenAI server's answer; `usage` is tokens in and out."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    body: dict[str, Any] = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
    if usage is not None:
        figures = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
        body["usage"] = figures
    return as_json({**body, "choices": [choice]})


def refusal(status: int, message: str, *, code: Any = None, **headers: str) -> Reply:
    return as_json({"error": {"message": message, "code": code or status}}, status, **headers)


def cut_short(reply: Reply) -> Reply:
    """The same answer by a server that stops in its middle."""
    status, headers, data = reply
    return (
        status,
        {**headers, "Content-Length": str(len(data)), "Connection": "close"},
        data[: len(data) // 2],
    )


def events(*pieces: Any) -> Reply:
    body = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces)
    return 200, {"Content-Type": "text/event-stream"}, body.encode()


def delta(text: str, finish: str | None = None) -> dict[str, Any]:
    """A piece of an OpenAI server's stream; the last one has a reason to finish."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def candidate(text: str, finish: str = "STOP", usage: tuple[int, int] | None = None) -> dict[str, Any]:
    """Gemini's answer."""
    content = {"role": "model", "parts": [{"text": text}]}
    body: dict[str, Any] = {"candidates": [{"content": content, "finishReason": finish, "index": 0}]}
    if usage is not None:
        body["usageMetadata"] = {"promptTokenCount": usage[0], "candidatesTokenCount": usage[1]}
    return body


def exhausted(message: str, *details: dict[str, Any]) -> Reply:
    """Gemini's 429, which it answers to a busy minute as well as to a quota that is used up."""
    error = {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": list(details)}
    return as_json({"error": error}, 429)
