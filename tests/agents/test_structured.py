from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.backends.scripted import ScriptedChat
from agents.errors import BadAnswer
from agents.structured import ask_json, fenced, misfit
from memory.types import Episode

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["n"],
    "properties": {
        "n": {"type": "integer", "minimum": 0, "maximum": 9},
        "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 3}},
        "kind": {"type": ["string", "null"], "enum": ["a", None]},
    },
}


@pytest.mark.parametrize("text", ['{"n": 1}', '```json\n{"n": 1}\n```', ' {"n": 1} '])
def test_json_is_read_with_or_without_a_markdown_fence(text: str) -> None:
    assert ask_json(ScriptedChat([text]), [], SCHEMA) == {"n": 1}


@pytest.mark.parametrize(
    "text",
    ["", "sure!", "[]", "{}", '{"n": "1"}', '{"n": true}', '{"n": 10}', '{"n": 1, "extra": 2}'],
)
def test_anything_else_is_a_bad_answer(text: str) -> None:
    model = ScriptedChat([text, text])
    with pytest.raises(BadAnswer):
        ask_json(model, [], SCHEMA)
    assert len(model.calls) == 2


def test_a_model_that_missed_the_form_is_told_what_was_wrong_and_asked_once_more() -> None:
    model = ScriptedChat(['{"n": 12}', '{"n": 1}'])
    assert ask_json(model, [{"role": "user", "content": "count"}], SCHEMA) == {"n": 1}
    first, second = model.calls
    assert second[:1] == first
    assert "answer.n is out of range" in second[1]["content"]


def test_nesting_without_end_is_a_bad_answer() -> None:
    with pytest.raises(BadAnswer):
        ask_json(ScriptedChat(["[" * 100_000] * 2), [], SCHEMA)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"n": 1, "tags": ["abcd"]}, "longer than 3"),
        ({"n": 1, "tags": ["a", "b", "c"]}, "more than 2"),
        ({"n": 1, "kind": "b"}, "allowed values"),
    ],
)
def test_each_part_of_the_schema_is_checked(value: object, problem: str) -> None:
    assert problem in str(misfit(value, SCHEMA))
    assert misfit({"n": 1, "tags": ["a"], "kind": None}, SCHEMA) is None


@given(st.text())
def test_no_message_can_close_the_fence(text: str) -> None:
    episode = Episode("1", "c", 0, "s", "Ana", datetime(2025, 1, 1, tzinfo=UTC), text)
    body = fenced([episode])
    close = body.rsplit("\n", 1)[1]
    assert body.count(close) == 2  # announced once, used once
