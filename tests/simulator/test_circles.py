from __future__ import annotations

from collections.abc import Sequence

import pytest

from simulator.circles import (
    Period,
    Written,
    alike,
    block,
    cycle,
    falls_in_reply,
    falls_over_turns,
    normal_words,
    period,
    said_before,
    trend,
    worn,
)

LETTER = "I went down to the quay before anybody else was up and counted the herring boats twice over"


def words(*texts: str) -> list[tuple[str, ...]]:
    return [normal_words(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see you at the pier " * 3, Period(5, 3.0)),
        ("we take the early ferry and come back in the evening before it rains " * 2, Period(14, 2.0)),
        ("and so on " * 9, Period(3, 9.0)),
        ("\U0001f602" * 30, Period(1, 30.0)),
        ("no" * 60, Period(1, 30.0)),
        ("well then, here it comes: yes no maybe so yes no maybe so yes no maybe so", Period(4, 3.0)),
        ("今日は楽しいですね" * 3, Period(9, 3.0)),
        ("ไปเที่ยวทะเล" * 16, None),
    ],
)
def test_a_block_that_ends_a_reply_again_and_again_is_found(text: str, found: Period | None) -> None:
    seen = block(text)
    assert seen is not None
    if found is not None:
        assert seen.length == found.length


@pytest.mark.parametrize(
    "text",
    [
        "hahahahahahahahahaha",
        "no no no no no!!!!!!!!",
        "\U0001f602\U0001f602\U0001f602\U0001f602\U0001f602",
        "yes yes, tea, bread, butter, jam, and then the bread again",
        "good night good night",
        "aaaaaaaaaaaaaaaaaaaaaah",
        "the cat saw the dog and the dog saw the cat",
        "",
    ],
)
def test_laughter_rows_of_marks_and_lists_are_no_block(text: str) -> None:
    assert block(text) is None


def test_a_period_is_looked_for_in_a_bounded_window() -> None:
    assert period([*range(100_000), *[1, 2, 3, 4] * 3]) == Period(4, 3.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I am so tired of the rain today!", "so tired of the rain today..."),
        ("That sounds like a lovely plan", "That sounds like a really lovely plan \U0001f60a"),
        ("Did you feed the cat?", "did you feed the cat"),
        ("Nooooo", "nooo"),
    ],
)
def test_the_same_again_with_other_marks_or_a_word_more_is_alike(one: str, other: str) -> None:
    first, second = words(one, other)
    assert alike(first, second)
    assert alike(second, first)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I am so tired today", "I am so tired today that I slept in the tram and missed my stop"),
        ("Did you feed the cat?", "Did you walk the dog?"),
        ("see you at six", "see you at seven"),
        ("ok", "okay then"),
        ("I lost my keys at work", "I lost my temper at home"),
    ],
)
def test_what_says_something_else_is_not_alike(one: str, other: str) -> None:
    assert not alike(*words(one, other))


@pytest.mark.parametrize(
    ("turns", "length"),
    [
        (["I miss the sea so much", "I miss the sea so much!"], 1),
        (["What did you have for lunch?", "Just some soup with bread"] * 2, 2),
        (["Shall we go to the market?", "I would rather stay in", "Then I go on my own"] * 2, 3),
        (["ok", "yes"] * 3, 2),
        (["hm"] * 3, 1),
        (
            [
                "Shall we go to the old market?",
                "I would rather stay in today",
                "Shall we go to the old market then?",
                "I would rather stay in today \U0001f648",
            ],
            2,
        ),
    ],
)
def test_a_cycle_of_one_two_or_three_turns_is_found(turns: list[str], length: int) -> None:
    assert cycle(words("Something else came before", *turns)) == length


@pytest.mark.parametrize(
    "turns",
    [
        ["good night", "good night"],
        ["ok", "yes", "ok", "yes"],
        ["How was work?", "long", "How was the dentist?", "longer"],
        ["haha", "haha"],
        ["where are you", "on the bus", "which bus", "the late one"],
    ],
)
def test_greetings_and_short_answers_are_no_cycle(turns: list[str]) -> None:
    assert cycle(words(*turns)) is None


def test_a_sentence_from_the_middle_of_an_earlier_turn_was_said_before() -> None:
    earlier = words("Well. We could paint the boat green on Sunday. What do you say?")
    assert said_before(normal_words("We could paint the boat green on Sunday!"), earlier)
    assert not said_before(normal_words("We could sell the boat on Sunday"), earlier)


def test_a_word_that_most_turns_hold_is_worn_and_names_and_grammar_are_not() -> None:
    turns = [f"{filler} harbour Ines would {filler} laugh" for filler in "abcdefgh"]
    assert worn(words(*turns), but={"ines"}) == {"harbour", "laugh"}
    assert worn(words(*turns[:6])) == frozenset()


def test_only_a_long_telling_stretch_of_what_was_written_is_verbatim() -> None:
    written = Written([LETTER, "what do you mean by that I do not know what you want of me"])
    assert written.repeated(
        "You know, I counted the HERRING boats twice over. Before anybody else was up and counted the herring boats, twice"
    )
    assert not written.repeated("I went down to the quay and somebody else was up before me")
    assert not written.repeated("what do you mean by that I do not know what you want of me")


def test_what_somebody_always_says_is_theirs_to_say() -> None:
    habit = "sleep well my dear and dream of boats and herring"
    assert not Written([habit, f"{habit} tonight", f"so {habit}"]).repeated(habit)
    assert not Written([]).repeated(LETTER)


def test_tau_tells_a_fall_from_noise() -> None:
    assert trend([5.0, 4.0, 3.0, 2.0]) == -1
    assert trend([1.0, 1.0, 1.0]) == 0
    assert abs(trend([2.0, 3.0, 1.0, 2.5, 1.5, 2.8])) < 0.3


def test_an_entropy_that_runs_dry_is_found_and_an_uneven_one_is_not() -> None:
    dying = [2.5 - 0.1 * at for at in range(25)]
    uneven = [0.1, 3.0, 0.2, 2.4] * 6
    assert falls_in_reply(dying, level=2.0)
    assert not falls_in_reply(uneven, level=2.0)
    assert not falls_in_reply(
        [0.2] * 24, level=2.0
    )  # sure from the beginning: something is recited, not lost
    assert not falls_in_reply(dying, level=None)
    assert falls_over_turns([2.2, 2.0, 1.9, 1.7, 1.5, 1.4, 1.2, 1.1, 1.0, 0.7, 0.5, 0.4], level=2.0)
    assert not falls_over_turns([2.0, 1.0] * 6, level=2.0)


def test_a_reading_of_turns_does_not_depend_on_their_container() -> None:
    turns: Sequence[tuple[str, ...]] = words("a b c d e", "a b c d e")
    assert cycle(list(turns)) == cycle(tuple(turns)) == 1
