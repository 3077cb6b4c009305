from __future__ import annotations

import pytest

from simulator.persona import in_second_person, in_the_past, in_third_person


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("where do you live now?", "where does Ines live now?"),
        ("what's your dog called?", "what's Ines's dog called?"),
        ("are you happy", "is Ines happy"),
        ("You're still swimming?", "Ines is still swimming?"),
        ("who is my boss?", "who is Tomas's boss?"),
        ("where do i live", "where does Tomas live"),
        ("you have a dog", "Ines has a dog"),
    ],
)
def test_what_is_said_to_the_persona_becomes_a_question_about_them(said: str, asked: str) -> None:
    assert in_third_person(said, "Ines", "Tomas") == asked


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("Where does Ines live now?", "Where do you live now?"),
        ("What is Ines's job?", "What is your job?"),
        ("Was Ines Carvalho single in May?", "Were you single in May?"),
        (
            "Who was Ines's boss before she set up on her own?",
            "Who was your boss before you set up on your own?",
        ),
        ("When did Ines and Duarte marry?", "When did you and Duarte marry?"),
        ("What does Ines do when she is nervous?", "What do you do when you are nervous?"),
        ("What does Ines do when she is with Maren?", "What do you do when she is with Maren?"),
        ("Where does Rui live?", "Where does Rui live?"),
        ("Ines likes tea.", "You like tea."),
    ],
)
def test_a_question_about_somebody_is_put_to_them(asked: str, said: str) -> None:
    assert in_second_person(asked, ("Ines Carvalho", "Ines"), others=("Maren", "Rui", "Duarte")) == said


@pytest.mark.parametrize(
    ("said", "past"),
    [
        ("I live in Kotor.", "I lived in Kotor."),
        ("I'm a nurse.", "I was a nurse."),
        ("My boss is Ulla.", "My boss was Ulla."),
        ("I drive a Volvo.", "I drove a Volvo."),
    ],
)
def test_what_is_over_is_told_in_the_past(said: str, past: str) -> None:
    assert in_the_past(said) == past


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("Which phone did you have before?", "Which phone did Ines have before?"),
        ("What do you have for sale?", "What does Ines have for sale?"),
        ("Are you happy?", "Is Ines happy?"),
    ],
)
def test_a_verb_that_another_helps_stays_as_it_is(said: str, asked: str) -> None:
    assert in_third_person(said, "Ines", "Tomas") == asked
