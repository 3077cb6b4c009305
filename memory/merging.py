"""Merge two people that are one, and undo it.

The one who is merged stays as a node that points at the one who is kept; every row that pointed at them points at
the kept one, and the merge keeps what it changed (memory.moves), so that undoing gives back exactly that. How the
merged one's persona speaks stays with them, and the kept one gets the like of it where they had nothing set. Merges
are undone in the reverse of their order where one rests on another. Consent is never widened: the merged one's own
does not carry over to somebody who had none, and what they withdrew is withdrawn for the kept one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from db import tables
from db.engine import Database
from memory import consent, families, ledger, names, values
from memory.errors import CannotMerge, CannotUnmerge, UnknownMerge
from memory.facts import fact_json, list_facts
from memory.moves import Moves, counts, put_back, touched
from memory.people import add_alias, load_people
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.types import Fact, Person


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What each of the two was said to be, where only one of it can hold."""

    kept: Fact
    other: Fact


@dataclass(frozen=True, slots=True)
class MergeReport:
    merge_id: str | None  # None where it was only tried
    kept: Person  # as they are afterwards
    other: Person  # as they were
    moved: dict[str, int]  # rows by table
    disagreements: tuple[Disagreement, ...] = ()
    is_consent_left: bool = False  # the other had a consent that does not carry over


@dataclass(frozen=True, slots=True)
class MergeRow:
    id: str
    kept: Person
    merged: str  # the name they had
    merged_at: datetime
    undone_at: datetime | None
    moved: dict[str, int]  # rows by table


def merge_people(
    database: Database,
    space_id: str,
    kept_id: str,
    other_id: str,
    registry: Registry,
    *,
    force: bool = False,
    dry_run: bool = False,
    clock: Clock = utc_now,
) -> MergeReport:
    """Let the other be the kept one from now on. With `dry_run` nothing is written.

    Raises CannotMerge where they are one already, and, unless forced, where both spoke in one conversation.
    """
    disagreements = _disagreements(database, space_id, kept_id, other_id, registry)
    with database.transaction() as session, session.begin_nested() as attempt:
        other, kept = load_people(session, [other_id]), load_people(session, [kept_id])
        if kept_id == other_id or _is_merged(session, kept_id) or _is_merged(session, other_id):
            raise CannotMerge(
                kept[0].name, other[0].name, "they are one already, or one of them was just merged"
            )
        if not force:
            _refuse_two(session, kept[0], other[0])
        is_left = consent.stands(session, space_id, other_id) and not consent.stands(
            session, space_id, kept_id
        )
        row = merge_nodes(session, space_id, kept_id, other_id, clock=clock)
        kept, moved = load_people(session, [kept_id]), counts(row.effects)
        if dry_run:
            attempt.rollback()
    return MergeReport(None if dry_run else row.id, kept[0], other[0], moved, tuple(disagreements), is_left)


def merge_nodes(
    session: Session, space_id: str, kept_id: str, other_id: str, *, clock: Clock = utc_now
) -> tables.PersonMerge:
    """The merge itself, in the caller's transaction, with its record and its ledger entry."""
    kept, other = session.get_one(tables.Node, kept_id), session.get_one(tables.Node, other_id)
    moves = Moves(session, space_id)
    moves.move(other_id, kept_id)
    if consent.stands(session, space_id, kept_id):
        moves.move_column("consent", "person_id", other_id, kept_id)
    _move_constitution(moves, kept_id, other_id)
    _copy_setting(moves, kept_id, other_id)
    moves.set("node", "is_speaker", [kept_id], kept.is_speaker, kept.is_speaker or other.is_speaker)
    moves.set("node", "merged_into", [other_id], None, kept_id)
    if names.described(other.name) is None:
        _call(moves, kept_id, other.name)
    row = tables.PersonMerge(
        space_id=space_id, kept_id=kept_id, merged_id=other_id, effects=moves.made, merged_at=clock()
    )
    session.add(row)
    session.flush()
    payload = {"merge": row.id, "kept": kept_id, "merged": other_id, "n_effects": len(moves.made)}
    ledger.append(session, space_id, "person_merge", payload, clock=clock)
    return row


