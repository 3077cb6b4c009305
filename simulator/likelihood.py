"""Bits per character of somebody's real next messages under a model: how little they surprise it.

Counted is every token that holds a character of a message, with all of its probability given what stands before it.
Left out, of the bits as of the characters: the tags between a reply's messages, which the conversation's form gives
away, and the token that ends a reply. Each line of a message is encoded by itself behind its tag, so that what a
token belongs to is certain with any tokenizer. Fewer bits are better; a model that knew nothing of language would need
about 8 for English in ASCII.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from agents.turns import turn_messages
from memory.types import Principle
from simulator.held_out import Exchange

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from agents.runtime.template import Message, Template

Floats = npt.NDArray[np.float64]
BATCH = 8  # rows read at once on one core
DRAWS = 2000  # of the bootstrap
INTERVAL = 0.95


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Of N replies: bits_N of their messages, and how many characters those have."""

    bits_N: Floats
    characters_N: Floats

    @property
    def per_character(self) -> float:
        """Over all replies together: a reply counts by its length. NaN without replies."""
        total = float(self.characters_N.sum())
        return float(self.bits_N.sum()) / total if total else math.nan

    def interval(self, seed: int = 0) -> tuple[float, float]:
        """The middle INTERVAL of `per_character` over DRAWS bootstrap samples of replies (Efron 1979)."""
        return _middle(_means(self, _samples(len(self.bits_N), seed)))

    def reduction(self, other: Likelihood) -> float:
        """Share of the other's bits that this one saves on the same replies."""
        return 1 - self.per_character / other.per_character

    def reduction_interval(self, other: Likelihood, seed: int = 0) -> tuple[float, float]:
        """Of `reduction`, both measured on the same bootstrap samples."""
        samples = _samples(len(self.bits_N), seed)
        return _middle(1 - _means(self, samples) / _means(other, samples))


def pooled(parts: Sequence[Likelihood]) -> Likelihood:
    """The replies of several as one; weighted by characters, as within each."""
    return Likelihood(
        np.concatenate([part.bits_N for part in parts] or [np.zeros(0)]),
        np.concatenate([part.characters_N for part in parts] or [np.zeros(0)]),
    )


def bare_prompt(exchange: Exchange) -> list[Message]:
    """The conversation under its tags and nothing else: what weights alone are given."""
    return turn_messages(exchange.persona(), exchange.before, (), now=exchange.at)[1:]


def full_prompt(exchange: Exchange, principles: Sequence[Principle], known: Sequence[str]) -> list[Message]:
    """The simulator's own prompt; `known` are facts in the person's own words."""
    return turn_messages(exchange.persona(principles), exchange.before, known, now=exchange.at)


def measure(
    model: LanguageModel, replies: Sequence[Exchange], prompts: Sequence[Sequence[Message]]
) -> Likelihood:
    """Of each reply after its prompt, by the weights that the model wears. Rows of like length are read together."""
    rows, masks, since = [], [], []
    for exchange, messages in zip(replies, prompts, strict=True):
        ids, is_text = reply_ids(model.template, exchange)
        before = model.chat_ids(messages)
        rows.append([*before, *ids])
        masks.append(np.array(is_text))
        since.append(len(before))
    found = model.rows_logprobs(rows, batch_size=BATCH, since=since)
    bits = [
        -float(logprobs.astype(np.float64)[mask].sum()) / math.log(2)
        for logprobs, mask in zip(found, masks, strict=True)
    ]
    return Likelihood(np.array(bits), np.array([float(one.characters) for one in replies]))


def reply_ids(template: Template, exchange: Exchange) -> tuple[list[int], list[bool]]:
    """The reply as the persona would write it, token by token, and which tokens are of its messages."""
    separator = template.encode(f"\n{exchange.persona().tag}")
    ids: list[int] = []
    is_text: list[bool] = []
    for place, line in enumerate(exchange.lines):
        said = template.encode(f" {line}" if place else line)
        if place:
            ids += separator
            is_text += [False] * len(separator)
        ids += said
        is_text += [True] * len(said)
    return ids, is_text


def _samples(n: int, seed: int) -> Floats:
    """(DRAWS, N): how often each reply is in a sample of as many."""
    if not n:
        return np.zeros((DRAWS, 0))
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(np.float64)


def _means(found: Likelihood, samples_SN: Floats) -> Floats:
    characters = samples_SN @ found.characters_N
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = samples_SN @ found.bits_N / characters
    return means


def _middle(values: Floats) -> tuple[float, float]:
    tail = (1 - INTERVAL) / 2
    if not np.isfinite(values).any():
        return math.nan, math.nan
    low, high = np.nanquantile(values, (tail, 1 - tail))
    return float(low), float(high)
