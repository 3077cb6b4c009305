"""Statements and the facts made of them, kept from one reading of the store to the next.

What is kept of a space is as the feed of changes stood at one position. Each reading asks the feed first, in its own
snapshot: a statement that changed is dropped at once and read again with its slot when it is wanted, whoever wrote it
and in whichever process; where the feed does not say what happened, everything is dropped. So nothing that was erased
outlives the next reading. A reading whose snapshot is older than what is kept takes only what has not changed since.

Bounded by the number of statements; those used longest ago go first. Transactions that write see nothing of it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from db import tables
from db.tables import Change
from memory import fact_rows, families, names, sensitive, timeline, values
from memory.fact_rows import FactRow
from memory.slot_views import Slot, by_slot

MOST = 20_000  # statements of one store; about 3 kB each
_MOST_CHANGES = 2_000  # taken in one by one; of more, everything is dropped
_REMEMBERED = 4_000  # changes that are remembered for readings that began a little earlier
_OF_FACTS = ("fact", "standing")


@dataclass(frozen=True, slots=True)
class _Note:
    """One row of the feed. `subject_id`: whom the statement is about; None where it is gone, or it is none."""

    seq: int
    kind: str
    owner_id: str
    subject_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Subject:
    """The statements about one node, as they have been since a position of the feed."""

    id: str
    since: int
    slots: Mapping[str, Slot]
    places: Mapping[str, str]  # statement -> name of its slot
    rests_on: frozenset[str]  # every id whose change changes a row here
    gone: frozenset[str] = frozenset()  # statements that changed and are to be read again

    @property
    def size(self) -> int:
        return len(self.places) + 1

    def after(self, note: _Note) -> _Subject | None:
        """What is left of it after that change; None where all is to be read again."""
        if note.owner_id not in self.rests_on and note.subject_id != self.id:
            return self
        if note.kind not in _OF_FACTS:
            return None
        slots, places = dict(self.slots), dict(self.places)
        name = places.pop(note.owner_id, None)
        if name is not None:
            slots[name] = slots[name].without(note.owner_id)
        gone = self.gone | {note.owner_id}
        return _Subject(self.id, note.seq, slots, places, self.rests_on | {note.owner_id}, gone)


@dataclass(slots=True)
class _Space:
    """What is kept of one space; whole up to the change `seen`."""

    zone: tzinfo
    seen: int
    seen_owner: str
    floor: int  # every change behind it is among the notes
    subjects: dict[str, _Subject] = field(default_factory=dict)
    notes: deque[_Note] = field(default_factory=deque)

    def add(self, notes: Iterable[_Note]) -> list[_Note]:
        """Remember the changes that are new; which they are."""
        new = [note for note in notes if note.seq > self.seen]
        self.notes.extend(new)
        if new:
            self.seen, self.seen_owner = new[-1].seq, new[-1].owner_id
        while len(self.notes) > _REMEMBERED:
            self.floor = self.notes.popleft().seq
        return new

    def is_past(self, seq: int, owner_id: str) -> bool:
        """Whether the feed ended there a little while ago."""
        return any((note.seq, note.owner_id) == (seq, owner_id) for note in self.notes)


class KeptFacts:
    """Of one store. Safe for threads: what is kept is replaced and never changed, under a lock that waits for no query."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._spaces: dict[str, _Space] = {}
        self._used: OrderedDict[tuple[str, str], int] = OrderedDict()  # sizes, the one used longest ago first
        self._size = 0

    def slots(
        self, session: Session, space_id: str, subject_ids: Collection[str], zone: tzinfo
    ) -> list[Slot]:
        """Every slot of these subjects, as the session's snapshot has them."""
        space, at = self._caught_up(session, space_id, zone)
        wanted = list(dict.fromkeys(subject_ids))
        found = self._found(space_id, space, at, wanted)
        made = _read(session, space_id, [item for item in wanted if item not in found], at, zone)
        made |= _completed(session, space_id, [one for one in found.values() if one.gone], at, zone)
        if made:
            self._keep(space_id, space, at, made.values())
        whole = found | made
        return [slot for item in wanted for slot in whole[item].slots.values()]

    @property
    def size(self) -> int:
        """How many statements are kept, and subjects."""
        return self._size

    # Following the feed

    def _caught_up(self, session: Session, space_id: str, zone: tzinfo) -> tuple[_Space, int]:
        """What is kept of the space, with what happened since taken in, and where the session's snapshot stands."""
        key = "position of the feed", space_id
        space = self._spaces.get(space_id)
        if space is None or space.zone != zone:
            return self._begun(session, space_id, zone)
        if key in session.info:
            return space, session.info[key]
        with self._lock:
            seen, seen_owner = space.seen, space.seen_owner
        rows = _feed(session, space_id, seen)
        if seen and (not rows or (rows[0].seq, rows[0].owner_id) != (seen, seen_owner)):
            return self._behind(session, space_id, space)
        new = rows[1:] if seen else rows
        if len(new) >= _MOST_CHANGES:
            return self._begun(session, space_id, zone)
        if new:
            self._take_in(space_id, space, _with_subjects(session, space_id, new))
        at = session.info[key] = new[-1].seq if new else seen
        return space, at

    def _begun(self, session: Session, space_id: str, zone: tzinfo) -> tuple[_Space, int]:
        """Nothing is kept from here on but what is read from now on."""
        seen, owner_id = _end(session, space_id)
        space = _Space(zone, seen, owner_id, seen, notes=deque([_Note(seen, "", owner_id)]))
        with self._lock:
            old = self._spaces.pop(space_id, None)
            for subject_id in old.subjects if old else ():
                self._size -= self._used.pop((space_id, subject_id), 0)
            self._spaces[space_id] = space
        if old is not None:
            _forget_words()
        session.info["position of the feed", space_id] = seen
        return space, seen

    def _behind(self, session: Session, space_id: str, space: _Space) -> tuple[_Space, int]:
        """The snapshot is older than what is kept; or the feed was cut off, or is another store's."""
        seen, owner_id = _end(session, space_id)
        with self._lock:
            is_older = seen < space.seen and space.is_past(seen, owner_id)
        if not is_older:
            return self._begun(session, space_id, space.zone)
        session.info["position of the feed", space_id] = seen
        return space, seen

    def _take_in(self, space_id: str, space: _Space, notes: Sequence[_Note]) -> None:
        with self._lock:
            if self._spaces.get(space_id) is not space:
                return  # another thread began anew: what is left of this one ends where it stood
            new = space.add(notes)
            touched = {item for note in new for item in (note.owner_id, note.subject_id) if item}
            for subject in [one for one in space.subjects.values() if not one.rests_on.isdisjoint(touched)]:
                self._put(space_id, space, subject.id, _after(subject, new))
        if any(note.kind in _OF_FACTS and note.subject_id is None for note in new):
            _forget_words()

    # What is kept

    def _found(
        self, space_id: str, space: _Space, at: int, subject_ids: Collection[str]
    ) -> dict[str, _Subject]:
        """Those that are kept and are the same at that position."""
        found = {}
        with self._lock:
            for subject_id in subject_ids:
                subject = space.subjects.get(subject_id)
                if subject is not None and subject.since <= at <= space.seen:
                    found[subject_id] = subject
                    if (space_id, subject_id) in self._used:
                        self._used.move_to_end((space_id, subject_id))
        return found

    def _keep(self, space_id: str, space: _Space, at: int, made: Iterable[_Subject]) -> None:
        """Keep what was read at that position, as far as it has not changed since."""
        with self._lock:
            if self._spaces.get(space_id) is not space or not space.floor <= at <= space.seen:
                return
            since = [note for note in space.notes if note.seq > at]
            for subject in made:
                known = space.subjects.get(subject.id)
                if subject.size <= self.most and (known is None or known.since <= subject.since):
                    self._put(space_id, space, subject.id, _after(subject, since))
            while self._size > self.most:
                (space_of, subject_id), size = self._used.popitem(last=False)
                self._size -= size
                self._spaces[space_of].subjects.pop(subject_id, None)

    def _put(self, space_id: str, space: _Space, subject_id: str, subject: _Subject | None) -> None:
        self._size -= self._used.pop((space_id, subject_id), 0)
        space.subjects.pop(subject_id, None)
        if subject is not None:
            space.subjects[subject_id] = subject
            self._used[space_id, subject_id] = subject.size
            self._size += subject.size


