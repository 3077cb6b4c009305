"""Rows against rows: references, intervals, evidence, vectors, people and who took part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, func, select, text
from sqlalchemy.orm import Session, aliased

from db import tables
from memory import values
from memory.exchange.notes import NOTEBOOK
from memory.registry import Registry
from memory.verify.problems import Problem, several

RESTORE = "restore a backup, or erase what is broken with `slowwave forget`"
REINDEX = "run `slowwave index rebuild`"
ACCEPTED = ("stored", "merged")


def store(session: Session, *, is_quick: bool = False) -> Iterator[Problem]:
    """The file itself, where it is one; indexes against their tables unless it is to be quick."""
    if session.get_bind().dialect.name == "sqlite":
        pragma = "quick_check" if is_quick else "integrity_check"
        said = [row[0] for row in session.execute(text(f"PRAGMA {pragma}(5)"))]
        yield from several("store", (line for line in said if line != "ok"), "restore a backup")


def references(session: Session, space_id: str) -> Iterator[Problem]:
    """Every reference leads to a row that is there, and within the same space."""
    for table in tables.Base.metadata.sorted_tables:
        for column in table.columns:
            for key in column.foreign_keys:
                target = key.column.table.alias()
                lost = and_(column.is_not(None), target.c[key.column.name].is_(None))
                query = select(column).select_from(
                    table.outerjoin(target, column == target.c[key.column.name])
                )
                found = sorted(set(session.scalars(query.where(lost))))
                yield from several(
                    "references",
                    (f"{table.name}.{column.name} {value} leads nowhere" for value in found),
                    RESTORE,
                )
                if "space_id" in table.columns and "space_id" in target.columns:
                    mixed = session.scalar(
                        select(func.count())
                        .select_from(table.join(target, column == target.c[key.column.name]))
                        .where(table.c.space_id != target.c.space_id)
                    )
                    if mixed:
                        what = f"{mixed} rows of {table.name} refer to {target.name or key.column.table.name} of another space"
                        yield Problem("references", what, RESTORE)


def intervals(session: Session, space_id: str) -> Iterator[Problem]:
    """Nothing ends before it starts."""
    fact = tables.Fact
    query = select(fact.id).where(fact.space_id == space_id, fact.valid_to < fact.valid_from)
    yield from several(
        "intervals",
        (f"fact {fact_id} ends before it starts" for fact_id in session.scalars(query.order_by(fact.id))),
        "erase it with `slowwave forget fact ID --yes`, or undo the decision that made it",
    )


def evidence(session: Session, space_id: str) -> Iterator[Problem]:
    """Every accepted fact rests on a message, and on none that a model wrote."""
    fact, held, episode = tables.Fact, tables.Evidence, tables.Episode
    accepted = and_(fact.space_id == space_id, fact.state.in_(ACCEPTED))
    bare = select(fact.id).outerjoin(held, held.fact_id == fact.id).where(accepted, held.fact_id.is_(None))
    remedy = "take it back with `slowwave undo DECISION` or erase it with `slowwave forget fact ID --yes`"
    yield from several(
        "evidence", (f"fact {fact_id} rests on no message" for fact_id in session.scalars(bare)), remedy
    )
    invented = (
        select(fact.id)
        .join(held, held.fact_id == fact.id)
        .join(episode, episode.id == held.episode_id)
        .where(accepted, episode.origin == "simulated")
        .distinct()
    )
    yield from several(
        "evidence",
        (f"fact {fact_id} rests on what a model said" for fact_id in session.scalars(invented)),
        remedy,
    )


def slots(session: Session, space_id: str, registry: Registry) -> Iterator[Problem]:
    """A predicate of one value at a time has one open value that nobody contests.

    What somebody ended in a statement of its own is not open, though its own row has no end.
    """
    fact, said = tables.Fact, aliased(tables.Fact)
    is_ended = select(said.id).where(
        said.superseded_by == fact.id, said.state == "merged", said.change == "end"
    )
    rows = session.execute(
        select(fact.subject_id, fact.predicate, fact.object).where(
            fact.space_id == space_id,
            fact.state == "stored",
            fact.retracted_at.is_(None),
            fact.valid_to.is_(None),
            fact.is_contested.is_(False),
            ~is_ended.exists(),
        )
    )
    held: dict[tuple[str, str], list[str]] = defaultdict(list)
    for subject_id, predicate, value in rows:
        if registry.get(predicate).cardinality == "one":
            held[subject_id, predicate].append(value)
    crowded = [
        f"{predicate} of {subject_id} has {len(found)} values at once"
        for (subject_id, predicate), found in sorted(held.items())
        if any(
            not values.is_same(found[0], other, kind=registry.get(predicate).object) for other in found[1:]
        )
    ]
    yield from several(
        "slots", crowded, "correct it with `slowwave facts --help`, or undo the decision that is wrong"
    )


def vectors(session: Session, space_id: str) -> Iterator[Problem]:
    """Each vector has an owner and comes from the one model of the space. (The store itself checks widths.)"""
    row = tables.Embedding
    models = session.execute(
        select(row.model, row.width, func.count())
        .where(row.space_id == space_id)
        .group_by(row.model, row.width)
    ).all()
    if len(models) > 1:
        what = f"vectors come from {len(models)} models or widths"
        yield Problem("vectors", what, REINDEX)
    owners: dict[str, Any] = {"episode": tables.Episode, "fact": tables.Fact}
    for kind, mapped in owners.items():
        lost = (
            select(row.owner_id)
            .outerjoin(mapped, mapped.id == row.owner_id)
            .where(row.space_id == space_id, row.owner_kind == kind, mapped.id.is_(None))
        )
        yield from several(
            "vectors",
            (f"a vector of {kind} {owner}, which is not there" for owner in session.scalars(lost)),
            REINDEX,
        )
    other = select(row.owner_kind).where(row.space_id == space_id, row.owner_kind.not_in(tuple(owners)))
    yield from several(
        "vectors", (f"a vector of a {kind}" for kind in session.scalars(other.distinct())), REINDEX
    )


def personas(session: Session, space_id: str) -> Iterator[Problem]:
    """What personas said and claimed stands in messages that a model wrote, and nowhere else."""
    episode = tables.Episode
    remedy = "erase the message with `slowwave forget episode ID --yes`; the turn or claim goes with it"
    for mapped, what in ((tables.ChatTurn, "turn"), (tables.Claim, "claim")):
        query = (
            select(mapped.id)
            .join(episode, episode.id == mapped.episode_id)
            .where(mapped.space_id == space_id, episode.origin != "simulated")
        )
        found = session.scalars(query.order_by(mapped.id))
        yield from several(
            "personas", (f"{what} {row_id} is of a message that a person wrote" for row_id in found), remedy
        )


def people(session: Session, space_id: str) -> Iterator[Problem]:
    """Merges end at a person who is there, and never go in a circle."""
    node = tables.Node
    merged = select(node.id, node.merged_into).where(node.space_id == space_id, node.merged_into.is_not(None))
    into: dict[str, str | None] = {row.id: row.merged_into for row in session.execute(merged)}
    known = set(session.scalars(select(node.id).where(node.space_id == space_id)))
    for node_id in sorted(into):
        seen, at = {node_id}, into.get(node_id)
        while at is not None and at not in seen:
            seen.add(at)
            if at not in known:
                yield Problem("people", f"{node_id} was merged into {at}, who is not there", RESTORE)
            at = into.get(at)
        if at is not None:
            yield Problem("people", f"{node_id} was merged in a circle", "undo the merge")


def participants(session: Session, space_id: str) -> Iterator[Problem]:
    """Whoever speaks in a conversation takes part in it; a notebook, which is nobody, does not."""
    episode, part, speaker_node = tables.Episode, aliased(tables.Participant), aliased(tables.Node)
    query = (
        select(episode.conversation_id, episode.speaker_id)
        .outerjoin(
            part,
            and_(part.conversation_id == episode.conversation_id, part.node_id == episode.speaker_id),
        )
        .join(speaker_node, speaker_node.id == episode.speaker_id)
        .where(episode.space_id == space_id, part.node_id.is_(None), speaker_node.kind != NOTEBOOK)
        .distinct()
    )
    yield from several(
        "participants",
        (
            f"{speaker} speaks in {conversation} and takes no part"
            for conversation, speaker in session.execute(query)
        ),
        "import the chat again",
    )
