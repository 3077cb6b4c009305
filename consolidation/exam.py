"""Stage `exam`: ask the night's questions of the base, of retrieval alone, of the weights alone, and of both.

One model is loaded; the recipe so far with tonight's vector is put on after the base has answered. All answers are
greedy. Perplexity on `neutral.txt` and the divergence on general prompts, neither ever trained on, say what was
lost. Every number comes with its count; None is what was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import delete, select

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec
from consolidation.mastery import Examined, mastered_with
from consolidation.primer import recipe_to_extend
from consolidation.prompts import Economy, Graph, facts_for, n_tokens, prompts_of
from consolidation.questions import KINDS, is_right
from consolidation.recipe import Recipe, add, recipe_adapters
from consolidation.stage import NightContext, Progress, StageResult
from db.engine import Database
from db.tables import ExamAnswer, Example

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

Item = TypeVar("Item")
CONDITIONS = ("base", "retrieval", "weights", "both")
BEFORE = "before"  # the vectors that serve, without tonight's: what it is that tonight may not lose
# how many questions of each kind a condition is asked at most, spread over all; the weights alone get every one
_BESIDE = {"recall_paraphrase": 72, "recall_earlier_nights": 30, "stale_answered": 20, "unknown_refused": 12}
ASKED: Mapping[str, Mapping[str, int]] = {
    "base": {"recall_paraphrase": 60, "unknown_refused": 12},
    "retrieval": _BESIDE,
    "weights": dict.fromkeys(KINDS, 100_000),
    "both": _BESIDE,
    BEFORE: {"recall_earlier_nights": 100_000},
}
SHORT_ANSWER = 24  # tokens; long values get LONG_ANSWER
LONG_ANSWER = 48
_LONG_EXPECTED = 12  # words of the model answer from which on it is long
_CHUNK = 160  # questions between two reports of progress, half of them to each of two workers
_BATCH = 80  # a step reads all weights once, whatever the batch
_KL_TOKENS = 32
GENERAL_PROMPTS = (
    "Explain in two sentences why the moon has phases.",
    "Give me a simple recipe for pancakes.",
    "What is the difference between weather and climate?",
    "Write a short thank-you note to a teacher.",
    "How many minutes are there in a day?",
    "Name three things to check before a long drive.",
    "What does the word 'irony' mean?",
    "How do vaccines protect people?",
    "Suggest a title for a book about winter.",
    "Why do leaves change colour in autumn?",
)

Logprobs = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of the exam as it is stored."""

    id: str
    kind: str
    text: str
    is_long: bool
    accepted: tuple[str, ...]
    forbidden: tuple[str, ...]
    fact_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class General:
    """How the base itself speaks: perplexity on neutral text, and log-probabilities of its own general replies."""

    perplexity: float
    replies: tuple[tuple[list[int], int], ...]  # ids of prompt and reply, and where the reply begins
    logprobs: tuple[Logprobs, ...]  # (reply tokens, V) each


@dataclass(frozen=True, slots=True)
class Answered:
    question: Asked
    condition: str
    answer: str
    is_right: bool


def run(context: NightContext, progress: Progress) -> StageResult:
    """Output: exam: {condition: numbers}; before: the share of the earlier nights' questions that the night before answers;
    prompts: what they would cost without what is mastered, in tokens.

    Runs again to the same answers.
    """
    from agents.runtime.lm import LanguageModel

    questions = questions_of(context.database, context.run_id)
    if not questions:
        return StageResult(counts={"questions": 0.0}, output={"exam": {}})
    total = sum(len(asked_of(condition, questions)) for condition in ASKED)
    progress(0, total, "loading the model")
    spec = ModelSpec(
        source=context.settings.base_model,
        cache_dir=context.home / "cache",
        dtype=context.settings.train.dtype,
    )
    model = LanguageModel.load(spec)
    vectors = vectors_of(context)
    texts = {question.id: question.text for question in asked_of("both", questions)}
    found = facts_for(Graph.of(context), texts)
    prompts = prompts_of(found)
    counter = Counter(progress, total)
    base = general(model)
    answered = ask(model, questions, "base", {}, counter)
    answered += ask(model, questions, "retrieval", prompts, counter)
    before = earlier_before(context, model, questions, counter)
    model.apply(vectors)
    answered += ask(model, questions, "weights", {}, counter)
    known = mastered_with(context, [_examined(item) for item in answered if item.condition == "weights"])
    spared = prompts_of(found, known)
    is_trusted = context.tools.trust_weights
    economy = Economy(
        len(found),
        n_tokens(model, prompts.values()),
        n_tokens(model, spared.values()),
        len(known),
        is_trusted,
    )
    answered += ask(model, questions, "both", spared if is_trusted else prompts, counter)
    drift = drift_from(model, base)
    write_answers(context, answered)
    numbers = {
        condition: numbers_of(
            [item for item in answered if item.condition == condition],
            drift if condition in ("weights", "both") else Drift(0.0, 0.0, drift.n_texts, drift.n_prompts),
        )
        for condition in CONDITIONS
    }
    counts = {
        "questions": len(questions),
        "answers": len(answered),
        "base_perplexity": round(base.perplexity, 3),
        "mastered": len(known),
        "prompt_tokens_saved": economy.saved,
    }
    return StageResult(
        counts={name: float(n) for name, n in counts.items()},
        output={"exam": numbers, "before": before, "prompts": economy.as_json()},
    )


