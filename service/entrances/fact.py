"""What both entrances do with facts: a question as it comes from outside, and a statement by hand with its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from memory import moments
from memory.facts import HISTORY, HOLDING, fact_json
from memory.registry import Registry, as_name
from memory.types import Person
from service.wiring import Services

if TYPE_CHECKING:
    from memory.statements import Stated, Statement


@dataclass(frozen=True, slots=True)
class FactQuestion:
    """Which facts, as names and dates; None is not asked."""

    as_of: datetime | None = None
    as_recorded: datetime | None = None
    known_to: str | None = None
    history: bool = False
    topic: str | None = None
    predicate: str | None = None

    def reading(self, services: Services) -> dict[str, Any]:
        """When and by whom, as the readings of `memory` take it."""
        return {
            "as_of": moments.checked(self.as_of) if self.as_of else None,
            "recorded_as_of": moments.checked(self.as_recorded) if self.as_recorded else None,
            "known_to": services.person(self.known_to).id if self.known_to else None,
            "clock": services.clock,
        }

    def options(self, services: Services) -> dict[str, Any]:
        """The same with the choice of facts."""
        return self.reading(services) | {
            "statuses": HISTORY if self.history else HOLDING,
            "predicates": (as_name(self.predicate),) if self.predicate else None,
            "topic": self.topic,
        }


def of_person(services: Services, name: str, question: FactQuestion) -> list[dict[str, Any]]:
    """Facts about a person."""
    return [fact_json(fact) for fact in services.facts(name, **question.options(services))]


def of_everybody(
    services: Services, question: FactQuestion, *, limit: int, after: str | None
) -> dict[str, Any]:
    """A page of everybody's facts."""
    from memory.facts import page_facts

    page = page_facts(
        services.database,
        services.space_id,
        services.registry,
        limit=limit,
        after=after,
        **question.options(services),
    )
    return {"facts": [fact_json(fact) for fact in page.facts], "next": page.next}


def story(services: Services, fact_id: str, question: FactQuestion) -> dict[str, Any]:
    """One fact with its messages, decisions and neighbours in time."""
    from memory.fact_story import story_json, tell

    told = tell(
        services.database, services.space_id, services.registry, fact_id, **question.reading(services)
    )
    return story_json(told)


def author(services: Services, name: str | None) -> Person:
    """Who states a fact by hand: the person of that name, else the keeper of the settings."""
    from memory.statements import checked_name, keeper

    if name is not None:
        return services.person(checked_name(name))
    return keeper(services.database, services.space_id, services.settings.keeper, clock=services.clock)


def state(services: Services, said: Statement, by: str | None) -> dict[str, Any]:
    from memory import statements

    where = services.database, services.space_id, services.registry
    stated = statements.state(
        *where, said, by=author(services, by), prepare=services.prepare, clock=services.clock
    )
    return _answer(services, stated)


def correct(services: Services, fact_id: str, value: str, by: str | None) -> dict[str, Any]:
    from memory import statements

    where = services.database, services.space_id, services.registry
    stated = statements.correct(*where, fact_id, value, by=author(services, by), clock=services.clock)
    return _answer(services, stated)


def end(services: Services, fact_id: str, on: datetime | None, by: str | None) -> dict[str, Any]:
    from memory import statements

    where = services.database, services.space_id, services.registry
    stated = statements.end(*where, fact_id, on, by=author(services, by), clock=services.clock)
    return _answer(services, stated)


def retract(services: Services, fact_id: str, by: str | None) -> dict[str, Any]:
    from memory import statements

    where = services.database, services.space_id, services.registry
    stated = statements.retract(*where, fact_id, by=author(services, by), clock=services.clock)
    return _answer(services, stated)


def undo(services: Services, decision_id: str) -> dict[str, Any]:
    """Undo a decision; what its fact came to."""
    from memory.decisions import undo as undo_decision

    undo_decision(services.database, services.space_id, decision_id, services.registry, clock=services.clock)
    return {"decision": decision_id, "undone": True}


def decisions(services: Services, fact_id: str | None, limit: int) -> list[dict[str, Any]]:
    """Decisions about one fact, or all of them; the newest last."""
    from memory.decisions import list_decisions
    from memory.fact_story import decision_json, tell

    where = services.database, services.space_id
    if fact_id is None:
        return [decision_json(row) for row in list_decisions(*where, limit=limit)]
    told = tell(*where, services.registry, fact_id, clock=services.clock)
    return [decision_json(row) for row in told.decisions[-limit:]]


def newest_decisions(services: Services, limit: int, before: str | None) -> list[dict[str, Any]]:
    """At most so many, the newest first; those made before that one where asked. Raises UnknownDecision."""
    from memory.decisions import list_decisions
    from memory.fact_story import decision_json

    where = services.database, services.space_id
    found = list_decisions(*where, limit=limit, before=before)
    return [decision_json(row) for row in reversed(found)]


def predicates(registry: Registry) -> Sequence[dict[str, Any]]:
    from memory.registry import predicate_json

    return [predicate_json(registry.get(name)) for name in sorted(registry.names())]


def _answer(services: Services, stated: Stated) -> dict[str, Any]:
    """The fact as it now stands, the decision by which it can be undone, and what it superseded."""
    from memory.fact_story import tell

    told = tell(services.database, services.space_id, services.registry, stated.fact_id, clock=services.clock)
    return {
        "fact": fact_json(told.fact),
        "decision": stated.decision_id,
        "kind": stated.kind,
        "supersedes": [fact_json(other) for other in told.supersedes],
    }