def unmerge(
    database: Database, space_id: str, merge_id: str, *, clock: Clock = utc_now
) -> tuple[Person, Person]:
    """The two people, apart again. Raises UnknownMerge, or CannotUnmerge and changes nothing."""
    with database.transaction() as session:
        row = session.get(tables.PersonMerge, merge_id)
        if row is None or row.space_id != space_id:
            raise UnknownMerge(merge_id)
        if row.undone_at is not None:
            raise CannotUnmerge(merge_id, "it was undone before")
        later = _resting_on(session, row)
        if later is not None:
            raise CannotUnmerge(
                merge_id, f"merge {later} rests on it; `slowwave person unmerge {later}` first"
            )
        put_back(session, space_id, row.effects)
        _restore_name(session, space_id, row)
        _restore_voice(session, row.kept_id)
        row.undone_at = clock()
        payload = {"merge": row.id, "kept": row.kept_id, "merged": row.merged_id}
        ledger.append(session, space_id, "person_unmerge", payload, clock=clock)
        kept, other = load_people(session, [row.kept_id, row.merged_id])
        return kept, other


def list_merges(database: Database, space_id: str) -> list[MergeRow]:
    """Every merge, the newest first; those that were undone as well."""
    merged = aliased(tables.Node)
    query = (
        select(tables.PersonMerge, merged.name)
        .join(merged, merged.id == tables.PersonMerge.merged_id)
        .where(tables.PersonMerge.space_id == space_id)
        .order_by(tables.PersonMerge.merged_at.desc(), tables.PersonMerge.id)
    )
    with database.reading() as session:
        rows = session.execute(query).all()
        people = {person.id: person for person in load_people(session, [row.kept_id for row, _ in rows])}
    return [
        MergeRow(
            row.id,
            people[row.kept_id],
            name,
            row.merged_at,
            row.undone_at,
            counts(row.effects),
        )
        for row, name in rows
    ]


def _disagreements(
    database: Database, space_id: str, kept_id: str, other_id: str, registry: Registry
) -> list[Disagreement]:
    sides = [list_facts(database, space_id, registry, person_id=one) for one in (kept_id, other_id)]
    return [
        Disagreement(mine, theirs)
        for mine in sides[0]
        for theirs in sides[1]
        if _disagree(mine, theirs, registry)
    ]


def _disagree(a: Fact, b: Fact, registry: Registry) -> bool:
    entry = registry.get(a.predicate)
    is_ladder = None not in (families.stage(a.predicate), families.stage(b.predicate))
    if families.slot(a.predicate) != families.slot(b.predicate):
        return False
    if not is_ladder and (a.predicate != b.predicate or entry.cardinality != "one"):
        return False
    if a.object_id is not None and a.object_id == b.object_id:
        return False
    return not values.is_same(a.object, b.object, kind=entry.object)


def _is_merged(session: Session, person_id: str) -> bool:
    return session.get_one(tables.Node, person_id).merged_into is not None


def _refuse_two(session: Session, kept: Person, other: Person) -> None:
    """Raises CannotMerge where both spoke in one conversation; what a model wrote for them does not count."""

    def spoke_in(person_id: str) -> set[str]:
        query = select(tables.Episode.conversation_id).where(
            tables.Episode.speaker_id == person_id, tables.Episode.origin != "simulated"
        )
        return set(session.scalars(query.distinct()))

    shared = spoke_in(kept.id) & spoke_in(other.id)
    if shared:
        where = "one conversation" if len(shared) == 1 else f"{len(shared)} conversations"
        why = f"both speak in {where}, so they are two; if they are one all the same, add --force"
        raise CannotMerge(kept.name, other.name, why)


def _move_constitution(moves: Moves, kept_id: str, other_id: str) -> None:
    """The other's versions become the kept one's earlier history: what holds stays what the kept one had."""
    kinds = (tables.Principle, tables.Constitution)
    rows = {kind: _versions(moves.session, kind, other_id) for kind in kinds}
    newest = max((version for found in rows.values() for _, version in found), default=0)
    has_one = any(_versions(moves.session, kind, kept_id) for kind in kinds)
    for kind, found in rows.items():
        for version in sorted({version for _, version in found}) if has_one else ():
            ids = sorted(row_id for row_id, of in found if of == version)
            moves.set(kind.__tablename__, "version", ids, version, version - newest)
        moves.move_column(kind.__tablename__, "person_id", other_id, kept_id)


