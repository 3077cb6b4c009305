"""Constitutions: versioned principles of one person, each with the messages it rests on.

A version is never changed; the night writes a new one by `revision.revise`, a person by `edit`. A line has one
identity in all versions. Erasure alone takes rows away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from db.tables import new_id
from memory import ledger
from memory.errors import BadStatement, UnknownLine, UnknownVersion
from memory.names import key
from memory.ports import Clock, utc_now
from memory.revision import KINDS, Author, Change, Found, Line, Standing, revise, wording
from memory.types import Principle

MOST_CHARACTERS = 500  # of a line that a person writes


@dataclass(frozen=True, slots=True)
class Version:
    """One version with its lines; `changes` against the one before it, empty where that is not on record."""

    number: int
    author: str
    created_at: datetime | None
    run_id: str | None
    n_messages: int
    lines: tuple[Line, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """What a person does to a constitution. `dropped` and the keys of `changed` are ids of lines, or what they begin
    with where that is one line's."""

    added: Sequence[Principle] = ()
    dropped: Sequence[str] = ()
    changed: Mapping[str, Principle] | None = None  # the evidence of these is left as it is


def write(
    session: Session,
    space_id: str,
    person_id: str,
    found: Found | Sequence[Principle],
    *,
    run_id: str | None,
    clock: Clock = utc_now,
) -> int:
    """Revise by what a writer found; the version that now holds: a new one, or the present one where nothing changed.

    0 means that the person has none: a constitution without a line is not begun. A view of somebody whom the graph
    does not know is left out.
    """
    given = found if isinstance(found, Found) else Found(found)
    stands = standing(session, space_id, person_id)
    revision = revise(stands, given)
    if not revision.changes:
        return stands.version
    return _save(
        session,
        space_id,
        person_id,
        stands,
        revision.lines,
        revision.changes,
        "night",
        given.n_messages,
        run_id,
        clock,
    )


def edit(session: Session, space_id: str, person_id: str, wanted: Edit, *, clock: Clock = utc_now) -> int:
    """The new version, or the present one where nothing was asked. Lines that a person wrote, changed or dropped stay
    so in every night. Raises UnknownLine and BadStatement, with nothing written."""
    stands = standing(session, space_id, person_id)
    changed = {
        _line_of(stands.lines, given).id: _checked(item) for given, item in (wanted.changed or {}).items()
    }
    dropped = {_line_of(stands.lines, given).id for given in wanted.dropped}
    lines: list[Line] = []
    changes = [Change(line_id, "retired", "dropped by hand") for line_id in sorted(dropped)]
    for line in stands.lines:
        new = changed.get(line.id)
        if new is not None and line.id not in dropped:
            new = replace(new, evidence=line.principle.evidence, about=new.about or line.principle.about)
            if new == line.principle:
                new = None
            else:
                changes.append(Change(line.id, "changed", "written by hand"))
                line = Line(line.id, new, "person")
        if line.id not in dropped:
            lines.append(line)
    for item in map(_checked, wanted.added):
        changes.append(Change(f"+{len(lines)}", "added", "written by hand"))
        lines.append(Line("", item, "person"))
    if not changes:
        return stands.version
    return _save(
        session, space_id, person_id, stands, lines, changes, "person", stands.n_messages, None, clock
    )


def standing(session: Session, space_id: str, person_id: str) -> Standing:
    """What holds now, with the wordings of all that ever was."""
    version = current_version(session, space_id, person_id)
    headers = list(_headers(session, space_id, person_id))
    newest = next((header for header in headers if header.version == version), None)
    by_hand: dict[str, bool] = {}
    for header in headers:
        by_hand |= {
            change["line"]: header.author == "person" and change["change"] == "retired"
            for change in header.changes
        }
    query = select(tables.Principle).where(_of(tables.Principle, space_id, person_id))
    rows = list(session.scalars(query.order_by(tables.Principle.version)))
    return Standing(
        version=version,
        lines=_lines(session, [row for row in rows if row.version == version]),
        wordings={wording(row.kind, row.text): _identity(row) for row in rows},
        dropped=frozenset(line for line, is_dropped in by_hand.items() if is_dropped),
        n_messages=newest.n_messages if newest else 0,
    )


def reworded(session: Session, space_id: str, version: int, person_id: str) -> set[str]:
    """The messages to which a source has given other words since that version was made."""
    made = _version(session, space_id, person_id, version).created_at
    if made is None:
        return set()
    change = tables.EpisodeVersion
    query = select(change.episode_id).where(change.space_id == space_id, change.replaced_at > made)
    return set(session.scalars(query))


