from __future__ import annotations

from datetime import UTC, datetime

from agents.backends.masking import MaskingChat
from agents.backends.scripted import ScriptedChat
from agents.structured import ask_json, fenced
from memory.types import Episode

START = datetime(2025, 3, 1, 9, tzinfo=UTC)
CALL = "call me on +351 912 345 678, i am diabetic"


def test_a_back_end_is_shown_the_kind_and_never_the_words() -> None:
    model = ScriptedChat(lambda _: "{}")
    chat = MaskingChat(model, ("phone", "health"))
    said = [Episode("e", "c", 0, "a", "Ana", START, CALL)]
    messages = [{"role": "system", "content": CALL}, {"role": "user", "content": fenced(said, of=CALL)}]
    assert ask_json(chat, messages, {"type": "object"}) == {}
    list(chat.stream(messages))
    chat.complete(messages)
    for system, question in model.calls:
        assert system["content"] == CALL
        assert "912" not in question["content"]
        assert "diabetic" not in question["content"]
        assert question["content"].count("(phone)") == 2


def test_what_is_not_left_out_passes() -> None:
    model = ScriptedChat(["ok"])
    MaskingChat(model, ("iban",)).complete([{"role": "user", "content": CALL}])
    assert model.calls[0][0]["content"] == CALL