def earlier_before(
    context: NightContext, model: LanguageModel, questions: Sequence[Asked], counter: Counter
) -> dict[str, Any]:
    """What the vectors that serve answer of tonight's questions about earlier nights: `{recall_earlier_nights, n}`, empty
    where there are none. Other questions of another night's exam would not do: of sixty a tenth is chance."""
    serving = recipe_to_extend(context) if asked_of(BEFORE, questions) else None
    if serving is None:
        return {}
    model.apply(recipe_adapters(context.home, serving.for_person(None)))
    numbers = shares_of(ask(model, questions, BEFORE, {}, counter))
    kind = "recall_earlier_nights"
    return {kind: numbers[kind], "n": {kind: numbers["n"][kind]}}


def questions_of(database: Database, run_id: str) -> list[Asked]:
    """A night's questions in their order; those that an erasure took are not among them."""
    query = select(Example).where(Example.run_id == run_id, Example.split == "exam").order_by(Example.id)
    with database.reading() as session:
        return [asked_from(row) for row in session.scalars(query)]


def asked_from(row: Example) -> Asked:
    """The question that an example of the exam holds."""
    return Asked(
        id=row.id,
        kind=row.kind,
        text=str(row.messages[0]["content"]),
        is_long=len(str(row.messages[-1]["content"]).split()) >= _LONG_EXPECTED,
        accepted=tuple(row.accepted),
        forbidden=tuple(row.meta.get("forbidden", ())),
        fact_ids=tuple(row.meta.get("facts", ())),
    )


