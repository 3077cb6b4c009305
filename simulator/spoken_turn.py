"""One turn of a persona as it became: the reply, what it rested on, how it read, and what was considered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from memory.facts import fact_json
from memory.types import Fact
from simulator.claims import CheckedClaim
from simulator.deliberation import Deliberation
from simulator.mood import Mood
from simulator.ports import Objection
from simulator.steering import Steering


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """`readouts`: of the reply, in standard deviations of neutral text; `heard`: of what the partner said before.

    `left_to_weights`: ids of those of the facts that the prompt did not hold, because the weights know them.
    `status`: whole | interrupted (the engine failed on the way) | corrected (a guard's words stand in it).
    """

    id: str  # of the turn, under which `slowwave chats` and `why-said` find it
    session_id: str
    reply: str
    facts: tuple[Fact, ...]
    readouts: dict[str, float]
    recipe: str | None
    deliberation: Deliberation
    mood: Mood  # after the turn
    status: str = "whole"
    n_draws: int = 1
    n_tokens: int = 0  # drawn, those that were thrown away among them
    seconds: float = 0.0  # in which they were
    objections: Sequence[Objection] = ()
    left_to_weights: tuple[str, ...] = ()
    heard: dict[str, float] = field(default_factory=dict)
    steering: Steering | None = None  # that it was spoken with
    claims: tuple[CheckedClaim, ...] = ()  # its sentences with what each check says; none without one
    notices: tuple[str, ...] = ()  # the session's: what whoever talks should know
    entropies: tuple[
        float | None, ...
    ] = ()  # of the tokens that stand, in nats; None where a server gives none

    def as_json(self, *, entropies: bool = False) -> dict[str, Any]:
        told = {
            "reply": self.reply,
            "simulated": True,
            "status": self.status,
            "session": self.session_id,
            "turn": self.id,
            "facts": [fact_json(fact) for fact in self.facts],
            "readouts": _rounded(self.readouts),
            "heard": _rounded(self.heard),
            "mood": self.mood.as_json(),
            "deliberation": self.deliberation.as_json(),
            "draws": self.n_draws,
            "objections": [{"guard": one.guard, "reason": one.reason} for one in self.objections],
            "recipe": self.recipe,
            "left_to_weights": list(self.left_to_weights),
            "claims": [claim.as_json() for claim in self.claims],
            "steering": self.steering.as_json() if self.steering else [],
            "notices": list(self.notices),
        }
        return {**told, "entropies": list(self.entropies)} if entropies else told


def _rounded(readings: dict[str, float]) -> dict[str, float]:
    return {concept: round(value, 3) for concept, value in readings.items()}
