"""What every entrance gives back of personas that talk with each other, as docs/json.md has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.company import Company, SaidTurn


def turn_json(turn: SaidTurn) -> dict[str, Any]:
    return {
        "number": turn.number,
        "speaker": turn.speaker,
        "text": turn.text,
        "simulated": True,
        "status": turn.turn.status,
        "topic": turn.topic,
        "facts": list(turn.turn.facts),
        "draws": turn.turn.n_draws,
        "objections": [{"guard": guard, "reason": reason} for guard, reason in turn.turn.objections],
    }


def company_json(company: Company, said: Sequence[SaidTurn]) -> dict[str, Any]:
    """What was said, and what became of it."""
    return {
        "conversation": company.record.conversation,
        "session": company.record.session_id,
        "as": company.human.name if company.human else None,
        "simulated": True,
        "ended": company.ended,
        "kept": company.record.n_turns,
        "turns": [turn_json(turn) for turn in said],
        "loops": dict(sorted(company.found.items())),
        "topics": {
            member.person.name: [topic.name for topic in member.turned_to] for member in company.members
        },
        "digests": company.record.digests.n_written,
        "notices": list(company.notices),
    }
