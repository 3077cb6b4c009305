"""Facts that a person states by hand: add, correct, end, retract.

A fact stated by hand rests on evidence like any other: a message of kind `note`, in a conversation that only its
author hears. It is stored at once, by a decision that can be undone; the decision and its consequences are what
`memory.decisions` makes of any other statement. What an extractor reads, notes are not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import fact_rows, feelings, moments, names, people, values
from memory.candidates import MAX_OBJECT, add_candidates
from memory.decisions import decide
from memory.emotions import add_tags
from memory.episodes import add_participants, ensure_conversation, message_key, next_position
from memory.errors import BadInterval, BadStatement, CannotDecide, NearlyKnown, UnknownFact, UnknownPerson
from memory.fact_views import HOLDING, Asked, read
from memory.facts import sentence_of
from memory.ports import Clock, utc_now
from memory.registry import MAX_NAME, Registry, as_name
from memory.types import EmotionTag, Fact, FactCandidate, Person

if TYPE_CHECKING:
    from memory.search.ahead import Prepare

NOTE = "note"  # kind of the source and of its messages
KEEPER = "Keeper"  # who states a fact where nobody is named
RULE = "by hand"
CERTAINTY = 0.99
MAX_PERSON = 255  # characters of a name
_NODES = ("person", "place", "organisation", "thing")
_ENDABLE = (*HOLDING, "future")


@dataclass(frozen=True, slots=True)
class Statement:
    """What is to be stated. `is_new` lets a person be made although others have names like theirs."""

    person: str
    predicate: str
    object: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    object_kind: str | None = None  # person | place | organisation | thing | text; None asks the registry
    is_strict: bool = False
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Stated:
    """`fact_id` is the fact that holds what was stated: an earlier one, where the statement only repeated it."""

    fact_id: str
    decision_id: str
    kind: str  # of the decision


def keeper(database: Database, space_id: str, name: str = KEEPER, *, clock: Clock = utc_now) -> Person:
    """The person in whose name facts are stated where nobody is named; made on first use."""
    try:
        return people.find_person(database, space_id, name)
    except UnknownPerson:
        with database.transaction() as session:
            people.get_or_create_node(session, space_id, name, clock=clock)
    return people.find_person(database, space_id, name)


def state(
    database: Database,
    space_id: str,
    registry: Registry,
    said: Statement,
    *,
    by: Person,
    prepare: Prepare | None = None,
    clock: Clock = utc_now,
) -> Stated:
    """Store a fact that `by` states. Without a start it holds from today. Tags of feelings behind the object are taken
    off it and kept with the note. `prepare` makes its vector, so that it is found at once.

    Raises BadStatement, BadInterval, UnreadableTime, UnknownPredicate under strictness, NearlyKnown where only
    people with similar names are known.
    """
    subject = _subject(database, space_id, said)
    value, felt = feelings.split(checked_value("object", said.object))
    predicate = _predicate(said.predicate)
    if said.is_strict or registry.is_strict:
        registry.require(predicate)
    start, end = _interval(said.valid_from, said.valid_to)
    kind = said.object_kind or registry.get(predicate).object
    ahead = prepare([sentence_of(subject, predicate, value)]) if prepare else None
    with database.transaction() as session:
        subject_id = people.get_or_create_node(session, space_id, subject, clock=clock)
        known = read(session, space_id, _now(registry, clock), (subject_id,), (predicate,)).facts
        words = _words(sentence_of(subject, predicate, value), start, end)
        note = _note(session, space_id, by, words, clock)
        add_tags(session, space_id, [EmotionTag(note, *tag, feelings.AUTHOR) for tag in felt])
        candidate = FactCandidate(
            subject=subject,
            predicate=predicate,
            object=value,
            episode_ids=(note,),
            asserted_by=by.name,
            confidence=CERTAINTY,
            rule=RULE,
            object_kind=kind if kind in _NODES else None,
            valid_from=start,
            valid_to=end,
            change="update" if end is None and _is_return(known, predicate, value) else "state",
        )
        stated = _store(session, space_id, registry, candidate, f"stated by {by.name}", by, clock)
        if ahead is not None:
            ahead.keep(session, facts=[stated.fact_id])
        return stated


def correct(
    database: Database,
    space_id: str,
    registry: Registry,
    fact_id: str,
    value: str,
    *,
    by: Person,
    clock: Clock = utc_now,
) -> Stated:
    """The fact was never true; `value` was, over the same time. One decision withdraws the one and stores the other,
    also where the one was quarantined: then it is rejected.

    Raises UnknownFact, BadStatement; CannotDecide where the fact no longer stands or has that value already.
    """
    with database.transaction() as session:
        return correct_within(session, space_id, registry, fact_id, value, by=by, clock=clock)


def correct_within(
    session: Session,
    space_id: str,
    registry: Registry,
    fact_id: str,
    value: str,
    *,
    by: Person,
    clock: Clock = utc_now,
) -> Stated:
    """`correct` as a part of the caller's transaction."""
    value = checked_value("object", value)
    fact = _fact(session, space_id, registry, fact_id, clock)
    if fact.status not in (*_ENDABLE, "past", "quarantined"):
        raise CannotDecide(fact_id, "CORRECT", fact.status)
    if values.normal(fact.object) == values.normal(value):
        raise BadStatement("object", "is what the fact says already; give the right value")
    words = f"Not {fact.object}: {sentence_of(fact.subject, fact.predicate, value)}"
    note = _note(session, space_id, by, words, clock)
    reason = f"corrected by {by.name}"
    if fact.status == "quarantined":
        meant = _in_place_of(session, fact, value, note, by)
        return _store(session, space_id, registry, meant, reason, by, clock, instead_of=fact.id)
    # the successor ends the right value as it ended the wrong one
    is_cut = fact.superseded_by is not None
    candidate = replace(
        _about(session, fact, value, note, by),
        change="correct",
        corrects=fact.object,
        valid_from=fact.valid_from,
        valid_to=None if is_cut else fact.valid_to,
    )
    stated = _store(session, space_id, registry, candidate, reason, by, clock)
    after = _fact(session, space_id, registry, fact.id, clock)
    if after.status != "retracted":
        raise CannotDecide(fact_id, "CORRECT", after.status)
    return stated


