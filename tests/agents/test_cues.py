"""Claims about the signs that a sentence does not assert its words: each with a sentence it is in, and one it is not."""

from __future__ import annotations

import pytest

from agents import cues
from agents.cues import NOT_MEANT, TRAILS_OFF, WISH

OTHERS = "it is what somebody else makes of it"


def reasons(message: str, value: str, **given: bool) -> list[str]:
    return [
        reason
        for sentence in cues.sentences(message)
        if cues.stems(value) & cues.stems(sentence.text)
        for reason in cues.objections(sentence, cues.stems(value), **given)
    ]


@pytest.mark.parametrize(
    ("message", "value", "reason"),
    [
        ("i am the queen of late trains", "trains", NOT_MEANT),
        ("he thinks he's king of all printers", "printers", NOT_MEANT),
        ("i bought a castle. just kidding", "castle", NOT_MEANT),
        ("i'm getting married… to my mattress", "married", TRAILS_OFF),
        ("my aunt says i should study law", "law", OTHERS),
        ("the neighbours decided we're swedish", "swedish", OTHERS),
        ("i hope to buy a kayak", "kayak", WISH),
        ("i want to move to Oslo and buy a kayak", "kayak", WISH),
        ("apparently Ana has a cousin", "cousin", "it passes on hearsay"),
        ("someone at work said you keep bees", "bees", "it passes on hearsay"),
        ("i'd buy a kayak", "kayak", "it is hypothetical"),
        ("one day, i own a kayak", "kayak", "it is hypothetical"),
        ("he wrote 'Ana owns a kayak'", "kayak", "it quotes somebody"),
        ("we were going to buy a kayak", "kayak", WISH),
        ("in the game i own a kayak", "kayak", NOT_MEANT),
        ("fwd: Ana owns a kayak", "kayak", "it quotes somebody"),
        ("is the party at Luigi's?", "luigi", cues.QUESTION),
    ],
)
def test_a_sign_is_seen(message: str, value: str, reason: str) -> None:
    assert reason in reasons(message, value)


@pytest.mark.parametrize(
    ("message", "value"),
    [
        ("we met the king of Norway at the harbour", "harbour"),
        ("she is head of marketing now", "marketing"),
        (
            "i bought a castle. my brother, who never gets tired of just kidding around, will live in the tower",
            "castle",
        ),
        ("we moved to Oslo… from Bergen, by train", "oslo"),
        ("i'm getting married… on the 3rd of june!", "married"),
        ("the doctor says i'm allergic to nuts", "nuts"),
        ("we decided we're moving to Lund", "lund"),
        ("i said i'm allergic to nuts", "nuts"),
        ("mum wants a dog but we got a parrot", "parrot"),
        ("apparently i have a cousin in Turku", "cousin"),
        ("the party is at Luigi's, ok?", "luigi"),
        ("no sorry, the 8th of may", "8th"),
        ("i'd been a cook on a steamer", "cook"),
        ("we are going to Rome, the game is on sunday", "rome"),
        ("the kayak is forwarded to Oslo", "kayak"),
        ("my mother will want to feed him, she's in Leeds anyway", "leeds"),
        ("my thesis is called 'Carbon memory in the fens'", "carbon"),
        ("i start at the library on monday, did i say?", "library"),
        ("he speaks three languages if you count swearing", "languages"),
    ],
)
def test_what_looks_like_a_sign_is_none(message: str, value: str) -> None:
    assert reasons(message, value) == []


def test_a_statement_about_a_wish_is_not_doubted_for_being_one() -> None:
    assert reasons("i want to see Kyoto", "kyoto") == [WISH]
    assert reasons("i want to see Kyoto", "kyoto", is_wish=True) == []


@pytest.mark.parametrize(
    "message",
    ["i wish", "sorry wrong chat", "my brother had my phone", "*kayak", "was only joking", "in my dreams"],
)
def test_a_confession_is_heard(message: str) -> None:
    assert cues.confesses(message)


@pytest.mark.parametrize(
    "message",
    ["i wish you were here", "my phone is new", "not really a kayak, more a boat", "what a joke of a film"],
)
def test_other_talk_confesses_nothing(message: str) -> None:
    assert not cues.confesses(message)


@pytest.mark.parametrize("reply", ["yeah right", "no you didn't", "haha as if", "no he isn't!"])
def test_disbelief_is_heard(reply: str) -> None:
    assert cues.disbelieves(reply)


@pytest.mark.parametrize(
    "reply", ["no way!!", "haha congrats", "you are the best", "no, i didn't know", "you did NOT"]
)
def test_surprise_is_no_disbelief(reply: str) -> None:
    assert not cues.disbelieves(reply)


@pytest.mark.parametrize(
    "message", ["i made that up", "i was only messing with you", "april fools!", "that never happened"]
)
def test_taking_back_is_seen(message: str) -> None:
    assert cues.takes_back(message)


@pytest.mark.parametrize("message", ["i made dinner", "the fool is back in april", "what happened next"])
def test_other_talk_takes_nothing_back(message: str) -> None:
    assert not cues.takes_back(message)


@pytest.mark.parametrize("question", ["what's the food like in Oslo?", "and she stays in Oslo?"])
def test_some_questions_take_for_granted_what_they_name(question: str) -> None:
    assert cues.takes_for_granted(question)


@pytest.mark.parametrize(
    "question", ["do you live in Oslo?", "did she say Oslo?", "what if we moved to Oslo?", "isn't it Oslo?"]
)
def test_others_ask_whether_it_is_so(question: str) -> None:
    assert not cues.takes_for_granted(question)