def current(database: Database, space_id: str, person_id: str) -> list[Principle]:
    """The newest version: values, principles, habits, speech, limits, views, the most telling of each first."""
    with database.reading() as session:
        return current_within(session, space_id, person_id)[1]


def current_within(session: Session, space_id: str, person_id: str) -> tuple[int, list[Principle]]:
    """The number of the version that holds, and what it says, within a reading or a transaction."""
    version = current_version(session, space_id, person_id)
    lines = _version_lines(session, space_id, person_id, version) if version else ()
    return version, [line.principle for line in lines]


def current_version(session: Session, space_id: str, person_id: str) -> int:
    """The number of the version that holds; 0 where there is none."""
    newest = session.execute(_newest(), {"space_id": space_id, "person_id": person_id}).one()
    return max((number for number in newest if number is not None), default=0)


@lru_cache(maxsize=1)
def _newest() -> Select[*tuple[Any, ...]]:
    """Made once: making the query costs more than asking it."""
    return select(
        *(
            select(func.max(table.version))
            .where(table.space_id == bindparam("space_id"), table.person_id == bindparam("person_id"))
            .scalar_subquery()
            for table in (tables.Constitution, tables.Principle)
        )
    )


def versions(database: Database, space_id: str, person_id: str) -> list[Version]:
    """Every version on record, the oldest first."""
    with database.reading() as session:
        return [
            _version(session, space_id, person_id, number)
            for number in _numbers(session, space_id, person_id)
        ]


def get_version(
    database: Database,
    space_id: str,
    person_id: str,
    number: int | None = None,
    *,
    at: datetime | None = None,
) -> Version:
    """That version; the one that held at a time; or the newest. Raises UnknownVersion where there is none."""
    with database.reading() as session:
        known = _numbers(session, space_id, person_id)
        if at is not None:
            held = [one for one in known if (_version_time(session, space_id, person_id, one) or at) <= at]
            number = max(held, default=None)
        elif number is None:
            number = max(known, default=None)
        if number is None or number not in known:
            raise UnknownVersion(number, known)
        return _version(session, space_id, person_id, number)


@dataclass(frozen=True, slots=True)
class LineChange:
    """A line in one version and in another; None where one has it not. `reasons`: the latest first."""

    id: str
    old: Line | None
    new: Line | None
    reasons: tuple[str, ...] = ()

    @property
    def gained(self) -> tuple[str, ...]:
        return _beyond(self.new, self.old)

    @property
    def lost(self) -> tuple[str, ...]:
        return _beyond(self.old, self.new)


def diff(old: Version | None, new: Version, between: Sequence[Version] = ()) -> list[LineChange]:
    """The lines that differ in their words, their standing or their messages, as they stand in `new`, those that went
    last. `between`: the versions after `old` up to `new`, for the reasons."""
    before = {line.id: line for line in old.lines} if old else {}
    after = {line.id: line for line in new.lines}
    why: dict[str, list[str]] = {}
    for version in sorted(between, key=lambda version: -version.number):
        for change in version.changes:
            why.setdefault(change.line, []).append(change.reason)
    return [
        LineChange(line_id, before.get(line_id), after.get(line_id), tuple(why.get(line_id, ())))
        for line_id in [*after, *(line_id for line_id in before if line_id not in after)]
        if before.get(line_id) != after.get(line_id)
    ]


def _beyond(one: Line | None, other: Line | None) -> tuple[str, ...]:
    known = other.principle.evidence if other else ()
    return tuple(item for item in (one.principle.evidence if one else ()) if item not in known)


def _save(
    session: Session,
    space_id: str,
    person_id: str,
    stands: Standing,
    lines: Sequence[Line],
    changes: Sequence[Change],
    author: Author,
    n_messages: int,
    run_id: str | None,
    clock: Clock,
) -> int:
    version, now = stands.version + 1, clock()
    ids: dict[str, str] = {}
    ranks: dict[str, int] = {}
    for place, line in enumerate(lines):
        about_id = _about_id(session, space_id, line.principle.about)
        if line.principle.about is not None and about_id is None:
            continue
        line_id = ids[f"+{place}"] = line.id or new_id()
        kind = line.principle.kind
        ranks[kind] = ranks.get(kind, -1) + 1
        session.add(
            tables.Principle(
                space_id=space_id,
                person_id=person_id,
                version=version,
                kind=kind,
                text=line.principle.text,
                evidence=list(line.principle.evidence),
                created_at=now,
                run_id=run_id,
                line=line_id,
                about_id=about_id,
                author=line.author,
                is_weak=line.is_weak,
                rank=ranks[kind],
            )
        )
    made = [
        {"line": ids.get(change.line, change.line), "change": change.change, "reason": change.reason}
        for change in changes
        if not change.line.startswith("+") or change.line in ids
    ]
    if not made:
        return stands.version
    session.add(
        tables.Constitution(
            space_id=space_id,
            person_id=person_id,
            version=version,
            author=author,
            run_id=run_id,
            created_at=now,
            n_messages=n_messages,
            changes=made,
        )
    )
    session.flush()
    payload = {
        "person": person_id,
        "version": version,
        "n_principles": len(ids),
        "run": run_id,
        "author": author,
    }
    ledger.append(session, space_id, "constitution", payload, clock=clock)
    return version


