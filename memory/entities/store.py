"""Change and read what agents keep: the operations of the MCP memory server, on rows and notes of a space.

Each operation is one transaction, or part of one. What is taken back here is taken back in the graph as a message that
was deleted in a chat: its words are no evidence any more and are read by nobody; that they are gone is for an erasure to say.
"""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import names
from memory.entities.graph import Entity, Graph, Observation, Part, Relation
from memory.episodes import next_position
from memory.errors import UnknownEntity
from memory.exchange.mcp_memory import KIND, thing_of
from memory.exchange.notes import Held, Note, NoteWriter
from memory.exchange.notes import Relation as NotedRelation
from memory.fact_rows import chunks
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.rewording import Rewriter, Words

SOURCE_NAME = "MCP memory"


@dataclass(frozen=True, slots=True)
class NewEntity:
    name: str
    entity_type: str
    observations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewRelation:
    source: str
    target: str
    relation_type: str


Observed = tuple[str, tuple[str, ...]]  # an entity's name, and texts about it


_VERSION = select(tables.MemoryGraph.version).where(tables.MemoryGraph.space_id == bindparam("space"))


class EntityStore:
    """The entities of one space. Safe for threads, and for other processes that write the same space."""

    def __init__(
        self, database: Database, space_id: str, registry: Registry, *, clock: Clock = utc_now
    ) -> None:
        self._database, self._space_id = database, space_id
        self._registry, self._clock = registry, clock
        self._lock = threading.RLock()
        self._graph = Graph()

    def look(self, find: Callable[[Graph], Part]) -> Part:
        """What `find` takes from the present state."""
        with self._lock:
            if self._database.value(_VERSION, {"space": self._space_id}) != self._graph.version:
                with self._database.reading() as session:
                    self._current(session)
            return find(self._graph)

    def create_entities(self, given: Sequence[NewEntity]) -> list[Entity]:
        """Those whose names no entity had before the call, in their order."""
        with self._changing() as change:
            known = set(change.graph.places)
            return [change.add_entity(item) for item in given if item.name not in known]

    def create_relations(self, given: Sequence[NewRelation]) -> list[Relation]:
        """Those that were not there before the call, in their order."""
        with self._changing() as change:
            return change.relate(given)

    def take_in(
        self,
        entities: Sequence[NewEntity],
        relations: Sequence[NewRelation],
        *,
        held: Held | None = None,
        within: Session | None = None,
    ) -> tuple[int, int]:
        """Add all that is new; how many entities and relations are.

        Entities that are known get the observations that they lack. With `within` it is part of that transaction: where
        that is taken back, this store is not to be used again.
        """
        with self._changing(held, within) as change:
            known = set(change.graph.places)
            new = [change.add_entity(item) for item in entities if item.name not in known]
            for item in entities:
                if item.name in known:
                    change.observe(item.name, item.observations)
            return len(new), len(change.relate(relations))

    def add_observations(self, given: Sequence[Observed]) -> list[Observed]:
        """By entity, the texts that it did not have. Raises UnknownEntity, and then nothing is added."""
        with self._changing() as change:
            return [(name, change.observe(name, texts)) for name, texts in given]

    def delete_entities(self, given: Collection[str]) -> None:
        """With every relation at one of them; names of nothing are passed over."""
        wanted = set(given)
        with self._changing() as change:
            change.drop_entities([entity for entity in change.graph.entities if entity.name in wanted])
            change.drop_relations(
                [item for item in change.graph.relations if wanted & {item.source, item.target}]
            )

    def delete_observations(self, given: Sequence[Observed]) -> None:
        with self._changing() as change:
            for name, texts in given:
                change.unobserve(name, texts)

    def delete_relations(self, given: Sequence[NewRelation]) -> None:
        wanted = {(item.source, item.target, item.relation_type) for item in given}
        with self._changing() as change:
            change.drop_relations([item for item in change.graph.relations if item.triple in wanted])

    def _current(self, session: Session) -> Graph:
        version = session.scalar(_VERSION, {"space": self._space_id})
        if version != self._graph.version:
            self._graph = _load(session, self._space_id, version)
        return self._graph

    @contextmanager
    def _changing(self, held: Held | None = None, within: Session | None = None) -> Iterator[_Change]:
        with self._lock:
            try:
                with self._database.transaction() if within is None else nullcontext(within) as session:
                    graph = self._current(session)
                    change = _Change(
                        session, self._space_id, self._registry, self._clock, graph, held or Held()
                    )
                    yield change
                    version = change.finish()
                graph.version = version
            except BaseException:
                self._graph = Graph()  # what is in memory may be half of it
                raise


