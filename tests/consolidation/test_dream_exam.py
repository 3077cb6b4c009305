"""Claims about the exam that a night makes of the graph."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from consolidation import dream, negatives
from consolidation.questions import KINDS, is_right
from consolidation.scoring import gives_any
from consolidation.stage import NightContext, no_progress
from memory.registry import Registry
from memory.wordings import Wordings, content_words
from tests.consolidation.dreams import TOLD, asked, examples, graph_of

REGISTRY = Registry.load()


def test_exam_questions_are_no_training_questions(told_night: NightContext) -> None:
    dream.run(told_night, no_progress)
    trained = [message["content"] for row in examples(told_night) for message in row.messages[:-1]]
    for question in examples(told_night, "exam"):
        is_repeat = any(question.messages[0]["content"].casefold() in text.casefold() for text in trained)
        assert is_repeat == (question.kind == "recall_trained"), question.messages[0]["content"]


def test_no_exam_question_is_a_training_question_with_other_names_or_values(told_night: NightContext) -> None:
    graph = graph_of(told_night)
    rows, _ = dream.dream(graph)
    questions = dream._questions(told_night, graph)
    called = [stranger.name for half in ("train", "exam") for stranger in _strangers(graph, half)]
    called += [value for fact in TOLD for value in (fact[0], fact[2])]
    called += [word for name in called for word in name.split() if word[0].isupper()]
    names = re.compile("|".join(map(re.escape, sorted(set(called), key=len, reverse=True))))

    def masked(text: str) -> str:
        return names.sub("*", text).casefold()

    trained = {masked(line) for row in rows for line in asked(row).splitlines()}
    assert any("*" in text for text in trained)
    for question in questions:
        if question.kind != "recall_trained":
            assert masked(question.text) not in trained, question.text
    assert {"neighbour_intact", "unknown_refused"} <= {question.kind for question in questions}


def _strangers(graph: dream.Graph, half: negatives.Half) -> list[negatives.Stranger]:
    return negatives.strangers(graph.course, graph.everything, half, dream.MAX_NEGATIVES)


def test_no_held_out_wording_is_a_trained_template() -> None:
    wordings = Wordings.load()
    for predicate in (*wordings.names(), "unheard_of"):
        assert set(wordings.exam(predicate)).isdisjoint(wordings.taught(predicate))


def test_a_value_of_somebody_else_or_an_old_one_is_forbidden_where_one_can_hold(
    told_night: NightContext,
) -> None:
    dream.run(told_night, no_progress)
    recall = [row for row in examples(told_night, "exam") if row.kind == "recall_paraphrase"]
    karl = next(row for row in recall if "Tromso" in row.accepted)
    assert set(karl.meta["forbidden"]) == {"Bergen", "Oslo"}
    assert is_right(karl.kind, "Karl moved from Oslo to Tromso.", karl.accepted, karl.meta["forbidden"])
    assert not is_right(karl.kind, "Tromso, Bergen, Faro.", karl.accepted, karl.meta["forbidden"])
    plays = next(row for row in recall if "chess" in row.accepted)
    assert is_right(plays.kind, "Chess and the tuba.", plays.accepted, plays.meta["forbidden"])


@pytest.mark.parametrize(
    ("answer", "is_fresh"),
    [
        ("In Oslo and Bergen.", False),
        ("In Oslo.", False),
        ("Karl moved from Oslo to Bergen.", True),
        ("Karl used to live in Oslo, now Bergen.", True),
        ("No longer in Oslo.", True),
        ("In Bergen.", True),
        ("I don't know.", True),
    ],
)
def test_an_old_value_is_stale_unless_it_is_told_as_past(answer: str, is_fresh: bool) -> None:
    assert is_right("stale_answered", answer, ["Bergen"], ["Oslo"]) is is_fresh


def test_held_out_questions_share_at_most_one_content_word_with_the_training(
    told_night: NightContext,
) -> None:
    graph = graph_of(told_night)
    rows, _ = dream.dream(graph)
    names = content_words(" ".join(f"{fact[0]} {fact[2]}" for fact in TOLD))
    for question in dream._questions(told_night, graph):
        if question.kind != "recall_paraphrase":
            continue
        slot = next(slot for slot in graph.tonight if slot.fact_ids == question.fact_ids)
        head = graph.course.wordings.head(slot.predicate) | names
        for row in rows:
            if row.form == "question" and row.fact_ids == question.fact_ids:
                shared = (content_words(question.text) & content_words(asked(row))) - head
                assert len(shared) <= 1, (question.text, asked(row))


def test_the_exam_asks_every_kind_it_can(told_night: NightContext) -> None:
    result = dream.run(told_night, no_progress)
    kinds = Counter(row.kind for row in examples(told_night, "exam"))
    assert set(kinds) == set(KINDS) - {"recall_earlier_nights"}
    assert kinds["recall_trained"] == 8
    assert kinds["recall_paraphrase"] == 16
    assert kinds["stale_answered"] == 1
    assert result.output["n_exam"] == sum(kinds.values())


def test_forbidden_values_are_not_named_by_their_question(told_night: NightContext) -> None:
    dream.run(told_night, no_progress)
    for row in examples(told_night, "exam"):
        if row.kind in ("neighbour_intact", "unknown_refused"):
            assert row.meta["forbidden"]
            assert not gives_any(row.messages[0]["content"], row.meta["forbidden"])


def test_a_teacher_cannot_train_the_exam(chat: Any) -> None:
    chat.store(("Mona Berg", "lives_in", "Bergen", 0))
    graph = graph_of(chat.context())
    slot = graph.tonight[0]
    wordings = Wordings.load()
    for held_out in wordings.exam("lives_in"):
        wording = held_out.replace("{s}", "Mona Berg")
        fair = dream.is_fair_wording(wording, slot, "Mona Berg", wordings)
        assert not fair or len(content_words(held_out)) < 2
