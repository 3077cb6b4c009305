"""What waits for a person: quarantined and contested facts; and how a person settles one.

Settling is an ordinary decision without a run, with the person's name among its reasons and their id in the ledger; it
can be undone by its id. Nothing is learned from it: no threshold, weight or rule moves, and no other fact is judged
otherwise for it. What a person settled is no candidate of any later night; undone, it waits again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory import fact_rows, statements, values
from memory.decisions import decide
from memory.episodes import episodes_near
from memory.errors import BadStatement, CannotDecide, UnknownFact
from memory.fact_story import FactStory, contesting, message_json, tell
from memory.fact_views import Asked, read
from memory.facts import fact_json, sentence
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.types import Episode, Fact, Person

OPEN = ("quarantined", "contested")
JUST_BEFORE, N_BEFORE = timedelta(hours=1), 2
_SETTLED_BY_HAND = (*OPEN, "candidate")
Verdict = Literal["accept", "reject", "correct"]


@dataclass(frozen=True, slots=True)
class Item:
    """One fact that waits. `decision` is the one that quarantined it, with its reasons; None where it is contested.

    `before` is what was said just before the first of its messages, so that one can tell what they are about.
    """

    story: FactStory
    decision: str | None
    reasons: tuple[str, ...]
    before: tuple[Episode, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """`next` is given as `after` for what follows; None at the end. `n_waiting` counts all that wait."""

    items: tuple[Item, ...]
    next: str | None
    n_waiting: int


@dataclass(frozen=True, slots=True)
class Settled:
    """`fact_id` is the fact that holds now, or the one that was rejected; `decisions` are in the order made."""

    fact_id: str
    kind: str  # of the last decision
    decisions: tuple[str, ...]


def waiting(
    database: Database,
    space_id: str,
    registry: Registry,
    *,
    limit: int = 20,
    after: str | None = None,
    clock: Clock = utc_now,
) -> Page:
    """A page of what waits, the most salient first. Raises UnknownFact where `after` waits no longer."""
    with database.reading() as session:
        ids = _waiting_ids(session, space_id, clock())
    if after is not None and after not in ids:
        raise UnknownFact(after)
    following = ids[ids.index(after) + 1 :] if after is not None else ids
    found = list(islice(_items(database, space_id, registry, following, clock), limit + 1))
    items = tuple(found[:limit])
    return Page(items, items[-1].story.fact.id if len(found) > limit else None, len(ids))


def one_by_one(
    database: Database, space_id: str, registry: Registry, *, clock: Clock = utc_now
) -> Iterator[Item]:
    """What waits now, the most salient first, each looked at when its turn comes.

    What no longer waits by then is passed over, so that one may be settled before the next is asked for.
    """
    with database.reading() as session:
        ids = _waiting_ids(session, space_id, clock())
    return _items(database, space_id, registry, ids, clock)


def _waiting_ids(session: Session, space_id: str, now: datetime) -> list[str]:
    fact = tables.Fact
    is_over = fact.valid_to.is_not(None) & (fact.valid_to <= now)
    is_yet_to_be = fact.valid_from.is_not(None) & (fact.valid_from > now)
    query = select(fact.id).where(
        fact.space_id == space_id,
        fact.retracted_at.is_(None),
        or_(fact.state == "quarantined", fact.is_contested.is_(True) & ~is_over & ~is_yet_to_be),
    )
    return list(session.scalars(query.order_by(func.coalesce(fact.salience, 0.0).desc(), fact.id)))


def _items(
    database: Database, space_id: str, registry: Registry, ids: Sequence[str], clock: Clock
) -> Iterator[Item]:
    for fact_id in ids:
        try:
            item = _look_at(database, space_id, registry, fact_id, clock)
        except UnknownFact:
            continue  # erased meanwhile
        if item is not None:
            yield item


def _look_at(
    database: Database, space_id: str, registry: Registry, fact_id: str, clock: Clock
) -> Item | None:
    """The fact as a person is asked about it; None where it waits no longer. Raises UnknownFact."""
    story = tell(database, space_id, registry, fact_id, clock=clock)
    fact = story.fact
    if fact.status == "contested":
        rivals = (f"{other.asserted_by or 'somebody'} says {sentence(other)}" for other in story.contests)
        return Item(story, None, tuple(rivals), _before(database, space_id, story))
    if fact.status != "quarantined":
        return None
    made = [row for row in story.decisions if row.kind == "QUARANTINE" and row.undone_at is None]
    last = made[-1] if made else None
    reasons = tuple(map(str, last.reasons)) if last else ()
    return Item(story, last.id if last else None, reasons, _before(database, space_id, story))


def _before(database: Database, space_id: str, story: FactStory) -> tuple[Episode, ...]:
    """The last few messages of that conversation before the fact's first."""
    if not story.evidence:
        return ()
    first = story.evidence[0]
    near = episodes_near(database, space_id, [first.id], JUST_BEFORE)
    earlier = [
        episode
        for episode in near
        if episode.conversation_id == first.conversation_id
        and (episode.time, episode.position) < (first.time, first.position)
    ]
    return tuple(earlier[-N_BEFORE:])