class _Change:
    """One change of a graph, within a transaction: rows, notes and what is in memory."""

    def __init__(
        self, session: Session, space_id: str, registry: Registry, clock: Clock, graph: Graph, held: Held
    ) -> None:
        self.session, self.space_id, self.graph = session, space_id, graph
        self._registry, self._clock, self._held = registry, clock, held
        self._notes: NoteWriter | None = None
        self._unsaid: set[str] = set()  # notes of what was taken back
        self._rows: dict[type[_Row], list[dict[str, object]]] = defaultdict(list)

    def add_entity(self, given: NewEntity) -> Entity:
        thing = thing_of(given.name, given.entity_type)
        node_id = self._writer.meet(thing) if thing.name else None
        type_note = self._writer.type(thing) if thing.name else None
        entity = Entity(tables.new_id(), given.name, given.entity_type, episode_id=type_note)
        self._insert(
            tables.MemoryEntity,
            id=entity.id,
            name=entity.name,
            entity_type=entity.entity_type,
            node_id=node_id,
            episode_id=type_note,
            source_id=self._held.source_id or self._source,
        )
        entity = self._observed(entity, given.observations)
        self.graph.add(entity)
        return entity

    def relate(self, given: Sequence[NewRelation]) -> list[Relation]:
        """Those that were not there before, in their order."""
        known = {relation.triple for relation in self.graph.relations}
        new = [item for item in given if (item.source, item.target, item.relation_type) not in known]
        return [self.add_relation(item) for item in new]

    def add_relation(self, given: NewRelation) -> Relation:
        ends = [self._shown(name) for name in (given.source, given.target)]
        note = None
        if all(ends):
            note = self._writer.relation(NotedRelation(ends[0], given.relation_type, ends[1]))
        relation = Relation(tables.new_id(), given.source, given.target, given.relation_type, note)
        self._insert(
            tables.MemoryRelation,
            id=relation.id,
            source=relation.source,
            target=relation.target,
            relation_type=relation.relation_type,
            episode_id=note,
        )
        self.graph.relate(relation)
        return relation

    def observe(self, name: str, texts: tuple[str, ...]) -> tuple[str, ...]:
        place = self.graph.places.get(name)
        if place is None:
            raise UnknownEntity(name)
        entity = self.graph.entities[place]
        known = {item.text for item in entity.observations}
        new = tuple(text for text in texts if text not in known)
        self.graph.put(place, self._observed(entity, new))
        return new

    def unobserve(self, name: str, texts: Collection[str]) -> None:
        place = self.graph.places.get(name)
        if place is None:
            return
        entity = self.graph.entities[place]
        gone = [item for item in entity.observations if item.text in texts]
        self._delete(tables.MemoryObservation, [item.id for item in gone])
        self._unsaid |= {item.episode_id for item in gone if item.episode_id is not None}
        kept = tuple(item for item in entity.observations if item not in gone)
        self.graph.put(place, replace(entity, observations=kept))

    def drop_entities(self, gone: Sequence[Entity]) -> None:
        self._delete(tables.MemoryObservation, [item.id for entity in gone for item in entity.observations])
        self._delete(tables.MemoryEntity, [entity.id for entity in gone])
        self._unsaid |= set[str]().union(*(entity.episodes for entity in gone))
        self.graph.drop({entity.id for entity in gone})

    def drop_relations(self, gone: Sequence[Relation]) -> None:
        self._delete(tables.MemoryRelation, [relation.id for relation in gone])
        self._unsaid |= {item.episode_id for item in gone if item.episode_id is not None}
        self.graph.unrelate({relation.id for relation in gone})

    def finish(self) -> str:
        """Draw the consequences in the graph; the version of the new state."""
        if self._notes is not None:
            self._notes.finish()
        for mapped in (tables.MemoryEntity, tables.MemoryObservation, tables.MemoryRelation):
            if rows := self._rows[mapped]:
                self.session.connection().execute(insert(mapped), rows)
        self._take_back()
        version = tables.new_id()
        table = tables.MemoryGraph
        values = {"version": version}
        done = self.session.connection().execute(
            update(table).where(table.space_id == self.space_id).values(values)
        )
        if not done.rowcount:
            self.session.connection().execute(insert(table).values(space_id=self.space_id, **values))
        return version

    @property
    def _writer(self) -> NoteWriter:
        if self._notes is None:
            start = next_position(self.session, self._source)
            self._notes = NoteWriter(
                self.session,
                self.space_id,
                self._source,
                KIND,
                self._registry,
                self._clock(),
                self._held,
                start,
            )
        return self._notes

    @cached_property
    def _source(self) -> str:
        return _source(self.session, self.space_id, self._clock)

    def _shown(self, name: str) -> str:
        """The name under which the graph knows what is called so here; "" for a name that shows nothing."""
        place = self.graph.places.get(name)
        if place is None:
            return names.clean(name)
        thing = thing_of(name, self.graph.entities[place].entity_type)
        if thing.name:
            self._writer.meet(thing)
        return thing.name

    def _observed(self, entity: Entity, texts: Sequence[str]) -> Entity:
        thing = thing_of(entity.name, entity.entity_type)
        new = []
        for text in texts:
            words = text.strip()
            note = self._writer.note(Note(thing.name, words)) if words and thing.name else None
            new.append(Observation(tables.new_id(), text, note))
            self._insert(
                tables.MemoryObservation,
                id=new[-1].id,
                entity_id=entity.id,
                text=text,
                episode_id=note,
            )
        return replace(entity, observations=(*entity.observations, *new))

    def _insert(self, mapped: type[_Row], **values: object) -> None:
        row = {"space_id": self.space_id, "position": self.graph.n_places, **values}
        self._rows[mapped].append(row)
        self.graph.n_places += 1

    def _delete(self, mapped: type[_Row], ids: Sequence[str]) -> None:
        for part in chunks(ids):
            self.session.execute(delete(mapped).where(mapped.id.in_(part)))

    def _take_back(self) -> None:
        """Let the notes that nothing needs any more be deleted messages."""
        needed = {
            episode_id
            for mapped in (tables.MemoryEntity, tables.MemoryObservation, tables.MemoryRelation)
            for part in chunks(sorted(self._unsaid))
            for episode_id in self.session.scalars(
                select(mapped.episode_id).where(mapped.episode_id.in_(part))
            )
        }
        gone = sorted(self._unsaid - needed)
        if gone:
            rewriter = Rewriter(self.session, self.space_id, self._source, self._clock)
            for episode_id in gone:  # under another key, so that the same words can be noted again
                words = Words("", "deleted", is_edited=False, key=f"gone:{tables.new_id()}")
                rewriter.reword(episode_id, words)
            rewriter.finish(self._registry)


