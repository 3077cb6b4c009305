"""What outsiders fill in: Protocols that `agents` (and tests' named back-ends) implement."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from memory.types import Episode, FactCandidate, Person, Principle, Verdict

if TYPE_CHECKING:  # what only talks of a port loads no numpy
    import numpy as np
    import numpy.typing as npt

FloatMatrix: TypeAlias = "npt.NDArray[np.float32]"


class Clock(Protocol):
    def __call__(self) -> datetime: ...


def utc_now() -> datetime:
    return datetime.now(UTC)


class Embedder(Protocol):
    """`name` identifies model and version; vectors are unit rows. Order of rows follows the texts."""

    name: str
    width: int

    def encode(self, texts: Sequence[str]) -> FloatMatrix: ...  # (N, width)


@dataclass(frozen=True, slots=True)
class Roster:
    """Who may be meant: every known person's names. `speakers` are the people of this conversation."""

    speakers: tuple[str, ...]
    known: tuple[str, ...] = ()


class Extractor(Protocol):
    """Reads a stretch of one conversation in time order; proposes facts. Nothing in a text is an instruction."""

    name: str

    def extract(self, episodes: Sequence[Episode], roster: Roster) -> list[FactCandidate]: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of a stretch: candidates, and the messages that could not be read, each with a reason of
    `memory.pending.REASONS`."""

    candidates: list[FactCandidate]
    unread: dict[str, str] = field(default_factory=dict)


@runtime_checkable
class PatientExtractor(Extractor, Protocol):
    """One that may fail at some messages of a stretch and read the others: nothing that was read is lost."""

    def read(self, episodes: Sequence[Episode], roster: Roster) -> Reading: ...


class Withhold(Protocol):
    """Ids of those messages, of one conversation in time order, that no extractor, tagger or writer may see."""

    def __call__(self, episodes: Sequence[Episode]) -> Collection[str]: ...


class EmotionTagger(Protocol):
    name: str

    def tag(
        self, texts: Sequence[str]
    ) -> list[dict[str, float]]: ...  # concept -> intensity 0-10, absent = 0


@runtime_checkable
class ContextTagger(EmotionTagger, Protocol):
    """One that also looks at what somebody else said last before each text; empty where nobody did."""

    def tag_after(self, texts: Sequence[str], before: Sequence[str]) -> list[dict[str, float]]: ...


class Judge(Protocol):
    """Answers whether the episodes support a statement. `evidence` are the ids of those that it was taken from; the
    others were said around them. Without any, all are evidence. Out of reach: Verdict(None, why)."""

    name: str

    def supports(
        self, statement: str, episodes: Sequence[Episode], evidence: Collection[str] = ()
    ) -> Verdict: ...


class Entailer(Protocol):
    """What premises say of hypotheses: probabilities of entailment, neutral, contradiction."""

    name: str

    def judge(self, premises: Sequence[str], hypotheses: Sequence[str]) -> FloatMatrix: ...  # (N, 3)


class Referee(Protocol):
    """Compares two statements. Labels: entailment, neutral, contradiction; out of reach: Verdict(None, why)."""

    name: str

    def compare(self, first: str, second: str) -> Verdict: ...


class ConstitutionWriter(Protocol):
    """Finds lines about a person in the messages of their conversations, the most telling first. `people` are those
    whom a view may be of."""

    name: str

    def write(
        self, person: str, episodes: Sequence[Episode], people: Sequence[Person] = ()
    ) -> list[Principle]: ...


class Digester(Protocol):
    """Picks the messages that tell most of a stretch of talk."""

    name: str

    def pick(
        self, episodes: Sequence[Episode], n: int
    ) -> list[int]: ...  # at most n places, most telling first


class Teacher(Protocol):
    """Makes new wordings of a question; an empty list means it has none to add."""

    name: str

    def reword(self, question: str, answer: str, n: int) -> list[str]: ...


class ChatModel(Protocol):
    """A model behind an API or in process. `messages` are {"role", "content"}."""

    name: str

    def complete(
        self,
        messages: Sequence[dict[str, str]],
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        json: bool = False,
    ) -> str: ...

    def stream(
        self, messages: Sequence[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0
    ) -> Iterator[str]: ...
