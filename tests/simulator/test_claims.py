from __future__ import annotations

from collections.abc import Collection, Sequence

from memory.types import Episode, Verdict
from simulator.claims import check_claims, claims_of


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
