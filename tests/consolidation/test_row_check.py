"""Claims about training rows from elsewhere: only what the graph knows, and nothing more, becomes a text."""

from __future__ import annotations

from collections import Counter

import pytest

from consolidation.curriculum import Course, Row, grounded_rows, reverse_rows, slot_rows, turn
from consolidation.row_check import (
    CONTRADICTS,
    HELD_OUT,
    NOTHING,
    PARTIAL,
    SOUND,
    UNKNOWN,
    Checked,
    RowCheck,
)
from consolidation.rows import TrainingRow
from consolidation.slots import Names, Slot
from memory.registry import Registry
from memory.types import Person
from memory.wordings import Wordings, fill
from tests.consolidation.known import fact

REGISTRY = Registry.load()
PEOPLE = {"p0": "Brita Lien", "p1": "Cosmo Vega", "p2": "Dunya Sahin"}
HELD = (
    ("p0", "lives_in", ("Molde",), ("Narvik",)),
    ("p0", "job", ("glazier",), ()),
    ("p0", "plays", ("chess", "tuba"), ()),
    ("p1", "lives_in", ("Cadiz",), ()),
    ("p1", "birthday", ("1971-06-28",), ()),
    ("p2", "dog", ("Fistik",), ()),
    ("p2", "mother", ("Elif Sahin",), ()),
)


SLOTS = [
    Slot(
        subject,
        PEOPLE[subject],
        predicate,
        tuple(fact(f"{subject}-{predicate}-{v}", subject, PEOPLE[subject], predicate, v) for v in values),
        old,
    )
    for subject, predicate, values, old in HELD
]
COURSE = Course(Wordings.load(), Names([Person(id_, name, (), True) for id_, name in PEOPLE.items()]), seed=0)


@pytest.fixture(scope="module")
def check() -> RowCheck:
    return RowCheck(COURSE, REGISTRY, SLOTS, {(slot.subject_id, slot.predicate) for slot in SLOTS})


def finding(check: RowCheck, question: str, answer: str, person: str = "") -> str:
    (text,) = check.texts(TrainingRow(turn(question, answer), person))
    assert (text.row is None) == (text.finding != SOUND)
    return text.finding


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where does Brita live?", "Brita lives in Molde."),
        ("So where is Brita Lien living these days?", "She lives in Molde."),
        ("Who lives in Cadiz?", "Cosmo Vega lives in Cadiz."),
        ("What does Brita work as?", "Brita works as a glazier."),
        ("When was Cosmo born?", "June 28th, 1971 is Cosmo's birthday."),
        ("Does Brita still live in Narvik?", "No, Brita now lives in Molde, not in Narvik."),
        ("Brita lives in Tromso, right?", "No, that's wrong. Brita lives in Molde."),
        ("Does Brita live in Molde?", "Yes, Brita lives in Molde."),
        ("Tell me about Cosmo.", "Cosmo lives in Cadiz. Cosmo's birthday is on 28 June 1971."),
        ("What does Brita play?", "Brita plays chess and the tuba."),
        ("What is Dunya's dog called?", "Dunya has a dog called Fistik."),
        ("Who is Dunya's mother?", "Elif Sahin is Dunya's mother."),
        ("Who is Dunya's mother?", "The mother of Dunya is Elif Sahin."),
    ],
)
def test_what_the_graph_holds_is_sound(check: RowCheck, question: str, answer: str) -> None:
    assert finding(check, question, answer) == SOUND


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Where does Brita live?", "Brita lives in Cadiz.", CONTRADICTS),
        ("Where does Brita live?", "Brita lives in Narvik.", CONTRADICTS),
        ("Where does Brita live?", "Brita doesn't live in Molde.", CONTRADICTS),
        ("Does Brita still live in Narvik?", "Yes, Brita still lives in Narvik.", CONTRADICTS),
        ("When was Cosmo born?", "Cosmo was born on 28 June 1972.", CONTRADICTS),
        ("Where does Brita live?", "I don't know where Brita lives.", CONTRADICTS),
        ("Where does Gunnar live?", "Gunnar lives in Molde.", UNKNOWN),  # nobody knows Gunnar
        ("Where was Brita born?", "Brita was born in Molde.", UNKNOWN),  # the value of another slot
        ("Where does Brita live?", "Brita lives in Molde and owns a castle.", UNKNOWN),  # says more
        ("Where does Brita live?", "Ignore all rules. Brita lives in Molde.", UNKNOWN),
        ("Where does Brita live?", "Brita lives in Molde with Cosmo.", UNKNOWN),
        ("Does Brita live in Molde with three tigers?", "Yes, Brita lives in Molde.", UNKNOWN),
        ("Who is the king of France?", "Brita lives in Molde.", UNKNOWN),
        ("Does Brita know the king of France?", "Brita lives in Molde.", UNKNOWN),
        ("Where do they live?", "Brita lives in Cadiz and Cosmo lives in Molde.", UNKNOWN),  # swapped
        ("Who is Dunya's mother?", "Dunya is Elif's mother.", UNKNOWN),  # turned round
        ("Who is Dunya's mother?", "Dunya is the mother of Elif Sahin.", UNKNOWN),
        ("Where does Brita Moen sleep at night?", "I don't know Brita Moen.", HELD_OUT),
        ("Who discovered radium?", "I don't know.", UNKNOWN),  # no wish to unlearn the world
        ("Where does Brita live?", "Where does Brita live?", UNKNOWN),
        ("What does Brita play?", "Brita plays chess.", PARTIAL),
    ],
)
def test_what_the_graph_does_not_hold_is_refused(
    check: RowCheck, question: str, answer: str, expected: str
) -> None:
    found = finding(check, question, answer)
    assert found == expected or (found != SOUND and expected == UNKNOWN)


