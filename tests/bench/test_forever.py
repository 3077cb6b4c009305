from __future__ import annotations

from bench.forever import distinct3, false_alarms, main_word, near_cycles, repeated_triples, said_before

THREE = ["Shall we eat?", "not yet", "Then later."]


def test_three_turns_that_come_again_are_a_loop_however_far_apart() -> None:
    assert repeated_triples([*THREE, *THREE]) == 1
    assert repeated_triples([*THREE, "a", "b", "c", "d", "shall we eat", "NOT YET!", "then later"]) == 1
    assert repeated_triples([*THREE, THREE[0], THREE[1]]) == 0
    assert repeated_triples(["ok"] * 5) == 2


def test_nearly_the_same_three_side_by_side_are_near() -> None:
    said = ["shall we all go out to eat", "no I would rather not go", "then let us stay here a while"]
    again = ["shall we all go out to eat now", "no I would rather not go", "then let us stay here a while"]
    assert near_cycles([*said, *again]) == 1
    assert near_cycles([*said, "x", *again]) == 0
    assert near_cycles(["", "", "", "", "", ""]) == 0


def test_turns_that_were_said_before_need_four_words() -> None:
    assert said_before(["good night", "Good night!", "where did you put it", "Where did you put it?"]) == 1


def test_distinct_triples_and_the_main_word_of_a_stretch() -> None:
    assert distinct3(["a b c d", "a b c"]) == 0.6667
    assert distinct3(["a b"]) == 0.0
    assert main_word(["the boat again", "Ines, a boat", "rain"], ["Ines Carvalho"]) == ("boat", 0.6667)


def test_the_guard_is_shown_each_persons_own_messages() -> None:
    n, found = false_alarms([("Ines", "we could go to the lake"), ("Tomas", "We could go to the lake.")])
    assert (n, found) == (2, {"turns": 1})
