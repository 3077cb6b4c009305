from __future__ import annotations

from collections.abc import Iterator

from simulator.loops import MAX_DRAWS, without_repetition


def drawing(*replies: str) -> tuple[list[int], Iterator[str]]:
    drawn: list[int] = []

    def draw(attempt: int) -> Iterator[str]:
        drawn.append(attempt)
        yield from replies[min(attempt, len(replies) - 1)].split("|")

    return drawn, without_repetition(draw, ["My dog is called Bolota."])


def test_a_repeated_turn_is_drawn_again() -> None:
    drawn, pieces = drawing("my dog |is called bolota", "sleep |well")
    assert "".join(pieces) == "sleep well"
    assert drawn == [0, 1]


def test_what_differs_flows_as_soon_as_it_differs() -> None:
    _, pieces = drawing("my dog | sleeps| a lot")
    assert list(pieces) == ["my dog  sleeps", " a lot"]


def test_a_longer_reply_that_only_begins_alike_is_kept() -> None:
    _, pieces = drawing("My dog is called Bolota|, and she snores")
    assert "".join(pieces) == "My dog is called Bolota, and she snores"


def test_after_the_last_draw_the_repetition_is_passed_on() -> None:
    drawn, pieces = drawing("My dog is called Bolota.")
    assert "".join(pieces) == "My dog is called Bolota."
    assert len(drawn) == MAX_DRAWS
