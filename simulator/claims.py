"""What a persona's reply claims, and what each check says of it; nothing is decided or changed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents import cues
from memory.ports import Judge
from memory.types import Verdict


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
