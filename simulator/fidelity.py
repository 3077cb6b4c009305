"""The fidelity of a persona, in four conditions: how near it comes to what the person really said next.

`base` is the plain model with the conversation under its tags, `prompt` the same model with the simulator's prompt,
`adapter` the weights (knowledge and style) with the conversation alone, `adapter_memory` both. All four speak to the
same real replies, which no weight has seen, each with what had been said before it and nothing later. Every number of
made replies stands beside the same number of the real ones.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from consolidation.stage import Progress, no_progress
from memory.types import Episode, Principle
from simulator.adherence import Adherence, adherence, as_episodes, countable
from simulator.agreement import Agreement
from simulator.held_out import Exchange
from simulator.likelihood import Likelihood, bare_prompt, full_prompt, measure, pooled
from simulator.style_distance import Distance, Reply, distances
from simulator.tags import TagFilter
from simulator.who_said_it import WhoSaidIt

if TYPE_CHECKING:
    from agents.runtime.adapter import Adapter
    from agents.runtime.lm import LanguageModel
    from agents.runtime.template import Message

BASE, PROMPT, ADAPTER, BOTH = CONDITIONS = ("base", "prompt", "adapter", "adapter_memory")
WITH_PROMPT = frozenset((PROMPT, BOTH))
WITH_WEIGHTS = frozenset((ADAPTER, BOTH))
CHUNK = 32  # replies that every condition has spoken to before the time is looked at
LEAST = 4  # held-out replies of a report

Lines = tuple[str, ...]
Worn = Sequence[tuple["Adapter", float]]
Agree = Callable[[Sequence[Exchange], Sequence[Lines]], Agreement]


@dataclass(frozen=True, slots=True)
class Drawing:
    """How replies are drawn. The same seed and the same replies give the same words."""

    temperature: float = 0.7
    max_new_tokens: int = 60
    batch_size: int = 8
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Material:
    """What of one person is measured.

    `replies`: real ones, held out; `partners`: of those they talk with, held out as well; `earlier`: everybody's
    replies from before, by name, of which it is learnt who says what; `known`: facts for a reply's prompt; `own`, `others`:
    messages of before, of which the constitution was made.
    """

    name: str
    replies: Sequence[Exchange]
    partners: Sequence[Exchange]
    earlier: Mapping[str, Sequence[str]]
    principles: Sequence[Principle]
    known: Callable[[Exchange], Sequence[str]]
    own: Sequence[Episode] = ()
    others: Sequence[Episode] = ()


@dataclass(slots=True)
class Spoken:
    """What one condition made of the replies: their likelihood, part by part, and its own in their place."""

    likelihoods: list[Likelihood] = field(default_factory=list)
    replies: list[Lines] = field(default_factory=list)

    @property
    def likelihood(self) -> Likelihood:
        return pooled(self.likelihoods)


@dataclass(frozen=True, slots=True)
class Judged:
    """Of a set of replies, real or made. `recognised`: share put down to the person by whoever learnt of real ones."""

    style: Sequence[Distance]
    adherence: Adherence
    agreement: Agreement | None
    recognised: float | None
    replies: Sequence[Lines]

    def as_json(self) -> dict[str, Any]:
        return {
            "style": {one.name: one.as_json() for one in self.style},
            "constitution": self.adherence.as_json(),
            "facts": None if self.agreement is None else self.agreement.as_json(),
            "who_said_it": None if self.recognised is None else round(self.recognised, 4),
        }


@dataclass(frozen=True, slots=True)
class Fidelity:
    """`exchanges`: those that were reached; in the order of the replies of every condition."""

    name: str
    exchanges: Sequence[Exchange]
    n_held_out: int
    likelihoods: Mapping[str, Likelihood]
    real: Judged
    made: Mapping[str, Judged]
    seed: int

    def as_json(self) -> dict[str, Any]:
        return {
            "person": self.name,
            "replies": {"measured": len(self.exchanges), "held_out": self.n_held_out},
            "bits_per_char": {
                name: {
                    "mean": _rounded(found.per_character),
                    "interval": [_rounded(bound) for bound in found.interval(self.seed)],
                }
                for name, found in self.likelihoods.items()
            },
            "under_prompt": self._under_prompt(),
            "real": self.real.as_json(),
            **{name: judged.as_json() for name, judged in self.made.items()},
            "not_measured": list(self.real.adherence.unmeasured),
        }

    def _under_prompt(self) -> dict[str, Any] | None:
        """The share of the prompt's bits that weights and memory together save."""
        if not {PROMPT, BOTH} <= self.likelihoods.keys():
            return None
        both, prompt = self.likelihoods[BOTH], self.likelihoods[PROMPT]
        return {
            "share": _rounded(both.reduction(prompt)),
            "interval": [_rounded(bound) for bound in both.reduction_interval(prompt, self.seed)],
        }


