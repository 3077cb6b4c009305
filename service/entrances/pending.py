"""What waits and what was spent, as the entrances tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consolidation.stage import Progress, no_progress

if TYPE_CHECKING:
    from agents.spending import Spent
    from service.wiring import Services


def waiting(services: Services) -> dict[str, Any]:
    """What waits, by kind and reason."""
    found = services.waiting()
    return {
        "n": sum(item.n for item in found),
        "waiting": [
            {
                "kind": item.kind,
                "n": item.n,
                "reason": item.reason,
                "meaning": item.meaning,
                "since": item.since.isoformat() if item.since else None,
            }
            for item in found
        ],
    }


def drain(services: Services, progress: Progress = no_progress) -> dict[str, Any]:
    """Read the messages that wait; what could not be read goes on waiting. Facts without a verdict are the night's."""
    read = services.read(progress)
    done = {"read": read.n_episodes, "candidates": read.n_candidates, "emotion_tags": read.n_tags}
    return {**done, **waiting(services)}


def budget(services: Services) -> dict[str, Any]:
    """What the back-end has cost today (UTC) and by day, against the limits (null where there is none), and how many
    answers are remembered."""
    from agents.answers import Answers

    limits, today = services.settings.backend, services.budget.today()
    n_answers, size_bytes = Answers(services.settings.home).count()
    return {
        "backend": limits.kind,
        "today": _spent_json(today),
        "limits": {
            name: getattr(limits, name) or None
            for name in ("max_tokens_per_day", "max_cost_per_day", "max_tokens_per_run", "max_cost_per_run")
        },
        "days": [
            {"day": day, "backend": backend, **_spent_json(spent)}
            for day, backend, spent in services.budget.spending.by_day()
        ],
        "remembered": {"answers": n_answers, "bytes": size_bytes},
    }


def _spent_json(spent: Spent) -> dict[str, Any]:
    return {
        "requests": spent.n_requests,
        "tokens_in": spent.tokens_in,
        "tokens_out": spent.tokens_out,
        "estimated": spent.n_estimated,
        "cost": round(spent.cost, 6),
    }