def end(
    database: Database,
    space_id: str,
    registry: Registry,
    fact_id: str,
    on: datetime | None = None,
    *,
    by: Person,
    clock: Clock = utc_now,
) -> Stated:
    """The fact held until that day, or until today. Raises UnknownFact, BadInterval, CannotDecide."""
    moment = moments.checked(on) if on is not None else None
    with database.transaction() as session:
        fact = _fact(session, space_id, registry, fact_id, clock)
        if fact.status not in _ENDABLE:
            raise CannotDecide(fact_id, "an end", fact.status)
        moment = moment or fact_rows.day_of(clock(), fact_rows.timezone(session, space_id))
        _interval(fact.valid_from, moment)
        words = _words(sentence_of(fact.subject, fact.predicate, fact.object), None, moment)
        note = _note(session, space_id, by, words, clock)
        candidate = _about(session, fact, fact.object, note, by)
        candidate = replace(candidate, change="end", valid_to=moment)
        stated = _store(session, space_id, registry, candidate, f"ended by {by.name}", by, clock)
        if _fact(session, space_id, registry, fact.id, clock).valid_to != moment:
            raise CannotDecide(fact_id, "an end", fact.status)
        return stated


def retract(
    database: Database,
    space_id: str,
    registry: Registry,
    fact_id: str,
    *,
    by: Person,
    clock: Clock = utc_now,
) -> Stated:
    """Take the fact back with every statement that it is made of; nothing takes its place, for nobody.

    Raises UnknownFact, or CannotDecide where it was taken back before.
    """
    with database.transaction() as session:
        fact = _fact(session, space_id, registry, fact_id, clock)
        reasons = [f"taken back by {by.name}"]
        decision_id = decide(
            session, space_id, fact.id, "REJECT", reasons, registry, run_id=None, by=by.id, clock=clock
        )
        return Stated(fact.id, decision_id, "REJECT")


def _now(registry: Registry, clock: Clock) -> Asked:
    return Asked(registry, as_of=None, known_to=None, recorded_as_of=None, clock=clock)


def _fact(session: Session, space_id: str, registry: Registry, fact_id: str, clock: Clock) -> Fact:
    """The fact that the statement of that id is part of, as everybody's words make it."""
    found = fact_rows.load(session, space_id, fact_id=fact_id)
    if not found:
        raise UnknownFact(fact_id)
    row = found[0]
    reading = read(session, space_id, _now(registry, clock), (row.subject_id,), (row.predicate,))
    return next(fact for fact in reading.facts if fact.id == reading.owners[fact_id])


def _is_return(known: Collection[Fact], predicate: str, value: str) -> bool:
    """Whether the value is one that is over or was withdrawn: stating it anew is news, no mention of the past."""
    return any(
        fact.predicate == predicate
        and fact.status in ("past", "retracted")
        and values.normal(fact.object) == values.normal(value)
        for fact in known
    )


def _about(session: Session, fact: Fact, value: str, note: str, by: Person) -> FactCandidate:
    """A statement about the same subject and predicate."""
    subject = session.get_one(tables.Node, fact.subject_id)
    value_node = session.get(tables.Node, fact.object_id) if fact.object_id else None
    return FactCandidate(
        subject=fact.subject,
        subject_kind=subject.kind,
        predicate=fact.predicate,
        object=value,
        object_kind=value_node.kind if value_node else None,
        episode_ids=(note,),
        asserted_by=by.name,
        confidence=CERTAINTY,
        rule=RULE,
    )


