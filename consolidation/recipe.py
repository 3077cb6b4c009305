"""Recipes: a persona's weights as a content-addressed list of task vectors on one base, merged by their sum.

A recipe is canonical JSON in `home/recipes/<sha256>.json`; equal content is the same file, and the file's name is
checked on reading. It names the recipe it was made from (`parent`), so that a hash stands for a history. Merging works
on full deltas in float32, in the order of the entries, so that a rebuild on the CPU gives the same bits. No torch in here.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from agents.errors import BaseChanged
from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec, resolve
from consolidation.errors import BrokenRecipe, MissingVector, RecipeStays, UnknownEntry
from consolidation.factors import joined_factors
from consolidation.merging import RULES, Rule, combine
from consolidation.vectors import DenseVector, is_dense, load_vector
from db.engine import Database
from memory.artifacts import pointer, servable
from memory.whole import write_text

FORMAT = "slowwave-recipe-2"
FIRST_FORMAT = "slowwave-recipe-1"  # read and kept as it is: always the sum, and without a parent
FOLDER = "recipes"
STYLE = "style"  # the label of a person's style; whose it is, is in the entry
MIN_NAME = 4  # characters of a hash or an id that may stand for the whole

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Entry:
    """One task vector. `path` is the adapter's folder relative to home; `label` says what it taught.

    `person`: id of the person whose style it is, who alone wears it; None is worn whoever speaks.
    """

    adapter_sha256: str
    path: str
    coefficient: float
    run_id: str | None
    label: str
    person: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Without `person` where there is none: recipes from before there were any keep their hashes."""
        fields = asdict(self)
        if self.person is None:
            del fields["person"]
        return fields


@dataclass(frozen=True, slots=True)
class Recipe:
    """Entries oldest first. Without entries it is the plain base. `parent`: hash of the recipe it was made from.

    `density` and `seed` belong to rules other than the sum.
    """

    base_hash: str
    entries: tuple[Entry, ...] = ()
    rule: str = "sum"
    density: float | None = None
    seed: int | None = None
    parent: str | None = None
    format: str = FORMAT

    def as_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "format": self.format,
            "base_hash": self.base_hash,
            "rule": self.rule,
            "entries": [entry.as_json() for entry in self.entries],
        }
        if self.format != FIRST_FORMAT:
            fields |= {"density": self.density, "seed": self.seed, "parent": self.parent}
        return fields

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

    def for_person(self, person_id: str | None) -> Recipe:
        """What is worn while that person speaks: their style and what is nobody's; None is nobody in particular.

        Made to be put on, never to be saved: where an entry is left out, it is no recipe of the history.
        """
        worn = tuple(entry for entry in self.entries if entry.person in (None, person_id))
        return self if worn == self.entries else replace(self, entries=worn)


def changed(recipe: Recipe, entries: Sequence[Entry]) -> Recipe:
    """The recipe with other entries, as a child of this one; the recipe itself where they are the same.

    A first recipe has no parent: the plain base is nobody's making. Raises RecipeStays for a coefficient that is no number.
    """
    for entry in entries:
        if not math.isfinite(entry.coefficient):
            raise RecipeStays(f"{entry.coefficient} is no coefficient")
    if tuple(entries) == recipe.entries:
        return recipe
    return replace(recipe, entries=tuple(entries), parent=_parent_of_next(recipe), format=FORMAT)


def _parent_of_next(recipe: Recipe) -> str | None:
    is_plain = not recipe.entries and recipe.parent is None
    return None if is_plain else recipe.sha256


def add(
    recipe: Recipe, adapter: Adapter, *, path: str, run_id: str | None, label: str, coefficient: float = 1.0
) -> Recipe:
    """The recipe with one more vector, last. A vector that is in already is not added again.

    Raises BaseChanged for an adapter of another base.
    """
    if adapter.base_hash != recipe.base_hash:
        raise BaseChanged(adapter.base_hash, recipe.base_hash)
    if any(entry.adapter_sha256 == adapter.sha256 and entry.run_id == run_id for entry in recipe.entries):
        return recipe
    entry = Entry(adapter.sha256, path, float(coefficient), run_id, label)
    return changed(recipe, (*recipe.entries, entry))


