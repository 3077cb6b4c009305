"""Claims about how facts are said: every predicate is covered, and the exam's wordings stay its own."""

from __future__ import annotations

import pytest

from memory.registry import Registry
from memory.wordings import Wordings, content_words, fill, possessive, spoken, with_article, words

WORDINGS = Wordings.load()
PREDICATES = (*WORDINGS.names(), "no_such_predicate")
LEAST = {
    "statements": 3,
    "questions": 12,
    "exam": 4,
    "reverse": 2,
    "first_person": 3,
    "you_questions": 4,
    "still": 1,
    "now": 1,
}


def _has_object(template: str) -> bool:
    return "{o}" in template or "{a o}" in template


def test_every_registered_predicate_has_wordings_of_its_own() -> None:
    assert set(Registry.load().names()) == set(WORDINGS.names())


@pytest.mark.parametrize("predicate", PREDICATES)
def test_each_field_has_enough_distinct_wordings(predicate: str) -> None:
    for field, least in LEAST.items():
        texts = getattr(WORDINGS, field)(predicate)
        assert len(set(texts)) == len(texts) >= least, field


@pytest.mark.parametrize("predicate", PREDICATES)
def test_templates_hold_the_slots_their_field_needs(predicate: str) -> None:
    for text in (*WORDINGS.questions(predicate), *WORDINGS.exam(predicate)):
        assert "{s}" in text
        assert not _has_object(text)
    for field in ("statements", "still", "now"):
        for text in getattr(WORDINGS, field)(predicate):
            assert "{s}" in text, text
            assert _has_object(text), text
    for field in ("reverse", "first_person"):
        for text in getattr(WORDINGS, field)(predicate):
            assert "{s}" not in text, text
            assert _has_object(text), text
    assert not any("{" in text for text in WORDINGS.you_questions(predicate))


@pytest.mark.parametrize("predicate", PREDICATES)
def test_exam_wordings_share_at_most_one_content_word_with_any_training_wording(predicate: str) -> None:
    head = WORDINGS.head(predicate)
    training = (*WORDINGS.taught(predicate), *WORDINGS.you_questions(predicate))
    for held_out in WORDINGS.exam(predicate):
        for trained in training:
            assert content_words(held_out) != content_words(trained), (held_out, trained)
            shared = (content_words(held_out) & content_words(trained)) - head
            assert len(shared) <= 1, (held_out, trained, shared)


@pytest.mark.parametrize("predicate", PREDICATES)
def test_no_exam_wording_is_nearly_a_training_wording(predicate: str) -> None:
    """Nearly: 70 % or more of all their words, function words included, are the same."""
    training = (*WORDINGS.taught(predicate), *WORDINGS.you_questions(predicate))
    for held_out in WORDINGS.exam(predicate):
        assert content_words(held_out) - WORDINGS.head(predicate), held_out
        for trained in training:
            a, b = set(words(held_out)), set(words(trained))
            assert len(a & b) / len(a | b) < 0.7, (held_out, trained)


def test_a_head_stays_small() -> None:
    """The exemption covers the noun that cannot be avoided, not a vocabulary."""
    assert all(len(WORDINGS.head(predicate)) <= 4 for predicate in PREDICATES)


def test_an_unknown_predicate_is_spoken_of_by_its_name() -> None:
    template = WORDINGS.questions("bad_knee")[0]
    assert fill(template, subject="Jo") == "What is Jo's bad knee?"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2025-08-22", "22 August 2025"),
        ("2025-10-03T15:40:00+00:00", "3 October 2025 at 15:40"),
        ("2025-10-03T00:00:00", "3 October 2025"),
        ("14 November", "14 November"),
        ("2025-13-40", "2025-13-40"),
        ("+46 70 555 01 97", "+46 70 555 01 97"),
    ],
)
def test_dates_are_said_as_people_say_them(value: str, said: str) -> None:
    assert spoken(value) == said


@pytest.mark.parametrize(
    ("noun", "said"),
    [
        ("flat in Bonfim", "a flat in Bonfim"),
        ("old mill", "an old mill"),
        ("uniform", "a uniform"),
        ("Lisbon", "Lisbon"),
        ("the harbour", "the harbour"),
        ("her house in Viana", "her house in Viana"),
        ("snow tyres", "snow tyres"),
        ("nurse at two clinics", "a nurse at two clinics"),
        ("runs her own practice", "someone who runs her own practice"),
    ],
)
def test_an_article_comes_where_english_wants_one(noun: str, said: str) -> None:
    assert with_article(noun) == said


def test_first_person_speaks_of_my_house() -> None:
    template = WORDINGS.first_person("lives_in")[0]
    assert fill(template, object="her house in Viana") == "I live in my house in Viana."


def test_a_value_with_braces_is_not_a_template() -> None:
    assert fill("{s} likes {o}.", subject="Jo", object="{s}") == "Jo likes {s}."


def test_possessive_keeps_the_name() -> None:
    assert possessive("Ines") == "Ines's"
