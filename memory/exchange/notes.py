"""What other memory programs keep - things, notes about them, relations between them - brought into the graph.

Nobody said a note: it is a message under a node of kind "notebook", which is no person, in one conversation for
each thing that notes are about. Only where notes came from talking with that very person did the person take part in
it; else nobody is taken to know what they say. Relations become facts at once, each resting on a note of its own. A
note is known by its program, the thing, its id there and its words, so that a second import adds only what is new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import names
from memory.candidates import add_candidates
from memory.episodes import add_participants, ensure_conversation
from memory.exchange import relations
from memory.exchange.dump import Progress, silent
from memory.facts import list_facts, sentence
from memory.people import add_alias, get_or_create_node
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.types import Fact, FactCandidate, ImportReport

NOTES, NOTEBOOK = "notes", "notebook"  # name and kind of the node under which they stand
PERSON = "person"
_SURE = 0.9  # confidence of what another program states outright


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that notes are about. `type_` is the program's word where it says more than our kind."""

    name: str
    kind: str = "thing"
    alias: str = ""
    type_: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    about: str  # the thing's name; "" for nobody in particular
    text: str
    id: str = ""
    time: datetime | None = None
    updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    subject: str
    relation: str
    object: str
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notebook:
    """A file of another memory program. `tellers` are names of people who told it what is noted about them."""

    kind: str  # mcp-memory | mem0
    things: tuple[Thing, ...]
    notes: tuple[Note, ...]
    relations: tuple[Relation, ...]
    tellers: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()  # what was understood or passed over; holds nobody's words

    def with_remarks(self, more: tuple[str, ...]) -> Notebook:
        return replace(self, remarks=self.remarks + more)

    @property
    def n_notes(self) -> int:
        """How many notes the graph will hold: those of the file, and one for each relation and each type."""
        return len(self.notes) + len(self.relations) + sum(bool(thing.type_) for thing in self.things)

    @property
    def people(self) -> tuple[str, ...]:
        return tuple(thing.name for thing in self.things if thing.kind == PERSON)


def conversation_name(kind: str, about: str) -> str:
    return f"{kind} notes on {about}"[:255] if about else f"{kind} notes"


def written(about: str, text: str) -> str:
    """The note as a message: led by the name of what it is about, unless it begins with it."""
    return text if not about or begins_with(text, about) else f"{about}: {text}"


def begins_with(text: str, name: str) -> bool:
    """Whether the text begins with the name, however both are written."""
    return names.key(text[: 4 * names.MAX_LENGTH]).startswith(names.key(name))


def relation_rule(kind: str) -> str:
    return f"{kind} relation"


def type_rule(kind: str) -> str:
    return f"{kind} type"


# facts that were made of relations and types at once; their notes are not read for more
OUTRIGHT = frozenset(rule(kind) for kind in ("mcp-memory", "mem0") for rule in (relation_rule, type_rule))


def import_notebook(
    database: Database,
    space_id: str,
    notebook: Notebook,
    registry: Registry,
    *,
    raw: bytes,
    name: str,
    clock: Clock = utc_now,
    progress: Progress = silent,
) -> tuple[ImportReport, int]:
    """Store the notebook in one transaction; the report, and how many facts its relations made.

    The notes themselves are read afterwards, as any message is.
    """
    digest = hashlib.sha256(raw).hexdigest()
    held = _Held.of(list_facts(database, space_id, registry, clock=clock))
    with database.transaction() as session:
        known = session.scalar(
            select(tables.Source.id).where(tables.Source.space_id == space_id, tables.Source.sha256 == digest)
        )
        if known is not None:
            return _report(known, notebook, remarks=("this very file was imported before",)), 0
        source = tables.Source(
            space_id=space_id, kind=notebook.kind, name=name, sha256=digest, created_at=clock()
        )
        session.add(source)
        session.flush()
        writer = _Writer(session, space_id, source.id, notebook, registry, held, clock(), progress)
        writer.run()
    return _report(source.id, notebook, writer.times), writer.n_facts


@dataclass(frozen=True, slots=True)
class _Held:
    """What holds already, as an export for another program words it: its way back must not count as a second voice."""

    # names as their keys
    sentences: frozenset[tuple[str, str]]  # subject, sentence
    relations: frozenset[tuple[str, str, str]]  # subject, predicate, object

    @classmethod
    def of(cls, facts: Sequence[Fact]) -> _Held:
        return cls(
            frozenset((names.key(fact.subject), sentence(fact)) for fact in facts),
            frozenset((names.key(fact.subject), fact.predicate, names.key(fact.object)) for fact in facts),
        )