def with_style(
    recipe: Recipe, adapter: Adapter, *, path: str, person: str, coefficient: float = 1.0
) -> Recipe:
    """The recipe with that person's style, last; the one they had is taken out.

    It names no night: what a night taught is looked up by the entries that do. Raises BaseChanged.
    """
    if adapter.base_hash != recipe.base_hash:
        raise BaseChanged(adapter.base_hash, recipe.base_hash)
    style = Entry(adapter.sha256, path, float(coefficient), None, STYLE, person)
    if style in recipe.entries:
        return recipe
    return changed(recipe, (*(entry for entry in recipe.entries if entry.person != person), style))


def scale(recipe: Recipe, entry: str | Entry, coefficient: float) -> Recipe:
    """The recipe with one vector at another coefficient."""
    place = _place(recipe, entry)
    scaled = replace(recipe.entries[place], coefficient=float(coefficient))
    return changed(recipe, (*recipe.entries[:place], scaled, *recipe.entries[place + 1 :]))


def revert(recipe: Recipe, entry: str | Entry) -> Recipe:
    """The recipe without one vector; named as in `entry_of`."""
    place = _place(recipe, entry)
    return changed(recipe, (*recipe.entries[:place], *recipe.entries[place + 1 :]))


def without(recipe: Recipe, vectors: Collection[str]) -> Recipe:
    """The recipe without the vectors of these hashes."""
    return changed(recipe, [entry for entry in recipe.entries if entry.adapter_sha256 not in vectors])


def with_rule(recipe: Recipe, rule: str, density: float | None = None, seed: int | None = None) -> Recipe:
    """The recipe with its vectors merged otherwise; the sum has neither density nor seed. Raises BadRule."""
    Rule(rule, 1.0 if density is None else density, seed or 0)
    if rule == "sum":
        density = seed = None
    new = replace(recipe, rule=rule, density=density, seed=seed)
    return recipe if new == recipe else replace(new, parent=_parent_of_next(recipe), format=FORMAT)


def entry_of(recipe: Recipe, name: str | Entry) -> Entry:
    """The entry that goes by its label, its night, or the beginning of either's id or hash. Raises UnknownEntry."""
    return recipe.entries[_place(recipe, name)]


def _place(recipe: Recipe, entry: str | Entry) -> int:
    """Raises UnknownEntry unless exactly one entry is meant."""
    found = [place for place, known in enumerate(recipe.entries) if _is_named(known, entry)]
    if len(found) != 1:
        name = entry if isinstance(entry, str) else entry.adapter_sha256[:12]
        raise UnknownEntry(name, len(found))
    return found[0]


def _is_named(known: Entry, name: str | Entry) -> bool:
    if isinstance(name, Entry):
        return name == known
    is_beginning = len(name) >= MIN_NAME and (
        known.adapter_sha256.startswith(name) or (known.run_id or "").startswith(name)
    )
    return is_beginning or name in (known.run_id, known.label, known.person)


def save(home: Path, recipe: Recipe) -> Path:
    """Write the recipe's file, whole or not at all; one that is there already is left as it is."""
    path = home / recipe.path
    if not path.is_file() or path.read_text(encoding="utf-8") != recipe.canonical():
        write_text(path, recipe.canonical())
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
    form, rule = fields["format"], fields["rule"]
    if form not in (FORMAT, FIRST_FORMAT) or rule not in (RULES if form == FORMAT else RULES[:1]):
        raise ValueError("a recipe of another format or rule")
    entries = tuple(
        Entry(
            adapter_sha256=str(entry["adapter_sha256"]),
            path=str(entry["path"]),
            coefficient=float(entry["coefficient"]),
            run_id=None if entry["run_id"] is None else str(entry["run_id"]),
            label=str(entry["label"]),
            person=None if entry.get("person") is None else str(entry["person"]),
        )
        for entry in fields["entries"]
    )
    rest = {} if form == FIRST_FORMAT else {name: fields[name] for name in ("density", "seed", "parent")}
    return Recipe(str(fields["base_hash"]), entries, rule, format=form, **rest)


