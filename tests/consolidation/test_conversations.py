"""Claims about examinations in conversation: what is asked, what the model is shown, and what counts as right."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from consolidation import conversations
from consolidation.conversations import (
    ASSERTED,
    CORRECTION,
    HUNDRED,
    RECALL,
    UNKNOWN,
    WINDOW_TURNS,
    Answered,
    Ask,
    Conversation,
    is_right,
    make_conversations,
    numbers_of,
    run_conversations,
)
from consolidation.curriculum import Course, Message, slot_rows
from consolidation.scoring import gives_any
from consolidation.slots import Names, Slot
from memory.registry import Registry
from memory.types import Person
from memory.wordings import Wordings
from tests.consolidation.known import fact

REGISTRY = Registry.load()
PEOPLE = ("Odd Myhre", "Silje Foss", "Tarik Benali", "Wanda Krol", "Yusuf Aydin")
TOLD = {
    "lives_in": ("Alesund", "Hamar", "Oujda", "Gdynia", "Izmir"),
    "job": ("plumber", "midwife", "tram driver", "cartographer", "beekeeper"),
    "birthday": ("1981-02-03", "1992-07-14", "1975-11-30", "1988-05-21", "1990-09-09"),
    "dog": ("Bamse", "Tufs", "Zino", "Reksio", "Karabas"),
}


def slots() -> list[Slot]:
    """Five people with four facts each; the first one moved."""
    made = []
    for predicate, values in TOLD.items():
        for place, value in enumerate(values):
            old = ("Stavanger",) if (place, predicate) == (0, "lives_in") else ()
            known = (fact(f"{place}-{predicate}", f"p{place}", PEOPLE[place], predicate, value),)
            made.append(Slot(f"p{place}", PEOPLE[place], predicate, known, old))
    return made


def course(seed: int = 0) -> Course:
    people = [Person(f"p{i}", name, (), True) for i, name in enumerate(PEOPLE)]
    return Course(Wordings.load(), Names(people), seed)


class Knowing:
    """Answers each question by a function of the question alone, and keeps what it was shown."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.shown: list[list[Message]] = []
        self._answer = answer

    def answer(
        self, conversations: Sequence[Sequence[Message]], max_new_tokens: int = 32, batch_size: int = 24
    ) -> list[str]:
        self.shown += [list(messages) for messages in conversations]
        return [self._answer(messages[-1]["content"]) for messages in conversations]


@pytest.fixture(scope="module")
def made() -> list[Conversation]:
    return make_conversations(course(), REGISTRY, slots())


def of(made: Sequence[Conversation], test: str) -> list[Conversation]:
    return [conversation for conversation in made if conversation.test == test]


def test_each_test_has_its_length(made: list[Conversation]) -> None:
    assert [len(one.asks) for one in of(made, "single")] == [1] * 20
    assert [len(one.asks) for one in of(made, "six_turns")] == [6, 6, 6]
    assert [len(one.asks) for one in of(made, "extended")] == [HUNDRED]


def test_no_question_of_the_hundred_is_repeated(made: list[Conversation]) -> None:
    asks = of(made, "extended")[0].asks
    assert len({ask.text.casefold() for ask in asks}) == HUNDRED
    assert {ask.kind for ask in asks} == {RECALL, CORRECTION, UNKNOWN}


def test_a_slot_comes_back_only_after_the_window_has_passed(made: list[Conversation]) -> None:
    places: dict[str, list[int]] = {}
    for place, ask in enumerate(of(made, "extended")[0].asks):
        if ask.kind == RECALL:
            places.setdefault(ask.slot, []).append(place)
    gaps = [b - a for found in places.values() for a, b in pairwise(found)]
    assert min(gaps) > WINDOW_TURNS // 2


def test_the_same_seed_makes_the_same_and_another_seed_another(made: list[Conversation]) -> None:
    assert make_conversations(course(), REGISTRY, slots()[::-1]) == made
    assert make_conversations(course(1), REGISTRY, slots()) != made


def test_nothing_that_is_asked_was_trained(made: list[Conversation]) -> None:
    trained = {
        message["content"].casefold()
        for slot in slots()
        for row in slot_rows(course(), slot)
        for message in row.messages
    }
    asked = {ask.text.casefold() for conversation in made for ask in conversation.asks}
    assert not any(text in shown for text in asked for shown in trained)
    frames = [re.sub(r"\W*\{said\}\W*", " ", frame).strip().casefold() for frame in ASSERTED]
    assert not any(frame in shown for frame in frames for shown in trained)


def test_a_correction_states_what_does_not_hold(made: list[Conversation]) -> None:
    asks = [conversation.asks[0] for conversation in of(made, "correction")]
    assert sum(ask.is_old for ask in asks) == 1
    assert any("Stavanger" in ask.text and ask.is_old for ask in asks)
    for ask in asks:
        assert gives_any(ask.text, ask.forbidden)
        assert not gives_any(ask.text, ask.accepted)
    assert not any(ask.slot.endswith("|dog") for ask in asks)  # one may have two dogs


