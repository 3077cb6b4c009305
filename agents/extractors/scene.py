"""One sentence in its message, as the rules about events see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from agents.extractors.dates import When, find_dates
from agents.extractors.discourse import Discourse
from agents.extractors.proposal import Proposal
from agents.extractors.sentences import Sentence
from memory.types import Change, Episode


@dataclass(frozen=True, slots=True)
class Spec:
    """The uncommon parts of a fact that a rule proposes."""

    change: Change = "state"
    kind: str | None = None
    subject_kind: str = "person"
    is_past: bool = False
    day: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """`sentences` is the whole message, `index` the sentence being read."""

    episode: Episode
    sentences: list[Sentence]
    index: int
    talk: Discourse
    words: frozenset[str] = frozenset()  # of the whole message, lowercase

    @property
    def sentence(self) -> Sentence:
        return self.sentences[self.index]

    @property
    def text(self) -> str:
        return self.sentence.text

    @property
    def lower(self) -> str:
        return self.sentence.text.lower()

    @property
    def message(self) -> str:
        return " | ".join(s.text for s in self.sentences)

    @property
    def following(self) -> str:
        return self.sentences[self.index + 1].text if self.index + 1 < len(self.sentences) else ""

    @property
    def today(self) -> datetime:
        time = self.episode.time
        return datetime(time.year, time.month, time.day, tzinfo=UTC)

    def dates(self, *, is_past: bool = False) -> list[When]:
        return find_dates(self.text, self.episode.time, is_past=is_past)

    def day(self, *, is_past: bool = False) -> datetime:
        """Since when: the day or length of time said in the sentence, else the day of the message."""
        return next((when.day for when in self.dates(is_past=is_past)), self.today)

    def fact(
        self,
        subject: str | None,
        predicate: str,
        value: str | None,
        rule: str,
        confidence: float,
        spec: Spec | None = None,
    ) -> Iterator[Proposal]:
        """One proposal, or none where the subject or the value stayed unknown."""
        if not subject or not value:
            return
        spec = spec or Spec()
        day = spec.day or self.day(is_past=spec.is_past)
        is_end = spec.change == "end"
        yield Proposal(
            subject,
            predicate,
            value,
            (self.talk.at,),
            self.episode.speaker,
            confidence,
            rule,
            subject_kind=spec.subject_kind,
            object_kind=spec.kind,
            valid_from=None if is_end else day,
            valid_to=day if is_end else None,
            change=spec.change,
        )
