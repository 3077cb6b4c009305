"""Who is whose: relations as edges between people, derived from facts at reading, and phrases that follow them.

A fact whose predicate takes a person is an edge from its subject to its object, for as long as the fact holds, and
by the registry's inverse an edge back ("Ana has a brother Tom" makes Ana a sibling of Tom's, and his sister where a
fact tells that she is somebody's sister, mother or wife). Nothing is copied into the table of edges. A phrase
("my sister's husband", "Tomas's boss") resolves to the one person it can mean, and never by guessing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import names
from memory.errors import UnknownPerson
from memory.fact_views import HOLDING, Asked, Choice, read
from memory.people import find_node, find_person, get_person, load_people
from memory.perspective import visible_query
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.relation_words import RelationWord, gender, neutral, of_gender, relation_word
from memory.types import Fact, FactStatus, Person


@dataclass(frozen=True, slots=True)
class Relation:
    """`object` is `predicate` of `subject`: (Ana, brother, Tom). `is_inverse`: read from the object's own fact."""

    subject: Person
    predicate: str
    object: Person
    valid_from: datetime | None
    valid_to: datetime | None
    fact_id: str
    is_inverse: bool
    status: FactStatus = "current"


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The phrase can mean any of these."""

    people: tuple[Person, ...]


@lru_cache(maxsize=1)
def _shipped_registry() -> Registry:
    return Registry.load()


def relations(
    database: Database,
    space_id: str,
    *,
    person_id: str | None = None,
    as_of: datetime | None = None,
    known_to: str | None = None,
    registry: Registry | None = None,
    statuses: Collection[FactStatus] = HOLDING,
    clock: Clock = utc_now,
) -> list[Relation]:
    """Relations of a person (or of everybody) that hold now or held at `as_of`, as `known_to` could know.

    Ordered by subject, predicate, object. Where a relation is told from both sides, the person's own fact counts.
    """
    asked = Asked(registry or _shipped_registry(), as_of, known_to, None, clock)
    with database.reading() as session:
        return relations_within(session, space_id, asked, person_id=person_id, statuses=statuses)


def relations_within(
    session: Session,
    space_id: str,
    asked: Asked,
    *,
    person_id: str | None,
    statuses: Collection[FactStatus] = HOLDING,
) -> list[Relation]:
    """`relations` within a reading."""
    registry = asked.registry
    takes_person = [name for name in registry.names() if registry.get(name).object == "person"]
    choice = Choice(statuses, takes_person)
    facts: list[Fact] = []
    for subjects in _subjects(session, space_id, person_id, takes_person):
        facts += read(session, space_id, asked, subjects, takes_person).chosen(choice, registry)
    ends, people = _ends(session, space_id, facts)
    told = _genders(session, space_id, people, asked.as_of, asked.known_to)
    edges: dict[tuple[str, str, str], Relation] = {}
    for fact in facts:
        if fact.id not in ends:
            continue
        subject, other = (people[node_id] for node_id in ends[fact.id])
        for edge in _edges(fact, subject, other, registry, told):
            if person_id in (None, edge.subject.id):
                key = (edge.subject.id, neutral(edge.predicate), edge.object.id)
                if key not in edges or edges[key].is_inverse:
                    edges[key] = edge
    return sorted(edges.values(), key=_order)


def _subjects(
    session: Session, space_id: str, person_id: str | None, takes_person: Collection[str]
) -> list[tuple[str] | None]:
    """Whose facts are to be read, one by one: the person's own, and those of everybody who has a fact about them."""
    if person_id is None:
        return [None]
    query = select(tables.Fact.subject_id).where(
        tables.Fact.space_id == space_id,
        tables.Fact.object_id == person_id,
        tables.Fact.predicate.in_(takes_person),
    )
    telling = sorted(session.scalars(query.distinct()))
    return [(subject_id,) for subject_id in dict.fromkeys((person_id, *telling))]


