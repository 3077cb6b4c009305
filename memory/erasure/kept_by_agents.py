"""What an erasure takes of the entities that agents keep (memory.entities).

An entity goes with the node that it is about. It goes with its notes - of its type, its observations, the relations at
its name - where the file or channel that they came by goes, or the note of its type, and nothing of it is said by a
note that stays. One of which a note stays is kept; where the note of its type goes, it loses the type.

Observations and relations go with their notes, as rows of the plan. Those that had no note, as they were a fact of ours
on its way back, go when no fact says them any more. An entity without a note goes with the file or channel that it came
by, or with its node; one of which that was not known, with the last source of such notes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db import tables
from memory import names
from memory.erasure.chunks import chunked
from memory.exchange import relations
from memory.exchange.mcp_memory import KIND, thing_of
from memory.fact_rows import ACCEPTED
from memory.facts import sentence_of
from memory.registry import Registry

if TYPE_CHECKING:
    from memory.erasure.reach import Reach

UNTYPED = "thing"  # the type of an entity whose own was erased


def find(session: Session, space_id: str, reach: Reach) -> None:
    """Add to the reach the entities that go and their names, and what goes or changes of those that stay."""
    kept = _Kept.of(session, space_id)
    if not kept.entities and not kept.relations:
        return
    said = _Said.of(session, space_id, reach.facts)
    reach.observations = {row.id for row in kept.observations if said.by_observation(row)}
    reach.relations = {row.id for row in kept.relations if said.by_relation(row, kept.types)}
    held = _held(kept, reach)
    about = {row.id for row in kept.entities if row.node_id in reach.nodes}
    untyped = {row.id for row in kept.entities if row.episode_id in reach.unsaid}
    losing = untyped
    if _is_of_agents(session, reach):
        brought = {row.id for row in kept.entities if row.source_id == reach.target.id}
        is_last = not _is_other(session, space_id, reach)
        losing = {row.id for row in kept.entities} if is_last else held.losing | brought
    reach.entities = about | (losing - held.staying)
    reach.entity_names = {row.name for row in kept.entities if row.id in reach.entities}
    reach.untyped = untyped - reach.entities
    reach.bare = held.restating - held.staying - held.losing - held.unnoted - reach.entities


def take_bare(session: Session, reach: Reach) -> None:
    """Let the entities go of which nothing is left, nor of their nodes."""
    entity = tables.MemoryEntity
    for part in chunked(entity.id, reach.bare):
        for row in session.execute(select(entity.id, entity.name, entity.node_id).where(part)):
            if row.node_id in reach.nodes:
                reach.entities.add(row.id)
                reach.entity_names.add(row.name)


def untype(session: Session, reach: Reach) -> None:
    """Take the type from the entities that stay without one, and the source that goes. Call it before the rows are deleted."""
    entity = tables.MemoryEntity
    for part in chunked(entity.source_id, reach.sources):
        session.execute(update(entity).where(part).values(source_id=None))
    for part in chunked(tables.MemoryEntity.id, reach.untyped):
        changed = update(tables.MemoryEntity).where(part)
        session.execute(changed.values(entity_type=UNTYPED, episode_id=None))


@dataclass(frozen=True, slots=True)
class _Kept:
    """Rows of what agents keep in a space; observations with the name and type of their entity."""

    entities: Sequence[Any]
    observations: Sequence[Any]
    relations: Sequence[Any]

    @classmethod
    def of(cls, session: Session, space_id: str) -> _Kept:
        entity, noted, relation = tables.MemoryEntity, tables.MemoryObservation, tables.MemoryRelation
        of_entity = (
            entity.id,
            entity.name,
            entity.entity_type,
            entity.node_id,
            entity.episode_id,
            entity.source_id,
        )
        of_note = noted.id, noted.entity_id, noted.episode_id, noted.text, entity.name, entity.entity_type
        of_both = relation.id, relation.source, relation.target, relation.relation_type, relation.episode_id
        notes = select(*of_note).join(entity, entity.id == noted.entity_id)
        return cls(
            session.execute(select(*of_entity).where(entity.space_id == space_id)).all(),
            session.execute(notes.where(noted.space_id == space_id)).all(),
            session.execute(select(*of_both).where(relation.space_id == space_id)).all(),
        )

    @property
    def types(self) -> dict[str, str]:
        """By name, the type of an entity."""
        return {row.name: row.entity_type for row in reversed(self.entities)}

    def notes(self) -> Iterator[tuple[str, str, str | None]]:
        """Of each row: its id, the id of an entity that it is of, and its note."""
        named = defaultdict(list)
        for row in self.entities:
            named[row.name].append(row.id)
            if row.episode_id is not None:
                yield row.id, row.id, row.episode_id
        for row in self.observations:
            yield row.id, row.entity_id, row.episode_id
        for row in self.relations:
            for entity_id in {*named[row.source], *named[row.target]}:
                yield row.id, entity_id, row.episode_id


@dataclass(frozen=True, slots=True)
class _Held:
    """Entities by what becomes of what is kept of them."""

    staying: set[str] = field(default_factory=set)  # a note of them stays
    losing: set[str] = field(default_factory=set)  # a note of them goes
    restating: set[str] = field(default_factory=set)  # what goes of them had no note
    unnoted: set[str] = field(default_factory=set)  # what stays of them has none


def _held(kept: _Kept, reach: Reach) -> _Held:
    held, gone = _Held(), reach.observations | reach.relations
    for row_id, entity_id, episode_id in kept.notes():
        if episode_id is not None:
            (held.losing if episode_id in reach.unsaid else held.staying).add(entity_id)
        else:
            (held.restating if row_id in gone else held.unnoted).add(entity_id)
    return held


@dataclass(frozen=True, slots=True)
class _Said:
    """What erased facts said that no other fact says, as rows without a note word it; names as their keys."""

    sentences: frozenset[tuple[str, str]] = frozenset()  # subject, sentence
    triples: frozenset[tuple[str, str, str]] = frozenset()  # subject, predicate, object
    registry: Registry | None = None

    @classmethod
    def of(cls, session: Session, space_id: str, fact_ids: Collection[str]) -> _Said:
        rows = _said_by_no_other(session, space_id, fact_ids)
        called = _called(session, {row.subject_id for row in rows} | {row.object_id for row in rows})
        sentences, triples = set(), set()
        for row in rows:
            values = {row.object, *called.get(row.object_id, ())}
            for subject in called[row.subject_id]:
                key = names.key(subject)
                sentences |= {(key, sentence_of(subject, row.predicate, value)) for value in values}
                triples |= {(key, row.predicate, names.key(value)) for value in values}
        return cls(frozenset(sentences), frozenset(triples), Registry.load() if triples else None)

    def by_observation(self, row: Any) -> bool:
        if row.episode_id is not None or not self.sentences:
            return False
        return (names.key(thing_of(row.name, row.entity_type).name), row.text.strip()) in self.sentences

    def by_relation(self, row: Any, types: dict[str, str]) -> bool:
        if row.episode_id is not None or self.registry is None:
            return False
        ends = [
            names.key(thing_of(name, types[name]).name if name in types else names.clean(name))
            for name in (row.source, row.target)
        ]
        predicate, is_turned = relations.predicate(row.relation_type, self.registry)
        source, target = reversed(ends) if is_turned else ends
        return (source, predicate, target) in self.triples


def _said_by_no_other(session: Session, space_id: str, fact_ids: Collection[str]) -> list[Any]:
    """The facts but those that say what an accepted fact that stays says as well."""
    fact = tables.Fact
    columns = fact.id, fact.subject_id, fact.predicate, fact.object, fact.object_key, fact.object_id
    rows = [
        row for part in chunked(fact.id, fact_ids) for row in session.execute(select(*columns).where(part))
    ]
    stays = select(*columns).where(fact.space_id == space_id, fact.state.in_(ACCEPTED))
    left = {
        (row.subject_id, row.predicate, row.object_key)
        for part in chunked(fact.subject_id, {row.subject_id for row in rows})
        for row in session.execute(stays.where(part))
        if row.id not in fact_ids
    }
    return [row for row in rows if (row.subject_id, row.predicate, row.object_key) not in left]


def _called(session: Session, node_ids: Collection[str | None]) -> dict[str, set[str]]:
    """By node, every name that it goes by."""
    called: dict[str, set[str]] = defaultdict(set)
    wanted = {node_id for node_id in node_ids if node_id is not None}
    for key, name in ((tables.Node.id, tables.Node.name), (tables.Alias.node_id, tables.Alias.name)):
        for part in chunked(key, wanted):
            for node_id, said in session.execute(select(key, name).where(part)):
                called[node_id].add(said)
    return called


def _is_of_agents(session: Session, reach: Reach) -> bool:
    """Whether a source of such notes is to be erased."""
    return reach.target.kind == "source" and session.get_one(tables.Source, reach.target.id).kind == KIND


def _is_other(session: Session, space_id: str, reach: Reach) -> bool:
    """Whether another source of such notes stays."""
    source = tables.Source
    others = select(source.id).where(source.space_id == space_id, source.kind == KIND)
    return any(source_id not in reach.sources for source_id in session.scalars(others))
