from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import pytest

from agents.errors import BackendUnreachable
from agents.extractors.rules import RuleExtractor
from memory.ports import Roster
from memory.types import Episode, FactCandidate, Verdict
from simulator.claims import Listener, check_claims, claims_of


class Doubtful:
    """Abstains on everything."""

    name = "doubtful"

    def supports(
        self, statement: str, episodes: Sequence[Episode], evidence: Collection[str] = ()
    ) -> Verdict:
        return Verdict(None, "nobody knows")


def test_what_is_asked_is_no_claim() -> None:
    assert claims_of("I live in Porto. And you?") == ["I live in Porto."]
    assert claims_of("") == []


def test_every_claim_is_shown_to_every_check() -> None:
    (found,) = check_claims("I live in Porto. And you?", [Doubtful()])
    assert found.as_json() == {
        "claim": "I live in Porto.",
        "verdicts": {"doubtful": {"label": None, "reason": "nobody knows", "confidence": 0.0}},
    }


def test_without_a_check_nothing_is_looked_at() -> None:
    assert check_claims("I live in Porto.", []) == []


class OftenAway(RuleExtractor):
    """A back-end that cannot be asked about boats."""

    def extract(self, episodes: Sequence[Episode], roster: Roster) -> list[FactCandidate]:
        if "boat" in episodes[-1].text:
            raise BackendUnreachable("remote", "timed out")
        return super().extract(episodes, roster)


def test_a_sentence_that_the_extractor_fails_on_tells_nothing_and_is_logged_once_without_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = Listener(OftenAway(), "Ada Lund", ("Bo Rask",))
    told = listener.told("My boat is red. I live in Porto. I sold a boat.", datetime(2026, 1, 1, tzinfo=UTC))
    assert [one.fact.object for one in told] == ["Porto"]
    assert [record.getMessage() for record in caplog.records] == [
        "rules-1 cannot read what is claimed: BackendUnreachable"
    ]