def of(session: Session) -> KeptFacts | None:
    """What is kept of the session's store; None for a session that writes."""
    kept = session.info.get("kept")
    if kept is None:
        return None
    if "facts" not in kept:
        kept.setdefault("facts", KeptFacts())
    found: KeptFacts = kept["facts"]
    return found


def _after(subject: _Subject, notes: Iterable[_Note]) -> _Subject | None:
    left: _Subject | None = subject
    for note in notes:
        if left is None:
            return None
        left = left.after(note)
    return left


def _read(
    session: Session, space_id: str, subject_ids: Collection[str], at: int, zone: tzinfo
) -> dict[str, _Subject]:
    if not subject_ids:
        return {}
    rows: dict[str, list[FactRow]] = defaultdict(list)
    for row in fact_rows.load(session, space_id, subject_ids=subject_ids):
        rows[row.subject_id].append(row)
    return {item: _subject(item, at, {}, by_slot(rows[item], zone)) for item in subject_ids}


def _completed(
    session: Session, space_id: str, subjects: Collection[_Subject], at: int, zone: tzinfo
) -> dict[str, _Subject]:
    """The subjects with their changed statements read again, and only the slots of these made anew."""
    if not subjects:
        return {}
    again = fact_rows.load(session, space_id, ids={fact_id for one in subjects for fact_id in one.gone})
    rows: dict[str, list[FactRow]] = defaultdict(list)
    for row in again:
        rows[row.subject_id].append(row)
    made = {}
    for one in subjects:
        touched = {families.slot(row.predicate) for row in rows[one.id]}
        kept = [row for name in touched & one.slots.keys() for row in one.slots[name].rows]
        made[one.id] = _subject(one.id, at, one.slots, by_slot([*kept, *rows[one.id]], zone))
    return made


