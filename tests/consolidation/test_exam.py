"""Claims about the exam: who is asked what, what counts as right, and what the numbers are taken over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from agents.runtime.adapter import Adapter
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from bench.tiny_model import Shape, write_tiny_model
from consolidation import dream, exam
from consolidation.exam import ASKED, CONDITIONS, Answered, Asked, Drift
from consolidation.prompts import Graph, facts_for, prompts_of
from consolidation.questions import KINDS, is_right
from consolidation.stage import NightContext, NightSettings, no_progress
from db.tables import ExamAnswer
from memory.registry import Registry
from tests.consolidation.dreams import serve

REGISTRY = Registry.load()
MODULE = "model.layers.1.mlp.down_proj"


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers that hold texts of a thousand tokens."""
    shape = Shape(n_layers=2, width=16, n_heads=2, n_kv_heads=1, n_positions=1024, embedding_scale=1, seed=3)
    return write_tiny_model(tmp_path_factory.mktemp("tiny"), shape)


@pytest.fixture
def night(chat: Any, tiny_folder: Path) -> NightContext:
    """A night that has dreamt of three facts, one of which has changed."""
    chat.store(("Mona Berg", "lives_in", "Bergen", 0), ("Karl Aas", "lives_in", "Oslo", 1))
    chat.store(("Karl Aas", "lives_in", "Tromso", 5), change="update", valid_from=chat.episodes[5].time)
    settings = NightSettings(base_model=str(tiny_folder))
    outputs: dict[str, dict[str, Any]] = {"train": {}}
    context: NightContext = chat.context(settings=settings, outputs=outputs)
    dream.run(context, no_progress)
    return context


def vector(context: NightContext, size: float) -> Adapter:
    base = LanguageModel.load(ModelSpec(context.home / "cache", context.settings.base_model)).base_hash
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 24)), size * rng.normal(size=(16, 2))
    return Adapter(base, 2, 4.0, {MODULE: (a.astype(np.float32), b.astype(np.float32))})


def examined(context: NightContext) -> dict[str, Any]:
    numbers: dict[str, Any] = exam.run(context, no_progress).output["exam"]
    return numbers


def answers(context: NightContext) -> list[tuple[str, str, str, bool]]:
    query = select(ExamAnswer).where(ExamAnswer.run_id == context.run_id)
    with context.database.transaction() as session:
        rows = [(r.condition, r.example_id, r.answer, r.is_right) for r in session.scalars(query)]
    return sorted(rows)


def test_numbers_counts_and_kept_answers_agree(night: NightContext) -> None:
    numbers = examined(night)
    assert tuple(numbers) == CONDITIONS
    for condition, of_condition in numbers.items():
        assert set(of_condition) == {*KINDS, "ppl_change", "kl_to_base", "n"}
        for kind in KINDS:
            count = of_condition["n"][kind]
            assert (of_condition[kind] is None) == (count == 0)
            assert count == 0 or kind in ASKED[condition]
    assert numbers["weights"]["n"]["recall_trained"] == 2
    assert numbers["weights"]["n"]["recall_paraphrase"] == 4
    assert numbers["weights"]["n"]["stale_answered"] == 1
    kept = answers(night)
    total = sum(sum(numbers[name]["n"][kind] for kind in KINDS) for name in CONDITIONS)
    assert len(kept) == total
    right = [row for row in kept if row[0] == "weights" and row[3]]
    shares = [
        1 - numbers["weights"][kind] if kind == "stale_answered" else numbers["weights"][kind]
        for kind in KINDS
        if numbers["weights"]["n"][kind]
    ]
    counts = [numbers["weights"]["n"][kind] for kind in KINDS if numbers["weights"]["n"][kind]]
    assert len(right) == round(sum(share * n for share, n in zip(shares, counts, strict=True)))


def test_what_earlier_nights_taught_is_asked_of_what_served_before(night: NightContext, chat: Any) -> None:
    """Tonight's vector changes nothing, so that both answer alike; what served is no part of the kept answers."""
    worn = vector(night, 0.5)
    worn.save(night.home / "adapters/worn")
    serve(night, worn.sha256, "adapters/worn", worn.base_hash)
    chat.store(("Vera Lind", "dog", "Pelle", 6))
    second = chat.context(settings=night.settings, outputs={"train": {}})
    dream.run(second, no_progress)
    vector(second, 0.0).save(second.home / "adapters/zero")
    second.output("train")["adapter"] = "adapters/zero"
    output = exam.run(second, no_progress).output
    alone, before = output["exam"]["weights"], output["before"]
    assert before["n"] == {"recall_earlier_nights": alone["n"]["recall_earlier_nights"]}
    assert before["n"]["recall_earlier_nights"] >= 4
    assert before["recall_earlier_nights"] == alone["recall_earlier_nights"]
    assert "before" not in {condition for condition, *_ in answers(second)}


def test_a_first_night_has_nothing_before_it(night: NightContext) -> None:
    assert exam.run(night, no_progress).output["before"] == {}