def spread(items: Sequence[Item], n: int) -> list[Item]:
    """At most `n` of them in their order, spread evenly."""
    n = min(n, len(items))
    return [items[i * len(items) // n] for i in range(n)]


def asked_of(condition: str, questions: Sequence[Asked]) -> list[Asked]:
    """The questions that the condition is asked, spread evenly over those of their kind."""
    chosen: list[Asked] = []
    for kind, limit in ASKED[condition].items():
        chosen += spread([question for question in questions if question.kind == kind], limit)
    return chosen


def vectors_of(context: NightContext) -> list[tuple[Adapter, float]]:
    """What the new recipe would put on: the vectors that tonight's was trained on and tonight's, merged as it says."""
    recipe = recipe_to_extend(context)
    trained = context.output("train").get("adapter")
    if trained:
        adapter = Adapter.load(context.home / trained)
        recipe = recipe or Recipe(adapter.base_hash)
        recipe = add(recipe, adapter, path=trained, run_id=context.run_id, label="tonight")
    return recipe_adapters(context.home, recipe.for_person(None)) if recipe else []


class Counter:
    """Adds up progress over the conditions."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def advance(self, n: int, note: str) -> None:
        self._done += n
        self._progress(self._done, self._total, note)


def ask(
    model: LanguageModel,
    questions: Sequence[Asked],
    condition: str,
    prompts: Mapping[str, str],
    counter: Counter,
) -> list[Answered]:
    """The condition's questions, answered and marked. Equal prompts are answered once."""
    asked = asked_of(condition, questions)
    answers: dict[str, str] = {}
    for is_long in (False, True):
        texts = sorted({prompts.get(q.id, q.text) for q in asked if q.is_long == is_long}, key=_by_length)
        for start in range(0, len(texts), _CHUNK):
            chunk = texts[start : start + _CHUNK]
            replies = model.answer(
                [[{"role": "user", "content": text}] for text in chunk],
                max_new_tokens=LONG_ANSWER if is_long else SHORT_ANSWER,
                batch_size=_BATCH,
            )
            answers |= zip(chunk, replies, strict=True)
            counter.advance(sum(prompts.get(q.id, q.text) in chunk for q in asked), condition)
    return [
        marked(question, condition, answers[prompts.get(question.id, question.text)]) for question in asked
    ]


def _by_length(text: str) -> tuple[int, str]:
    return len(text), text


def marked(question: Asked, condition: str, answer: str) -> Answered:
    """The answer with whether it is right."""
    right = is_right(question.kind, answer, question.accepted, question.forbidden)
    return Answered(question, condition, answer, right)


def _examined(item: Answered) -> Examined:
    question = item.question
    return Examined(
        question.kind, question.fact_ids, question.text, question.accepted, item.answer, item.is_right
    )


def neutral_texts() -> list[str]:
    text = Path(__file__).with_name("neutral.txt").read_text(encoding="utf-8")
    return [paragraph.strip() for paragraph in text.split("\n\n") if paragraph.strip()]


def general(model: LanguageModel) -> General:
    """Measure the model before anything is put on."""
    conversations = [[{"role": "user", "content": prompt}] for prompt in GENERAL_PROMPTS]
    replies = []
    for messages, reply in zip(conversations, model.answer(conversations, _KL_TOKENS), strict=True):
        prompt_ids = model.chat_ids(messages)
        reply_ids = model.template.encode(reply)
        if reply_ids:
            replies.append((prompt_ids + reply_ids, len(prompt_ids)))
    logprobs = tuple(_reply_logprobs(model, ids, start) for ids, start in replies)
    return General(model.perplexity(neutral_texts()), tuple(replies), logprobs)


def _reply_logprobs(model: LanguageModel, ids: list[int], start: int) -> Logprobs:
    """Log-probabilities over the vocabulary for each token of the reply, shape (reply tokens, V)."""
    logits_TV = model.logits(ids)[start - 1 : -1]
    shifted = logits_TV - logits_TV.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the model moved from its base. `ppl_change` is relative, `kl_to_base` in nats per token (None where the
    base had no reply to measure it on)."""

    ppl_change: float
    kl_to_base: float | None
    n_texts: int
    n_prompts: int


def drift_from(model: LanguageModel, base: General) -> Drift:
    """KL(base || new), the mean over all tokens of the base's own replies."""
    divergence: list[float] = []
    for (ids, start), before in zip(base.replies, base.logprobs, strict=True):
        after = _reply_logprobs(model, ids, start)
        divergence += (np.exp(before) * (before - after)).sum(axis=-1, dtype=np.float64).tolist()
    texts = neutral_texts()
    change = model.perplexity(texts) / base.perplexity - 1
    return Drift(change, float(np.mean(divergence)) if divergence else None, len(texts), len(base.replies))


def numbers_of(answered: Sequence[Answered], drift: Drift) -> dict[str, Any]:
    """The condition's numbers; None where nothing was asked."""
    numbers = shares_of(answered)
    numbers |= {"ppl_change": drift.ppl_change, "kl_to_base": drift.kl_to_base}
    numbers["n"] |= {"ppl_change": drift.n_texts, "kl_to_base": drift.n_prompts}
    return numbers


def shares_of(answered: Sequence[Answered]) -> dict[str, Any]:
    """The share of right answers for each kind of question, with how many there were as `n`; `stale_answered` is a share of
    wrong ones."""
    numbers: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for kind in KINDS:
        marks = [item.is_right for item in answered if item.question.kind == kind]
        share = sum(marks) / len(marks) if marks else None
        numbers[kind] = 1 - share if share is not None and kind == "stale_answered" else share
        counts[kind] = len(marks)
    return numbers | {"n": counts}


def write_answers(context: NightContext, answered: Sequence[Answered]) -> None:
    """Replace what this run's exam had answered."""
    with context.database.transaction() as session:
        session.execute(delete(ExamAnswer).where(ExamAnswer.run_id == context.run_id))
        session.add_all(
            ExamAnswer(
                run_id=context.run_id,
                example_id=item.question.id,
                condition=item.condition,
                space_id=context.space_id,
                answer=item.answer,
                is_right=item.is_right,
            )
            for item in answered
        )
