"""Other people who come up in a conversation, explained to the persona from what the persona can know of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agents.turns import Persona
from db.engine import Database
from memory.facts import list_facts
from memory.index import Index
from memory.people import get_person
from memory.ports import Clock
from memory.registry import Registry
from memory.sensitive import kinds_of_fact
from memory.types import Fact, Person
from memory.wordings import Wordings
from simulator.knowing import UNDISPUTED, gives_orders
from simulator.persona import own_words

MOST_PEOPLE = 2
MOST_FACTS = 2  # of each


@dataclass(frozen=True, slots=True)
class Mentioned:
    """Somebody who came up, and facts about them that the persona can know: how they are related first."""

    person: Person
    facts: tuple[Fact, ...]


def mentioned(
    database: Database,
    space_id: str,
    index: Index,
    registry: Registry,
    texts: Iterable[str],
    *,
    known_to: str,
    present: Sequence[str],
    clock: Clock,
) -> list[Mentioned]:
    """People named in the texts, the latest text first; not those who are `present` (ids), nor ambiguous first names."""
    ids: dict[str, None] = {}
    for text in texts:
        for mention in index.understand(text).mentions:
            if len(mention.node_ids) == 1 and index.gazetteer.kind.get(mention.node_ids[0]) == "person":
                ids.setdefault(mention.node_ids[0])
    found = []
    for person_id in [one for one in ids if one not in present][:MOST_PEOPLE]:
        facts = _facts(database, space_id, registry, person_id, known_to, clock)
        if facts:
            found.append(Mentioned(get_person(database, space_id, person_id), facts))
    return found


def mention_notes(found: Sequence[Mentioned], persona: Persona, wordings: Wordings) -> list[str]:
    """A note for each: who they are, as the persona would say it."""
    return [" ".join(own_words(fact, persona, wordings) for fact in one.facts) for one in found]


def _facts(
    database: Database, space_id: str, registry: Registry, person_id: str, known_to: str, clock: Clock
) -> tuple[Fact, ...]:
    """What links them to the persona before what else is known of them, the most salient first; nothing sensitive,
    and nothing that gives orders to machines."""
    about_them = list_facts(database, space_id, registry, person_id=person_id, known_to=known_to, clock=clock)
    own = list_facts(database, space_id, registry, person_id=known_to, known_to=known_to, clock=clock)
    links = [fact for fact in own if fact.object_id == person_id]
    links += [fact for fact in about_them if fact.object_id == known_to]
    others = [fact for fact in about_them if fact.object_id != known_to]
    others.sort(key=lambda fact: (-(fact.salience or 0.0), fact.predicate, fact.id))
    usable = [
        fact
        for fact in (*links[:1], *others)
        if fact.status in UNDISPUTED and not kinds_of_fact(fact) and not gives_orders(fact)
    ]
    return tuple(usable[:MOST_FACTS])
