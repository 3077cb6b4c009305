"""Take in what an extractor proposes, as facts of state `candidate`. Stored facts are not touched here.

Refused, with a count in the log: a candidate that rests on a message a model wrote or on no known message, an
interval that ends before it starts, an empty name or value, under a strict registry an unknown predicate. What is known
from the same messages is not added twice, so that reading again adds nothing. No candidate is surer than its least
trusted message (`memory.trust`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import tables
from memory import names, permanence, values
from memory.fact_rows import day_of, timezone
from memory.people import get_or_create_node
from memory.ports import Clock, utc_now
from memory.registry import MAX_NAME, Registry, Volatility, as_name
from memory.trust import least
from memory.types import FactCandidate

_log = logging.getLogger(__name__)

MAX_OBJECT = 2000  # characters; what is longer is no value but a text


def add_candidates(
    session: Session,
    space_id: str,
    candidates: Sequence[FactCandidate],
    registry: Registry,
    *,
    clock: Clock = utc_now,
) -> list[str]:
    """Ids of the new facts, in the order of the candidates; what is refused or known already has none."""
    intake = _Intake(session, space_id, registry, clock, candidates)
    outcomes = [intake.add(candidate) for candidate in candidates]
    n_refused = outcomes.count(_REFUSED)
    if n_refused:
        _log.info("%d of %d candidates refused", n_refused, len(candidates))
    return [fact_id for fact_id in outcomes if fact_id not in (_REFUSED, _KNOWN)]


_REFUSED, _KNOWN = "refused", "known"


class _Intake:
    def __init__(
        self,
        session: Session,
        space_id: str,
        registry: Registry,
        clock: Clock,
        candidates: Sequence[FactCandidate],
    ) -> None:
        self.session, self.space_id, self.registry, self.clock = session, space_id, registry, clock
        self.zone: tzinfo = timezone(session, space_id)
        self.episodes = _episodes(
            session, space_id, {episode_id for item in candidates for episode_id in item.episode_ids}
        )
        self.nodes: dict[tuple[str, str], str] = {}

    def add(self, candidate: FactCandidate) -> str:
        value = clean_value(candidate.object)
        predicate = as_name(candidate.predicate)[:MAX_NAME]
        evidence = sorted(set(candidate.episode_ids))
        origins = {self.episodes[item].origin if item in self.episodes else "unknown" for item in evidence}
        if not evidence or not origins <= {"observed", "inferred"}:
            return _REFUSED
        if not predicate or not 0 < len(value) <= MAX_OBJECT or not names.clean(candidate.subject):
            return _REFUSED
        if self.registry.is_strict and not self.registry.get(predicate).is_known:
            return _REFUSED
        first = min(self.episodes[item].time for item in evidence)
        trust = least((self.episodes[item].origin, self.episodes[item].source) for item in evidence)
        interval = told_interval(candidate, day_of(first, self.zone))
        if interval is None:
            return _REFUSED
        subject_id = self._node(candidate.subject, candidate.subject_kind)
        key = values.normal(value)
        if self._is_known(subject_id, predicate, key, candidate.change, set(evidence)):
            return _KNOWN
        fact = tables.Fact(
            space_id=self.space_id,
            subject_id=subject_id,
            predicate=predicate,
            object=value,
            object_key=key,
            object_id=self._object_node(candidate, value),
            valid_from=interval[0],
            valid_to=interval[1],
            recorded_at=self.clock(),
            state="candidate",
            change=candidate.change,
            corrects=candidate.corrects,
            confidence=min(trust, max(0.0, float(candidate.confidence))),
            origin="inferred" if candidate.is_inferred or "inferred" in origins else "observed",
            rule=candidate.rule[:128],
            asserted_by=self._node(candidate.asserted_by, "person"),
            volatility=self._volatility(candidate, predicate, value),
        )
        self.session.add(fact)
        self.session.flush()
        for episode_id in evidence:
            self.session.add(tables.Evidence(fact_id=fact.id, episode_id=episode_id, space_id=self.space_id))
        self.session.flush()
        return fact.id

    def _volatility(self, candidate: FactCandidate, name: str, value: str) -> str | None:
        """How long this statement lasts, where that is not what its predicate says."""
        predicate = self.registry.get(name)
        own = permanence.held(predicate, None)
        texts = [self.episodes[item].text for item in candidate.episode_ids if item in self.episodes]
        judged = candidate.volatility or permanence.volatility_of(predicate, value, texts)
        return judged if judged != own and judged in get_args(Volatility) else None

    def _node(self, name: str, kind: str) -> str | None:
        if not names.clean(name):
            return None
        if (kind, name) not in self.nodes:
            self.nodes[kind, name] = get_or_create_node(
                self.session, self.space_id, name, kind, clock=self.clock
            )
        return self.nodes[kind, name]

    def _object_node(self, candidate: FactCandidate, value: str) -> str | None:
        return self._node(value, candidate.object_kind) if candidate.object_kind else None

    def _is_known(
        self, subject_id: str | None, predicate: str, key: str, change: str, evidence: set[str]
    ) -> bool:
        """Whether the same was taken from these messages before, as they read now, whatever became of it."""
        version = tables.EpisodeVersion
        is_reworded = (
            select(version.id)
            .where(
                version.episode_id == tables.Evidence.episode_id,
                version.replaced_at >= tables.Fact.recorded_at,
            )
            .exists()
        )
        shared = (
            select(tables.Fact.id)
            .join(tables.Evidence, tables.Evidence.fact_id == tables.Fact.id)
            .where(
                tables.Fact.space_id == self.space_id,
                tables.Fact.subject_id == subject_id,
                tables.Fact.predicate == predicate,
                tables.Fact.object_key == key,
                tables.Fact.change == change,
                tables.Evidence.episode_id.in_(sorted(evidence)),
                ~is_reworded,
            )
            .group_by(tables.Fact.id)
            .having(func.count() == len(evidence))
        )
        return self.session.scalar(shared.limit(1)) is not None


def told_interval(candidate: FactCandidate, day: datetime) -> tuple[datetime | None, datetime | None] | None:
    """[from, to): from `day`, that of the first evidence, where no date was said; None if it cannot be.

    An end says until when: its own date, else the day it was said; since when stays open.
    """
    start, end = candidate.valid_from, candidate.valid_to
    if candidate.change == "end":
        if end is None:
            start, end = None, start or day
    elif start is None and (end is None or end > day):
        start = day
    return None if start and end and end < start else (start, end)


def clean_value(value: str) -> str:
    """The form in which an object is stored."""
    return " ".join(value.replace("\x00", "").split())


class _Told(NamedTuple):
    """What is asked of a message that a candidate rests on; `source` is the kind of its source."""

    time: datetime
    origin: str
    source: str
    text: str


def _episodes(session: Session, space_id: str, ids: set[str]) -> dict[str, _Told]:
    """Those of the episodes that this space holds."""
    found: dict[str, _Told] = {}
    wanted, row = sorted(ids), tables.Episode
    query = select(row.id, row.time, row.origin, tables.Source.kind, row.text).join(
        tables.Source, tables.Source.id == row.source_id
    )
    for start in range(0, len(wanted), 500):
        part = query.where(row.space_id == space_id, row.id.in_(wanted[start : start + 500]))
        for episode_id, time, origin, source, text in session.execute(part):
            found[episode_id] = _Told(time, origin, source, text)
    return found
