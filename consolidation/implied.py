"""What a fact ends that no slot of the timeline ends: a boat that is sold is owned no longer, a hobby that was given up
is none, who died neither works nor lives anywhere, and a new rent takes the place of the old one.

Only what names the same thing ends, by node or by equal words; nothing is guessed from likeness. The end is a statement
of its own, on the same messages and with its own decision, so that it can be undone without the fact it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from agents import cues
from consolidation.contradiction import is_single
from db.tables import Episode, Node, Participant
from db.tables import Fact as FactTable
from memory import values
from memory.registry import Registry
from memory.types import Fact, FactCandidate

_GONE = re.compile(
    r"(?:was |is |got |has been )?(?:(?:sold|given away|gave away|scrapped|stolen|totalled|wrecked|dead|died|passed away|"
    r"put down|put to sleep|closed down|broken up)\b|(?:lost|gone)$)",
    re.IGNORECASE,
)
_DEAD = re.compile(r"(?:has |is )?(?:dead|died|passed away|put down|put to sleep)\b", re.IGNORECASE)
_PARTED = frozenset(("sold", "gave_away", "scrapped", "lost", "returned"))
_STOPPED = frozenset(("quit", "gave_up", "given_up", "stopped", "stopped_smoking", "stopped_drinking"))
_DEATH = frozenset(("died_on", "death_date", "died"))
_OWNING_TOPICS = frozenset(("possessions", "pets"))
_DOING_TOPICS = frozenset(("habits",))
_LIVED = frozenset(
    ("lives_in", "address", "street", "phone_number", "email", "roommate", "age")
)  # only the living
_EVENTS = _PARTED | _STOPPED | {"bought", "found", "won"}  # over when they happened
_OWNING = re.compile(r"(?:owns|has|drives|keeps)(?:_|$)|(?:boat|car|bike|vehicle|transport|house)$")
_DOING = re.compile(r"(?:exercise|sport|hobby|plays|habit|smokes|drinks|eats)(?:_|$)")


def implied_ends(session: Session, fact: Fact, space_id: str, registry: Registry) -> list[FactCandidate]:
    """Ends of stored, open facts that cannot go on beside this one, as candidates."""
    if fact.change == "end":
        return []
    replaced = _replaced(session, fact, space_id, registry)
    if not _says_gone(fact):
        about = [row for row in _of_owner(session, fact, space_id) if _is_ended(row, fact, registry)]
        return [_end(session, row, fact) for row in (*about, *replaced)]
    things = [row for row in _of_thing(session, fact, space_id) if not _is_person(session, row)]
    owned = [row for row in things if _is_ended(row, fact, registry)]
    own = _open(session, space_id, FactTable.subject_id == fact.subject_id) if _says_dead(fact) else []
    lived = [row for row in own if row.id != fact.id and _is_of_the_living(row, registry)]
    return [_end(session, row, fact) for row in (*owned, *lived, *replaced)]


def _replaced(session: Session, fact: Fact, space_id: str, registry: Registry) -> list[FactTable]:
    """Earlier values that an update takes the place of where several could hold: the only one of a predicate that the
    registry does not know, else those that the update's own messages say are over ("i stopped swimming, padel now")."""
    predicate = registry.get(fact.predicate)
    if fact.change != "update" or is_single(fact.predicate, registry):
        return []
    slot = and_(FactTable.subject_id == fact.subject_id, FactTable.predicate == fact.predicate)
    earlier = [
        row
        for row in _open(session, space_id, slot)
        if row.id != fact.id
        and not values.is_same(row.object, fact.object, is_strict=True)
        and not (fact.valid_from and row.valid_from and row.valid_from > fact.valid_from)
    ]
    if not predicate.is_known:
        return earlier if len(earlier) == 1 else []
    texts = session.scalars(select(Episode.text).where(Episode.id.in_(fact.evidence))).all()
    told = [sentence.text for text in texts for sentence in cues.sentences(text)]
    return [row for row in earlier if any(_tells_end_of(text, row.object) for text in told)]


def _tells_end_of(text: str, value: str) -> bool:
    wanted = cues.stems(value)
    return bool(wanted) and wanted <= cues.stems(text) and cues.ends_something(text)


def _says_gone(fact: Fact) -> bool:
    is_status = fact.predicate == "status" or fact.predicate.endswith("_status")
    return fact.predicate in _DEATH or (is_status and bool(_GONE.match(fact.object)))


def _is_person(session: Session, row: FactTable) -> bool:
    return row.object_id is not None and session.get_one(Node, row.object_id).kind == "person"


def _says_dead(fact: Fact) -> bool:
    return fact.predicate in _DEATH or bool(_DEAD.match(fact.object))


def _is_of_the_living(row: FactTable, registry: Registry) -> bool:
    predicate = registry.get(row.predicate)
    is_done = predicate.topic in ("work", "habits") and predicate.volatility != "never"
    return is_done or row.predicate in _LIVED


def _of_thing(session: Session, fact: Fact, space_id: str) -> Iterable[FactTable]:
    """Facts whose value is what this fact is about: the same node, or of who took part in the talk the same words."""
    talks = select(Episode.conversation_id).where(Episode.id.in_(fact.evidence))
    near = select(Participant.node_id).where(Participant.conversation_id.in_(talks))
    is_worded = and_(FactTable.subject_id.in_(near), FactTable.object_key == values.normal(fact.subject))
    return _open(session, space_id, or_(FactTable.object_id == fact.subject_id, is_worded))


def _of_owner(session: Session, fact: Fact, space_id: str) -> Iterable[FactTable]:
    """Facts of the same subject with the same value, under another predicate."""
    if fact.predicate not in _PARTED | _STOPPED:
        return ()
    found = _open(session, space_id, FactTable.subject_id == fact.subject_id)
    return [row for row in found if values.is_same(row.object, fact.object, is_strict=True)]


def _open(session: Session, space_id: str, condition: ColumnElement[bool]) -> list[FactTable]:
    query = select(FactTable).where(
        FactTable.space_id == space_id,
        FactTable.state == "stored",
        FactTable.retracted_at.is_(None),
        FactTable.valid_to.is_(None),
        condition,
    )
    return list(session.scalars(query.order_by(FactTable.recorded_at, FactTable.id)))


def _is_ended(row: FactTable, fact: Fact, registry: Registry) -> bool:
    if (
        row.id == fact.id
        or row.predicate in _EVENTS
        or (fact.valid_from and row.valid_from and row.valid_from > fact.valid_from)
    ):
        return False
    topic = registry.get(row.predicate).topic
    if fact.predicate in _STOPPED:
        return topic in _DOING_TOPICS or bool(_DOING.match(row.predicate))
    return topic in _OWNING_TOPICS or bool(_OWNING.match(row.predicate))


def _end(session: Session, row: FactTable, fact: Fact) -> FactCandidate:
    kind = session.get_one(Node, row.object_id).kind if row.object_id else None
    subject = session.get_one(Node, row.subject_id)
    return FactCandidate(
        subject=subject.name,
        predicate=row.predicate,
        object=row.object,
        episode_ids=fact.evidence,
        asserted_by=fact.asserted_by or "",
        confidence=fact.confidence,
        rule=f"implied by {fact.predicate}",
        subject_kind=subject.kind,
        object_kind=kind,
        valid_to=fact.valid_from,
        change="end",
    )
