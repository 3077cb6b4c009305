"""What both entrances do where a person looks at a fact and settles it: why, review, settle, pin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from memory.facts import fact_json
from service.entrances.fact import author
from service.wiring import Services

if TYPE_CHECKING:
    from memory.review import Verdict


def why(services: Services, fact_id: str) -> dict[str, Any]:
    """The fact's story, and what the night thought of it."""
    from consolidation.why import why as find_why
    from consolidation.why import why_json

    where = services.database, services.space_id, services.registry
    weights = services.settings.night.salience
    return why_json(find_why(*where, fact_id, weights=weights, clock=services.clock))


def waiting(services: Services, *, limit: int, after: str | None) -> dict[str, Any]:
    """A page of what waits for a person."""
    from memory.review import page_json
    from memory.review import waiting as find_waiting

    where = services.database, services.space_id, services.registry
    return page_json(find_waiting(*where, limit=limit, after=after, clock=services.clock))


def one_by_one(services: Services) -> Iterator[dict[str, Any]]:
    """What waits, each as it is when its turn comes."""
    from memory.review import item_json
    from memory.review import one_by_one as each_waiting

    where = services.database, services.space_id, services.registry
    return map(item_json, each_waiting(*where, clock=services.clock))


def settle(
    services: Services, fact_id: str, verdict: Verdict, value: str | None, by: str | None
) -> dict[str, Any]:
    """Settle a fact by hand; the fact that it came to, and the decisions by which it can be undone."""
    from memory.fact_story import tell
    from memory.review import settle as settle_fact

    where, person = (services.database, services.space_id, services.registry), author(services, by)
    done = settle_fact(*where, fact_id, verdict, value, by=person, clock=services.clock)
    told = tell(*where, done.fact_id, clock=services.clock)
    return {
        "fact": fact_json(told.fact),
        "kind": done.kind,
        "by": person.name,
        "decisions": list(done.decisions),
        "supersedes": [fact_json(other) for other in told.supersedes],
    }


def pin(services: Services, fact_id: str, by: str | None, *, is_pinned: bool) -> dict[str, Any]:
    """Pin a fact, or take the pin back."""
    from memory import pins

    where, person = (services.database, services.space_id, services.registry), author(services, by)
    act = pins.pin if is_pinned else pins.unpin
    done = act(*where, fact_id, by=person, clock=services.clock)
    return {"fact": done.fact_id, "pinned": done.is_pinned, "changed": done.is_new}
