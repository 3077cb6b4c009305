"""Gold facts and traps of a chat folder as candidates in the order in which they would have become known.

A fact comes as it was known then: open-ended, without the messages that tell of its end; the end comes later, as a
change (`supersedes`) or as a candidate of its own. The value that a correction withdraws comes first, where a message
of the same talk says it. A restatement comes where a later message says the value again. A trap comes as a reader that
notices no joke would take it: the tempting claim with the tempting message, said by who wrote it. Facts, traps and wrong
values carry the same confidence: nothing but their messages tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from bench.gold import as_moment, candidate_of, heard_in, kinds_of, said
from memory import values
from memory.registry import Registry
from memory.types import Episode, FactCandidate

Role = Literal["fact", "wrong", "again", "end", "trap"]

CONFIDENCE = 0.8
_TALK = timedelta(hours=6)  # messages nearer than this belong to one talk
_LOOK_BACK = 12  # messages before a correction among which the wrong value is looked for
_RESTATED = 0.6  # share of the value's words that a later message must say to restate it


@dataclass(frozen=True, slots=True)
class Claim:
    """One candidate, when it would arrive, and what should become of it; `gold` is the row it was made of."""

    role: Role
    candidate: FactCandidate
    arrives: datetime
    gold: dict[str, Any]
    expected: str | None  # the decision, None where more than one is right


@dataclass(frozen=True, slots=True)
class Change:
    """A value that took the place of another one: by an update (`old` is a gold row) or a correction."""

    new: dict[str, Any]
    old: dict[str, Any] | None
    withdrawn: str | None


def changes_of(facts: Sequence[dict[str, Any]]) -> list[Change]:
    """Updates and corrections among gold facts; where no `supersedes` is given, an end on the day of a start is one."""
    by_id = {str(fact["id"]): fact for fact in facts if "id" in fact}
    found = []
    for fact in facts:
        old = by_id.get(str(fact["supersedes"])) if fact.get("supersedes") else _ended_by(fact, facts)
        withdrawn = said(fact, "corrected_from") or None
        if old is not None or withdrawn:
            found.append(Change(fact, old, withdrawn))
    return found


def _ended_by(fact: dict[str, Any], facts: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    if "supersedes" in fact or not said(fact, "valid_from"):
        return None
    slot = said(fact, "subject"), said(fact, "predicate")
    same_slot = (other for other in facts if (said(other, "subject"), said(other, "predicate")) == slot)
    return next((o for o in same_slot if said(o, "valid_to") == said(fact, "valid_from")), None)


def claims_of(
    facts: Sequence[dict[str, Any]],
    traps: Sequence[dict[str, Any]],
    episodes: dict[int, Episode],
    registry: Registry,
) -> list[Claim]:
    """In the order of arriving. `episodes` are the chat's messages by the index that the gold counts."""
    usable = [fact for fact in facts if said(fact, "subject") and said(fact, "object")]
    changes = {id(change.new): change for change in changes_of(usable)}
    successor = {id(change.old): change.new for change in changes.values() if change.old is not None}
    kinds = kinds_of(usable, registry)
    claims: list[Claim] = []
    for fact in usable:
        base = candidate_of(fact, episodes, kinds, registry)
        if base is not None:
            claims += _Story(fact, base, changes.get(id(fact)), successor.get(id(fact)), episodes).claims()
    claims += [claim for trap in traps if (claim := _trap(trap, episodes)) is not None]
    order = {"wrong": 0, "trap": 1, "fact": 2, "again": 3, "end": 4}
    return sorted(claims, key=lambda claim: (claim.arrives, order[claim.role], not is_ended(claim)))


def is_ended(claim: Claim) -> bool:
    return said(claim.gold, "valid_to") != ""


