"""ChatGPT's data export (2025): a tree of turns, of which one branch was seen last."""

from __future__ import annotations

import json
from typing import Any


def node(
    parent: str | None, role: str | None, text: str = "", at: float | None = None, **more: Any
) -> dict[str, Any]:
    message = role and {
        "id": f"m-{text}",
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": at,
        "content": {"content_type": "text", "parts": [text]},
        "metadata": {},
        **more,
    }
    return {"id": "x", "message": message or None, "parent": parent, "children": []}


CONVERSATION: dict[str, Any] = {
    "title": "Sourdough",
    "create_time": 1741802591.5,
    "update_time": 1741802999.0,
    "mapping": {
        "root": node(None, None),
        "sys": node("root", "system"),
        "q1": node("sys", "user", "how long to proof?", 1741802592.0),
        "a1": node("q1", "assistant", "four hours", 1741802593.0),
        "a2": node("q1", "assistant", "about five hours", 1741802594.0),
        "q2": node("a2", "user", "I live in Oslo, it is cold", None),
        "tool": node("q2", "tool", "searching"),
        "code": node("tool", "assistant", content={"content_type": "code", "text": "x"}),
        "a3": node(
            "code",
            "assistant",
            content={"content_type": "multimodal_text", "parts": [{"content_type": "image"}]},
        ),
    },
    "current_node": "a3",
}


def test_the_branch_seen_last_is_read_and_the_model_is_simulated(look: Any) -> None:
    found = look(json.dumps([CONVERSATION]), "conversations.json", me="Ana Berg")
    assert found.kind == "chatgpt"
    assert [(m.speaker, m.text, m.origin) for m in found.messages] == [
        ("Ana Berg", "how long to proof?", "observed"),
        ("ChatGPT", "about five hours", "simulated"),
        ("Ana Berg", "I live in Oslo, it is cold", "observed"),
        ("ChatGPT", "<attachment>", "simulated"),
    ]
    assert found.conversations == ["ChatGPT: Sourdough"]
    assert found.messages[2].time == found.messages[1].time  # it has no time of its own


def test_replaced_answers_are_told_and_tools_counted(look: Any) -> None:
    found = look(json.dumps([CONVERSATION]))
    assert found.skipped == [("conversation 0", "a wording or an answer that was replaced by another")]
    assert found.n_system == 3


def test_a_circle_of_turns_ends_and_damage_is_told(look: Any) -> None:
    round_ = {
        **CONVERSATION,
        "mapping": {"a": node("b", "user", "one", 1.0), "b": node("a", "user", "two", 2.0)},
    }
    found = look(json.dumps([round_ | {"current_node": "a"}, {"mapping": 3, "create_time": 1}, CONVERSATION]))
    assert [text for _, text in found.said][:2] == ["two", "one"]
    assert found.skipped[0] == ("conversation 1", "no readable turns")
    assert len(found.messages) == 6
