"""The recipes of a space as a history: which there are, which was made from which, what each step changed, and tags.

A recipe belongs to the space whose nights made it; every one that a night or a hand wrote is an artifact on record, and
its file names its parent. Files of the first format do not: their parent is the recipe that lacks their last vector.
Tags stand in the artifact's notes, where an erasure cleans them; the ledger records that a recipe was tagged, without the name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from consolidation.errors import BadName, BrokenRecipe, UnknownRecipe
from consolidation.recipe import FIRST_FORMAT, MIN_NAME, Entry, Recipe, load_recipe
from db import tables
from db.engine import Database
from memory import ledger
from memory.artifacts import Artifact, list_artifacts, pointer
from memory.ports import Clock, utc_now

SERVING = "serving"  # the recipe that serves now
PLAIN = "base"  # the base model without any vector
PARENT = "^"  # behind a name: the recipe it was made from
_TAGS = "tags"
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}")
_HASH_LIKE = re.compile(rf"[0-9a-f]{{{MIN_NAME},}}")


@dataclass(frozen=True, slots=True)
class Version:
    """A recipe on record. `recipe` is None where its file is missing or damaged, `why` says which."""

    sha256: str
    artifact_id: str
    run_id: str | None  # the night that wrote it; None is by hand
    at: datetime
    tags: tuple[str, ...] = ()
    is_tainted: bool = False
    recipe: Recipe | None = None
    why: str | None = None

    def usable(self) -> Recipe:
        """The recipe. Raises BrokenRecipe."""
        if self.recipe is None:
            raise BrokenRecipe(self.sha256[:12], self.why or "its file is missing")
        return self.recipe


@dataclass(frozen=True, slots=True)
class Change:
    """What a step did to one vector, or to the whole. change: added | removed | scaled | moved | rule | base."""

    change: str
    entry: Entry | None = None
    before: float | str | None = None  # coefficient, rule or base
    after: float | str | None = None

    def as_json(self) -> dict[str, Any]:
        entry = self.entry
        return {
            "change": self.change,
            "vector": entry and entry.adapter_sha256,
            "night": entry and entry.run_id,
            "label": entry and entry.label,
            "person": entry and entry.person,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the log: a recipe, and what it changed in the one it was made from (None: in the plain base)."""

    version: Version
    parent: str | None
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class History:
    """Every recipe of a space, oldest first, and which of them serves; as it stood when it was read."""

    versions: Mapping[str, Version] = field(default_factory=dict)  # by hash
    serving: str | None = None  # hash; None is the plain base

    @classmethod
    def read(cls, database: Database, space_id: str, home: Path) -> History:
        """Never raises for a file that is missing or damaged: its version says so."""
        rows = list_artifacts(database, space_id, kind="recipe")
        now = pointer(database, space_id)
        serving = next((row.sha256 for row in rows if now and row.id == now.recipe_id), None)
        by_hash: dict[str, list[Artifact]] = defaultdict(list)
        for row in rows:
            by_hash[row.sha256].append(row)
        return cls({sha256: _version(home, same) for sha256, same in by_hash.items()}, serving)

    def find(self, name: str = SERVING) -> Version | None:
        """The recipe of that name: `serving`, a tag, the id of a night or the hash, or the beginning of either; with
        `^` behind it the one it was made from. None is the plain base, also by the name `base`.

        Raises UnknownRecipe unless exactly one is meant.
        """
        if name.endswith(PARENT):
            version = self.find(name.removesuffix(PARENT))
            above = self.parent(version) if version else None
            return self._known(above) if above else None
        if name == PLAIN:
            return None
        if name == SERVING:
            return self.versions[self.serving] if self.serving else None
        found = [v for v in self.versions.values() if name in (v.sha256, v.run_id, *v.tags)]
        if not found and len(name) >= MIN_NAME:
            found = [
                v
                for v in self.versions.values()
                if v.sha256.startswith(name) or (v.run_id or "").startswith(name)
            ]
        if len(found) != 1:
            raise UnknownRecipe(name, len(found))
        return found[0]

    def _known(self, sha256: str) -> Version:
        if sha256 not in self.versions:
            raise UnknownRecipe(sha256[:12], 0)
        return self.versions[sha256]

    def recipe(self, name: str, base_hash: str) -> Recipe:
        """The recipe of that name; the plain base as an empty one on `base_hash`. Raises UnknownRecipe, BrokenRecipe."""
        version = self.find(name)
        return Recipe(base_hash) if version is None else version.usable()

    def parent(self, version: Version) -> str | None:
        """The hash of the recipe it was made from; None where that is the plain base or nobody knows."""
        recipe = version.recipe
        if recipe is None:
            return None
        if recipe.format != FIRST_FORMAT or not recipe.entries:
            return recipe.parent
        shorter = replace(recipe, entries=recipe.entries[:-1])
        return next((sha256 for sha256, known in self.versions.items() if known.recipe == shorter), None)

    def line(self, version: Version | None) -> list[Version]:
        """The recipe and those it was made from, the newest first, as far as they are on record."""
        found: list[Version] = []
        while version is not None:
            found.append(version)
            above = self.parent(version)
            version = self.versions.get(above) if above else None
            if version in found:
                break
        return found

    def step(self, version: Version) -> Step:
        """What the recipe changed. Against a parent that cannot be read, nothing is known to have changed."""
        parent = self.parent(version)
        above = self.versions.get(parent) if parent else None
        if version.recipe is None or (parent is not None and (above is None or above.recipe is None)):
            return Step(version, parent, ())
        before = above.recipe if above and above.recipe else Recipe(version.recipe.base_hash)
        return Step(version, parent, tuple(changes(before, version.recipe)))

    def night_of(self, version: Version | None) -> Version | None:
        """The newest recipe of its line that a night wrote."""
        return next((one for one in self.line(version) if one.run_id is not None), None)


