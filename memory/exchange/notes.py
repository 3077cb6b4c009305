"""What other memory programs keep - things, notes about them, relations between them - brought into the graph.

Nobody said a note: it is a message under a node of kind "notebook", which is no person, in one conversation for
each thing that notes are about. Only where notes came from talking with that very person did the person take part in
it; else nobody is taken to know what they say. Relations become facts at once, each resting on a note of its own. A
note is known by its program, the thing, its id there and its words, so that a second import adds only what is new.
One in the words of a persona of the space is `simulated`: it is kept, and is evidence of nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
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
from memory.exchange.replies import Replies
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
    also: Callable[[Session, Held], object] = lambda session, held: None,
) -> tuple[ImportReport, int]:
    """Store the notebook in one transaction; the report, and how many facts its relations made.

    The notes themselves are read afterwards, as any message is. `progress` is told the end within the transaction, and
    `also` is done after it there; what either raises takes all of it back.
    """
    digest = hashlib.sha256(raw).hexdigest()
    held = Held.of(list_facts(database, space_id, registry, clock=clock))
    with database.transaction() as session:
        known = session.scalar(
            select(tables.Source.id).where(tables.Source.space_id == space_id, tables.Source.sha256 == digest)
        )
        if known is not None:
            progress(notebook.n_notes, notebook.n_notes, "0 new")
            also(session, replace(held, source_id=known))
            return _report(known, notebook, remarks=("this very file was imported before",)), 0
        source = tables.Source(
            space_id=space_id, kind=notebook.kind, name=name, sha256=digest, created_at=clock()
        )
        session.add(source)
        session.flush()
        writer = NoteWriter(session, space_id, source.id, notebook.kind, registry, clock(), held)
        writer.tellers = notebook.tellers
        n_facts = _write_all(writer, notebook, progress)
        also(session, replace(held, source_id=source.id))
    return _report(source.id, notebook, writer.times), n_facts


@dataclass(frozen=True, slots=True)
class Held:
    """What holds already, as an export for another program words it: its way back must not count as a second voice."""

    # names as their keys
    sentences: frozenset[tuple[str, str]] = frozenset()  # subject, sentence
    relations: frozenset[tuple[str, str, str]] = frozenset()  # subject, predicate, object
    source_id: str | None = None  # what is brought in now

    @classmethod
    def of(cls, facts: Sequence[Fact]) -> Held:
        return cls(
            frozenset((names.key(fact.subject), sentence(fact)) for fact in facts),
            frozenset((names.key(fact.subject), fact.predicate, names.key(fact.object)) for fact in facts),
        )


def _write_all(writer: NoteWriter, notebook: Notebook, progress: Progress) -> int:
    """Write every thing, note and relation; how many facts the relations and types made."""
    for thing in notebook.things:
        writer.meet(thing)
    n_total = notebook.n_notes
    for done, note in enumerate(notebook.notes, start=1):
        writer.note(note)
        if done % 500 == 0:
            progress(done, n_total, f"{len(writer.times)} new")
    for thing in notebook.things:
        writer.type(thing)
    for relation in notebook.relations:
        writer.relation(relation)
    progress(n_total, n_total, f"{len(writer.times)} new")
    return writer.finish()


@dataclass(slots=True)
class NoteWriter:
    """Writes notes as messages, within the caller's transaction. What writes one returns the message's id.

    `finish` makes the facts that relations and types state outright. `start` is the place of the first new message in its source.
    """

    session: Session
    space_id: str
    source_id: str
    kind: str  # of the program
    registry: Registry
    now: datetime
    held: Held = field(default_factory=Held)
    start: int = 0
    tellers: frozenset[str] = frozenset()  # who know what the notes on them say
    times: list[datetime] = field(default_factory=list)  # of the notes that were new
    _things: dict[str, Thing] = field(default_factory=dict)  # by the key of the name
    _nodes: dict[tuple[str, str], str] = field(default_factory=dict)  # by name and kind
    _conversations: dict[str, str] = field(default_factory=dict)  # by what their notes are about
    _keys: dict[str, dict[str, str]] = field(default_factory=dict)  # conversation -> key of a note -> episode
    _told: dict[str, set[str]] = field(default_factory=dict)  # conversation -> first halves of those keys
    _candidates: list[FactCandidate] = field(default_factory=list)
    _notes_id: str = ""
    _replies: Replies | None = None

    def meet(self, thing: Thing) -> str:
        """The id of the thing's node."""
        node_id = self._node(thing.name, thing.kind)
        if thing.alias:
            add_alias(self.session, self.space_id, node_id, thing.alias)
        self._things[names.key(thing.name)] = thing
        return node_id

    def note(self, note: Note) -> str | None:
        """None where it is only a fact of ours on its way back."""
        if (names.key(note.about), note.text) in self.held.sentences:
            return None
        return self._write(note)

    def type(self, thing: Thing) -> str | None:
        """What kind of thing it is, where the program has a word of its own for it."""
        if not thing.type_:
            return None
        episode_id = self._write(Note(thing.name, f"is a {thing.type_}"))
        self._candidates.append(
            FactCandidate(
                subject=thing.name,
                predicate="is_a",
                object=thing.type_,
                episode_ids=(episode_id,),
                asserted_by="",
                confidence=_SURE,
                rule=type_rule(self.kind),
                subject_kind=thing.kind,
            )
        )
        return episode_id

    def relation(self, relation: Relation) -> str | None:
        """The note is kept in any case; a relation of a thing to itself says nothing that could be a fact.

        None where it is only a fact of ours on its way back.
        """
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
        if subject != object_ and predicate:
            self._candidates.append(
                FactCandidate(
                    subject=subject.name,
                    predicate=predicate,
                    object=object_.name,
                    episode_ids=(episode_id,),
                    asserted_by="",
                    confidence=_SURE,
                    rule=relation_rule(self.kind),
                    subject_kind=subject.kind,
                    object_kind=object_.kind,
                )
            )
        return episode_id

    def finish(self) -> int:
        """How many facts the relations and types made."""
        wanted, self._candidates = self._candidates, []
        made = add_candidates(self.session, self.space_id, wanted, self.registry, clock=lambda: self.now)
        return len(made)

    def _node(self, name: str, kind: str) -> str:
        if (name, kind) not in self._nodes:
            self._nodes[name, kind] = get_or_create_node(
                self.session, self.space_id, name, kind, clock=lambda: self.now
            )
        return self._nodes[name, kind]

    def _kind_of_object(self, predicate: str) -> str:
        known = self.registry.get(predicate)
        if known.is_known and known.object in (PERSON, "place", "organisation"):
            return known.object
        return "place" if predicate.endswith("_in") else "thing"

    def _thing(self, name: str, likely: str) -> Thing:
        """The thing of that name. One that the file does not describe is what the graph knows it as, else `likely`."""
        wanted = names.key(name)
        if wanted not in self._things:
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
            self.meet(thing)
        return self._things[wanted]

    def _write(self, note: Note) -> str:
        """The id of the note's episode, made if it is not there. A known id with other words is an update."""
        self._notes_id = self._notes_id or self._node(NOTES, NOTEBOOK)
        conversation_id = self._conversation(note.about)
        first, second = _half(conversation_id, note.id), _half(note.text)
        known, ids = self._keys[conversation_id], self._told[conversation_id]
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
            "position": self.start + len(self.times),
            "speaker_id": self._notes_id,
            "time": time,
            "text": written(note.about, note.text),
            "origin": "simulated" if self._is_reply(note.text) else "observed",
            "key": first + second,
        }
        self.session.connection().execute(insert(tables.Episode), [row])
        known[first + second] = episode_id
        ids.add(first)
        self.times.append(time)
        return episode_id

    def _is_reply(self, text: str) -> bool:
        if self._replies is None:
            self._replies = Replies.of(self.session, self.space_id)
        return self._replies.are_in(text)

    def _conversation(self, about: str) -> str:
        if about in self._conversations:
            return self._conversations[about]
        conversation_id = ensure_conversation(
            self.session, self.space_id, conversation_name(self.kind, about)
        )
        if conversation_id not in self._keys:
            rows = self.session.execute(
                select(tables.Episode.key, tables.Episode.id).where(
                    tables.Episode.conversation_id == conversation_id
                )
            )
            self._keys[conversation_id] = {row.key: row.id for row in rows}
            self._told[conversation_id] = {key[:32] for key in self._keys[conversation_id]}
            if about in self.tellers:
                node_id = self._node(about, self._things[names.key(about)].kind)
                add_participants(self.session, self.space_id, conversation_id, {node_id})
        self._conversations[about] = conversation_id
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
