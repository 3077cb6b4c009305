"""A reply is drawn part by part, and what a guard objects to is never seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from agents.sampling import Sampling
from simulator.answering import ButForOwed
from simulator.lengths import Length
from simulator.ports import Objection, Piece
from simulator.scripted import ScriptedEngine
from simulator.speaking import MAX_DRAWS, Speaker, Spoken, joined

LONG = Length(1000, 9)
HOW = Sampling(max_new_tokens=100, seed=3)


@dataclass
class Forbidding:
    """Objects to every part with this word; `instead` from the n-th objection on."""

    word: str
    instead: str | None = None
    after: int = 1
    name: str = "forbidding"
    seen: list[tuple[str, str]] = field(default_factory=list)
    n_objected: int = 0

    def objection(self, said: str, part: str, pieces: Sequence[Piece]) -> Objection | None:
        self.seen.append((said, part))
        assert "".join(piece.text for piece in pieces).strip().startswith(part.strip()[:3])
        if self.word not in part:
            return None
        self.n_objected += 1
        return Objection(self.name, "a word", self.instead if self.n_objected >= self.after else None)

    def heard(self, speaker: str, text: str) -> None:
        """Nothing to keep."""


def spoken_of(
    replies: Sequence[str], *guards: Forbidding, length: Length = LONG, last_resort: str = ""
) -> tuple[list[str], Spoken]:
    spoken = Spoken()
    speaker = Speaker(ScriptedEngine(replies), guards, "[ANA]", last_resort=lambda: last_resort)
    parts = list(speaker.speak([{"role": "user", "content": "hi"}], HOW, length, spoken))
    assert "".join(parts) == spoken.text
    return parts, spoken


def test_parts_are_sentences_and_messages_and_together_the_reply() -> None:
    parts, spoken = spoken_of(["Well, hello. How are you? fine\n[ANA] and you"])
    assert parts == ["Well, hello.", " How are you?", " fine", "\nand you"]
    assert spoken.text == "Well, hello. How are you? fine\nand you"
    assert (spoken.n_draws, spoken.is_corrected) == (1, False)


def test_what_is_owed_is_said_whatever_a_guard_would_say_instead() -> None:
    spoken = Spoken()
    guard = Forbidding("blue", "Shall we talk of boats?")
    speaker = Speaker(ScriptedEngine(["blue."]), (guard,), "[ANA]", owed="I live in Kotor.")
    assert (
        "".join(speaker.speak([{"role": "user", "content": "hi"}], HOW, LONG, spoken)) == "I live in Kotor."
    )


def test_who_may_be_silent_says_no_words_of_a_guard_that_another_objects_to() -> None:
    guards = (Forbidding("blue", "Shall we talk of boats?"), Forbidding("boats"))
    for may_be_silent, text in ((True, ""), (False, "Shall we talk of boats?")):
        spoken = Spoken()
        speaker = Speaker(ScriptedEngine(["blue."]), guards, "[ANA]", may_be_silent=may_be_silent)
        assert "".join(speaker.speak([{"role": "user", "content": "hi"}], HOW, LONG, spoken)) == text


def test_what_is_owed_passes_a_guard_that_it_is_no_business_of() -> None:
    guard = ButForOwed(Forbidding("Kotor"), lambda text: "Kotor" in text)
    assert guard.objection("", "I live in Kotor.", [Piece("I live in Kotor.")]) is None
    assert guard.objection("Yes.", " I live in Kotor.", [Piece(" I live in Kotor.")]) is not None


def test_an_engine_that_begins_anew_is_set_apart_by_a_blank() -> None:
    _, spoken = spoken_of(["Hi. blue.", "Well. Bye."], Forbidding("blue"))
    assert spoken.text == "Hi. Well. Bye."


@pytest.mark.parametrize(
    ("begun", "text", "whole"),
    [
        ("I live in", "Kotor", "I live in Kotor"),
        ("tired", ", really", "tired, really"),
        ("", "Hi", "Hi"),
        ("Hi ", "Bo", "Hi Bo"),
    ],
)
def test_what_was_begun_and_its_rest_are_joined_as_they_are_written(
    begun: str, text: str, whole: str
) -> None:
    assert joined(begun, text) == whole


def test_a_sentence_that_was_begun_is_judged_whole() -> None:
    seen: list[tuple[str, str]] = []

    class Listening:
        name = "listening"

        def objection(self, said: str, part: str, pieces: Sequence[Piece]) -> Objection | None:
            seen.append((said, part))
            return None

        def heard(self, speaker: str, text: str) -> None:
            """Nothing to keep."""

    speaker = Speaker(ScriptedEngine(["blue. Or red."]), (Listening(),), "[ANA]", begun="I am in")
    assert "".join(speaker.speak([{"role": "user", "content": "hi"}], HOW, LONG, Spoken())) == "blue. Or red."
    assert seen == [("", "I am in blue."), ("I am in blue.", " Or red.")]


def test_a_line_that_begins_like_a_script_is_not_heard() -> None:
    spoken = Spoken()
    script = ScriptedEngine(["Bo: hello\nAna: hi", "Fine.\nBo: good", "So am I."])
    speaker = Speaker(script, (), "[ANA]", ["[BO]"], ["Ana", "Bo"])
    assert "".join(speaker.speak([{"role": "user", "content": "hi"}], HOW, LONG, spoken)) == "Fine."
    assert spoken.n_draws == 2


def test_numbers_and_ellipses_within_a_sentence_do_not_end_it() -> None:
    parts, _ = spoken_of(["it is 3.14... or so... I think. Yes"])
    assert parts == ["it is 3.14...", " or so...", " I think.", " Yes"]


def test_what_is_objected_to_is_drawn_again_and_never_seen() -> None:
    guard = Forbidding("blue")
    parts, spoken = spoken_of(["Hi. My door is blue. Bye.", " My door is red. Bye."], guard)
    assert parts == ["Hi.", " My door is red.", " Bye."]
    assert (spoken.n_draws, [found.guard for found in spoken.objections]) == (2, ["forbidding"])
    assert guard.seen[1] == ("Hi.", " My door is blue.")
    assert guard.seen[2] == ("Hi.", " My door is red.")


def test_words_of_a_guard_end_the_reply() -> None:
    parts, spoken = spoken_of(["Hi. blue. Bye.", " blue."], Forbidding("blue", "It is red.", after=2))
    assert parts == ["Hi.", " It is red."]
    assert (spoken.n_draws, spoken.is_corrected) == (2, True)


def test_an_empty_instead_ends_the_reply_there() -> None:
    parts, _ = spoken_of(["Hi. blue. Bye."], Forbidding("blue", ""))
    assert parts == ["Hi."]


def test_a_beginning_that_never_passes_gives_the_last_resort() -> None:
    parts, spoken = spoken_of(["blue. Bye."], Forbidding("blue"), last_resort="hm")
    assert parts == ["hm"]
    assert (spoken.n_draws, len(spoken.objections)) == (MAX_DRAWS, MAX_DRAWS)


def test_draws_of_nothing_give_the_last_resort() -> None:
    assert spoken_of(["", "Hello."], last_resort="Hm.")[0] == ["Hello."]
    parts, spoken = spoken_of([""], last_resort="Hm.")
    assert parts == ["Hm."]
    assert (spoken.n_draws, spoken.is_corrected) == (MAX_DRAWS, True)


def test_an_end_that_never_passes_is_left_out() -> None:
    parts, _ = spoken_of(["Hi. blue.", *[" blue."] * 3], Forbidding("blue"), last_resort="hm")
    assert parts == ["Hi."]


@pytest.mark.parametrize(("messages", "said"), [(1, "one"), (2, "one\ntwo"), (9, "one\ntwo\nthree")])
def test_no_more_messages_than_the_length_allows(messages: int, said: str) -> None:
    _, spoken = spoken_of(["one\n[ANA] two\n[ANA] three"], length=Length(1000, messages))
    assert spoken.text == said


def test_a_reply_ends_with_the_part_that_fills_its_length() -> None:
    _, spoken = spoken_of(["One two three. Four five six. Seven."], length=Length(20, 1))
    assert spoken.text == "One two three. Four five six."


def test_a_sentence_cut_off_by_the_limit_of_tokens_is_left_out() -> None:
    _, spoken = spoken_of(["Hello there. " + "word " * 500], length=Length(40, 1))
    assert spoken.text == "Hello there."


def test_a_reply_that_is_one_cut_sentence_stays() -> None:
    _, spoken = spoken_of(["word " * 500], length=Length(40, 1))
    assert spoken.text.startswith("word word")


class Measured(ScriptedEngine):
    """Gives each token its number, over all draws, as its entropy."""

    n_tokens = 0

    def stream(
        self, messages: Sequence[dict[str, str]], sampling: Sampling, *, said: str = ""
    ) -> Iterator[Piece]:
        for piece in super().stream(messages, sampling, said=said):
            yield Piece(piece.text, self.n_tokens, float(self.n_tokens))
            self.n_tokens += 1


def test_entropies_are_of_the_tokens_that_stand_alone() -> None:
    spoken = Spoken()
    engine = Measured(["Hi there. blue.", " Fine. So\n[BO] bye"])
    speaker = Speaker(engine, (Forbidding("blue"),), "[ANA]", ["[BO]"])
    list(speaker.speak([{"role": "user", "content": "hi"}], HOW, LONG, spoken))
    assert spoken.text == "Hi there. Fine. So"
    assert spoken.entropies == [0, 1, 3, 4]
    assert spoken_of(["Hi there."])[1].entropies == [None, None]
    assert spoken_of(["blue."], Forbidding("blue", "Well."))[1].entropies == []


def test_a_reply_has_no_more_tokens_than_are_asked_for() -> None:
    spoken = Spoken()
    speaker = Speaker(ScriptedEngine(["one two three four"]), (), "[ANA]")
    how = Sampling(max_new_tokens=2)
    assert "".join(speaker.speak([{"role": "user", "content": "hi"}], how, LONG, spoken)) == "one two"
