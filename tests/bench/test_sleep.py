"""Claims about bench.sleep: how lessons are read, invented, dealt and shuffled, and what a night does with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import bench.lessons
from bench.lessons import Lesson, invent_lessons, read_lessons
from bench.minutes import Budget, Pace
from bench.sleep import Life, PlainQuestions, ask_rest, deal, shuffled
from consolidation.negatives import invented
from consolidation.stage import NightSettings, TrainSettings
from memory.embedders.hashing import HashingEmbedder
from memory.embedders.minilm import MiniLM
from memory.registry import Registry
from memory.wordings import Wordings, fill

WORDINGS, REGISTRY = Wordings.load(), Registry.load()
EMBEDDER = HashingEmbedder(256)
EXAMS = Path(bench.lessons.__file__).with_name("exams")


def entry(**changed: Any) -> dict[str, Any]:
    return {
        "fact_id": "x1",
        "statement": "Mona Lund lives in Bergen.",
        "train_question": "Where does Mona Lund live?",
        "paraphrases": ["Which town has Mona Lund's front door?"],
        "answer_aliases": ["Bergen", "in Bergen"],
        "neighbour": {"question": "Where does Karl live?", "answer": "Oslo"},
    } | changed


def read(tmp_path: Path, *entries: dict[str, Any]) -> list[Lesson]:
    return read_lessons(_written(tmp_path, *entries), WORDINGS, EMBEDDER)


def _written(tmp_path: Path, *entries: dict[str, Any]) -> Path:
    file = tmp_path / "exam.json"
    file.write_text(json.dumps(entries), encoding="utf-8")
    return file


def test_subject_value_and_predicate_are_found_in_the_words(tmp_path: Path) -> None:
    (lesson,) = read(tmp_path, entry())
    assert (lesson.subject, lesson.predicate, lesson.object) == ("Mona Lund", "lives_in", "in Bergen")
    assert lesson.neighbour == "Where does Karl live?"


def test_a_question_near_to_no_wording_gets_a_predicate_of_its_own_words(tmp_path: Path) -> None:
    odd = entry(
        statement="Ines's leaven goes by Amália.",
        train_question="Which leaven bubbles beside Ines?",
        answer_aliases=["Amália"],
    )
    (lesson,) = read(tmp_path, odd)
    assert (lesson.subject, lesson.object) == ("Ines", "Amália")
    assert "leaven" in lesson.predicate


def test_a_question_of_the_same_shape_alone_gets_a_predicate_of_its_own_words(tmp_path: Path) -> None:
    """ "What is X's business called?" is near to "What is X's partner called?" as vectors go."""
    shop = entry(
        statement="Mona Lund owns the bakery Solbrød.",
        train_question="What is Mona Lund's business called?",
        answer_aliases=["Solbrød"],
    )
    (lesson,) = read_lessons(_written(tmp_path, shop), WORDINGS, MiniLM.load())
    assert lesson.predicate == "business"


def test_a_name_ends_with_its_possessive(tmp_path: Path) -> None:
    child = entry(
        statement="Mona's little daughter goes by the name of Philippa.",
        train_question="What is Mona's daughter called?",
        answer_aliases=["Philippa"],
    )
    of_three = entry(
        statement="Maria da Silva lives in Bergen.", train_question="Where does Maria da Silva live?"
    )
    assert [lesson.subject for lesson in read(tmp_path, child, of_three)] == ["Mona", "Maria da Silva"]


def test_the_plain_question_is_one_wording_more(tmp_path: Path) -> None:
    """By the subject and the value, so that no other fact of the same person is asked for."""
    home, job = (
        entry(),
        entry(
            statement="Mona Lund works as a baker.",
            train_question="What does Mona Lund do for a living?",
            answer_aliases=["baker"],
        ),
    )
    teacher = PlainQuestions(read(tmp_path, home, job))
    answer = "Mona Lund works as a baker."
    assert teacher.reword("What is Mona Lund's job?", answer, 4) == ["What does Mona Lund do for a living?"]
    assert teacher.reword("What is Karl's job?", "Karl works as a baker.", 4) == []


def test_two_facts_that_would_share_a_slot_do_not(tmp_path: Path) -> None:
    first, second = read(
        tmp_path, entry(), entry(fact_id="x2", statement="Mona Lund lives in Bergen with Ida.")
    )
    assert (first.subject, first.predicate) != (second.subject, second.predicate)


def test_an_entry_that_lacks_a_field_is_named(tmp_path: Path) -> None:
    broken = entry()
    del broken["paraphrases"]
    with pytest.raises(ValueError, match=r"entry 2 of exam\.json has no 'paraphrases'"):
        read(tmp_path, entry(), broken)


def test_shipped_exam_files_are_read_whole() -> None:
    for name in ("atrium", "lantern", "quarry"):
        told = read_lessons(EXAMS / f"{name}.json", WORDINGS, EMBEDDER)
        assert len({(lesson.subject, lesson.predicate) for lesson in told}) == len(told) == 60
        assert all(len(lesson.paraphrases) == 6 for lesson in told)


def test_invented_lessons_ask_held_out_wordings_about_people_of_their_own() -> None:
    told = invent_lessons(50, 3, WORDINGS, REGISTRY)
    assert told == invent_lessons(50, 3, WORDINGS, REGISTRY)
    strange = {
        name for half in ("train", "exam") for which in ("first", "last") for name in invented(half, which)
    }
    for lesson in told:
        assert strange.isdisjoint(lesson.subject.split())
        trained = {fill(text, lesson.subject) for text in WORDINGS.taught(lesson.predicate)}
        assert trained.isdisjoint(lesson.paraphrases)


def test_facts_are_dealt_in_order_and_evenly() -> None:
    told = invent_lessons(11, 0, WORDINGS, REGISTRY)
    nights = deal(told, 3)
    assert [len(night) for night in nights] == [4, 4, 3]
    assert [lesson for night in nights for lesson in night] == told


def test_shuffled_lessons_keep_their_questions_and_lose_their_values() -> None:
    told = invent_lessons(40, 0, WORDINGS, REGISTRY)
    dealt = shuffled(told, 0)
    assert [(one.id, one.subject, one.predicate) for one in dealt] == [
        (one.id, one.subject, one.predicate) for one in told
    ]
    kept = sum(a.object == b.object for a, b in zip(dealt, told, strict=True))
    assert kept <= len(told) // 5  # by chance two people share a value


def test_a_night_trains_no_paraphrase_of_its_file_and_as_long_as_its_exam_leaves(
    tmp_path: Path, tiny_folder: Path, model_cache: Path
) -> None:
    """One night of a random model; two of the paraphrases are wordings that the product trains."""
    first = entry(paraphrases=["Where does Mona Lund live now?", "Which town has Mona Lund's front door?"])
    second = entry(
        fact_id="x2",
        statement="Mona Lund works as a baker.",
        train_question="What does Mona Lund do for a living?",
        paraphrases=["What is Mona Lund's profession?"],
        answer_aliases=["baker"],
        neighbour=None,
    )
    told = read_lessons(_written(tmp_path, first, second), WORDINGS, MiniLM.load())
    assert [lesson.predicate for lesson in told] == ["lives_in", "job"]
    train = TrainSettings(
        rank=2, steps=3, facts_per_step=4, negatives_per_step=2, kl_per_step=0, dtype="float32"
    )
    settings = NightSettings(base_model=str(tiny_folder), train=train)
    budget = Budget(10, Pace(fixed_s=60, answer_s=0.0, answer_with_facts_s=0.0))
    life = Life(tmp_path / "life", model_cache, MiniLM.load(), settings, told, budget)
    life.night(told)
    (folder,) = life.job_folders()
    trained = [
        message["content"].casefold().replace("mona lund", "mona").replace("mona's", "mona").strip(" ?.")
        for row in folder.read_rows()
        for message in row.messages
        if message["role"] == "user"
    ]
    assert len(trained) > 100
    asked = {"where does mona live now", "where does mona live", "what is mona profession"}
    assert asked.isdisjoint(trained)
    (night,) = life.by_night()
    assert night["dropped"] > 0
    assert night["planned"] == round(folder.read_job().settings.max_minutes, 4)
    assert 8 < night["planned"] < 8.5  # ten minutes, less margin, the exam's minute and what was spent
    rest, night_exam = ask_rest(life.worn_model(), life), life.last_exam()["weights"]
    assert rest["n"]["neighbour_intact"]
    assert rest["n"]["unknown_refused"]
    assert all(
        rest["n"][kind] == night_exam["n"][kind] and share == pytest.approx(night_exam[kind], abs=1e-4)
        for kind, share in rest.items()
        if kind != "n" and share is not None
    )
