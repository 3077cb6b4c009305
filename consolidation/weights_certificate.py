"""Whether weights tell erased facts from controls better than a base does that never saw them.

A fact's question is put as training puts it, and its value stands where an answer has it; so do `N_CONTROLS` other values
that it might have had. The mean log-probability per token of each value is taken under the base and under the weights. Two
exact one-sided tests (`consolidation.rank_test`) ask over all facts whether the true value stands further in front of its
controls than under the base, and whether it gained more than they did. Questions and values stay in memory: what leaves
this module are counts, ranks and probabilities.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from consolidation.controls import N_CONTROLS, control_values, pool_of
from consolidation.exam import spread
from consolidation.rank_test import among_controls_p, middle_ranks, places, signed_rank_p
from consolidation.slots import is_teachable
from consolidation.stage import Progress, no_progress
from memory import names
from memory.registry import Registry
from memory.types import Fact
from memory.wordings import Wordings, fill, spoken, with_article

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

VERSION = "slowwave-weights-test-1"  # of the method; another one makes other numbers
LEVEL = 0.05  # one-sided, of each of the two tests
FEW = math.ceil(math.log2(1 / LEVEL))  # fewer facts than these can say nothing by their ranks alone
MAX_FACTS = 40  # spread over all; a fact is 25 rows for each set of weights
SEED = 0
LEAST_BOUND = 0.1  # of the way from the last place to the first
_ONE_FACT = 0.5  # how far chance may carry a single one: a standard deviation of 0.3, one-sided
_FACTS_AT_ONCE = 8
_SILENT = -1e3  # stands for what is no number; no token is as unlikely

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Probe:
    """A question, how its answer begins, and the values that may follow, the true one first. Never to be written."""

    question: str = field(repr=False)
    frame: str = field(repr=False)
    values: tuple[str, ...] = field(repr=False)


def probes_of(
    erased: Sequence[Fact],
    everything: Sequence[Fact],
    registry: Registry,
    *,
    seed: int = SEED,
    most: int = MAX_FACTS,
) -> list[Probe]:
    """Probes of these facts, at most so many, spread over them. `everything` are all facts of the space, these among them.

    The same facts give the same probes, whatever their ids. Facts that no night could teach and facts of kinds with too few
    values are left out.
    """
    gone = {fact.id for fact in erased}
    own: dict[tuple[str, str], list[str]] = defaultdict(list)
    others: dict[str, list[tuple[tuple[str, str], str]]] = defaultdict(
        list
    )  # by pool: a city is lived in or born in
    for fact in everything:
        slot = fact.subject_id, fact.predicate
        own[slot].append(fact.object)
        if fact.id not in gone:
            others[pool_of(fact.predicate, registry)].append((slot, fact.object))
    probes = []
    for fact in spread(sorted(filter(is_teachable, erased), key=_by_words), most):
        dice = random.Random(f"{seed}|{names.key(fact.subject)}|{fact.predicate}|{fact.object}")
        slot, alike = (fact.subject_id, fact.predicate), others[pool_of(fact.predicate, registry)]
        controls = control_values(
            fact.predicate,
            fact.object,
            registry,
            own=own[slot],
            others=[value for of_slot, value in alike if of_slot != slot],
            dice=dice,
        )
        if len(controls) == N_CONTROLS:
            probes.append(_probe(fact, controls))
    return probes


def _by_words(fact: Fact) -> tuple[str, str, str]:
    return names.key(fact.subject), fact.predicate, fact.object


def _probe(fact: Fact, controls: Collection[str]) -> Probe:
    wordings = Wordings.load()
    question = fill(wordings.questions(fact.predicate)[0], fact.subject, predicate=fact.predicate)
    statement = wordings.statements(fact.predicate)[0]
    slot = "{a o}" if "{a o}" in statement else "{o}"
    frame = fill(statement.partition(slot)[0], fact.subject, predicate=fact.predicate)
    said = [spoken(value) for value in (fact.object, *controls)]
    return Probe(question, frame, tuple(map(with_article, said) if slot == "{a o}" else said))


def score(
    model: LanguageModel, probes: Sequence[Probe], progress: Progress = no_progress, note: str = ""
) -> FloatArray:
    """Mean log-probability per token of each value of each probe, in nats, (N, N_CONTROLS + 1), the true one first."""
    found: list[list[float]] = []
    for start in range(0, len(probes), _FACTS_AT_ONCE):
        progress(start, len(probes), note)
        rows = [
            _row(model, probe, value)
            for probe in probes[start : start + _FACTS_AT_ONCE]
            for value in probe.values
        ]
        logprobs = model.rows_logprobs([ids for ids, _ in rows])
        means = [float(row[begin - 1 :].mean()) for row, (_, begin) in zip(logprobs, rows, strict=True)]
        found += [means[i : i + N_CONTROLS + 1] for i in range(0, len(means), N_CONTROLS + 1)]
    progress(len(probes), len(probes), note)
    scores = np.array(found, dtype=np.float64).reshape(len(probes), N_CONTROLS + 1)
    return np.nan_to_num(scores, nan=_SILENT, neginf=_SILENT)


def _row(model: LanguageModel, probe: Probe, value: str) -> tuple[list[int], int]:
    """Ids of the question with the answer as far as the value, and where the value begins in them."""
    asked = model.chat_ids([{"role": "user", "content": probe.question}])
    frame, answer = model.template.encode(probe.frame.rstrip()), model.template.encode(probe.frame + value)
    n_frame = next((i for i, (a, b) in enumerate(zip(frame, answer, strict=False)) if a != b), len(frame))
    return [*asked, *answer], len(asked) + min(n_frame, len(answer) - 1)


@dataclass(frozen=True, slots=True)
class Standing:
    """How weights stand to the facts. Ranks count from 1, before all controls; margins are in nats per token.

    The p are those that the facts stand no better than under the base; the base itself has none.
    """

    mean_rank: float
    mean_margin: float
    gain: float = (
        0.0  # of the mean rank against the base's, as a share of the way from the last place to the first
    )
    p_rank: float | None = None
    p_margin: float | None = None

    @property
    def is_told(self) -> bool:
        """Whether one of the tests tells the weights from the base."""
        return any(p is not None and p < LEVEL for p in (self.p_rank, self.p_margin))

    def as_json(self) -> dict[str, Any]:
        told = {"mean_rank": round(self.mean_rank, 3), "mean_margin": round(self.mean_margin, 4)}
        if self.p_rank is None:
            return told
        return {**told, "gain": round(self.gain, 4), "p_rank": self.p_rank, "p_margin": self.p_margin}


def standing(scores_NK: FloatArray, base_NK: FloatArray | None = None) -> Standing:
    """Of the weights that gave these scores, beside the base where its own are given."""
    ranks = np.array(middle_ranks(scores_NK))
    margin = float((scores_NK[:, 0] - scores_NK[:, 1:].mean(axis=1)).mean())
    if base_NK is None:
        return Standing(float(ranks.mean()), margin)
    risen = np.array(middle_ranks(base_NK)) - ranks
    gained = places(scores_NK - base_NK)
    n_controls = scores_NK.shape[1] - 1
    return Standing(
        float(ranks.mean()),
        margin,
        float(risen.mean()) / n_controls,
        signed_rank_p(risen.tolist()),
        among_controls_p(gained, [n_controls] * len(gained)),
    )


@dataclass(frozen=True, slots=True)
class WeightsTest:
    """The erased facts under the base, under the weights that served before, and under those that serve after.

    The base is the model with what was worn that no night taught, each weights' own.
    """

    n_facts: int
    base: Standing
    before: Standing
    after: Standing

    @property
    def bound(self) -> float:
        """How much of the way to the first place the facts may have gained on the average."""
        return max(LEAST_BOUND, _ONE_FACT / math.sqrt(self.n_facts))

    @property
    def is_passed(self) -> bool:
        return not self.after.is_told and self.after.gain <= self.bound

    @property
    def is_few(self) -> bool:
        return self.n_facts < FEW

    def as_json(self) -> dict[str, Any]:
        """`smallest_p` is what so many facts can give at best: the power of the tests."""
        return {
            "version": VERSION,
            "facts": self.n_facts,
            "controls": N_CONTROLS,
            "seed": SEED,
            "base": self.base.as_json(),
            "before": self.before.as_json(),
            "after": self.after.as_json(),
            "level": LEVEL,
            "bound": round(self.bound, 4),
            "smallest_p": {"rank": 0.5**self.n_facts, "margin": (N_CONTROLS + 1.0) ** -self.n_facts},
            "few": self.is_few,
            "told_before": self.before.is_told,
            "passed": self.is_passed,
        }


def compare(
    base: FloatArray, before: FloatArray, after: FloatArray, base_before: FloatArray | None = None
) -> WeightsTest:
    """The test, from what `score` gave; there is at least one fact. `base_before`: where those before had another base."""
    old = base if base_before is None else base_before
    return WeightsTest(len(base), standing(base), standing(before, old), standing(after, base))
