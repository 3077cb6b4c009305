"""What has not been said for longer than such things last: "last said on 3 May 2024"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from memory.types import Episode, Fact
from memory.wordings import spoken

# a fact of that volatility is doubtful when nobody has said it for so long
LASTS = {"days": timedelta(days=30), "months": timedelta(days=365), "years": timedelta(days=5 * 365)}


def last_said(fact: Fact, evidence: Sequence[Episode]) -> datetime | None:
    return max((episode.time for episode in evidence if episode.id in fact.evidence), default=None)


def is_stale(fact: Fact, said: datetime, now: datetime) -> bool:
    """Only what is thought to hold still can be stale."""
    lasts = LASTS.get(fact.volatility)
    return lasts is not None and fact.valid_to is None and now - said > lasts


def note(facts: Sequence[Fact], evidence: Sequence[Episode], now: datetime) -> str:
    """A sentence where the last of the facts is stale, "" where it is not."""
    if not facts:
        return ""
    said = last_said(facts[-1], evidence)
    if said is None or not is_stale(facts[-1], said, now):
        return ""
    return f"(Last said on {spoken(said.date().isoformat())}.)"
