"""Recipes: a persona's weights as a content-addressed list of task vectors on one base, merged by their sum.

A recipe is canonical JSON in `home/recipes/<sha256>.json`; equal content is the same file, and the file's name is
checked on reading. The sum is taken over full deltas in float32, in the order of the entries, so that a rebuild on
the CPU gives the same bits. No torch in here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from agents.errors import BaseChanged
from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec, resolve
from consolidation.errors import BrokenRecipe, MissingVector, UnknownEntry
from db.engine import Database
from memory.artifacts import pointer, servable

FORMAT = "slowwave-recipe-1"
FOLDER = "recipes"

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Entry:
    """One task vector. `path` is the adapter's folder relative to home; `label` says what it taught."""

    adapter_sha256: str
    path: str
    coefficient: float
    run_id: str | None
    label: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """Entries oldest first. Without entries it is the plain base."""

    base_hash: str
    entries: tuple[Entry, ...] = ()
    rule: str = "sum"

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "base_hash": self.base_hash,
            "rule": self.rule,
            "entries": [asdict(entry) for entry in self.entries],
        }

    def canonical(self) -> str:
        """The text that is hashed and stored: sorted keys, no spaces, coefficients as floats."""
        return json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    @property
    def path(self) -> str:
        """Where `save` puts it, relative to home."""
        return f"{FOLDER}/{self.sha256}.json"


def add(recipe: Recipe, adapter: Adapter, *, path: str, run_id: str | None, label: str) -> Recipe:
    """The recipe with one more vector, at coefficient 1. A vector that is in already is not added again.

    Raises BaseChanged for an adapter of another base.
    """
    if adapter.base_hash != recipe.base_hash:
        raise BaseChanged(adapter.base_hash, recipe.base_hash)
    if any(entry.adapter_sha256 == adapter.sha256 and entry.run_id == run_id for entry in recipe.entries):
        return recipe
    entry = Entry(adapter.sha256, path, 1.0, run_id, label)
    return replace(recipe, entries=(*recipe.entries, entry))


def scale(recipe: Recipe, entry: str | Entry, coefficient: float) -> Recipe:
    """The recipe with one vector at another coefficient."""
    place = _place(recipe, entry)
    changed = replace(recipe.entries[place], coefficient=float(coefficient))
    return replace(recipe, entries=(*recipe.entries[:place], changed, *recipe.entries[place + 1 :]))


def revert(recipe: Recipe, entry: str | Entry) -> Recipe:
    """The recipe without one vector; named by itself, its run, or the beginning of its hash."""
    place = _place(recipe, entry)
    return replace(recipe, entries=(*recipe.entries[:place], *recipe.entries[place + 1 :]))


def _place(recipe: Recipe, entry: str | Entry) -> int:
    """Raises UnknownEntry unless exactly one entry is meant."""
    found = [
        place
        for place, known in enumerate(recipe.entries)
        if entry in (known, known.run_id)
        or (isinstance(entry, str) and len(entry) >= 4 and known.adapter_sha256.startswith(entry))
    ]
    if len(found) != 1:
        name = entry if isinstance(entry, str) else entry.adapter_sha256[:12]
        raise UnknownEntry(name, len(found))
    return found[0]


def save(home: Path, recipe: Recipe) -> Path:
    """Write the recipe's file, whole or not at all; one that is there already is left as it is."""
    path = home / recipe.path
    if not path.is_file() or path.read_text(encoding="utf-8") != recipe.canonical():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_text(recipe.canonical(), encoding="utf-8")
        part.replace(path)
    return path