def _ends(
    session: Session, space_id: str, facts: Iterable[Fact]
) -> tuple[dict[str, tuple[str, str]], dict[str, Person]]:
    """Subject and object of each fact between two people, and these people; an object without a node is sought by
    its whole name."""
    found = {}
    for fact in facts:
        object_id = fact.object_id or find_node(session, space_id, fact.object)
        if object_id is not None and object_id != fact.subject_id:
            found[fact.id] = (fact.subject_id, object_id)
    ids = sorted({node_id for pair in found.values() for node_id in pair})
    people = {person.id: person for person in load_people(session, ids)}
    between = {fact_id: pair for fact_id, pair in found.items() if people.keys() >= set(pair)}
    return between, people


def _genders(
    session: Session, space_id: str, ids: Iterable[str], as_of: datetime | None, known_to: str | None
) -> dict[str, str]:
    """What facts give away of these people's genders, as far as `known_to` could know; contradictions say nothing."""
    wanted, said = sorted(ids), defaultdict(set)
    for start in range(0, len(wanted), 500):
        query = select(tables.Fact.object_id, tables.Fact.predicate).where(
            tables.Fact.space_id == space_id,
            tables.Fact.object_id.in_(wanted[start : start + 500]),
            tables.Fact.state.in_(("candidate", "stored")),
            tables.Fact.retracted_at.is_(None),
        )
        if known_to is not None:
            visible = visible_query(space_id, known_to, as_of)
            query = query.join(tables.Evidence, tables.Evidence.fact_id == tables.Fact.id).where(
                tables.Evidence.episode_id.in_(visible)
            )
        for object_id, predicate in session.execute(query.distinct()):
            if object_id is not None and gender(predicate) is not None:
                said[object_id].add(gender(predicate))
    return {node_id: str(next(iter(found))) for node_id, found in said.items() if len(found) == 1}


def _edges(
    fact: Fact, subject: Person, other: Person, registry: Registry, genders: Mapping[str, str]
) -> Iterable[Relation]:
    span = (fact.valid_from, fact.valid_to, fact.id)
    yield Relation(subject, fact.predicate, other, *span, is_inverse=False, status=fact.status)
    inverse = registry.get(fact.predicate).inverse
    if inverse is not None:
        back = of_gender(inverse, genders.get(subject.id))
        yield Relation(other, back, subject, *span, is_inverse=True, status=fact.status)


def _order(relation: Relation) -> tuple[str, ...]:
    return (
        names.key(relation.subject.name),
        relation.predicate,
        names.key(relation.object.name),
        relation.fact_id,
    )


# References


def resolve_reference(
    database: Database,
    space_id: str,
    phrase: str,
    speaker_id: str,
    as_of: datetime | None = None,
    known_to: str | None = None,
    *,
    antecedent_id: str | None = None,
    registry: Registry | None = None,
    clock: Clock = utc_now,
) -> Person | Ambiguous | None:
    """The person that the phrase means when this speaker says it, by the facts that hold at `as_of`.

    "my sister", "mum", "Tomas's boss", "my sister's husband", "the mother of Ana". "her mother" needs the
    `antecedent_id` of who is meant by "her"; without it nobody is guessed. Ambiguous where several fit, None where
    nobody is known.
    """
    follow = _Follower(database, space_id, as_of, known_to, registry or _shipped_registry(), clock)
    text = " ".join(phrase.replace("’", "'").split()).strip(" .,!?")
    turned = re.fullmatch(r"(?:the )?(\S+(?: \S+)?) of (.+)", text, re.IGNORECASE)
    if turned and relation_word(turned[1]):
        text = f"{turned[2]}'s {turned[1]}"
    first, *rest = re.split(r"'s\s+|(?<=[sxz])'\s+", text)
    start = _start(follow, first, speaker_id, antecedent_id)
    for said in rest:
        if not isinstance(start, Person):
            break
        start = follow.step(start, said)
    return start if start is not None or not rest else follow.named(text)


