"""A thousand facts and a judge behind a real server of this machine that is down, slow, lying or talks nonsense: none
is stored, and all are once it answers as it should."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agents.backends.openai import OpenAIChat
from agents.controls import ControlledJudge
from agents.judges import ModelJudge
from consolidation import check, decide
from consolidation.stage import no_progress
from memory.facts import candidates

N = 1000
Reply = Callable[[str], tuple[int, bytes]]  # the question -> status, body


class Server:
    """Answers as `reply` says, which may change while it runs."""

    def __init__(self) -> None:
        self.reply: Reply = honest
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked += 1
                status, data = outer.reply(body["messages"][-1]["content"])
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:  # the other side would not wait
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def answer(content: str) -> tuple[int, bytes]:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return 200, json.dumps(
        {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    ).encode()


def verdict(label: str) -> tuple[int, bytes]:
    return answer(json.dumps({"reasoning": "so it is", "label": label, "confidence": 0.9}))


def honest(question: str) -> tuple[int, bytes]:
    """Knows the answers to the control questions, and believes whatever anybody is said to like."""
    statement = next(line for line in question.lower().splitlines() if '"statement"' in line)
    is_true = any(word in statement for word in ("likes", "brno", "cello"))
    return verdict("supported" if is_true else "unsupported")


def slow(question: str) -> tuple[int, bytes]:
    time.sleep(0.6)
    return verdict("supported")


REPLIES: dict[str, Reply] = {
    "down": lambda question: (503, b"{}"),
    "slow": slow,
    "lying": lambda question: verdict("supported"),
    "denying": lambda question: verdict("unsupported"),
    "nonsense": lambda question: answer("As an assistant I would rather talk about the weather."),
    "empty": lambda question: (200, b"{}"),
    "no such label": lambda question: verdict("absolutely"),
}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def judge_at(url: str) -> ControlledJudge:
    return ControlledJudge(ModelJudge(OpenAIChat("m", url, timeout_s=0.2, retries=0)))


def night(chat: Any, judge: Any) -> dict[str, float]:
    context = chat.context(tools={"judge": judge})
    check.run(context, no_progress)
    return decide.run(context, no_progress).counts


def likings(n: int) -> list[tuple[str, str, str, int]]:
    """Of people of their own, each told in a message that orders no machine about."""
    return [(f"Person {n}", "likes", f"thing {n}", n % 3) for n in range(n)]


@pytest.mark.parametrize("kind", REPLIES)
def test_nothing_is_stored_while_the_judge_misbehaves_and_all_is_looked_at_after(
    chat: Any, server: Server, kind: str
) -> None:
    chat.propose(*likings(20))
    server.reply = REPLIES[kind]
    assert night(chat, judge_at(server.url))["quarantine"] == 20
    assert server.asked <= 3 * 3
    server.reply = honest
    assert night(chat, judge_at(server.url))["store"] == 20


def test_of_a_thousand_none_is_stored_while_it_is_down_and_all_are_after(chat: Any, server: Server) -> None:
    chat.propose(*likings(N))
    server.reply = REPLIES["lying"]
    counts = night(chat, judge_at(server.url))
    assert (counts["quarantine"], counts["store"]) == (N, 0)
    gone = Server()
    gone.close()
    assert night(chat, judge_at(gone.url))["decided"] == 0
    assert candidates(chat.database, chat.space_id) == []
    counts = night(chat, chat.tools().judge)
    assert (counts["store"], counts["quarantine"]) == (N, 0)