def measure_person(
    model: LanguageModel,
    worn: Worn,
    material: Material,
    drawing: Drawing,
    *,
    minutes: float = math.inf,
    conditions: Sequence[str] = CONDITIONS,
    speaking: Sequence[str] = CONDITIONS,
    agree: Agree | None = None,
    progress: Progress = no_progress,
) -> Fidelity:
    """Everything about one person. `worn` are their weights, which come off again; without any, conditions with
    weights are left out; those not `speaking` are measured by likelihood alone. Replies come in random order, and end
    with the time: all conditions have then spoken to the same ones.
    """
    asked = [one for one in conditions if worn or one not in WITH_WEIGHTS]
    order = np.random.default_rng(drawing.seed).permutation(len(material.replies))
    spoken = {name: Spoken() for name in asked}
    reached: list[Exchange] = []
    until = time.monotonic() + minutes * 60
    for start in range(0, len(order), CHUNK):
        part = [material.replies[place] for place in order[start : start + CHUNK]]
        for name, prompts in _conditions(model, worn, material, part, asked):
            spoken[name].likelihoods.append(measure(model, part, prompts))
            if name in speaking:
                spoken[name].replies += draw(model, part, prompts, drawing)
        reached += part
        progress(len(reached), len(order))
        if time.monotonic() > until:
            break
    judge = Judging(material, reached, drawing.seed, agree)
    return Fidelity(
        material.name,
        reached,
        len(material.replies),
        {name: one.likelihood for name, one in spoken.items()},
        judge([one.lines for one in reached], is_real=True),
        {name: judge(one.replies) for name, one in spoken.items() if name in speaking},
        drawing.seed,
    )


def _conditions(
    model: LanguageModel, worn: Worn, material: Material, part: Sequence[Exchange], asked: Sequence[str]
) -> Iterator[tuple[str, list[list[Message]]]]:
    """Each condition with its prompts, the model dressed for it; undressed at the end."""
    bare = [bare_prompt(one) for one in part]
    full = [full_prompt(one, material.principles, material.known(one)) for one in part]
    try:
        for name in asked:
            model.apply(worn if name in WITH_WEIGHTS else ())
            yield name, full if name in WITH_PROMPT else bare
    finally:
        model.reset()


def draw(
    model: LanguageModel,
    exchanges: Sequence[Exchange],
    prompts: Sequence[Sequence[Message]],
    drawing: Drawing,
) -> list[Lines]:
    """A reply after each prompt, cut where somebody else's tag begins; a message is a line."""
    rows = [model.chat_ids(messages) for messages in prompts]
    made = model.continue_ids(
        rows,
        drawing.max_new_tokens,
        temperature=drawing.temperature,
        seed=drawing.seed,
        batch_size=drawing.batch_size,
    )
    return [
        lines_of(model.decode(ids), exchange.persona().tag)
        for exchange, ids in zip(exchanges, made, strict=True)
    ]


def lines_of(text: str, tag: str) -> Lines:
    """The messages of a drawn reply of who has that tag."""
    said = "".join(TagFilter(tag).run([text]))
    return tuple(line.strip() for line in said.splitlines() if line.strip())


class Judging:
    """Puts the same questions to every set of replies to the same exchanges."""

    def __init__(
        self, material: Material, exchanges: Sequence[Exchange], seed: int, agree: Agree | None
    ) -> None:
        self._material, self._exchanges, self._seed, self._agree = material, exchanges, seed, agree
        self._heard = [_heard(one) for one in exchanges]
        self._own = [Reply(one.lines, heard) for one, heard in zip(exchanges, self._heard, strict=True)]
        self._partners = [Reply(one.lines, _heard(one)) for one in material.partners]
        self._others = as_episodes(material.partners, [one.lines for one in material.partners])
        self._countable = countable(material.principles, material.own, material.others)
        has_others = sum(any(texts) for texts in material.earlier.values()) > 1
        self._who = WhoSaidIt.learn(material.earlier) if has_others else None

    def __call__(self, replies: Sequence[Lines], *, is_real: bool = False) -> Judged:
        """The style of real replies is the floor, and none of their own."""
        made = [Reply(lines, heard) for lines, heard in zip(replies, self._heard, strict=True) if lines]
        episodes = as_episodes(self._exchanges, replies)
        return Judged(
            () if is_real else distances(made, self._own, self._partners, self._seed),
            adherence(self._material.principles, self._countable, episodes, self._others),
            self._agree(self._exchanges, replies) if self._agree else None,
            self._recognised(replies),
            replies,
        )

    def _recognised(self, replies: Sequence[Lines]) -> float | None:
        if self._who is None or not replies:
            return None
        return self._who.accuracy({self._material.name: ["\n".join(lines) for lines in replies]})


def _heard(exchange: Exchange) -> Lines:
    return tuple(turn.text for turn in exchange.before if turn.speaker != exchange.person)


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