@dataclass(slots=True)
class _Writer:
    session: Session
    space_id: str
    source_id: str
    notebook: Notebook
    registry: Registry
    held: _Held
    now: datetime
    progress: Progress
    n_facts: int = 0
    times: list[datetime] = field(default_factory=list)  # of the notes that were new
    things: dict[str, tuple[Thing, str]] = field(default_factory=dict)  # name's key -> thing, its node
    keys: dict[str, dict[str, str]] = field(default_factory=dict)  # conversation -> key of a note -> episode
    told: dict[str, set[str]] = field(default_factory=dict)  # conversation -> first halves of those keys
    notes_id: str = ""

    def run(self) -> None:
        self.notes_id = self._node(NOTES, NOTEBOOK)
        for thing in self.notebook.things:
            node_id = self._node(thing.name, thing.kind)
            if thing.alias:
                add_alias(self.session, self.space_id, node_id, thing.alias)
            self.things[names.key(thing.name)] = (thing, node_id)
        n_total = self.notebook.n_notes
        for done, note in enumerate(self.notebook.notes, start=1):
            if (names.key(note.about), note.text) not in self.held.sentences:
                self._write(note)
            if done % 500 == 0:
                self.progress(done, n_total, f"{len(self.times)} new")
        candidates = [*self._types(), *(self._relation(relation) for relation in self.notebook.relations)]
        self.progress(n_total, n_total, f"{len(self.times)} new")
        wanted = [candidate for candidate in candidates if candidate is not None]
        self.n_facts = len(
            add_candidates(self.session, self.space_id, wanted, self.registry, clock=lambda: self.now)
        )

    def _node(self, name: str, kind: str) -> str:
        return get_or_create_node(self.session, self.space_id, name, kind, clock=lambda: self.now)

    def _kind_of_object(self, predicate: str) -> str:
        known = self.registry.get(predicate)
        if known.is_known and known.object in (PERSON, "place", "organisation"):
            return known.object
        return "place" if predicate.endswith("_in") else "thing"

    def _thing(self, name: str, likely: str) -> Thing:
        """The thing of that name. One that the file does not describe is what the graph knows it as, else `likely`."""
        wanted = names.key(name)
        if wanted not in self.things:
            kinds = self.session.scalars(
                select(tables.Node.kind)
                .outerjoin(tables.Alias, tables.Alias.node_id == tables.Node.id)
                .where(
                    tables.Node.space_id == self.space_id,
                    (tables.Node.name_key == wanted) | (tables.Alias.name_key == wanted),
                )
                .order_by(tables.Node.kind != PERSON, tables.Node.created_at)
            ).all()
            thing = Thing(name, kinds[0] if kinds else likely)
            self.things[wanted] = (thing, self._node(name, thing.kind))
        return self.things[wanted][0]

    def _types(self) -> list[FactCandidate]:
        """What kind of thing it is, where the program has a word of its own for it."""
        found = []
        for thing, _ in self.things.values():
            if thing.type_:
                episode_id = self._write(Note(thing.name, f"is a {thing.type_}"))
                found.append(
                    FactCandidate(
                        subject=thing.name,
                        predicate="is_a",
                        object=thing.type_,
                        episode_ids=(episode_id,),
                        asserted_by="",
                        confidence=_SURE,
                        rule=type_rule(self.notebook.kind),
                        subject_kind=thing.kind,
                    )
                )
        return found

    def _relation(self, relation: Relation) -> FactCandidate | None:
        """The note is kept in any case; a relation of a thing to itself says nothing that could be a fact."""
        predicate, is_turned = relations.predicate(relation.relation, self.registry)
        subject_name, object_name = relation.subject, relation.object
        if is_turned:
            subject_name, object_name = object_name, subject_name
        if (names.key(subject_name), predicate, names.key(object_name)) in self.held.relations:
            return None
        said = f"{relations.words(relation.relation)} {relation.object}"
        episode_id = self._write(Note(relation.subject, said, time=relation.time))
        subject = self._thing(subject_name, PERSON if self.registry.get(predicate).is_known else "thing")
        object_ = self._thing(object_name, self._kind_of_object(predicate))
        if subject == object_ or not predicate:
            return None
        return FactCandidate(
            subject=subject.name,
            predicate=predicate,
            object=object_.name,
            episode_ids=(episode_id,),
            asserted_by="",
            confidence=_SURE,
            rule=relation_rule(self.notebook.kind),
            subject_kind=subject.kind,
            object_kind=object_.kind,
        )

    def _write(self, note: Note) -> str:
        """The id of the note's episode, made if it is not there. A known id with other words is an update."""
        conversation_id = self._conversation(note.about)
        first, second = _half(conversation_id, note.id), _half(note.text)
        known, ids = self.keys[conversation_id], self.told[conversation_id]
        if first + second in known:
            return known[first + second]
        is_update = bool(note.id) and first in ids
        time = (note.updated or self.now) if is_update else (note.time or self.now)
        episode_id = tables.new_id()
        row = {
            "id": episode_id,
            "space_id": self.space_id,
            "source_id": self.source_id,
            "conversation_id": conversation_id,
            "position": len(self.times),
            "speaker_id": self.notes_id,
            "time": time,
            "text": written(note.about, note.text),
            "key": first + second,
        }
        self.session.connection().execute(insert(tables.Episode), [row])
        known[first + second] = episode_id
        ids.add(first)
        self.times.append(time)
        return episode_id

    def _conversation(self, about: str) -> str:
        conversation_id = ensure_conversation(
            self.session, self.space_id, conversation_name(self.notebook.kind, about)
        )
        if conversation_id not in self.keys:
            rows = self.session.execute(
                select(tables.Episode.key, tables.Episode.id).where(
                    tables.Episode.conversation_id == conversation_id
                )
            )
            self.keys[conversation_id] = {row.key: row.id for row in rows}
            self.told[conversation_id] = {key[:32] for key in self.keys[conversation_id]}
            if about in self.notebook.tellers:
                _, node_id = self.things[names.key(about)]
                add_participants(self.session, self.space_id, conversation_id, {node_id})
        return conversation_id


def _half(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def _report(
    source_id: str,
    notebook: Notebook,
    times: Sequence[datetime] = (),
    remarks: tuple[str, ...] = (),
) -> ImportReport:
    said = [time.astimezone(UTC) for time in times]
    return ImportReport(
        source_id=source_id,
        kind=notebook.kind,
        conversation=f"notes on {len(notebook.things)} things",
        n_messages=notebook.n_notes,
        n_new=len(times),
        n_system=0,
        people=notebook.people,
        first=min(said, default=None),
        last=max(said, default=None),
        notes=notebook.remarks + remarks,
    )