def _about_id(session: Session, space_id: str, name: str | None) -> str | None:
    if name is None:
        return None
    node = tables.Node
    return session.scalar(
        select(node.id).where(node.space_id == space_id, node.kind == "person", node.name_key == key(name))
    )


def _checked(line: Principle) -> Principle:
    text = " ".join(line.text.split())
    if not text:
        raise BadStatement("line", "is empty; write what it says")
    if len(text) > MOST_CHARACTERS:
        raise BadStatement("line", f"is longer than {MOST_CHARACTERS} characters; say it in fewer words")
    if line.kind not in KINDS:
        raise BadStatement("kind", f"{line.kind!r} is none of {', '.join(KINDS)}")
    return replace(line, text=text)


def _line_of(lines: Sequence[Line], given: str) -> Line:
    found = [line for line in lines if given and line.id.startswith(given)]
    if len(found) != 1:
        raise UnknownLine(given)
    return found[0]


def _of(table: Any, space_id: str, person_id: str) -> Any:
    return (table.space_id == space_id) & (table.person_id == person_id)


def _headers(session: Session, space_id: str, person_id: str) -> Sequence[tables.Constitution]:
    query = select(tables.Constitution).where(_of(tables.Constitution, space_id, person_id))
    return session.scalars(query.order_by(tables.Constitution.version)).all()


def _numbers(session: Session, space_id: str, person_id: str) -> list[int]:
    numbers: set[int] = set()
    for table in (tables.Constitution, tables.Principle):
        numbers.update(
            session.scalars(select(table.version).where(_of(table, space_id, person_id)).distinct())
        )
    return sorted(numbers)


def _version_time(session: Session, space_id: str, person_id: str, number: int) -> datetime | None:
    return _version(session, space_id, person_id, number).created_at


def _version(session: Session, space_id: str, person_id: str, number: int) -> Version:
    """A version of before headers were kept has the time and night of its lines, and no changes."""
    header = next((one for one in _headers(session, space_id, person_id) if one.version == number), None)
    lines = _version_lines(session, space_id, person_id, number)
    if header is not None:
        changes = tuple(Change(one["line"], one["change"], one["reason"]) for one in header.changes)
        return Version(
            number, header.author, header.created_at, header.run_id, header.n_messages, lines, changes
        )
    query = select(tables.Principle.created_at, tables.Principle.run_id)
    is_here = _of(tables.Principle, space_id, person_id) & (tables.Principle.version == number)
    made = session.execute(query.where(is_here)).first()
    return Version(number, "night", made[0] if made else None, made[1] if made else None, 0, lines, ())


def _version_lines(session: Session, space_id: str, person_id: str, version: int) -> tuple[Line, ...]:
    query = select(tables.Principle).where(
        _of(tables.Principle, space_id, person_id), tables.Principle.version == version
    )
    return _lines(session, session.scalars(query).all())


def _lines(session: Session, rows: Sequence[tables.Principle]) -> tuple[Line, ...]:
    order = {kind: place for place, kind in enumerate(KINDS)}
    rows = sorted(rows, key=lambda row: (order.get(row.kind, len(order)), row.rank, row.text))
    about = {row.about_id for row in rows if row.about_id}
    query = select(tables.Node.id, tables.Node.name).where(tables.Node.id.in_(about))
    names = {row.id: row.name for row in session.execute(query)} if about else {}
    return tuple(
        Line(
            _identity(row),
            Principle(row.kind, row.text, tuple(row.evidence), names.get(row.about_id or "")),
            "person" if row.author == "person" else "night",
            row.is_weak,
        )
        for row in rows
    )


def _identity(row: tables.Principle) -> str:
    """The line's id; in rows of before it was kept, what they say."""
    return row.line or sha256("\0".join(wording(row.kind, row.text)).encode()).hexdigest()[:16]
