"""How a constitution is revised: what a writer found now, laid beside the lines that stand. Pure; nothing is stored.

A line keeps its identity while it makes the same claim, in whatever words. It is confirmed or loses ground with its
messages, and goes when they are gone, or when what was written since has twice not shown it. What a person wrote or
dropped stays written or dropped: a night only adds messages to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from memory.names import key
from memory.ports import Embedder
from memory.types import Principle

Author = Literal["night", "person"]
ChangeKind = Literal["added", "confirmed", "weakened", "changed", "retired"]

KINDS = ("value", "principle", "habit", "speech", "limit", "view")
MOST_EVIDENCE = 6  # messages that a line is shown with
LIMITS = {"manner": 9, "creed": 10, "view": 8}  # lines of each group that one constitution holds
_GROUP = {"speech": "manner", "habit": "manner", "view": "view"}
_LIKE, _LIKE_SHARING = 0.82, 0.6  # cosine from which two lines are one claim; where they share a message


@dataclass(frozen=True, slots=True)
class Line:
    """A principle with its identity, `id`, over all versions. `is_weak`: what was written since has not shown it."""

    id: str
    principle: Principle
    author: Author = "night"
    is_weak: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a line, and why: a reason holds nobody's words."""

    line: str
    change: ChangeKind
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds before a revision. `wordings`: every line that ever was, by what it said; those of `dropped` lines a
    person took out."""

    version: int
    lines: tuple[Line, ...]
    wordings: Mapping[tuple[str, str], str]  # (kind, key of the text) -> line
    dropped: frozenset[str] = frozenset()
    n_messages: int = 0  # of the person's own when the version was made


@dataclass(frozen=True, slots=True)
class Revision:
    """New lines have no id yet: it is "" for them, and for their changes the place among `lines` as "+0", "+1"."""

    lines: tuple[Line, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a writer found. `alive`: the messages that may be evidence, None for any; those `reworded` since speak for a
    line only where the writer still names them. `n_messages` of the person's own; `same`: place among `lines` -> the
    line that it is the claim of, where the words differ (`match`)."""

    lines: Sequence[Principle]
    alive: Collection[str] | None = None
    reworded: Collection[str] = ()
    n_messages: int = 0
    same: Mapping[int, str] | None = None
    withdrawn: Sequence[Principle] = ()  # what was taken back: such lines go at once

    def may_show(self, episode_id: str) -> bool:
        """Whether a message of an earlier version is still what it was."""
        return (self.alive is None or episode_id in self.alive) and episode_id not in self.reworded


def match(standing: Standing, found: Sequence[Principle], embedder: Embedder) -> dict[int, str]:
    """Which found lines make the claim of a line that stands, in other words: near in meaning, nearer where they share
    no message. One to one, the nearest first; what has the very words of a line is left to `revise`."""
    said = {_wording(line.principle) for line in standing.lines}
    new = [place for place, line in enumerate(found) if _wording(line) not in standing.wordings]
    given = {_wording(line) for line in found}
    old = [line for line in standing.lines if _wording(line.principle) in said - given]
    if not new or not old:
        return {}
    vectors = embedder.encode([*(found[place].text for place in new), *(line.principle.text for line in old)])
    near = vectors[: len(new)] @ vectors[len(new) :].T
    pairs = sorted(
        ((float(near[i, j]), i, j) for i in range(len(new)) for j in range(len(old))), reverse=True
    )
    taken: dict[int, str] = {}
    for likeness, i, j in pairs:
        if new[i] not in taken and old[j].id not in taken.values():
            shares = not set(found[new[i]].evidence).isdisjoint(old[j].principle.evidence)
            fits = _group(found[new[i]].kind) == _group(old[j].principle.kind)
            fits = fits and found[new[i]].about == old[j].principle.about
            if fits and likeness >= (_LIKE_SHARING if shares else _LIKE):
                taken[new[i]] = old[j].id
    return taken


def revise(standing: Standing, found: Found) -> Revision:
    """The lines that hold from now on, in the order of their weight, and what changed. No change: the version stays."""
    taken_back = {_wording(line) for line in found.withdrawn} - {_wording(line) for line in found.lines}
    fresh = _assigned(standing, found)
    has_grown = found.n_messages > standing.n_messages
    kept: list[tuple[float, Line, Change | None]] = []
    changes: list[Change] = []
    ranks = {line_id: float(rank) for rank, (line_id, _) in enumerate(fresh) if line_id}
    by_line = {line_id: line for line_id, line in fresh if line_id}
    for line in standing.lines:
        living = tuple(item for item in line.principle.evidence if found.may_show(item))
        new, change = _follow(line, by_line.pop(line.id, None), living, has_grown=has_grown)
        if line.author == "night" and _wording(line.principle) in taken_back:
            new, change = None, Change(line.id, "retired", "it was taken back")
        if new is None and change is not None:
            changes.append(change)
        elif new is not None:
            # what stands gives way only to what says clearly more
            kept.append((_weight(new, ranks.get(line.id)), new, change))
    for rank, (line_id, principle) in enumerate(fresh):
        if line_id is None or line_id in by_line:
            reason = "shown again" if line_id else f"shown by {_messages(len(principle.evidence))}"
            new = Line(line_id or "", _capped(principle))
            kept.append((float(rank), new, Change(line_id or "", "added", reason)))
    return _within_limits(kept, changes, {line.id for line in standing.lines})


