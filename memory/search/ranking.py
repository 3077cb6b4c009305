"""One search: what each signal puts forward, what every candidate has of each signal, and their weighted sum.

The work of a search depends on the number of candidates, not on the size of the index, but for the exact comparison
of what came since the lists of vectors were written, and for the limits of a perspective.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from memory.ports import FloatMatrix
from memory.search.build import Build
from memory.search.columns import NODE, QUESTION, Bools, Floats, Ints, as_numbers
from memory.search.documents import Field, Scope
from memory.search.fuse import Signals, features, fuse
from memory.search.mentions import Mention
from memory.search.timephrases import TimePhrase

DEPTH = 300  # best units that each signal puts forward
N_DENSE_SEEDS = 20
LEXICAL_SEEDS, DENSE_SEEDS, NAME_SEEDS = 0.6, 0.4, 0.1  # shares of the walk's start
_SHOWN = 6  # decimals of a score; equal to that many is equal, and time decides

Found = tuple[Ints, Floats]
T = TypeVar("T")

# the engines leave Python's lock while they search
_BESIDE = ThreadPoolExecutor(1, thread_name_prefix="search")


@dataclass(frozen=True, slots=True)
class Query:
    """A question as the index understood it."""

    text: str
    words: tuple[str, ...]  # that are looked for: content words less the names of people who speak
    mentions: tuple[Mention, ...]
    times: tuple[TimePhrase, ...]

    @property
    def named(self) -> frozenset[str]:
        return frozenset(node for mention in self.mentions for node in mention.node_ids)


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be found: `allowed` exactly, one entry per row; `scope` the same for the text engine."""

    allowed: Bools
    scope: Scope


@dataclass(frozen=True, slots=True)
class Ranking:
    """Units, best first, with the terms of their scores."""

    numbers: Ints
    scores: Floats
    terms: dict[str, Floats]

    def parts(self, i: int) -> dict[str, float]:
        return {name: round(float(values[i]), 4) for name, values in self.terms.items() if values[i]}


def nodes_of(build: Build, ids: Collection[str]) -> Ints:
    """Numbers of these nodes and of all that were merged with them."""
    numbers = build.columns.find(as_numbers(sorted(ids)))
    numbers = numbers[numbers >= 0]
    return build.everyone(numbers[build.columns.kind[numbers] == NODE])


def rank_units(build: Build, query: Query, vector: FloatMatrix, limits: Limits) -> Ranking:
    """Every candidate with its score."""
    return _ordered(build, *_scored(build, query, vector, limits))


def rank_sessions(
    build: Build, query: Query, vector: FloatMatrix, limits: Limits, until: float | None
) -> Ranking:
    """Sessions under the numbers of their first units: of each term the best that a message of theirs has.

    With `until`, those that ended by then.
    """
    numbers, terms = _scored(build, query, vector, limits)
    session = build.columns.session[numbers]
    order = np.argsort(session, kind="stable")
    heads, starts = np.unique(session[order], return_index=True)
    if not len(heads):
        return Ranking(numbers, np.zeros(0), {})
    best = {name: np.maximum.reduceat(values[order], starts) for name, values in terms.items()}
    if until is not None:
        ended = build.columns.time[build.columns.tail[heads]] <= until
        heads, best = heads[ended], {name: values[ended] for name, values in best.items()}
    return _ordered(build, heads.astype(np.int64), best)


def _scored(
    build: Build, query: Query, vector: FloatMatrix, limits: Limits
) -> tuple[Ints, dict[str, Floats]]:
    columns = build.columns
    stems = build.texts.stems(query.words)
    beside = _at_once if build.nearest.lists is None else _BESIDE.submit
    nearing = beside(build.nearest.search, vector, DEPTH, limits.allowed)
    windowing = beside(_matched, build, "window", stems, limits)
    unit = _matched(build, "unit", stems, limits)
    session = build.texts.search("session", stems, DEPTH, limits.scope)
    named = nodes_of(build, query.named)
    near = nearing.result()
    walked = _walk(build, unit, near, named, limits.allowed)
    window = windowing.result()
    chosen = np.unique(np.concatenate([unit[0], window[0], near[0], _best(walked)[0]]))
    raw = Signals(
        fulltext=_values(unit, chosen),
        window=_values(window, chosen),
        session=_values(session, columns.session[chosen]),
        dense=_cosines(build, near, chosen, vector),
        speaker=np.isin(columns.speaker[chosen], named).astype(float),
        question=((columns.flags[chosen] & QUESTION) > 0).astype(float),
        length=columns.n_words[chosen].astype(float),
        time=_within(columns.time[chosen], query.times),
        graph=_values(walked, chosen),
    )
    return chosen, fuse(features(raw, float(build.nearest.centre @ vector)))