def _in_place_of(session: Session, fact: Fact, value: str, note: str, by: Person) -> FactCandidate:
    """What the words of a fact that nobody accepted meant to say: the same change, at the same time."""
    return replace(
        _about(session, fact, value, note, by),
        change=fact.change,
        corrects=fact.corrects,
        valid_from=fact.valid_from,
        valid_to=fact.valid_to,
    )


def _store(
    session: Session,
    space_id: str,
    registry: Registry,
    candidate: FactCandidate,
    reason: str,
    by: Person,
    clock: Clock,
    *,
    instead_of: str | None = None,
) -> Stated:
    added = add_candidates(session, space_id, [candidate], registry, clock=clock)
    if not added:
        raise BadStatement("fact", "could not be taken in; give a person, a predicate and an object")
    row = session.get_one(tables.Fact, added[0])  # held here, it is read once
    decision_id = decide(
        session,
        space_id,
        added[0],
        "STORE",
        [reason],
        registry,
        run_id=None,
        is_stated=True,
        instead_of=instead_of,
        by=by.id,
        clock=clock,
    )
    kind = session.get_one(tables.Decision, decision_id).kind
    return Stated((row.superseded_by or row.id) if kind == "MERGE" else row.id, decision_id, kind)


def _note(session: Session, space_id: str, by: Person, words: str, clock: Clock) -> str:
    """The id of a new message by that person which nobody else hears."""
    name, now = f"notes of {by.name[:200]} ({by.id[:8]})", clock()
    conversation_id = ensure_conversation(session, space_id, name)
    add_participants(session, space_id, conversation_id, {by.id})
    digest = hashlib.sha256(f"notes:{conversation_id}".encode()).hexdigest()
    source_id = session.scalar(
        select(tables.Source.id).where(tables.Source.space_id == space_id, tables.Source.sha256 == digest)
    )
    if source_id is None:
        source = tables.Source(space_id=space_id, kind=NOTE, name=name, sha256=digest, created_at=now)
        session.add(source)
        session.flush()
        source_id = source.id
    position = next_position(session, source_id)
    note = tables.Episode(
        space_id=space_id,
        source_id=source_id,
        conversation_id=conversation_id,
        position=position,
        speaker_id=by.id,
        time=now,
        text=words,
        kind=NOTE,
        key=message_key(f"note:{source_id}", by.id, now, words, position),
        extracted_by=RULE,
    )
    session.add(note)
    session.flush()
    return note.id


def _words(sentence: str, start: datetime | None, end: datetime | None) -> str:
    since = f" From {start:%Y-%m-%d}." if start else ""
    return sentence + since + (f" Until {end:%Y-%m-%d}." if end else "")


def _subject(database: Database, space_id: str, said: Statement) -> str:
    """The name of the person meant, or a new one's."""
    name = checked_name(said.person)
    try:
        return people.find_person(database, space_id, name).name
    except UnknownPerson as error:
        if error.nearest and not said.is_new:
            raise NearlyKnown(name, error.nearest) from error
    return name


def checked_name(said: str) -> str:
    """A person's name that can be looked for. Raises BadStatement."""
    if len(said) > MAX_PERSON:
        raise BadStatement("name", f"is {len(said)} characters long; a name has at most {MAX_PERSON}")
    return names.clean(checked_value("name", said))


def checked_value(what: str, said: str) -> str:
    """The text with single spaces. Raises BadStatement where it is no value but empty, a text or bytes."""
    if "\x00" in said:
        raise BadStatement(what, "holds a NUL character; leave it out")
    try:
        said.encode()
    except UnicodeEncodeError as error:
        raise BadStatement(what, "holds half of a character; write it as Unicode text") from error
    value = " ".join(said.split())
    if not names.clean(value):
        raise BadStatement(what, "is empty; say what it is")
    if len(value) > MAX_OBJECT:
        why = f"is {len(value)} characters long, more than {MAX_OBJECT}: no value but a text; import it as a message"
        raise BadStatement(what, why)
    return value


def _predicate(said: str) -> str:
    checked_value("predicate", said)
    name = as_name(said)
    if not 0 < len(name) <= MAX_NAME:
        raise BadStatement("predicate", f"needs letters, and at most {MAX_NAME} of them, such as lives_in")
    return name


def _interval(start: datetime | None, end: datetime | None) -> tuple[datetime | None, datetime | None]:
    start, end = (None if moment is None else moments.checked(moment) for moment in (start, end))
    if start and end and end <= start:
        raise BadInterval(start.date().isoformat(), end.date().isoformat())
    return start, end
