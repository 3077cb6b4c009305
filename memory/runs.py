"""Claims as they were said, and runs: one value over one stretch of time with all the evidence for it.

Values for `memory.timeline`, which decides how they lie together. Nothing here knows of the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

Tie = tuple[int | float | str, ...]
Moment = tuple[datetime, int]  # time, and position in the conversation within the same minute


@dataclass(frozen=True, slots=True)
class Assertion:
    """One statement as it was said. `day` is midnight of the day (space time zone) it was first said.

    Of a run's members the one of the lowest `rank` carries it, then the one said first. `is_retracted` is a
    decision against the statement itself; `retracted_with` names the statement with which it was taken back.
    """

    id: str
    subject_id: str
    predicate: str
    object: str
    said: Moment
    last_said: Moment
    day: datetime
    object_id: str | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    change: str = "state"
    corrects: str | None = None
    asserted_by: str | None = None
    confidence: float = 1.0
    rank: int = 0
    is_retracted: bool = False
    retracted_with: str | None = None
    evidence: tuple[str, ...] = ()
    conversations: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Resolved:
    """A run as it stands. `members` are the ids folded into `id`, itself first.

    `superseded_by` is the run that ended or withdrew it; a run retracted by a decision has none.
    """

    id: str
    members: tuple[str, ...]
    object: str
    object_id: str | None
    valid_from: datetime | None
    valid_to: datetime | None
    change: str
    confidence: float
    evidence: tuple[str, ...]
    is_contested: bool
    is_retracted: bool
    superseded_by: str | None


@dataclass(slots=True, eq=False)
class Run:
    """A run while claims come in. `end`, `closer` and `contests` are derived anew by each closing of the slot."""

    first: Assertion  # that was said first
    members: list[Assertion]
    object: str
    object_id: str | None
    start: datetime | None
    stated_end: datetime | None
    change: str
    confidence: float
    evidence: dict[str, None]
    conversations: frozenset[str]
    said: Moment  # when it was first told of, and the day of that; a correction stands in the place of what it corrects
    day: datetime
    tie: Tie  # which of two that were told of at the same moment is the later one
    was_over: bool  # it was told of only when it was over
    last_said: Moment
    is_retracted: bool
    withdrawn_by: Assertion | None = None
    end: datetime | None = None
    closer: Run | None = None
    is_start_unknown: bool = False
    contests: list[Run] = field(default_factory=list)
    voices: dict[tuple[str | None, datetime], float] = field(default_factory=dict)  # speaker, day -> surest

    def hear(self, said: Assertion) -> None:
        """Let it speak for the value. What one person says again on one day, or of the same words, adds nothing."""
        is_new = any(item not in self.evidence for item in said.evidence)
        voice = said if is_new else self.first
        key = voice.asserted_by, voice.day
        self.voices[key] = max(said.confidence, self.voices.get(key, 0.0))
        doubt = 1.0
        for confidence in self.voices.values():
            doubt *= 1.0 - confidence
        self.confidence = max(self.confidence, 1.0 - doubt)

    @property
    def order(self) -> tuple[datetime, Moment, Tie]:
        return (self.onset, self.said, self.tie)

    @property
    def onset(self) -> datetime:
        """When it began, for ordering: as said, else the day of the first evidence (or its end, if earlier)."""
        if self.start is not None:
            return self.start
        return min(self.day, self.stated_end) if self.stated_end else self.day

    @property
    def is_soft(self) -> bool:
        """Whether its start is no more than the day somebody first mentioned it in passing."""
        return self.is_open and self.change == "state" and self.start in (None, self.day)

    @property
    def is_open(self) -> bool:
        return self.stated_end is None

    @property
    def is_void(self) -> bool:
        return not self.is_start_unknown and self.start is not None and not is_before(self.start, self.end)

    def reset(self) -> None:
        self.end, self.closer, self.is_start_unknown, self.contests = self.stated_end, None, False, []

    def cut(self, at: datetime, closer: Run) -> None:
        if at <= self.onset:
            self.is_start_unknown = self.is_start_unknown or self.is_soft
            at = at if self.is_soft or self.start is None else self.onset
        if self.end is None or at < self.end:
            self.end, self.closer = at, closer

    def overlaps(self, other: Run) -> bool:
        return is_before(self.onset, other.end) and is_before(other.onset, self.end)

    def is_said_to_overlap(self, other: Run) -> bool:
        return is_before(self.onset, other.stated_end) and is_before(other.onset, self.stated_end)

    def resolved(self, owners: Mapping[str, str]) -> Resolved:
        """`owners`: the id of the run that each statement is a member of."""
        cause = self.withdrawn_by if self.is_retracted else self.closer.first if self.closer else None
        return Resolved(
            id=self.id,
            members=tuple(member.id for member in sorted(self.members, key=_carrying)),
            object=self.object,
            object_id=self.object_id,
            valid_from=None if self.is_start_unknown and not self.is_retracted else self.start,
            valid_to=self.end,
            # an end of its own that was overtaken stays known as one
            change=self.change if self.is_open or self.closer is None else "end",
            confidence=self.confidence,
            evidence=tuple(self.evidence),
            is_contested=any(self.overlaps(other) for other in self.contests),
            is_retracted=self.is_retracted,
            superseded_by=owners[cause.id] if cause else None,
        )

    @property
    def id(self) -> str:
        return min(self.members, key=_carrying).id


def _carrying(member: Assertion) -> tuple[int, Moment, str]:
    return member.rank, member.said, member.id


def is_before(a: datetime, b: datetime | None) -> bool:
    """Whether `a` comes before `b`, where None is never."""
    return b is None or a < b


def overturns(new: Run, old: Run) -> bool:
    """Whether news of a change that began earlier is told after `old` was mentioned in passing."""
    return (
        old.is_soft
        and new.change in ("update", "correct")
        and new.is_open
        and new.said > old.said
        and new.onset <= old.onset
    )
