"""What a persona's reply claims: its statements as subject, predicate and object, and what each check says of them.

Read by the extractor that reads chats, with who speaks and what was said before; so questions, wishes, jokes and
quotations claim nothing. What a statement denies is read from the statement without its denial. Nothing is decided or
changed here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agents import cues
from agents.errors import AgentError
from memory.ports import Extractor, Judge, Roster
from memory.types import Episode, FactCandidate, Verdict

_log = logging.getLogger(__name__)

_DENIED = (
    (re.compile(r"\b(do|does|did)(?:n't| not) ", re.IGNORECASE), ""),
    (re.compile(r"\b(am|is|are|was|were|have|has|had)(?:n't| not) ", re.IGNORECASE), r"\1 "),
    (re.compile(r"(?<=\w)('m|'re|'s|'ve) not ", re.IGNORECASE), r"\1 "),
    (re.compile(r"\b(have|has|'ve|'s) never ", re.IGNORECASE), r"\1 "),
    (re.compile(r"\bno longer ", re.IGNORECASE), ""),
)
ANY_MORE = re.compile(r",? any ?more\b|\bat all\b", re.IGNORECASE)
_PAST = re.compile(
    r"\b(?:was|were|had|did|used to|went|left|sold|quit|lost|ago|back then|until|before|once|as a (?:child|kid)|\w{2,}ed)\b",
    re.IGNORECASE,
)
_STILL_SO = re.compile(
    r"\b(?:am|is|are|'m|'re|have|has|now|still|today|live|lives|work|works|these days|born|raised|grew up)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that a text tells. `is_past`: it tells of what was, and not of what is."""

    fact: FactCandidate
    is_negated: bool = False
    is_past: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """Reads what `speaker` says to `partners`. `known`: every name that may be meant.

    Where the extractor fails nothing counts as told: a turn is worth more than what it claims.
    """

    extractor: Extractor
    speaker: str
    partners: tuple[str, ...]
    known: tuple[str, ...] = ()
    _failures: set[str] = field(default_factory=set, compare=False, repr=False)  # kinds that were logged

    def told(self, text: str, at: datetime, *, heard: str = "", said: str = "") -> list[Told]:
        """What the text tells; `heard` was said to the speaker, `said` stands before the text in the same reply."""
        found = []
        for sentence in claims_of(text):
            plain = _without_denial(sentence)
            is_past = tells_of_past(sentence)
            for one in self._read(plain or sentence, at, heard, said):
                is_over = is_past or one.change == "end" or (one.valid_to is not None and one.valid_to <= at)
                found.append(Told(one, plain is not None, is_over))
            said = f"{said} {sentence}".strip()
        return found

    def _read(self, sentence: str, at: datetime, heard: str, said: str) -> list[FactCandidate]:
        turns = ((self.partners[0], heard), (self.speaker, said), (self.speaker, sentence))
        episodes = [
            Episode(str(place), "", place, speaker, speaker, at, text)
            for place, (speaker, text) in enumerate(turns)
            if text
        ]
        roster = Roster((self.speaker, *self.partners), self.known)
        try:
            found = self.extractor.extract(episodes, roster)
        except AgentError as error:
            self._log_once(type(error).__name__)
            return []
        return [replace(one, episode_ids=()) for one in found if "2" in one.episode_ids]

    def _log_once(self, failure: str) -> None:
        if failure not in self._failures:
            self._failures.add(failure)
            _log.warning("%s cannot read what is claimed: %s", self.extractor.name, failure)


def tells_of_past(sentence: str) -> bool:
    return bool(_PAST.search(sentence)) and not _STILL_SO.search(sentence)


def _without_denial(sentence: str) -> str | None:
    """The sentence as if it were so; None where it denies nothing."""
    for pattern, instead in _DENIED:
        if pattern.search(sentence):
            return ANY_MORE.sub("", pattern.sub(instead, sentence, count=1))
    return None


@dataclass(frozen=True, slots=True)
class CheckedClaim:
    """One claim with a verdict of each check, by the check's name. One without a label abstained."""

    claim: str
    verdicts: Mapping[str, Verdict]

    def as_json(self) -> dict[str, Any]:
        return {
            "claim": self.claim,
            "verdicts": {
                name: {"label": one.label, "reason": one.reason, "confidence": round(one.confidence, 4)}
                for name, one in self.verdicts.items()
            },
        }


def claims_of(reply: str) -> list[str]:
    """The sentences of a reply that are no questions, as they were said."""
    sentences = cues.sentences(reply) if reply.strip() else ()
    return [one.text for one in sentences if not cues.is_question(one.text)]


def check_claims(reply: str, checks: Sequence[Judge]) -> list[CheckedClaim]:
    """What each check says of each claim. Without a check nothing is looked at."""
    return [
        CheckedClaim(claim, {check.name: check.supports(claim, ()) for check in checks})
        for claim in (claims_of(reply) if checks else ())
    ]
