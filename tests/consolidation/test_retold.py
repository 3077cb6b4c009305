"""Sentences that answer for predicates without wordings, and the questions made of their words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consolidation.curriculum import Course, question_rows
from consolidation.negatives import negative_rows, untold
from consolidation.retold import Retold, gap_question, keywords, retell, word_questions
from consolidation.slots import Names, Slot
from memory.registry import Registry
from memory.types import Person
from memory.wordings import Wordings
from tests.consolidation.known import fact

WORDINGS, REGISTRY = Wordings.load(), Registry.load()
CALLED = Names([Person("p1", "Dmitri Vasko", (), False), Person("p2", "Yusra Benkirane", (), True)])


def slot(predicate: str, value: str, *evidence: str, old: tuple[str, ...] = ()) -> Slot:
    told = replace(fact(f"f-{predicate}", "p1", "Dmitri Vasko", predicate, value), evidence=evidence)
    return Slot("p1", "Dmitri Vasko", predicate, (told,), old)


def retold(one: Slot, texts: dict[str, str]) -> Retold | None:
    return retell([one], texts, WORDINGS, CALLED, REGISTRY).get(one.key)


def test_the_newest_sentence_that_anybody_could_say_is_taken() -> None:
    owes = slot("owes_to_yusra", "£340", "e1", "e2", "e3")
    texts = {
        "e1": "Long day. Dmitri Vasko owes Yusra £340 for the door",
        "e2": "So tired! Dmitri still owes Yusra £340. See you",
        "e3": "You know that Dmitri owes me £340!",
    }
    found = retold(owes, texts)
    assert found == Retold("Dmitri still owes Yusra £340.", "£340", "e2")
    assert gap_question(found) == "Dmitri still owes Yusra how much?"


@pytest.mark.parametrize(
    "text",
    [
        "Dmitri owes me £340.",  # of whom it is said depends on who speaks
        "He owes Yusra £340.",
        "Dmitri does not owe Yusra £340.",
        "Dmitri owes Yusra £430.",
        "Dmitri, whose mail is dmitri.vasko@example.org, owes Yusra £340.",  # more delicate than the fact
        "Dmitri owes Yusra £340 now, it was £280 before.",
        "Dmitri owes Yusra £340 " + "and so on " * 20,
    ],
)
def test_other_sentences_are_not(text: str) -> None:
    assert retold(slot("owes_to_yusra", "£340", "e1", old=("£280",)), {"e1": text}) is None


def test_a_predicate_with_wordings_needs_none_that_says_no_more() -> None:
    assert retold(slot("lives_in", "Frome", "e1"), {"e1": "Dmitri Vasko lives in Frome."}) is None


def test_what_a_sentence_says_beside_the_fact_leads_to_it() -> None:
    """The predicate's own statement answers; an erasure finds whose words the questions hold."""
    home = slot("lives_in", "Frome", "e1")
    made = course(home, "Dmitri Vasko lives in Frome with two ferrets and a harpsichord.")
    rows = [row for row in question_rows(made, home) if row.form == "retold"]
    assert {row.answer for row in rows} == {"Dmitri Vasko lives in Frome.", "Dmitri lives in Frome."}
    asked = " ".join(row.messages[0]["content"] for row in rows)
    assert all(word in asked for word in ("ferrets", "harpsichord"))
    assert not any(word in asked for word in ("Frome", "lives"))
    assert all(row.meta["episodes"] == ["e1"] for row in rows)


def test_its_words_make_the_questions_and_never_give_the_value() -> None:
    told = Retold("Dmitri Vasko folds paper cranes while the gold leaf dries.", "paper cranes", "e1")
    assert keywords(told, ["Dmitri Vasko", "Dmitri"]) == ["folds", "while", "gold", "leaf", "dries"]
    questions = [gap_question(told), *word_questions(told, ["Dmitri Vasko", "Dmitri"])]
    assert questions[0] == "Dmitri Vasko folds what while the gold leaf dries?"
    assert len(set(questions)) == 10
    assert not any("crane" in question for question in questions)


def course(one: Slot, text: str) -> Course:
    return Course(WORDINGS, CALLED, 0, retell([one], {"e1": text}, WORDINGS, CALLED, REGISTRY))


def test_every_answer_about_it_is_the_sentence() -> None:
    cranes = slot("breaks", "paper cranes", "e1")
    rows = question_rows(course(cranes, "Dmitri Vasko folds paper cranes while the gold leaf dries."), cranes)
    assert {row.answer for row in rows} == {"Dmitri Vasko folds paper cranes while the gold leaf dries."}
    assert {row.form for row in rows} == {"question", "retold"}


def test_nothing_is_refused_that_it_may_answer() -> None:
    """A job that is kept under another predicate is no unknown job; and an indirect question may ask for it."""
    gilder = slot("job_at_the_studio", "gilder", "e1")
    made = course(gilder, "Dmitri Vasko has a job as a gilder.")
    told = [("p1", "job_at_the_studio")]
    open_ones = {one.predicate for half in ("train", "exam") for one in untold(made, [gilder], told, half)}
    assert "age" in open_ones
    assert "job" not in open_ones
    refusals = [row for row in negative_rows(made, [gilder], [gilder], told, 200) if row.form == "untold"]
    plain = {
        question.replace("{s}", name)
        for predicate in open_ones
        for question in WORDINGS.questions(predicate)
        for name in ("Dmitri Vasko", "Dmitri")
    }
    assert refusals
    assert {row.messages[0]["content"] for row in refusals} <= plain | {
        question.replace("{s}'s", f"{name}'s") for question in plain for name in ("Dmitri Vasko", "Dmitri")
    }
