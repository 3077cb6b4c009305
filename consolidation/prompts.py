"""Prompts that hold what retrieval finds, with or without what the weights have mastered, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation.curriculum import with_facts
from consolidation.mastery import Mastered
from consolidation.stage import NightContext
from db.engine import Database
from memory.facts import list_facts, sentence
from memory.index import Index
from memory.ports import Clock, Embedder, utc_now
from memory.registry import Registry
from memory.types import Fact, FactStatus

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

N_RETRIEVED = 5
_HOLDING: tuple[FactStatus, ...] = ("current",)


@dataclass(frozen=True, slots=True)
class Graph:
    """A space's facts and what it takes to search them. `embedder` opens one, and is called only for a search."""

    database: Database
    space_id: str
    home: Path
    registry: Registry
    embedder: Callable[[], Embedder]
    clock: Clock = utc_now

    @classmethod
    def of(cls, context: NightContext) -> Graph:
        tools = context.tools
        return cls(
            context.database,
            context.space_id,
            context.home,
            tools.registry,
            lambda: tools.embedder,
            context.clock,
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A question and the facts that retrieval finds for it, the best first."""

    question: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Economy:
    """What the exam's prompts cost in the model's tokens: with all facts, and without the mastered ones."""

    n_questions: int
    tokens: int
    tokens_spared: int
    n_mastered: int
    is_trusted: bool

    @property
    def saved(self) -> int:
        return self.tokens - self.tokens_spared

    def as_json(self) -> dict[str, Any]:
        return {
            "questions": self.n_questions,
            "tokens": self.tokens,
            "tokens_spared": self.tokens_spared,
            "mastered": self.n_mastered,
            "trusted": self.is_trusted,
        }


def facts_for(graph: Graph, questions: Mapping[str, str]) -> dict[str, Found]:
    """What is found for each question, by its id; only facts that hold now."""
    registry = graph.registry
    facts = list_facts(graph.database, graph.space_id, registry, statuses=_HOLDING, clock=graph.clock)
    holding = {fact.id: fact for fact in facts}
    index = Index.open(graph.database, graph.space_id, graph.home, graph.embedder(), registry)
    try:
        index.refresh()
        found = {}
        for question_id, text in questions.items():
            hits = index.search(text, N_RETRIEVED, kinds=("fact",))
            found[question_id] = Found(text, tuple(holding[hit.id] for hit in hits if hit.id in holding))
        return found
    finally:
        index.close()


def prompts_of(found: Mapping[str, Found], mastered: Mastered | None = None) -> dict[str, str]:
    """Each question with its facts, but for those that are mastered.

    Where the one found first is, it is what was asked about, and the question stands alone: beside the facts that are
    left, small models take the answer for missing (docs/adr/0029).
    """
    return {question_id: _prompt(item, mastered or Mastered()) for question_id, item in found.items()}


def _prompt(found: Found, mastered: Mastered) -> str:
    if found.facts and mastered.covers(found.facts[0]):
        return found.question
    needed = [fact for fact in found.facts if not mastered.covers(fact)]
    return with_facts([sentence(fact) for fact in needed], found.question)


def n_tokens(model: LanguageModel, prompts: Iterable[str]) -> int:
    """What the model reads before it answers, template and all."""
    return sum(len(model.chat_ids([{"role": "user", "content": prompt}])) for prompt in prompts)