def _copy_setting(moves: Moves, kept_id: str, other_id: str) -> None:
    row, session = tables.PersonaSetting, moves.session
    theirs = session.get(row, other_id)
    if theirs is None or session.get(row, kept_id) is not None:
        return
    session.add(
        row(person_id=kept_id, space_id=moves.space_id, sampling=theirs.sampling, set_at=theirs.set_at)
    )
    session.flush()
    moves.added("persona_setting", kept_id, set_at=theirs.set_at)


def _versions(
    session: Session, kind: type[tables.Principle | tables.Constitution], person_id: str
) -> Sequence[tuple[str, int]]:
    query = select(kind.id, kind.version).where(kind.person_id == person_id)
    return [(row_id, version) for row_id, version in session.execute(query)]


def _call(moves: Moves, node_id: str, name: str) -> None:
    """Let the kept one go by that name too, and remember the alias if there was none."""
    query = select(tables.Alias.id).where(
        tables.Alias.node_id == node_id, tables.Alias.name_key == names.key(name)
    )
    before = moves.session.scalar(query)
    add_alias(moves.session, moves.space_id, node_id, name)
    after = moves.session.scalar(query)
    if after is not None and before is None:
        moves.added("alias", after)


def _resting_on(session: Session, row: tables.PersonMerge) -> str | None:
    """The newest standing merge, made after this one, that changed any of the same rows."""
    mine = set(touched(row.effects))
    newest_first = (
        select(tables.LedgerEntry.payload)
        .where(tables.LedgerEntry.space_id == row.space_id, tables.LedgerEntry.kind == "person_merge")
        .order_by(tables.LedgerEntry.seq.desc())
    )
    for payload in session.scalars(newest_first):
        if payload["merge"] == row.id:
            return None
        other = session.get(tables.PersonMerge, payload["merge"])
        if other is not None and other.undone_at is None and not mine.isdisjoint(touched(other.effects)):
            return other.id
    return None


def _restore_name(session: Session, space_id: str, row: tables.PersonMerge) -> None:
    """Who was merged goes by their name again, unless somebody has it."""
    node = session.get_one(tables.Node, row.merged_id)
    wanted = names.key(node.name)
    query = select(tables.Node.id).where(
        tables.Node.space_id == space_id, tables.Node.kind == node.kind, tables.Node.name_key == wanted
    )
    if node.name_key != wanted and session.scalar(query) is None:
        node.name_key = wanted
    session.flush()


def _restore_voice(session: Session, kept_id: str) -> None:
    """Whoever spoke only through those who were merged into them speaks as long as any of their words are theirs."""
    query = select(tables.PersonMerge.effects).where(tables.PersonMerge.kept_id == kept_id)
    if any(effect.get("column") == "is_speaker" for effects in session.scalars(query) for effect in effects):
        spoken = select(tables.Episode.id).where(
            tables.Episode.speaker_id == kept_id, tables.Episode.origin != "simulated"
        )
        session.get_one(tables.Node, kept_id).is_speaker = session.scalar(spoken.limit(1)) is not None
        session.flush()


def report_json(report: MergeReport) -> dict[str, Any]:
    """What a merge did, or would do: `merge` is null where it was only tried."""
    return {
        "merge": report.merge_id,
        "kept": report.kept.name,
        "merged": report.other.name,
        "moved": report.moved,
        "disagree": [
            {
                "predicate": clash.kept.predicate,
                "kept": fact_json(clash.kept),
                "merged": fact_json(clash.other),
            }
            for clash in report.disagreements
        ],
        "consent_left": report.is_consent_left,
    }


def merge_json(row: MergeRow) -> dict[str, Any]:
    return {
        "merge": row.id,
        "kept": row.kept.name,
        "merged": row.merged,
        "moved": row.moved,
        "at": row.merged_at.isoformat(),
        "undone": row.undone_at.isoformat() if row.undone_at else None,
    }