def settle(
    database: Database,
    space_id: str,
    registry: Registry,
    fact_id: str,
    verdict: Verdict,
    value: str | None = None,
    *,
    by: Person,
    clock: Clock = utc_now,
) -> Settled:
    """Accept, reject, or correct to `value` what is quarantined, contested or not decided yet.

    Accepting or correcting a contested fact takes back those that contest it. Raises UnknownFact; BadStatement for a correction
    without a value; CannotDecide where the fact does not wait.
    """
    if verdict == "correct" and value is None:
        raise BadStatement("correction", "is empty; say what is right")
    with database.transaction() as session:
        hand = _Hand(session, space_id, registry, by, clock)
        fact, rivals = hand.standing(fact_id)
        if verdict == "correct" and value is not None:
            return hand.correct(fact, rivals, value)
        if verdict == "accept":
            return hand.accept(fact, rivals)
        return Settled(fact.id, "REJECT", (hand.decide(fact.id, "REJECT", f"rejected by {by.name}"),))


@dataclass(frozen=True, slots=True)
class _Hand:
    """A person's decisions within one transaction."""

    session: Session
    space_id: str
    registry: Registry
    by: Person
    clock: Clock

    def standing(self, fact_id: str) -> tuple[Fact, Sequence[Fact]]:
        """The fact that the statement is part of, and those that contest it. Raises where it does not wait."""
        found = fact_rows.load(self.session, self.space_id, fact_id=fact_id)
        if not found:
            raise UnknownFact(fact_id)
        asked = Asked(self.registry, as_of=None, known_to=None, recorded_as_of=None, clock=self.clock)
        slot = (found[0].subject_id,), (found[0].predicate,)
        reading = read(self.session, self.space_id, asked, *slot)
        fact = next(other for other in reading.facts if other.id == reading.owners[fact_id])
        if fact.status not in _SETTLED_BY_HAND:
            raise CannotDecide(fact_id, "a settlement", fact.status)
        return fact, contesting(fact, reading.facts)

    def accept(self, fact: Fact, rivals: Sequence[Fact]) -> Settled:
        """It holds, and those that contest it were never true."""
        made = self._take_back(rivals, fact.id)
        if fact.state not in ("candidate", "quarantined"):
            return Settled(fact.id, "REJECT", made)
        decision_id = self.decide(fact.id, "STORE", f"accepted by {self.by.name}")
        kind = self.session.get_one(tables.Decision, decision_id).kind
        row = self.session.get_one(tables.Fact, fact.id)
        holds = row.superseded_by if kind == "MERGE" and row.superseded_by else row.id
        return Settled(holds, kind, (*made, decision_id))

    def correct(self, fact: Fact, rivals: Sequence[Fact], value: str) -> Settled:
        """Neither it nor those that contest it were true, but for one that says the right value already."""
        wanted = values.normal(value)
        right = next((rival for rival in rivals if values.normal(rival.object) == wanted), None)
        if right is not None:
            return self.accept(right, [fact, *(rival for rival in rivals if rival.id != right.id)])
        made = self._take_back(rivals, fact.id)
        stated = statements.correct_within(
            self.session, self.space_id, self.registry, fact.id, value, by=self.by, clock=self.clock
        )
        return Settled(stated.fact_id, stated.kind, (*made, stated.decision_id))

    def _take_back(self, rivals: Sequence[Fact], fact_id: str) -> tuple[str, ...]:
        reason = f"taken back by {self.by.name}, who settled fact {fact_id}"
        return tuple(self.decide(rival.id, "REJECT", reason) for rival in rivals)

    def decide(self, fact_id: str, kind: str, reason: str) -> str:
        return decide(
            self.session,
            self.space_id,
            fact_id,
            kind,
            [reason],
            self.registry,
            run_id=None,
            by=self.by.id,
            clock=self.clock,
        )


def item_json(item: Item) -> dict[str, Any]:
    """A waiting fact as other programs get it."""
    fact = item.story.fact
    return {
        **fact_json(fact),
        "statement": sentence(fact),
        "said_by": fact.asserted_by,
        "salience": fact.salience,
        "reasons": list(item.reasons),
        "decision": item.decision,
        "contested_with": [fact_json(other) for other in item.story.contests],
        "before": [message_json(episode) for episode in item.before],
        "messages": [message_json(episode) for episode in item.story.evidence],
    }


def page_json(page: Page) -> dict[str, Any]:
    """A page as other programs get it."""
    return {
        "items": [item_json(item) for item in page.items],
        "next": page.next,
        "waiting": page.n_waiting,
    }