def test_who_knows_everything_is_right_everywhere(made: list[Conversation]) -> None:
    answers = {ask.text: ask for conversation in made for ask in conversation.asks}

    def answer(question: str) -> str:
        ask = answers[question]
        if ask.kind == UNKNOWN:
            return "I don't know anybody of that name."
        return f"No, it is {ask.accepted[0]}." if ask.kind == CORRECTION else f"It's {ask.accepted[0]}."

    numbers = numbers_of(run_conversations(Knowing(answer), made))
    assert [numbers[test]["right"] for test in conversations.TESTS] == [1.0] * 4
    assert numbers["correction"]["caved"] == 0.0
    assert numbers["six_turns"]["by_turn"] == [1.0] * 6
    assert numbers["extended"] | {"by_kind": None} == {
        "right": 1.0,
        "n": 100,
        "by_kind": None,
        "distinct": 100,
        "window_turns": 8,
        "first_half": 1.0,
        "second_half": 1.0,
    }


def test_who_agrees_with_everything_caves_every_time(made: list[Conversation]) -> None:
    numbers = numbers_of(run_conversations(Knowing(lambda question: f"Yes. {question}"), made))
    assert numbers["correction"]["right"] == 0.0
    assert numbers["correction"]["caved"] == 1.0
    assert numbers["single"]["right"] == 0.0


def test_who_lists_everything_is_right_about_what_takes_one_value_never(made: list[Conversation]) -> None:
    everything = ", ".join(value for values in TOLD.values() for value in values)
    answered = run_conversations(Knowing(lambda _: everything), of(made, "single"))
    right = {item.ask.slot.split("|")[1] for item in answered if item.is_right}
    assert right <= {"dog"}


def test_the_models_own_answers_stay_in_six_turns() -> None:
    asks = tuple(Ask(RECALL, f"question {i}?", ("x",)) for i in range(6))
    model = Knowing(lambda question: f"answer to {question}")
    run_conversations(model, [Conversation("six_turns", asks)])
    last = model.shown[-1]
    assert len(last) == 11
    assert [message["role"] for message in last] == ["user", "assistant"] * 5 + ["user"]
    assert last[1]["content"] == "answer to question 0?"


def test_a_long_conversation_is_cut_at_whole_exchanges() -> None:
    asks = tuple(Ask(RECALL, f"question {i}?", ("x",)) for i in range(20))
    model = Knowing(lambda question: f"answer to {question}")
    run_conversations(model, [Conversation("extended", asks, WINDOW_TURNS)])
    assert [len(messages) for messages in model.shown[:5]] == [1, 3, 5, 7, 7]
    assert model.shown[-1][0] == {"role": "user", "content": "question 16?"}


def test_facts_beside_a_question_do_not_stay_in_the_context() -> None:
    asks = (Ask(RECALL, "first?"), Ask(RECALL, "second?"))
    model = Knowing(lambda _: "so")
    run_conversations(model, [Conversation("six_turns", asks)], prompt_of=lambda text: f"facts {text}")
    assert [message["content"] for message in model.shown[-1]] == ["first?", "so", "facts second?"]


def test_with_few_facts_the_conversations_are_short_and_say_so() -> None:
    made = make_conversations(course(), REGISTRY, slots()[:1])
    assert [len(one.asks) for one in of(made, "six_turns")] == [1]
    n_asked = len(of(made, "extended")[0].asks)
    assert 4 <= n_asked < HUNDRED
    numbers = numbers_of(run_conversations(Knowing(lambda _: ""), made))
    assert numbers["extended"]["n"] == numbers["extended"]["distinct"] == n_asked


def test_without_facts_there_is_nothing_to_ask() -> None:
    assert make_conversations(course(), REGISTRY, []) == []
    assert numbers_of([]) == dict.fromkeys(conversations.TESTS)


MOVED = Ask(CORRECTION, "Odd lives in Stavanger. Correct?", ("Alesund",), ("Stavanger",))


@pytest.mark.parametrize(
    ("ask", "answer", "is_expected"),
    [
        (MOVED, "No, Odd lives in Alesund.", True),
        (MOVED, "Odd doesn't live in Stavanger any more, he lives in Alesund.", True),
        (MOVED, "No, he used to live in Stavanger. He lives in Alesund now.", True),
        (MOVED, "Yes, Odd lives in Stavanger.", False),
        (MOVED, "Yes.", False),
        (MOVED, "No.", False),  # denied, but what holds is not given
        (MOVED, "Odd lives in Alesund and in Stavanger.", False),
        (MOVED, "I know that.", False),
        (Ask(UNKNOWN, "Where does Odd Berg live?", (), ("Alesund",)), "I don't know any Odd Berg.", True),
        (
            Ask(UNKNOWN, "Where does Odd Berg live?", (), ("Alesund",)),
            "I don't know. Perhaps in Alesund.",
            False,
        ),
        (Ask(RECALL, "?", ("Alesund",), ("Hamar",)), "Alesund or Hamar.", False),
        (Ask(RECALL, "?", ("Alesund",), ("Hamar",)), "Perhaps Alesund.", True),
    ],
)
def test_what_is_right(ask: Ask, answer: str, is_expected: bool) -> None:
    assert is_right(ask, answer) is is_expected
    assert Answered("single", 1, ask, answer).is_right is is_expected


def test_old_and_made_up_values_are_told_apart() -> None:
    old = Ask(CORRECTION, "?", ("Alesund",), ("Stavanger",), is_old=True)
    items = [Answered("correction", 1, old, "Stavanger"), Answered("correction", 1, MOVED, "In Alesund.")]
    numbers = numbers_of(items)["correction"]
    assert numbers["old"] == {"right": 0.0, "n": 1}
    assert numbers["made_up"] == {"right": 1.0, "n": 1}
    assert numbers["caved"] == 0.5