def find_by_description(
    database: Database, space_id: str, text: str, registry: Registry, *, clock: Clock = utc_now
) -> Person | None:
    """Who "Ana's sister" is, said by nobody in particular; None where the text is no such phrase, or leads to nobody.

    Raises UnknownPerson with the names of those it can mean, where they are several.
    """
    described = names.described(names.clean(text))
    if described is None or relation_word(described[1]) is None:
        return None
    try:
        found = resolve_reference(database, space_id, text, "", registry=registry, clock=clock)
    except UnknownPerson:  # it sets out from "my" or "mum", and nobody speaks
        return None
    if isinstance(found, Ambiguous):
        raise UnknownPerson(names.clean(text), [person.name for person in found.people])
    return found


_POSSESSIVE = re.compile(r"(my|our|her|his|their)\s+(.+)", re.IGNORECASE)


def _start(
    follow: _Follower, said: str, speaker_id: str, antecedent_id: str | None
) -> Person | Ambiguous | None:
    """Whom the phrase sets out from: "my sister", "her mother", "mum", a name."""
    owned = _POSSESSIVE.fullmatch(said)
    if owned:
        owner_id = speaker_id if owned[1].lower() in ("my", "our") else antecedent_id
        return follow.step(follow.person(owner_id), owned[2]) if owner_id else None
    if said.lower() in ("i", "me", "myself"):
        return follow.person(speaker_id)
    found = follow.named(said)
    if found is None and relation_word(said):
        return follow.step(follow.person(speaker_id), said)
    return found


@dataclass(frozen=True, slots=True)
class _Follower:
    database: Database
    space_id: str
    as_of: datetime | None
    known_to: str | None
    registry: Registry
    clock: Clock

    def person(self, person_id: str) -> Person:
        return get_person(self.database, self.space_id, person_id)

    def named(self, name: str) -> Person | Ambiguous | None:
        try:
            return find_person(self.database, self.space_id, name)
        except UnknownPerson as error:
            first = names.first(name)
            sharing = [one for one in error.nearest if names.first(one) == first and names.key(name) == first]
            people = tuple(find_person(self.database, self.space_id, one) for one in sharing)
            return Ambiguous(people) if len(people) > 1 else None

    def step(self, owner: Person, said: str) -> Person | Ambiguous | None:
        """Who is that to the owner: by a fact, over others, or under a name that only says who is meant."""
        word = relation_word(said)
        if word is None:
            return None
        found = self._related([owner], word)
        for path in word.paths if not found and not word.is_past else ():
            found |= self._along(owner, path)
        if not found:
            return self._described(owner, word)
        people = sorted(found.values(), key=lambda person: names.key(person.name))
        return people[0] if len(people) == 1 else Ambiguous(tuple(people))

    def _along(self, owner: Person, path: Iterable[str]) -> dict[str, Person]:
        people = {owner.id: owner}
        for said in path:
            word = relation_word(said)
            people = self._related(people.values(), word) if word else {}
        people.pop(owner.id, None)
        return people

    def _related(self, owners: Iterable[Person], word: RelationWord) -> dict[str, Person]:
        """Who fits the word; under a name of their own rather than one that only says who is meant."""
        fitting = word.predicates | word.broader
        statuses: tuple[FactStatus, ...] = ("past",) if word.is_past else HOLDING
        found = {
            edge.object.id: edge.object
            for owner in owners
            for edge in relations(
                self.database,
                self.space_id,
                person_id=owner.id,
                as_of=self.as_of,
                known_to=self.known_to,
                registry=self.registry,
                statuses=statuses,
                clock=self.clock,
            )
            if edge.predicate in fitting
        }
        named = {key: person for key, person in found.items() if names.described(person.name) is None}
        return named or found

    def _described(self, owner: Person, word: RelationWord) -> Person | None:
        """The node that stands for "Ines's sister" as long as nobody has told her name."""
        if self.known_to is not None or word.is_past:
            return None
        with self.database.reading() as session:
            for predicate in sorted(word.predicates):
                for name in (owner.name, *owner.aliases):
                    node_id = find_node(session, self.space_id, f"{name}'s {predicate}")
                    if node_id is not None:
                        return load_people(session, [node_id])[0]
        return None