def vectors_of(home: Path, recipe: Recipe) -> list[tuple[Adapter, float]]:
    """The vectors with their coefficients, in order, each checked against its recorded hash and base.

    Raises MissingVector, BrokenAdapter, BrokenRecipe or BaseChanged, and then none is used.
    """
    return [(as_adapter(vector_of(home, recipe, entry)), entry.coefficient) for entry in recipe.entries]


def recipe_adapters(home: Path, recipe: Recipe) -> list[tuple[Adapter, float]]:
    """What a model puts on, as a sum: the vectors themselves, or the one that another rule makes of them.

    Raises what `vectors_of` does, and BadVector where the rule cannot merge them.
    """
    vectors = vectors_of(home, recipe)
    if recipe.rule == "sum" or not vectors:
        return vectors
    merged = _from_full(recipe.base_hash, by_rule(recipe, vectors), {"recipe": recipe.sha256})
    return [(merged, 1.0)]


def _in_full(delta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Factors whose product is the delta bit for bit: it and a unit matrix, of the shorter side."""
    n_out, n_in = delta.shape
    unit = np.eye(min(n_out, n_in), dtype=np.float32)
    return (unit, delta) if n_in <= n_out else (delta, unit)


def by_rule(recipe: Recipe, vectors: Sequence[tuple[Adapter, float]]) -> Iterator[tuple[str, FloatArray]]:
    """The vectors merged by a rule other than the sum, module by module. Raises BadVector, BadRule."""
    density = 1.0 if recipe.density is None else recipe.density
    return combine(vectors, Rule(recipe.rule, density, recipe.seed or 0))


def vector_of(home: Path, recipe: Recipe, entry: Entry) -> Adapter | DenseVector:
    """The entry's vector as it is kept, checked against its recorded hash and base.

    Raises MissingVector, BrokenAdapter, BaseChanged, BrokenRecipe.
    """
    folder = home / entry.path
    if not folder.is_dir():
        raise MissingVector(entry.path, entry.run_id)
    vector = load_vector(folder)
    if vector.base_hash != recipe.base_hash:
        raise BaseChanged(vector.base_hash, recipe.base_hash)
    if vector.sha256 != entry.adapter_sha256:
        raise BrokenRecipe(recipe.sha256[:12], f"the vector in {entry.path} is not the one it names")
    return vector


def as_adapter(vector: Adapter | DenseVector) -> Adapter:
    """The same delta in factors, bit for bit; a dense vector is read into memory for it."""
    if isinstance(vector, Adapter):
        return vector
    deltas_of = ((name, vector.delta(name)) for name in vector.modules)
    return _from_full(vector.base_hash, deltas_of, {**vector.meta, "vector": vector.sha256})


def _from_full(base_hash: str, weights: Iterable[tuple[str, FloatArray]], meta: Mapping[str, Any]) -> Adapter:
    modules = {name: _in_full(delta) for name, delta in weights}
    rank = max(a.shape[0] for a, _ in modules.values())
    return Adapter(base_hash, rank, float(rank), modules, meta)


def worn_folders(home: Path, recipe: Recipe, spare: Path) -> tuple[tuple[str, float], ...]:
    """Folders of adapters with coefficients, whose sum is what the recipe puts on: the vectors' own, or, where these are
    dense or merged by another rule than the sum, what is written into `spare`."""
    own = [(home / entry.path, entry.coefficient) for entry in recipe.entries]
    if recipe.rule == "sum" and not any(is_dense(folder) for folder, _ in own):
        return tuple((str(folder), coefficient) for folder, coefficient in own)
    worn = []
    for place, (adapter, coefficient) in enumerate(recipe_adapters(home, recipe)):
        folder = spare / str(place)
        adapter.save(folder)
        worn.append((str(folder), coefficient))
    return tuple(worn)


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

    Factored: the factors of all vectors side by side (peft's `cat`), one product.
    """
    apart = whole = 0.0
    for name, dense in deltas(adapters):
        a, b = joined_factors(adapters, name)
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
