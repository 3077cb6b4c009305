"""Claims about the exam that a night makes of the graph."""

from __future__ import annotations

from collections import Counter
from typing import Any

from consolidation import dream
from consolidation.questions import KINDS
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