_Row = tables.MemoryEntity | tables.MemoryObservation | tables.MemoryRelation


def _source(session: Session, space_id: str, clock: Clock) -> str:
    """The live channel that notes of agents come by."""
    digest = hashlib.sha256(f"entities:{space_id}".encode()).hexdigest()
    table = tables.Source
    found = session.scalar(select(table.id).where(table.space_id == space_id, table.sha256 == digest))
    if found is not None:
        return found
    row = table(space_id=space_id, kind=KIND, name=SOURCE_NAME, sha256=digest, created_at=clock())
    session.add(row)
    session.flush()
    return row.id


def _load(session: Session, space_id: str, version: str | None) -> Graph:
    entity, noted, relation = tables.MemoryEntity, tables.MemoryObservation, tables.MemoryRelation
    about: dict[str, list[Observation]] = defaultdict(list)
    columns = noted.entity_id, noted.id, noted.text, noted.episode_id
    rows = session.execute(select(*columns).where(noted.space_id == space_id).order_by(noted.position))
    for entity_id, own_id, text, episode_id in rows:
        about[entity_id].append(Observation(own_id, text, episode_id))
    entities = [
        Entity(own_id, name, entity_type, tuple(about[own_id]), episode_id)
        for own_id, name, entity_type, episode_id in session.execute(
            select(entity.id, entity.name, entity.entity_type, entity.episode_id)
            .where(entity.space_id == space_id)
            .order_by(entity.position)
        )
    ]
    ends = relation.id, relation.source, relation.target, relation.relation_type, relation.episode_id
    between = select(*ends).where(relation.space_id == space_id).order_by(relation.position)
    relations = [
        Relation(own_id, source, target, relation_type, episode_id)
        for own_id, source, target, relation_type, episode_id in session.execute(between)
    ]
    highest = [
        session.scalar(select(func.max(mapped.position)).where(mapped.space_id == space_id))
        for mapped in (entity, noted, relation)
    ]
    return Graph(
        version, entities, relations, max((place + 1 for place in highest if place is not None), default=0)
    )
