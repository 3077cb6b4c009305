"""Answers that are remembered, asked of a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.answers import Answers, key_of
from agents.backends.openai import OpenAIChat
from agents.backends.remembering import RememberingChat
from agents.errors import BadAnswer
from agents.structured import SchemaModel, ask_json
from tests.model_server import ModelServer, chat

ASK = [{"role": "user", "content": "where is the boat"}]
SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    made = ModelServer()
    made.reply = lambda n, body: chat(f"answer {n}")
    yield made
    made.close()


def remembering(server: ModelServer, home: Path, model: str = "m", **settings: Any) -> RememberingChat:
    return RememberingChat(OpenAIChat(model, f"{server.url}/v1", **settings), Answers(home))


def test_the_same_question_is_asked_once_also_after_a_restart(server: ModelServer, tmp_path: Path) -> None:
    assert [remembering(server, tmp_path).complete(ASK) for _ in range(3)] == ["answer 0"] * 3
    assert len(server.requests) == 1


def test_everything_that_matters_is_part_of_the_question(server: ModelServer, tmp_path: Path) -> None:
    first = remembering(server, tmp_path)
    first.complete(ASK)
    first.complete(ASK, max_tokens=7)
    first.complete(ASK, json=True)
    first.complete([*ASK, {"role": "user", "content": "tell me"}])
    remembering(server, tmp_path, "other").complete(ASK)
    remembering(server, tmp_path, extra={"seed": 7}).complete(ASK)
    with pytest.raises(BadAnswer):
        ask_json(first, ASK, SCHEMA)
    assert len(server.requests) == 8  # the last question was asked twice


def test_warm_answers_and_streams_are_not_remembered(server: ModelServer, tmp_path: Path) -> None:
    model = remembering(server, tmp_path)
    assert model.complete(ASK, temperature=0.7) != model.complete(ASK, temperature=0.7)


def test_what_cannot_be_used_is_not_remembered(server: ModelServer, tmp_path: Path) -> None:
    server.reply = lambda n, body: chat(("", "sure!", '{"n": "x"}', '{"n": 4}')[n])
    model = remembering(server, tmp_path)
    assert model.complete(ASK) == ""
    assert isinstance(model, SchemaModel)
    assert [model.complete_json(ASK, SCHEMA) for _ in range(4)][-2:] == ['{"n": 4}'] * 2


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    answers = Answers(tmp_path, max_bytes=100)
    for name in "abc":
        answers.put(name, name * 30)
    answers.get("a")
    answers.put("d", "d" * 30)
    assert [name for name in "abcd" if answers.get(name)] == ["a", "d"]
    assert answers.count() == (2, 60)


def test_an_answer_larger_than_the_bound_is_not_kept(tmp_path: Path) -> None:
    answers = Answers(tmp_path, max_bytes=10)
    answers.put("a", "x" * 11)
    assert answers.count() == (0, 0)


def test_a_folder_that_was_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    answers.put("a", "x")
    answers.path.unlink()
    answers.path.parent.rmdir()
    assert answers.get("a") is None
    answers.put("a", "y")
    assert answers.get("a") == "y"


def test_keys_do_not_depend_on_the_order_of_parts() -> None:
    assert key_of(a=1, b={"x": 1, "y": 2}) == key_of(b={"y": 2, "x": 1}, a=1)
    assert key_of(a=1) != key_of(a="1")