def _version(home: Path, rows: Sequence[Artifact]) -> Version:
    """One recipe, by all its rows: that of a night before those of a hand."""
    row = next((row for row in rows if row.run_id is not None), rows[0])
    recipe, why = None, None
    try:
        recipe = load_recipe(home, row.path)
    except BrokenRecipe as error:
        why = error.why
    return Version(
        sha256=row.sha256,
        artifact_id=row.id,
        run_id=row.run_id,
        at=row.created_at,
        tags=tuple(sorted({str(tag) for one in rows for tag in one.meta.get(_TAGS, ())})),
        is_tainted=any(one.tainted_at is not None for one in rows),
        recipe=recipe,
        why=why,
    )


def changes(before: Recipe, after: Recipe) -> Iterator[Change]:
    """What turns one recipe into the other: base and rule, then the vectors, in the order of `before` and `after`."""
    if before.base_hash != after.base_hash:
        yield Change("base", before=before.base_hash, after=after.base_hash)
    if _rule(before) != _rule(after):
        yield Change("rule", before=_rule(before), after=_rule(after))
    old, new = _keyed(before), _keyed(after)
    for key, entry in old.items():
        if key not in new:
            yield Change("removed", entry, before=entry.coefficient)
        elif new[key].coefficient != entry.coefficient:
            yield Change("scaled", new[key], entry.coefficient, new[key].coefficient)
    for key, entry in new.items():
        if key not in old:
            yield Change("added", entry, after=entry.coefficient)
    if [key for key in old if key in new] != [key for key in new if key in old]:
        yield Change("moved")


def _rule(recipe: Recipe) -> str:
    parts = [recipe.rule]
    parts += [f"density {recipe.density:g}"] if recipe.density is not None else []
    parts += [f"seed {recipe.seed}"] if recipe.seed is not None else []
    return ", ".join(parts)


def _keyed(recipe: Recipe) -> dict[tuple[str, str | None, int], Entry]:
    """Entries by vector and night; one that is in twice is told apart by its place among its like."""
    keyed: dict[tuple[str, str | None, int], Entry] = {}
    for entry in recipe.entries:
        n = 0
        while (key := (entry.adapter_sha256, entry.run_id, n)) in keyed:
            n += 1
        keyed[key] = entry
    return keyed


def check_tag(name: str) -> None:
    """Raises BadName for what is no name, or could be taken for something else."""
    if not _TAG.fullmatch(name):
        raise BadName("tag", name, "take letters, digits, dots, dashes and underscores, 40 at most")
    if name in (SERVING, PLAIN) or _HASH_LIKE.fullmatch(name):
        raise BadName("tag", name, "it would be taken for a hash or for what serves; take another name")


def check_label(name: str) -> str:
    """The label of a vector: plain, for it is hashed with the recipe and no erasure can take it out. Raises BadName."""
    if not _LABEL.fullmatch(name):
        raise BadName(
            "label", name, "take letters, digits, spaces, dots and dashes, 40 at most; give --label"
        )
    return name


def tag(
    database: Database, space_id: str, home: Path, name: str, recipe: str, *, clock: Clock = utc_now
) -> Version:
    """Name a recipe; a name that another one has moves here. Raises BadName, UnknownRecipe, also for the plain base."""
    check_tag(name)
    version = History.read(database, space_id, home).find(recipe)
    if version is None:
        raise BadName("tag", name, "the plain base needs none: its name is base")
    if name not in version.tags:
        _write_tag(database, space_id, name, version.artifact_id, clock)
    return replace(version, tags=tuple(sorted({*version.tags, name})))


def untag(database: Database, space_id: str, home: Path, name: str, *, clock: Clock = utc_now) -> Version:
    """Take a name back; the recipe stays. Raises BadName where no recipe has it."""
    history = History.read(database, space_id, home)
    version = next((one for one in history.versions.values() if name in one.tags), None)
    if version is None:
        raise BadName("tag", name, "no recipe has it; `slowwave recipe tag` lists them")
    _write_tag(database, space_id, name, None, clock)
    return replace(version, tags=tuple(one for one in version.tags if one != name))


def _write_tag(database: Database, space_id: str, name: str, artifact_id: str | None, clock: Clock) -> None:
    """The name stands at this artifact and at no other. The ledger, which nothing can clean, gets no name."""
    query = select(tables.Artifact).where(
        tables.Artifact.space_id == space_id, tables.Artifact.kind == "recipe"
    )
    with database.transaction() as session:
        was_at = None
        for row in session.scalars(query):
            tags = [one for one in row.meta.get(_TAGS, ()) if one != name]
            was_at = row.id if name in row.meta.get(_TAGS, ()) else was_at
            wanted = sorted([*tags, name]) if row.id == artifact_id else tags
            if wanted != list(row.meta.get(_TAGS, ())):
                row.meta = {**row.meta, _TAGS: wanted}
        ledger.append(session, space_id, "recipe_tag", {"before": was_at, "after": artifact_id}, clock=clock)