_WAITING = 1000.0  # behind everything that was found again


def _weight(line: Line, rank: float | None) -> float:
    if line.author == "person":
        return -1.0
    if rank is None:
        return _WAITING * (2 if line.is_weak else 1)
    return rank - 3.0


def _assigned(standing: Standing, found: Found) -> list[tuple[str | None, Principle]]:
    """Each found line with the line that it is; None for a new one. What a person dropped is left out."""
    same = found.same or {}
    given: list[tuple[str | None, Principle]] = []
    taken: set[str] = set()
    for place, line in enumerate(found.lines):
        line_id = standing.wordings.get(_wording(line)) or same.get(place)
        if line_id in standing.dropped or (line_id is not None and line_id in taken):
            continue
        if line_id is not None:
            taken.add(line_id)
        elif any(_wording(line) == _wording(other) for _, other in given):
            continue
        alive = tuple(item for item in line.evidence if found.alive is None or item in found.alive)
        if alive or found.alive is None:
            given.append((line_id, replace(line, evidence=alive)))
    return given


def _follow(
    line: Line, fresh: Principle | None, living: tuple[str, ...], *, has_grown: bool
) -> tuple[Line | None, Change | None]:
    """What becomes of a line that stands: the line and what changed; None for the line where it goes."""
    old = line.principle
    n_gone = len(old.evidence) - len(living)
    if old.evidence and not living and fresh is None:
        return None, Change(line.id, "retired", "its messages are gone")
    if fresh is not None:
        return _shown(line, fresh, living)
    if line.author == "night" and has_grown:
        if line.is_weak:
            return None, Change(line.id, "retired", "what was written since has not shown it again")
        change = Change(line.id, "weakened", "what was written since does not show it")
        return replace(line, principle=replace(old, evidence=living), is_weak=True), change
    if n_gone:
        gone = Change(line.id, "weakened", f"{_messages(n_gone)} of it gone")
        return replace(line, principle=replace(old, evidence=living)), gone
    return line, None


def _shown(line: Line, fresh: Principle, living: tuple[str, ...]) -> tuple[Line, Change | None]:
    old = line.principle
    evidence = tuple(dict.fromkeys([*living, *fresh.evidence]))[:MOST_EVIDENCE]
    is_own = line.author == "person"
    principle = replace(old if is_own else fresh, evidence=evidence)
    new = replace(line, principle=principle, is_weak=False)
    n_more = len(set(evidence) - set(old.evidence))
    if _wording(principle) != _wording(old):
        return new, Change(line.id, "changed", "its messages say it in other words now")
    if n_more:
        return new, Change(line.id, "confirmed", f"shown by {_messages(n_more)} more")
    if line.is_weak:
        return new, Change(line.id, "confirmed", "shown again")
    if len(evidence) < len(old.evidence):
        return new, Change(line.id, "weakened", f"{_messages(len(old.evidence) - len(evidence))} of it gone")
    return line, None


def _within_limits(
    kept: list[tuple[float, Line, Change | None]], changes: list[Change], standing: Collection[str]
) -> Revision:
    lines: list[Line] = []
    for group in dict.fromkeys(_group(kind) for kind in KINDS):
        own = sorted(
            (item for item in kept if _group(item[1].principle.kind) == group), key=lambda item: item[0]
        )
        for place, (_, line, change) in enumerate(own):
            if place < LIMITS[group] or line.author == "person":
                if change is not None:
                    changes.append(change if change.line else replace(change, line=f"+{len(lines)}"))
                lines.append(line)
            elif line.id in standing:
                changes.append(Change(line.id, "retired", "other lines say more"))
    return Revision(tuple(lines), tuple(changes))


def _capped(principle: Principle) -> Principle:
    return replace(principle, evidence=principle.evidence[:MOST_EVIDENCE])


def wording(kind: str, text: str) -> tuple[str, str]:
    """Under which two lines are the same words: whatever their case, accents and spaces."""
    return kind, key(text)


def _wording(principle: Principle) -> tuple[str, str]:
    return wording(principle.kind, principle.text)


def _group(kind: str) -> str:
    return _GROUP.get(kind, "creed")


def _messages(n: int) -> str:
    return "one message" if n == 1 else f"{n} messages"


def counts(changes: Iterable[Change]) -> dict[str, int]:
    """How many lines were added, confirmed, weakened, changed, retired."""
    found: dict[str, int] = {}
    for change in changes:
        found[change.change] = found.get(change.change, 0) + 1
    return found
