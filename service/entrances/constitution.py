"""What both entrances do with constitutions: show one, compare two versions, edit by hand; and the habits in numbers."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, time
from typing import Any

from memory import constitutions
from memory.constitutions import Edit, LineChange, Version
from memory.errors import BadStatement
from memory.fact_story import message_json
from memory.revision import KINDS, Line
from memory.types import Episode, Principle
from service.wiring import Services

_TEXT_LINE = re.compile(r"^\s*(?:\[(?P<id>[^\]]*)\]\s*)?(?P<kind>\w+)\s*:\s*(?P<text>.*)$")


def show(
    services: Services,
    person: str,
    *,
    as_of: int | datetime | None = None,
    known_to: str | None = None,
    with_quotes: bool = False,
    with_habits: bool = True,
) -> dict[str, Any]:
    """One version with its lines, and how the person writes; a person who has no constitution yet has version 0.

    With `known_to`, lines whose messages that person could all know, and numbers from what they could know.
    """
    about = services.person(person)
    version = _version(services, about.id, as_of)
    heard = _known(services, known_to)
    lines = [line for line in version.lines if heard is None or _is_known(line, heard)]
    quotes = _quotes(services, lines) if with_quotes else None
    return {
        "person": about.name,
        "version": version.number,
        "author": version.author,
        "at": version.created_at.isoformat() if version.created_at else None,
        "run": version.run_id,
        "lines": [line_json(line, quotes) for line in lines],
        "habits": habits(services, person, known_to=known_to) if with_habits and as_of is None else None,
    }


def versions(services: Services, person: str) -> list[dict[str, Any]]:
    """Every version, the newest first, with how many lines each change befell."""
    from memory.revision import counts

    found = constitutions.versions(services.database, services.space_id, services.person(person).id)
    return [
        {
            "version": one.number,
            "author": one.author,
            "at": one.created_at.isoformat() if one.created_at else None,
            "run": one.run_id,
            "lines": len(one.lines),
            "changes": counts(one.changes),
        }
        for one in reversed(found)
    ]


def diff(
    services: Services,
    person: str,
    old: int | None = None,
    new: int | None = None,
    *,
    known_to: str | None = None,
) -> dict[str, Any]:
    """What changed from one version to another: by default from the one before the newest to the newest."""
    about, heard = services.person(person), _known(services, known_to)
    every = constitutions.versions(services.database, services.space_id, about.id)
    numbers = [version.number for version in every]
    after = constitutions.get_version(services.database, services.space_id, about.id, new)
    if old is None:
        before = max(
            (version for version in every if version.number < after.number), key=_number, default=None
        )
    else:
        before = constitutions.get_version(services.database, services.space_id, about.id, old)
    first = before.number if before else min(numbers) - 1
    between = [version for version in every if first < version.number <= after.number]
    changes = [
        change
        for change in constitutions.diff(before, after, between)
        if heard is None or all(_is_known(line, heard) for line in (change.old, change.new) if line)
    ]
    return {
        "person": about.name,
        "from": before.number if before else None,
        "to": after.number,
        "lines": [change_json(change) for change in changes],
    }


def edit(services: Services, person: str, wanted: Edit) -> dict[str, Any]:
    """Write, drop or change lines by hand; what the new version says. The nights leave them as they are."""
    about = services.person(person)
    with services.database.transaction() as session:
        constitutions.edit(session, services.space_id, about.id, wanted, clock=services.clock)
    return show(services, person, with_habits=False)


def habits(services: Services, person: str, *, known_to: str | None = None) -> dict[str, Any]:
    """How the person writes, counted over all of their messages, or those that `known_to` could know."""
    from agents.measures import measure, measures_json
    from memory.episodes import list_episodes
    from memory.fact_rows import timezone

    about, heard = services.person(person), _known(services, known_to)
    with services.database.reading() as session:
        zone = timezone(session, services.space_id)
    said = list_episodes(services.database, services.space_id)
    if heard is not None:
        said = [episode for episode in said if episode.id in heard]
    own = [episode for episode in said if episode.speaker_id == about.id]
    shared = {episode.conversation_id for episode in own}
    return measures_json(measure(own, [one for one in said if one.conversation_id in shared], zone))


def as_text(shown: dict[str, Any]) -> str:
    """The version as a text to edit; `read_text` reads it back."""
    head = [
        f"# Constitution of {shown['person']}, version {shown['version']}.",
        f"# One line each: [id] kind: text. The kinds: {', '.join(KINDS)}.",
        "# Change a text, take a line out to drop it, write one without an id to add it. Nights leave your lines alone.",
    ]
    return "\n".join(
        [*head, *(f"[{one['line']}] {one['kind']}: {one['text']}" for one in shown["lines"]), ""]
    )


def read_text(text: str, shown: dict[str, Any]) -> Edit:
    """What was done to the text of a version. Raises BadStatement for a line that cannot be read."""
    before = {one["line"]: one for one in shown["lines"]}
    added: list[Principle] = []
    changed: dict[str, Principle] = {}
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _TEXT_LINE.match(line)
        if match is None:
            raise BadStatement("constitution", f"cannot be read at line {number}; write it as `kind: text`")
        new = Principle(match["kind"], match["text"].strip(), ())
        if not match["id"]:
            added.append(new)
            continue
        old = before.get(match["id"])
        if old is None or match["id"] in seen:
            raise BadStatement("constitution", f"has an id at line {number} that is not one of its lines")
        seen.add(match["id"])
        if (old["kind"], old["text"]) != (new.kind, new.text):
            changed[match["id"]] = new
    return Edit(added, [line_id for line_id in before if line_id not in seen], changed)


def line_json(line: Line, quotes: dict[str, Episode] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "line": line.id,
        "kind": line.principle.kind,
        "text": line.principle.text,
        "about": line.principle.about,
        "author": line.author,
        "weak": line.is_weak,
        "messages": list(line.principle.evidence),
    }
    if quotes is not None:
        found["evidence"] = [
            message_json(said)
            for said in sorted(
                (quotes[item] for item in line.principle.evidence if item in quotes), key=lambda one: one.time
            )
        ]
    return found


def change_json(change: LineChange) -> dict[str, Any]:
    old, new = change.old, change.new
    kind = "added" if old is None else "removed" if new is None else "changed"
    if old and new and (old.principle.kind, old.principle.text) == (new.principle.kind, new.principle.text):
        is_less = new.is_weak > old.is_weak or (change.lost and not change.gained)
        kind = "weakened" if is_less else "confirmed"
    return {
        "line": change.id,
        "change": kind,
        "old": line_json(old) if old else None,
        "new": line_json(new) if new else None,
        "gained": list(change.gained),
        "lost": list(change.lost),
        "reasons": list(change.reasons),
    }


def _number(version: Version) -> int:
    return version.number


def _version(services: Services, person_id: str, as_of: int | datetime | None) -> Version:
    where = services.database, services.space_id, person_id
    if isinstance(as_of, datetime):
        moment = (
            as_of if as_of.time() != time() else datetime.combine(as_of.date(), time.max, as_of.tzinfo or UTC)
        )
        return constitutions.get_version(*where, at=moment)
    with services.database.reading() as session:
        is_none = as_of is None and not constitutions.current_version(session, *where[1:])
    if is_none:
        return Version(0, "night", None, None, 0, (), ())
    return constitutions.get_version(*where, as_of)


def _known(services: Services, known_to: str | None) -> Collection[str] | None:
    from memory.perspective import visible_episode_ids

    if known_to is None:
        return None
    return visible_episode_ids(services.database, services.space_id, services.person(known_to).id)


def _is_known(line: Line, heard: Collection[str]) -> bool:
    return bool(line.principle.evidence) and all(item in heard for item in line.principle.evidence)


def _quotes(services: Services, lines: Sequence[Line]) -> dict[str, Episode]:
    from memory.episodes import get_episodes

    wanted = {item for line in lines for item in line.principle.evidence}
    return {said.id: said for said in get_episodes(services.database, services.space_id, sorted(wanted))}