def load_recipe(home: Path, name: str) -> Recipe:
    """The recipe of that hash, or at that path relative to home.

    Raises BrokenRecipe where the file is missing, damaged, or not what its name says.
    """
    path = home / (name if name.endswith(".json") else f"{FOLDER}/{name}.json")
    try:
        recipe = _parse(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BrokenRecipe(path.stem[:12], "its file is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenRecipe(path.stem[:12], "its file is damaged") from error
    if recipe.sha256 != path.stem:
        raise BrokenRecipe(path.stem[:12], "its content is not what its name says")
    return recipe


def _parse(fields: dict[str, Any]) -> Recipe:
    if fields["format"] != FORMAT or fields["rule"] != "sum":
        raise ValueError("a recipe of another format or rule")
    entries = tuple(
        Entry(
            adapter_sha256=str(entry["adapter_sha256"]),
            path=str(entry["path"]),
            coefficient=float(entry["coefficient"]),
            run_id=None if entry["run_id"] is None else str(entry["run_id"]),
            label=str(entry["label"]),
        )
        for entry in fields["entries"]
    )
    return Recipe(str(fields["base_hash"]), entries, str(fields["rule"]))


def recipe_adapters(home: Path, recipe: Recipe) -> list[tuple[Adapter, float]]:
    """The vectors with their coefficients, in order, each checked against its recorded hash and base.

    Raises MissingVector, BrokenAdapter or BaseChanged, and then none is used.
    """
    return [(_adapter(home, recipe, entry), entry.coefficient) for entry in recipe.entries]


def _adapter(home: Path, recipe: Recipe, entry: Entry) -> Adapter:
    folder = home / entry.path
    if not folder.is_dir():
        raise MissingVector(entry.path, entry.run_id)
    adapter = Adapter.load(folder)
    if adapter.base_hash != recipe.base_hash:
        raise BaseChanged(adapter.base_hash, recipe.base_hash)
    if adapter.sha256 != entry.adapter_sha256:
        raise BrokenRecipe(recipe.sha256[:12], f"the vector in {entry.path} is not the one it names")
    return adapter


def deltas(adapters: Sequence[tuple[Adapter, float]]) -> Iterator[tuple[str, FloatArray]]:
    """Module by module, in order of name, the dense float32 sum of coefficient times delta; shape (out, in)."""
    for name in sorted({name for adapter, _ in adapters for name in adapter.modules}):
        total: FloatArray | None = None
        for adapter, coefficient in adapters:
            if name in adapter.modules:
                part = np.float32(coefficient) * adapter.delta(name)
                total = part if total is None else total + part
        yield name, cast(FloatArray, total)


def residual(adapters: Sequence[tuple[Adapter, float]]) -> float:
    """How far the factored sum is from the dense one: the Frobenius norm of the difference over the dense norm.

    Factored: the factors of all vectors side by side, [B1 .. Bn] [c1 A1; ..; cn An] (peft's `cat`), one product.
    """
    apart = whole = 0.0
    for name, dense in deltas(adapters):
        parts = [(adapter, c) for adapter, c in adapters if name in adapter.modules]
        b = np.concatenate([adapter.modules[name][1] for adapter, _ in parts], axis=1)
        a = np.concatenate(
            [np.float32(c * adapter.alpha / adapter.rank) * adapter.modules[name][0] for adapter, c in parts]
        )
        apart += float(np.square(b @ a - dense, dtype=np.float64).sum())
        whole += float(np.square(dense, dtype=np.float64).sum())
    return float(np.sqrt(apart / whole)) if whole else 0.0


def check_base(recipe: Recipe | None, spec: ModelSpec) -> str:
    """The hash of the model's weights. Raises BaseChanged with both hashes where they are not the recipe's base."""
    base_hash = resolve(spec).base_hash
    if recipe is not None and recipe.base_hash != base_hash:
        raise BaseChanged(recipe.base_hash, base_hash)
    return base_hash


def current_recipe(database: Database, space_id: str, home: Path) -> Recipe | None:
    """The recipe that serves; None where the plain base does. Raises TaintedArtifact, BrokenRecipe."""
    serving = pointer(database, space_id)
    if serving is None or serving.recipe_id is None:
        return None
    return load_recipe(home, servable(database, serving.recipe_id).path)
