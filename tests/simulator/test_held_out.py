from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agents.turns import Turn
from memory.types import Episode
from simulator.held_out import exchanges, shuffled

BEGIN = datetime(2025, 3, 1, 10, tzinfo=UTC)
SAID = (
    (0, "Ada", "morning"),
    (1, "Bo", "hi"),
    (2, "Bo", "slept well?\n\nI did"),
    (3, "Ada", "no"),
    (300, "Bo", "still there?"),
    (301, "Ada", "yes"),
)


def chat(said: tuple[tuple[int, str, str], ...] = SAID) -> list[Episode]:
    return [
        Episode(str(place), "talk", place, who, who, BEGIN + timedelta(minutes=minute), text)
        for place, (minute, who, text) in enumerate(said)
    ]


def test_every_message_is_in_one_reply_and_lines_of_a_run_are_one() -> None:
    found = exchanges(chat(), "Bo")
    assert [one.lines for one in found] == [("hi", "slept well?", "I did"), ("still there?",)]
    assert found[0].before == (Turn("Ada", "morning"),)
    assert found[0].characters == 2 + 11 + 5


def test_nothing_from_before_a_pause_is_context() -> None:
    opening = exchanges(chat(), "Bo")[1]
    assert opening.before == ()
    assert opening.partners == ("Ada",)


def test_nothing_from_before_the_cut_is_reply_or_context() -> None:
    found = exchanges(chat(), "Ada", since=BEGIN + timedelta(minutes=2))
    assert [one.lines for one in found] == [("no",), ("yes",)]
    assert found[0].before == (Turn("Bo", "slept well?\n\nI did"),)


def test_barred_messages_are_neither_replies_nor_context() -> None:
    found = exchanges(chat(), "Ada", barred={"1"})
    assert [(one.lines, len(one.before)) for one in found] == [(("morning",), 0), (("no",), 1), (("yes",), 1)]


def test_shuffled_replies_stand_after_another_conversation_in_which_they_were_not_said() -> None:
    said = tuple((i, ("Bo", "Ada")[i % 2], f"m{i}") for i in range(30))
    found = exchanges(chat(said), "Ada")
    mixed = shuffled(found, seed=1)
    assert [one.lines for one in mixed] == [one.lines for one in found]
    for one, other in zip(found, mixed, strict=True):
        assert one.before != other.before
        assert not set(one.lines) & {turn.text for turn in other.before}
    assert shuffled(found, seed=1) == mixed
    assert shuffled(found[:1], seed=1) == []