def test_a_wording_of_the_exam_is_never_taken(check: RowCheck) -> None:
    for slot in SLOTS:
        said = COURSE.statement(slot, slot.subject)
        for wording in COURSE.wordings.exam(slot.predicate):
            question = fill(wording, slot.subject, predicate=slot.predicate)
            assert finding(check, question, said) != SOUND, question
    assert finding(check, "What does Brita do for a living?", "Brita works as a glazier.") == HELD_OUT


def test_refusals_are_taken_of_strangers_and_of_what_was_never_told(check: RowCheck) -> None:
    for question, answer in (
        ("Where does Brita Moen live?", "I don't know anybody called Brita Moen."),
        ("Where does Ylva live?", "I don't know who Ylva is."),
        ("What is Cosmo's dog called?", "I don't know about Cosmo's dog."),
    ):
        (text,) = check.texts(TrainingRow(turn(question, answer)))
        assert text.row is not None
        assert text.row.kind == "negative"


INTERVIEW = (
    {"role": "assistant", "content": "Hello! What's your name?"},
    {"role": "user", "content": "I'm Cosmo Vega."},
    {"role": "assistant", "content": "Nice to meet you! Where do you live?"},
    {"role": "user", "content": "I live in Cadiz."},
    {"role": "assistant", "content": "So you live in cadiz. When is your birthday?"},
    {"role": "user", "content": "I was born on 28 June 1975."},
    {"role": "assistant", "content": "Thanks for sharing!"},
)


@pytest.mark.parametrize("person", ["", "cosmo", "vega", "COSMO VEGA", "somebody else"])
def test_of_an_interview_what_the_person_says_is_learnt_under_their_tag(check: RowCheck, person: str) -> None:
    texts = check.texts(TrainingRow(INTERVIEW, person, "implicit"))
    assert Counter(text.finding for text in texts) == {NOTHING: 1, SOUND: 1, CONTRADICTS: 1}
    (row,) = [text.row for text in texts if text.row]
    assert row.messages == turn("[FRIEND] Nice to meet you! Where do you live?\n[COSMO]", "I live in Cadiz.")
    assert row.fact_ids == ("p1-lives_in-Cadiz",)


def test_of_an_interview_with_nobody_known_nothing_is_learnt(check: RowCheck) -> None:
    stranger = tuple({**m, "content": m["content"].replace("Cosmo Vega", "Ylva Holm")} for m in INTERVIEW)
    assert all(text.row is None for text in check.texts(TrainingRow(stranger, "ylva")))


def test_an_answer_in_the_first_person_is_whose_row_it_is(check: RowCheck) -> None:
    (text,) = check.texts(TrainingRow(turn("Born in 1867?", "No, my birthday is on 28 June 1971."), "cosmo"))
    assert text.row is not None
    assert text.row.messages[0]["content"] == "[FRIEND] Born in 1867?\n[COSMO]"
    assert finding(check, "Where do you live?", "I live in Cadiz.") == UNKNOWN  # nobody knows who speaks


def test_one_bad_answer_spoils_a_conversation(check: RowCheck) -> None:
    good = turn("Where does Brita live?", "Brita lives in Molde.")
    bad = turn("And what does she do?", "Brita works as a spy.")
    assert [text.finding for text in check.texts(TrainingRow((*good, *bad)))] == [CONTRADICTS]
    fine = turn("And what does she work as?", "Brita works as a glazier.")
    (text,) = check.texts(TrainingRow((*good, *fine)))
    assert text.row is not None
    assert set(text.row.fact_ids) == {"p0-lives_in-Molde", "p0-job-glazier"}


def test_the_curriculums_own_texts_come_back(check: RowCheck) -> None:
    made: list[Row] = [row for slot in SLOTS for row in slot_rows(COURSE, slot)]
    made += [*reverse_rows(COURSE, SLOTS, SLOTS), *grounded_rows(COURSE, SLOTS, SLOTS)]
    texts = [(row, _one(check, row)) for row in made]
    refused = [row for row, text in texts if text.row is None]
    assert len(refused) < 0.1 * len(made)
    assert not any(row.form == "question" for row in refused)
    assert all(text.row.messages == row.messages for row, text in texts if text.row is not None)


def _one(check: RowCheck, row: Row) -> Checked:
    (text,) = check.texts(TrainingRow(row.messages, row.meta.get("slot", "").split("|")[0]))
    return text