def _at_once(work: Callable[..., T], *given: Any) -> Future[T]:
    """As an executor would do it, but now: beside small work a thread costs more than it saves."""
    done: Future[T] = Future()
    done.set_result(work(*given))
    return done


def _matched(build: Build, field: Field, stems: Sequence[str], limits: Limits) -> Found:
    """Units whose own words, or those around them, have any of the stems."""
    return _kept(build.texts.search(field, stems, DEPTH, limits.scope), limits.allowed)


def _cosines(build: Build, near: Found, chosen: Ints, vector: FloatMatrix) -> Floats:
    """Exact cosines of the chosen units, of which the near ones are known."""
    made = _values(near, chosen)
    unknown = ~np.isin(chosen, near[0])
    made[unknown] = build.nearest.cosines(chosen[unknown], vector)
    return made


def _walk(build: Build, matched: Found, near: Found, named: Ints, allowed: Bools) -> Found:
    """Units near, by links, to what was matched and named."""
    closeness = np.maximum(near[1][:N_DENSE_SEEDS], 0.0) ** 3
    seeds = np.concatenate([2 * matched[0], 2 * near[0][:N_DENSE_SEEDS], 2 * named])
    mass = np.concatenate(
        [
            LEXICAL_SEEDS * matched[1] / max(matched[1].sum(), 1e-6),
            DENSE_SEEDS * closeness / max(closeness.sum(), 1e-6),
            np.full(len(named), NAME_SEEDS),
        ]
    )
    places, ranks, _ = build.walk.rank(seeds, mass)
    is_unit = places % 2 == 0
    return _kept((places[is_unit] // 2, ranks[is_unit]), allowed)


def _kept(found: Found, allowed: Bools) -> Found:
    numbers, values = found
    inside = numbers < len(allowed)  # another process may have added units since
    inside[inside] = allowed[numbers[inside]]
    return numbers[inside], values[inside]


def _best(found: Found) -> Found:
    numbers, values = found
    if len(numbers) > DEPTH:
        top = np.argpartition(-values, DEPTH - 1)[:DEPTH]
        numbers, values = numbers[top], values[top]
    return numbers[values > 0], values[values > 0]


def _values(found: Found, wanted: Ints) -> Floats:
    """What each wanted number has; zero where it was not found."""
    numbers, values = found
    made = np.zeros(len(wanted))
    if not len(numbers):
        return made
    order = np.argsort(numbers, kind="stable")
    place = np.minimum(np.searchsorted(numbers, wanted, sorter=order), len(numbers) - 1)
    here = numbers[order[place]] == wanted
    made[here] = values[order[place[here]]]
    return made


def _within(times: Floats, phrases: Sequence[TimePhrase]) -> Floats:
    inside = np.zeros(len(times))
    for phrase in phrases:
        if phrase.start is None or phrase.end is None:
            continue
        start, end = phrase.start.timestamp(), phrase.end.timestamp()
        if phrase.relation == "in":
            inside[(times >= start) & (times < end)] = 1.0
    return inside


def _ordered(build: Build, numbers: Ints, terms: dict[str, Floats]) -> Ranking:
    scores = np.round(sum(terms.values(), np.zeros(len(numbers))), _SHOWN)
    order = np.lexsort((build.columns.owner[numbers], build.columns.time[numbers], -scores))
    return Ranking(numbers[order], scores[order], {name: values[order] for name, values in terms.items()})