@dataclass(frozen=True, slots=True)
class _Story:
    """One gold fact, and what was said of it when. `base` holds all that the gold says."""

    fact: dict[str, Any]
    base: FactCandidate
    change: Change | None
    successor: dict[str, Any] | None
    episodes: dict[int, Episode]

    def claims(self) -> list[Claim]:
        telling, later = self._parted()
        end = self._end(later)
        is_told_to_end = self._is_told_after_its_end(telling[0]) or (self.successor is None and end is None)
        candidate = replace(
            self.base,
            episode_ids=tuple(episode.id for episode in telling),
            asserted_by=telling[0].speaker,
            confidence=CONFIDENCE,
            valid_to=self.base.valid_to if is_told_to_end else None,
        )
        is_change = candidate.change == "correct" or (
            self.change is not None and not self._comes_first(telling[-1])
        )
        fact = Claim("fact", candidate, telling[-1].time, self.fact, "CORRECT" if is_change else "STORE")
        again = [self._again(candidate, episode) for episode in later if self._restates(episode)]
        return [claim for claim in (self._wrong(telling[0]), fact, *again, end) if claim is not None]

    def _parted(self) -> tuple[list[Episode], list[Episode]]:
        """Messages that tell it (the one named first, what stands before it, what follows in the same talk), and
        later ones. What tells of the successor as well, or came after it, is about the end and left out, unless
        there is nothing else."""
        by_id = {episode.id: episode for episode in self.episodes.values()}
        named = heard_in(self.fact, self.episodes) or [by_id[key] for key in self.base.episode_ids]
        told = _first_told(self.successor, self.episodes)
        named = [episode for episode in named if told is None or episode.time < told] or named[:1]
        border = named[0].time + _TALK
        telling = [episode for episode in named if episode.time <= border]
        later = [episode for episode in named if episode.time > border]
        return sorted(telling, key=lambda episode: (episode.time, episode.position)), later

    def _is_told_after_its_end(self, episode: Episode) -> bool:
        """Whether what took its place was told before it, so that its end was known from the first."""
        told = _first_told(self.successor, self.episodes)
        return told is not None and told < episode.time

    def _comes_first(self, episode: Episode) -> bool:
        """Whether what it takes the place of is told only after it."""
        old = self.change.old if self.change else None
        told = _first_told(old, self.episodes)
        return told is not None and told > episode.time

    def _end(self, later: Sequence[Episode]) -> Claim | None:
        """The end, where a message on or after the last day tells of it and no successor began on that day."""
        stop = self.base.valid_to
        if stop is None or (
            self.successor is not None and said(self.successor, "valid_from")[:10] <= f"{stop:%Y-%m-%d}"
        ):
            return None
        telling = next((episode for episode in reversed(later) if episode.time.date() >= stop.date()), None)
        if telling is None:
            return None
        return self._later(self.base, telling, "end", stop)

    def _restates(self, episode: Episode) -> bool:
        stop = self.base.valid_to
        is_in_time = stop is None or episode.time < stop
        return is_in_time and _share_said(self.base.object, episode.text) >= _RESTATED

    def _again(self, candidate: FactCandidate, episode: Episode) -> Claim:
        return self._later(candidate, episode, "again", None)

    def _later(
        self, candidate: FactCandidate, episode: Episode, role: Literal["again", "end"], stop: datetime | None
    ) -> Claim:
        candidate = replace(
            candidate,
            episode_ids=(episode.id,),
            asserted_by=episode.speaker,
            confidence=CONFIDENCE,
            valid_from=None,
            valid_to=stop,
            change="end" if role == "end" else "state",
            corrects=None,
        )
        return Claim(role, candidate, episode.time, self.fact, "MERGE")

    def _wrong(self, correction: Episode) -> Claim | None:
        """The value that was withdrawn, from the nearest message of the same talk that says it."""
        withdrawn = self.change.withdrawn if self.change else None
        if withdrawn is None:
            return None
        near = [
            episode
            for episode in self.episodes.values()
            if 0 <= correction.position - episode.position <= _LOOK_BACK
            and correction.time - episode.time <= _TALK
            and _share_said(withdrawn, episode.text) == 1.0
        ]
        if not near:
            return None
        told = max(near, key=lambda episode: (episode.position != correction.position, episode.position))
        wrong = replace(
            self.base,
            object=withdrawn,
            episode_ids=(told.id,),
            asserted_by=told.speaker,
            confidence=CONFIDENCE,
            change="state",
            corrects=None,
            valid_to=None,
        )
        return Claim("wrong", wrong, told.time, self.fact, None)


def _first_told(fact: dict[str, Any] | None, episodes: dict[int, Episode]) -> datetime | None:
    return min((episode.time for episode in heard_in(fact, episodes)), default=None) if fact else None


def _trap(trap: dict[str, Any], episodes: dict[int, Episode]) -> Claim | None:
    claim = trap.get("tempting_claim") or {}
    told = heard_in(trap, episodes)
    if not told or not said(claim, "subject") or not said(claim, "object"):
        return None
    text = str(trap.get("text") or "")
    tempting = next((episode for episode in told if text and text[:40] in episode.text), told[0])
    candidate = FactCandidate(
        subject=said(claim, "subject"),
        predicate=said(claim, "predicate"),
        object=said(claim, "object"),
        episode_ids=(tempting.id,),
        asserted_by=tempting.speaker,
        confidence=CONFIDENCE,
        rule="gold",
        valid_from=as_moment(claim.get("valid_from")),
    )
    return Claim("trap", candidate, tempting.time, trap, "REJECT")


def _share_said(value: str, text: str) -> float:
    wanted = set(values.tokens(value)) - {","}
    return len(wanted & set(values.tokens(text))) / len(wanted) if wanted else 0.0