def _subject(subject_id: str, at: int, kept: Mapping[str, Slot], new: Iterable[Slot]) -> _Subject:
    slots = {name: slot for name, slot in kept.items() if slot.rows} | {slot.name: slot for slot in new}
    rows = list(chain.from_iterable(slot.rows for slot in slots.values()))
    asserters = (row.asserter_id for row in rows if row.asserter_id)
    heard = (item.episode_id for row in rows for item in row.evidence)
    return _Subject(
        subject_id,
        at,
        slots,
        {row.id: slot.name for slot in slots.values() for row in slot.rows},
        frozenset(chain((subject_id,), (row.id for row in rows), asserters, heard)),
    )


@lru_cache(maxsize=1)
def _since() -> Select[*tuple[Any, ...]]:
    """Made once, as all that each reading asks: making a query costs more than asking it."""
    of_space = Change.space_id == bindparam("space_id"), Change.seq >= bindparam("seen")
    query = select(Change.seq, Change.kind, Change.owner_id).where(*of_space)
    return query.order_by(Change.seq).limit(_MOST_CHANGES + 1)


def _feed(session: Session, space_id: str, seen: int) -> list[_Note]:
    """The changes from that one on, it among them."""
    rows = session.connection().execute(_since(), {"space_id": space_id, "seen": seen})
    return [_Note(*row) for row in rows]


def _end(session: Session, space_id: str) -> tuple[int, str]:
    query = select(Change.seq, Change.owner_id).where(Change.space_id == space_id)
    last = session.execute(query.order_by(Change.seq.desc()).limit(1)).first()
    return (last[0], last[1]) if last else (0, "")


def _with_subjects(session: Session, space_id: str, notes: Iterable[_Note]) -> list[_Note]:
    notes = list(notes)
    ids = sorted({note.owner_id for note in notes if note.kind in _OF_FACTS})
    fact = tables.Fact
    subjects = {
        row[0]: row[1]
        for chunk in fact_rows.chunks(ids)
        for row in session.execute(
            select(fact.id, fact.subject_id).where(fact.space_id == space_id, fact.id.in_(chunk))
        )
    }
    return [_Note(note.seq, note.kind, note.owner_id, subjects.get(note.owner_id)) for note in notes]


def _forget_words() -> None:
    """Values and names that were taken apart are remembered as well; of one that is gone nothing may be left."""
    found = values.tokens, values.normal, values.as_day, timeline.is_same, names.key, names.clean
    for remembered in (*found, sensitive.find):
        remembered.cache_clear()
