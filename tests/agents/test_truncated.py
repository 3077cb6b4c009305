from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.structured import misfit
from agents.truncated import closed

ITEM = {
    "type": "object",
    "additionalProperties": False,
    "required": ["a"],
    "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "integer"}}},
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["items"],
    "properties": {"items": {"type": "array", "items": ITEM}},
}


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ('{"items":[{"a":"x"},{"a":"y"', [{"a": "x"}]),
        ('{"items":[{"a":"x"},', [{"a": "x"}]),
        ('{"items":[{"a":"x"},{"a":"y"}', [{"a": "x"}, {"a": "y"}]),
        ('{"items":[{"a":"br]ack}et, \\" and comma,"},{"a":"y', [{"a": 'br]ack}et, " and comma,'}]),
        ('{"items":[{"a":"x","b":[1,2', [{"a": "x", "b": [1]}]),
    ],
)
def test_what_was_cut_off_is_closed_after_the_last_whole_item(text: str, whole: list[Any]) -> None:
    assert json.loads(closed(text, SCHEMA) or "null") == {"items": whole}


@pytest.mark.parametrize(
    "text", ["", "{", '{"items":', '{"items":[', '{"items":[{"a":"x', '{"items":[{"b":[1,2']
)
def test_without_a_whole_item_nothing_is_closed(text: str) -> None:
    assert closed(text, SCHEMA) is None


@given(
    st.lists(st.fixed_dictionaries({"a": st.text(), "b": st.lists(st.integers(), max_size=3)}), max_size=5),
    st.data(),
)
def test_what_is_closed_always_fits_and_is_a_beginning(
    items: list[dict[str, Any]], data: st.DataObject
) -> None:
    text = json.dumps({"items": items})
    cut = data.draw(st.integers(0, len(text)))
    whole = closed(text[:cut], SCHEMA)
    if whole is not None:
        value = json.loads(whole)
        assert misfit(value, SCHEMA) is None
        assert value["items"][:-1] == items[: len(value["items"]) - 1]
