from __future__ import annotations

from simulator.circles import (
    LEAST_TURNS,
    Written,
)
from simulator.loops import MOST_TURNS, LoopGuard, Remedies
from simulator.ports import Objection, Piece

LETTER = "I went down to the quay before anybody else was up and counted the herring boats twice over"


def pieces(text: str, entropy: float | None = None) -> list[Piece]:
    return [Piece(word, None, entropy) for word in text.split()]


def say(guard: LoopGuard, text: str, said: str = "") -> Objection | None:
    return guard.objection(said, text, pieces(text, 2.0))


def test_a_guard_draws_again_then_changes_the_topic_then_ends() -> None:
    guard = LoopGuard("Ines", change_topic=lambda: "Did I tell you of the boat?")
    guard.heard("Tomas", "I think we should go to the lake")
    found = [say(guard, "I think we should go to the lake!") for _ in range(3)]
    assert [item.instead for item in found if item] == [None, None, "Did I tell you of the boat?"]
    assert {item.reason for item in found if item} == {"turns: turns repeat"}
    assert guard.found == {"turns": 3}
    for _ in range(2):
        say(guard, "I think we should go to the lake!", said="Hm. ")
    last = say(guard, "I think we should go to the lake!", said="Hm. ")
    assert last is not None
    assert last.instead == ""


def test_without_a_topic_left_the_reply_ends() -> None:
    guard = LoopGuard("Ines", remedies=Remedies(draws=1))
    guard.heard("Tomas", "I think we should go to the lake")
    found = say(guard, "I think we should go to the lake")
    assert found is not None
    assert found.instead == ""


def test_the_same_three_turns_are_found_however_long_ago() -> None:
    guard = LoopGuard("Ines")
    three = ["Are you at home?", "not yet", "Then buy some bread please"]
    for place, text in enumerate([*three, *(f"number {n} of the list" for n in range(200)), *three[:2]]):
        guard.heard(("Ines", "Tomas")[place % 2], text)
    assert say(guard, three[2]) is not None
    assert say(guard, "Then let us eat out") is None


def test_an_ordinary_chat_passes() -> None:
    guard = LoopGuard("Ines", written=Written([LETTER]))
    chat = [
        ("Tomas", "morning"),
        ("Ines", "Good morning!! How did you sleep? \U0001f60a"),
        ("Tomas", "badly. the crane alarm went off at four"),
        ("Ines", "Oh no. Again? Did you call the office?"),
        ("Tomas", "called. they call back"),
        ("Ines", "hahahahaha sure they do"),
        ("Tomas", "haha"),
        ("Ines", "haha"),
        ("Tomas", "ok. off to work"),
        ("Ines", "ok!! See you tonight \u2764\ufe0f\u2764\ufe0f\u2764\ufe0f"),
        ("Tomas", "good night"),
        ("Ines", "good night"),
        ("Tomas", "morning"),
        ("Ines", "Good morning!! Did the alarm let you sleep this time?"),
    ]
    for speaker, text in chat:
        if speaker == "Ines":
            assert say(guard, text) is None, text
        guard.heard(speaker, text)
    assert not guard.found


def test_turns_without_a_word_go_in_circles_too() -> None:
    guard = LoopGuard("Ines")
    for place, text in enumerate(["...", "\U0001f60a", "?!"]):
        guard.heard(("Ines", "Tomas")[place % 2], text)
    assert say(guard, "\u2764\ufe0f") is not None  # a fourth of them, whatever its marks
    for text in ["the boat is in", "\u2764\ufe0f", "and out again by now"] * 2:
        guard.heard("Tomas", text)
    guard.heard("Tomas", "the boat is in")
    assert say(guard, "\U0001f680") is not None  # the three turns that end with it were said before


def test_a_greeting_that_is_said_over_and_over_is_drawn_again() -> None:
    guard = LoopGuard("Ines")
    letters = [
        "Dear Ines,",
        "I packed the last box for the museum",
        "Dear Tomas!",
        "where is the blue one",
        "Dear,",
    ]
    for place, text in enumerate(letters):
        guard.heard(("Tomas", "Ines")[place % 2], text)
    assert say(guard, "Dear Tomas") is not None
    assert say(guard, "Dear neighbours of the quay") is None
    for n in range(12):
        guard.heard("Tomas", f"box {n} of the museum stands at door {n * 3}")
    assert say(guard, "Dear Tomas") is None


def test_entropies_of_a_reply_are_followed_over_its_parts() -> None:
    guard = LoopGuard("Ines")
    for n in range(LEAST_TURNS):
        text = f"turn number {n} tells of {n * 7} things"
        assert say(guard, text) is None
        guard.heard("Ines", text)
    assert guard.level == 2.0
    first = [Piece("a", None, 2.0 - 0.05 * n) for n in range(12)]
    assert guard.objection("", "First a sentence that is open.", first) is None
    then = [Piece("b", None, 0.4 - 0.03 * n) for n in range(12)]
    found = guard.objection("First a sentence that is open.", " Then one that runs dry.", then)
    assert found is not None
    assert found.reason.startswith("entropy")


def test_what_a_guard_keeps_is_bounded() -> None:
    guard = LoopGuard("Ines")
    for n in range(6000):
        guard.heard("Tomas", f"a turn like no other {n} and {n * n}")
    assert (len(guard._turns), len(guard._triples)) == (MOST_TURNS, 4096)


def test_a_worn_word_is_objected_to_and_names_are_not() -> None:
    guard = LoopGuard("Ines")
    for place, filler in enumerate(("grey", "cold", "old", "far", "near", "lost", "red")):
        guard.heard(("Ines", "Tomas")[place % 2], f"A {filler} harbour and {filler * 2}, Tomas")
    found = say(guard, "What of the harbour, Tomas?")
    assert found is not None
    assert found.reason.startswith("worn")
    assert say(guard, "What of your sister, Tomas?") is None
