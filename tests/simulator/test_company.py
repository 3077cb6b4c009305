"""Personas among themselves: whose turn it is, and what a conversation leaves behind. The engine says what it is given."""

from __future__ import annotations

from random import Random

import pytest

from agents.turns import Turn
from simulator.company import addressed, next_speaker

TRIO = ("Ada Lund", "Bo Rask", "Cy Holm")


def turns(*said: tuple[str, str]) -> list[Turn]:
    return [Turn(speaker, text) for speaker, text in said]


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("Bo, did you lock the boat?", "Bo Rask"),
        ("And what do you think, Cy?", "Cy Holm"),
        ("I am off.\nbo: keys are in the drawer", "Bo Rask"),
        ("@cy look at this", "Cy Holm"),
        ("Bo, ask him. No, Cy, you do it", "Cy Holm"),
        ("I saw Bo at the harbour", None),
        ("Boats are expensive, bolts too", None),
        ("", None),
    ],
)
def test_who_is_called_by_name_is_found(text: str, called: str | None) -> None:
    assert addressed(text, TRIO[1:]) == called


def test_a_first_name_that_two_share_calls_nobody() -> None:
    assert addressed("Bo, come here", ("Bo Rask", "Bo Lind")) is None


def test_two_take_turns() -> None:
    said = turns(("Ada Lund", "hello"))
    for _ in range(6):
        speaker = next_speaker(said, TRIO[:2], Random(1))
        assert speaker != said[-1].speaker
        said.append(Turn(speaker, "well"))


def test_who_is_called_speaks_next() -> None:
    said = turns(("Ada Lund", "hello"), ("Bo Rask", "hi"), ("Ada Lund", "Cy, are you there?"))
    assert {next_speaker(said, TRIO, Random(seed)) for seed in range(20)} == {"Cy Holm"}


def test_a_question_goes_mostly_to_who_spoke_before() -> None:
    said = turns(("Cy Holm", "so"), ("Bo Rask", "I went out"), ("Ada Lund", "Where did you go?"))
    answers = [next_speaker(said, TRIO, Random(seed)) for seed in range(200)]
    assert answers.count("Bo Rask") > answers.count("Cy Holm") > 0


def test_in_a_group_nobody_speaks_twice_in_a_row_and_nobody_is_left_out() -> None:
    said = turns(("Ada Lund", "hello"))
    dice = Random(4)
    for _ in range(300):
        said.append(Turn(next_speaker(said[-16:], TRIO, dice), "well"))
    speakers = [turn.speaker for turn in said]
    assert all(one != other for one, other in zip(speakers, speakers[1:], strict=False))
    assert all(80 <= speakers.count(name) <= 120 for name in TRIO)


def test_the_same_dice_give_the_same_speakers() -> None:
    def order(seed: int) -> list[str]:
        said, dice = turns(("Ada Lund", "hello")), Random(seed)
        for _ in range(30):
            said.append(Turn(next_speaker(said, TRIO, dice), "well"))
        return [turn.speaker for turn in said]

    assert order(1) == order(1)
    assert order(1) != order(2)