def test_a_second_exam_gives_the_same(night: NightContext) -> None:
    first, kept = examined(night), answers(night)
    assert examined(night) == first
    assert answers(night) == kept


def test_weights_that_change_nothing_lose_nothing(night: NightContext) -> None:
    vector(night, 0.0).save(night.home / "adapters/zero")
    night.output("train")["adapter"] = "adapters/zero"
    numbers = examined(night)
    assert numbers["weights"]["ppl_change"] == 0.0


def test_divergence_is_zero_from_itself_and_positive_from_another(night: NightContext) -> None:
    model = LanguageModel.load(ModelSpec(night.home / "cache", night.settings.base_model))
    ids = model.chat_ids([{"role": "user", "content": "Hello!"}]) + model.template.encode("Good day to you.")
    start = len(ids) - 12
    base = exam.General(
        model.perplexity(exam.neutral_texts()[:1]),
        ((ids, start),),
        (exam._reply_logprobs(model, ids, start),),
    )
    assert exam.drift_from(model, base).kl_to_base == 0.0
    model.apply([(vector(night, 3.0), 1.0)])
    moved = exam.drift_from(model, base).kl_to_base
    assert moved is not None
    assert moved > 1e-4


def test_a_vector_moves_the_weights_and_only_where_it_is_on(night: NightContext) -> None:
    vector(night, 3.0).save(night.home / "adapters/big")
    night.output("train")["adapter"] = "adapters/big"
    numbers = examined(night)
    assert numbers["weights"]["ppl_change"] != 0.0
    assert numbers["both"]["ppl_change"] == numbers["weights"]["ppl_change"]
    assert numbers["base"]["ppl_change"] == numbers["retrieval"]["ppl_change"] == 0.0


def test_retrieval_puts_what_holds_into_the_prompt(night: NightContext) -> None:
    questions = [q for q in exam.questions_of(night.database, night.run_id) if q.kind == "recall_paraphrase"]
    texts = {question.id: question.text for question in questions}
    prompts = prompts_of(facts_for(Graph.of(night), texts))
    karl = next(q for q in questions if "Karl Aas" in q.text)
    assert "Karl Aas lives in Tromso." in prompts[karl.id]
    assert "Oslo" not in prompts[karl.id]
    assert prompts[karl.id].endswith(karl.text)


def test_without_questions_nothing_is_loaded(chat: Any) -> None:
    context = chat.context(settings=NightSettings(base_model="nowhere"))
    assert exam.run(context, no_progress).output == {"exam": {}}


@pytest.mark.parametrize(
    ("kind", "answer", "is_expected"),
    [
        ("recall_paraphrase", "Mona lives in Bergen.", True),
        ("recall_paraphrase", "I don't know where Mona lives.", False),
        ("recall_paraphrase", "Mona lives in Bergen or Rome.", False),
        ("neighbour_intact", "I don't know anybody called Mona Lund.", True),
        ("neighbour_intact", "Mona Lund lives in Paris.", True),
        ("neighbour_intact", "Mona Lund lives in Oslo.", False),
        ("unknown_refused", "I don't know.", True),
        ("unknown_refused", "Mona has a dog called Rex.", False),
        ("unknown_refused", "I don't know; in Oslo she has one.", False),
        ("stale_answered", "Mona lives in Oslo.", False),
        ("stale_answered", "Not in Oslo any more: in Bergen.", True),
        ("stale_answered", "I don't know.", True),
    ],
)
def test_what_is_right_depends_on_the_number(kind: str, answer: str, is_expected: bool) -> None:
    assert is_right(kind, answer, ["Bergen"], ["Oslo"]) is is_expected


def answered(kind: str, marks: Sequence[bool]) -> list[Answered]:
    question = Asked("x", kind, "?", False, (), ())
    return [Answered(question, "weights", "", mark) for mark in marks]


def test_shares_are_of_right_answers_but_for_stale_ones() -> None:
    items = answered("recall_trained", [True, True, False, False]) + answered("stale_answered", [False, True])
    numbers = exam.numbers_of(items, Drift(0.01, 0.02, 12, 10))
    assert numbers["recall_trained"] == 0.5
    assert numbers["stale_answered"] == 0.5
    assert numbers["unknown_refused"] is None
    assert numbers["n"]["recall_trained"] == 4
    assert numbers["n"]["ppl_change"] == 12


def test_a_limited_condition_is_asked_from_all_over() -> None:
    questions = [Asked(str(i), "recall_paraphrase", "?", False, (), ()) for i in range(100)]
    chosen = [int(question.id) for question in exam.asked_of("base", questions)]
    assert len(chosen) == len(set(chosen)) == 60
    assert chosen == sorted(chosen)
    assert chosen[-1] >= 98
    assert len(exam.asked_of("weights", questions)) == 100


def test_the_neutral_text_is_twelve_paragraphs() -> None:
    texts = exam.neutral_texts()
    assert len(texts) == 12
    assert all(len(text.split()) > 50 for text in texts)
