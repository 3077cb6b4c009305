"""What personas said of the world: remembered so that they say the same tomorrow, and never a fact.

A claim rests on one message of origin `simulated`. Nothing that answers questions, indexes, trains or examines reads
this table; what a person really said is a fact and wins over every claim (simulator.consistency).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from db import tables
from db.engine import Database
from memory import values
from memory.errors import UnknownClaim
from memory.ports import Clock, utc_now

Basis = Literal["fact", "constitution", "claim", "invented"]
BASES: tuple[Basis, ...] = ("fact", "constitution", "claim", "invented")


@dataclass(frozen=True, slots=True)
class NewClaim:
    """One thing that a persona says, before it is kept.

    `subject_id` is the node of whom or what it is about, None where the graph knows nobody of that name. `fact_id`,
    `line` (of the constitution) and `earlier_id` (a claim) say what it rests on, each for its basis.
    """

    subject: str
    predicate: str
    object: str
    subject_id: str | None = None
    is_negated: bool = False
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    basis: Basis = "invented"
    fact_id: str | None = None
    line: str | None = None
    earlier_id: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that `person`'s persona said in the message `episode_id`. state: kept | withdrawn."""

    id: str
    person_id: str
    person: str
    episode_id: str
    subject_id: str | None
    subject: str
    predicate: str
    object: str
    is_negated: bool
    valid_from: datetime | None
    valid_to: datetime | None
    basis: str
    fact_id: str | None
    line: str | None
    earlier_id: str | None
    state: str
    said_at: datetime
    withdrawn_at: datetime | None


def claim_json(claim: Claim) -> dict[str, Any]:
    """The claim as other programs get it; never to be taken for a fact."""
    return {
        "id": claim.id,
        "person": claim.person,
        "subject": claim.subject,
        "predicate": claim.predicate,
        "object": claim.object,
        "negated": claim.is_negated,
        "origin": "simulated",
        "basis": claim.basis,
        "fact": claim.fact_id,
        "state": claim.state,
        "episode": claim.episode_id,
        "said_at": claim.said_at.isoformat(),
    }


def keep_claims(
    session: Session,
    space_id: str,
    person_id: str,
    episode_id: str,
    said_at: datetime,
    claims: Sequence[NewClaim],
) -> list[str]:
    """Remember what the person's persona claimed in that message, in the caller's transaction. Their ids.

    Raises ValueError where the message is no simulated one: what a person really said is no claim.
    """
    said = session.get_one(tables.Episode, episode_id)
    if said.origin != "simulated":
        raise ValueError(f"message {episode_id} is {said.origin}; claims are kept of simulated ones only")
    rows = [
        tables.Claim(
            id=claim_id,
            space_id=space_id,
            person_id=person_id,
            episode_id=episode_id,
            subject_id=claim.subject_id,
            subject=claim.subject,
            predicate=claim.predicate,
            object=claim.object,
            object_key=values.normal(claim.object),
            is_negated=claim.is_negated,
            valid_from=claim.valid_from,
            valid_to=claim.valid_to,
            basis=claim.basis,
            fact_id=claim.fact_id,
            line=claim.line,
            earlier_id=claim.earlier_id,
            said_at=said_at,
        )
        for claim_id, claim in zip(tables.new_ids(len(claims)), claims, strict=True)
    ]
    session.add_all(rows)
    session.flush()
    return [row.id for row in rows]


def list_claims(
    database: Database,
    space_id: str,
    *,
    person_id: str | None = None,
    predicates: Collection[str] = (),
    bases: Collection[Basis] = (),
    states: Collection[str] = ("kept",),
    episodes: Collection[str] = (),
) -> list[Claim]:
    """The newest first, those of one message in their order. Of what is not given (predicates, bases, states, messages) all count."""
    row = tables.Claim
    query = _query().where(row.space_id == space_id)
    for column, wanted in (
        (row.predicate, predicates),
        (row.basis, bases),
        (row.state, states),
        (row.episode_id, episodes),
    ):
        if wanted:
            query = query.where(column.in_(sorted(wanted)))
    if person_id is not None:
        query = query.where(row.person_id == person_id)
    with database.reading() as session:
        return [Claim(*found) for found in session.execute(query.order_by(row.said_at.desc(), row.id))]


def withdraw(database: Database, space_id: str, claim_id: str, *, clock: Clock = utc_now) -> list[str]:
    """The persona no longer stands by it, nor by what repeats it; the ids of all of them. Raises UnknownClaim."""
    row = tables.Claim
    with database.transaction() as session:
        first = session.get(row, claim_id)
        if first is None or first.space_id != space_id:
            raise UnknownClaim(claim_id)
        root = first.earlier_id or first.id
        family = select(row).where(row.space_id == space_id, (row.id == root) | (row.earlier_id == root))
        standing = [one for one in session.scalars(family) if one.state == "kept"]
        for one in standing:
            one.state, one.withdrawn_at = "withdrawn", clock()
        return sorted(one.id for one in standing)


def _query() -> Select[*tuple[Any, ...]]:
    row, about, person = tables.Claim, aliased(tables.Node), aliased(tables.Node)
    return (
        select(
            row.id,
            row.person_id,
            person.name,
            row.episode_id,
            row.subject_id,
            func.coalesce(about.name, row.subject),
            row.predicate,
            row.object,
            row.is_negated,
            row.valid_from,
            row.valid_to,
            row.basis,
            row.fact_id,
            row.line,
            row.earlier_id,
            row.state,
            row.said_at,
            row.withdrawn_at,
        )
        .join(person, person.id == row.person_id)
        .outerjoin(about, about.id == row.subject_id)
    )
