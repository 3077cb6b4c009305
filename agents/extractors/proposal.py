"""Proposals while a stretch is being read: evidence by message index, repeats merged, ids put in at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from memory.types import Change, Episode, FactCandidate

LEAST_CONFIDENCE = 0.5  # what is less sure is no candidate
_MOST_EVIDENCE = 4


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate whose evidence is still indices into the stretch, the asserting message first."""

    subject: str
    predicate: str
    object: str
    at: tuple[int, ...]
    asserted_by: str
    confidence: float
    rule: str
    subject_kind: str = "person"
    object_kind: str | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    change: Change = "state"
    corrects: str | None = None

    def key(self) -> tuple[str, str, str, str]:
        """What makes two proposals the same statement."""
        kind = "end" if self.change == "end" else "holds"
        return self.subject.casefold(), self.predicate, self.object.casefold(), kind

    def candidate(self, episodes: Sequence[Episode]) -> FactCandidate:
        return FactCandidate(
            subject=self.subject,
            predicate=self.predicate,
            object=self.object,
            episode_ids=tuple(episodes[i].id for i in self.at),
            asserted_by=self.asserted_by,
            confidence=round(min(self.confidence, 0.99), 3),
            rule=self.rule,
            subject_kind=self.subject_kind,
            object_kind=self.object_kind,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            change=self.change,
            corrects=self.corrects,
        )


class Proposals:
    """In the order they were made; a statement made again adds its message to the evidence of the first."""

    def __init__(self) -> None:
        self._rows: list[Proposal] = []
        self._places: dict[tuple[str, str, str, str], int] = {}
        self._latest: dict[tuple[str, str], int] = {}  # (subject, predicate) -> place

    def add(self, proposal: Proposal) -> None:
        place = self._places.get(proposal.key())
        if place is None:
            self._places[proposal.key()] = len(self._rows)
            self._latest[proposal.subject, proposal.predicate] = len(self._rows)
            self._rows.append(proposal)
            return
        held = self._rows[place]
        at = held.at + tuple(i for i in proposal.at if i not in held.at)
        self._rows[place] = replace(
            held,
            at=at[:_MOST_EVIDENCE],
            confidence=max(held.confidence, proposal.confidence),
            object_kind=held.object_kind or proposal.object_kind,
        )

    def settle_start(self, at: int) -> None:
        """A job told of with the day it starts begins on that day; the day is then no fact of its own."""
        here = [
            i
            for i in range(max(len(self._rows) - 20, 0), len(self._rows))
            if self._rows[i].at[0] == at and self._rows[i].confidence > 0
        ]
        starts = [i for i in here if self._rows[i].predicate == "starts_on"]
        jobs = [
            i
            for i in here
            if self._rows[i].predicate in ("job", "workplace") and self._rows[i].change == "update"
        ]
        for start in starts if jobs else []:
            for job in jobs:
                self._rows[job] = replace(self._rows[job], valid_from=self._rows[start].valid_from)
            self._rows[start] = replace(self._rows[start], confidence=0.0)

    def recent(self, speaker: str, since: int) -> list[Proposal]:
        """What a speaker said from a message on, newest first."""
        found = []
        for row in reversed(self._rows):
            if row.at[0] < since:
                break
            if row.asserted_by == speaker:
                found.append(row)
        return found

    def withdraw(self, proposal: Proposal) -> None:
        """Take a proposal back as if it was never made: its speaker mended it in the same breath."""
        place = self._places.pop(proposal.key(), None)
        if place is not None:
            self._rows[place] = replace(self._rows[place], confidence=0.0)

    def last(self, subject: str, predicate: str) -> Proposal | None:
        place = self._latest.get((subject, predicate))
        return self._rows[place] if place is not None and self._rows[place].confidence > 0 else None

    def candidates(self, episodes: Sequence[Episode], names: Mapping[str, str]) -> list[FactCandidate]:
        """`names` gives the name of those who were first "Ana's brother"."""
        rows = [
            replace(row, subject=names.get(row.subject, row.subject))
            for row in self._rows
            if row.confidence > 0
        ]
        return [row.candidate(episodes) for row in rows]
