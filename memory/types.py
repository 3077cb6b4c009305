"""The values that cross package borders: frozen, free of ORM rows, safe to keep after a session closes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

MessageKind = Literal["text", "media", "deleted", "system"]
Origin = Literal["observed", "inferred", "simulated"]
Change = Literal["state", "update", "correct", "end"]
FactStatus = Literal[
    "current", "past", "future", "contested", "retracted", "candidate", "quarantined", "rejected"
]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an export as a reader understood it. `time` is aware; `conversation` names who could hear it."""

    time: datetime
    speaker: str
    text: str
    kind: MessageKind = "text"
    is_edited: bool = False
    external_id: str | None = None
    conversation: str = ""
    hearers: tuple[str, ...] = ()  # who took part beside the speaker, where the format says so
    origin: Origin = "observed"  # `simulated` where a program wrote it
    feelings: tuple[tuple[str, float], ...] = ()  # tags that stood at the end of the text


@dataclass(frozen=True, slots=True)
class Skipped:
    """What an export holds and a reader leaves out. Neither part holds anybody's words."""

    place: str  # "line 12", "message 3"; in an export of many files, with the file's number
    reason: str


Row = Message | Skipped
SYSTEM = "written by the app"  # the reason for leaving out a system line: expected, and only counted
BY_BOT = "written by a bot"


@dataclass(frozen=True, slots=True)
class SkipCount:
    """How often something was left out for one reason, and where first."""

    reason: str
    n: int
    places: tuple[str, ...]

    def __str__(self) -> str:
        where = ", ".join(self.places) + (", ..." if self.n > len(self.places) else "")
        return f"not read, {where}: {self.reason}" + (f" ({self.n} times)" if self.n > 1 else "")


@dataclass(frozen=True, slots=True)
class ImportReport:
    source_id: str
    kind: str
    conversation: str
    n_messages: int
    n_new: int
    n_system: int
    people: tuple[str, ...]
    first: datetime | None
    last: datetime | None
    notes: tuple[str, ...] = ()
    skipped: tuple[SkipCount, ...] = ()
    n_edited: int = 0  # known messages that have other words now
    n_deleted: int = 0  # known messages that are marked as deleted now


@dataclass(frozen=True, slots=True)
class Episode:
    id: str
    conversation_id: str
    position: int
    speaker_id: str
    speaker: str
    time: datetime
    text: str
    kind: str = "text"
    is_edited: bool = False
    origin: str = "observed"


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    name: str
    aliases: tuple[str, ...] = ()
    is_speaker: bool = False


@dataclass(frozen=True, slots=True)
class FactCandidate:
    """What an extractor proposes. Names are as said or resolved; the graph turns them into nodes."""

    subject: str
    predicate: str
    object: str
    episode_ids: tuple[str, ...]
    asserted_by: str  # speaker's name
    confidence: float  # [0, 1]
    rule: str
    subject_kind: str = "person"  # kind of node: person | place | organisation | thing
    object_kind: str | None = None  # makes the object a node as well, when set
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    change: Change = "state"
    corrects: str | None = None  # the value that is withdrawn, where the words name it
    is_inferred: bool = False  # nobody said it: it follows from all of its messages together
    volatility: str | None = None  # where the extractor judged it; else memory/permanence.py does


@dataclass(frozen=True, slots=True)
class Fact:
    id: str
    subject_id: str
    subject: str
    predicate: str
    object: str
    object_id: str | None
    valid_from: datetime | None
    valid_to: datetime | None
    recorded_at: datetime
    retracted_at: datetime | None
    state: str
    status: FactStatus
    confidence: float
    origin: str
    rule: str
    asserted_by: str | None
    evidence: tuple[str, ...]  # episode ids, oldest first
    change: Change = "state"
    corrects: str | None = None
    superseded_by: str | None = None
    salience: float | None = None
    salience_terms: dict[str, float] | None = None
    is_stale: bool = False  # it holds as far as is known, but was last said longer ago than such things last
    is_pinned: bool = False  # never fades in ranking, always trained
    volatility: str = "years"  # never | years | months | days: how soon such a statement stops being true


@dataclass(frozen=True, slots=True)
class EmotionTag:
    episode_id: str
    concept: str
    intensity: float  # 0-10
    judge: str


@dataclass(frozen=True, slots=True)
class Principle:
    kind: str  # value | principle | habit | speech | limit | view
    text: str
    evidence: tuple[str, ...]
    about: str | None = None  # of a view: the name of whom it is of


@dataclass(frozen=True, slots=True)
class Hit:
    """One retrieved unit. `parts` explains the score: {"fulltext": 0.03, "dense": 0.02, "graph": 0.01}.

    A session goes by the id of its first episode.
    """

    kind: Literal["episode", "fact", "session", "digest"]
    id: str
    score: float
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """`abstained` answers carry text that says so. `confidence` in [0, 1] is what the threshold was held against."""

    text: str
    abstained: bool
    confidence: float
    facts: tuple[Fact, ...]
    evidence: tuple[Episode, ...]
    explain: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of one question: `label` None means the judge was away (never a yes)."""

    label: str | None
    reason: str
    confidence: float = 0.0
