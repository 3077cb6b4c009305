"""Which recipes a sweep tries: a file with a grid over settings, a list of named recipes, or both.

TOML or JSON. Fields are those of the night's settings, as tables (`[grid.train]`, `rank = [8, 16]`) or dotted
(`"train.rank"`). In a grid a list is what is tried, every combination of all lists, and a single value holds for all of
them; a recipe gives single values and a name. `sort` names the number that the results are ordered by.
"""

from __future__ import annotations

import difflib
import itertools
import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from consolidation.errors import BadSweep
from consolidation.runs import digest, plain_settings
from consolidation.stage import EXAM_NUMBERS, NightSettings

MAX_CELLS = 500
DREAMT = (
    "base_model",
    "max_facts",
    "min_salience",
    "exam_wordings",
)  # cells that differ in these dream apart
_SWEPT = frozenset((*DREAMT, "seed", "primer"))
_SWEPT_TABLES = ("train.", "gate.")
_CHOICES = {
    "train.backend": ("auto", "peft", "unsloth"),
    "train.dtype": ("auto", "bfloat16", "float32"),
}
SCORE = "score"  # the default order, see consolidation.sweep
SORTS = (SCORE, *EXAM_NUMBERS, "seconds", "final_loss")
_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One recipe to try. `changed`: the fields that the file sets, dotted."""

    name: str
    settings: NightSettings
    changed: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The same for the same settings."""
        return digest(plain_settings(self.settings))[:12]


@dataclass(frozen=True, slots=True)
class Grid:
    cells: tuple[Cell, ...]
    sort: str = SCORE

    @property
    def key(self) -> str:
        return digest([cell.key for cell in self.cells])[:12]


def read_grid(path: Path, base: NightSettings) -> Grid:
    """The cells of the file, over `base`. Raises BadSweep naming what is wrong, and OSError."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (UnicodeDecodeError, ValueError) as error:
        kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise BadSweep(path.name, f"it is no valid {kind} ({' '.join(str(error).split())})") from error
    return make_grid(content, base, path.name)


def make_grid(content: Any, base: NightSettings, name: str) -> Grid:
    """The same from what a file holds: a table, or a list of named recipes."""
    if isinstance(content, list):
        content = {"recipes": content}
    if not isinstance(content, Mapping):
        raise BadSweep(name, "it holds no table and no list of recipes")
    sort = content.get("sort", SCORE)
    if sort not in SORTS:
        raise BadSweep(name, f"sort is {sort!r}; {_nearest(str(sort), SORTS)}")
    grid = content.get("grid", {})
    beside = {key: value for key, value in content.items() if key not in ("sort", "grid", "recipes")}
    axes = {**_flat(grid, name, "grid"), **_flat(beside, name)}
    cells = [*(_grid_cells(axes, base, name) if axes else ()), *_recipe_cells(content, base, name)]
    if not cells:
        raise BadSweep(name, "it names no field; give [grid] with lists, or [[recipes]] with names")
    return Grid(tuple(_distinct(cells, name)), sort)


def _grid_cells(axes: Mapping[str, Any], base: NightSettings, name: str) -> Iterator[Cell]:
    tried = {field: value if isinstance(value, list) else [value] for field, value in axes.items()}
    for field, values in tried.items():
        if not values:
            raise BadSweep(name, f"{field} has an empty list; give at least one value")
    n = math.prod(len(values) for values in tried.values())
    if n > MAX_CELLS:
        raise BadSweep(name, f"the grid has {n} cells, more than {MAX_CELLS}; shorten its lists")
    varying = [field for field, values in tried.items() if len(values) > 1]
    for combination in itertools.product(*tried.values()):
        changed = dict(zip(tried, combination, strict=True))
        title = " ".join(f"{field.removeprefix('train.')}={changed[field]}" for field in varying)
        yield _cell(title or "the grid's one cell", changed, base, name)


def _recipe_cells(content: Mapping[str, Any], base: NightSettings, name: str) -> Iterator[Cell]:
    recipes = content.get("recipes", [])
    if isinstance(recipes, Mapping):
        recipes = [{"name": title, **table} for title, table in recipes.items() if isinstance(table, Mapping)]
    if not isinstance(recipes, list) or not all(isinstance(recipe, Mapping) for recipe in recipes):
        raise BadSweep(name, "recipes is no list of tables; write [[recipes]]")
    for place, recipe in enumerate(recipes, 1):
        title = recipe.get("name")
        if not isinstance(title, str) or not title.strip():
            raise BadSweep(name, f'recipe {place} has no name; give it one, name = "..."')
        changed = _flat({key: value for key, value in recipe.items() if key != "name"}, name)
        for field, value in changed.items():
            if isinstance(value, list):
                raise BadSweep(name, f"{field} of recipe {title} is a list; lists belong into [grid]")
        yield _cell(" ".join(title.split()), changed, base, name)


def _distinct(cells: Sequence[Cell], name: str) -> Iterator[Cell]:
    """Equal settings once, under their first name; raises where a name means two of them."""
    by_key: dict[str, Cell] = {}
    names: dict[str, str] = {}
    for cell in cells:
        if cell.key in by_key:
            continue
        if cell.name in names:
            raise BadSweep(name, f"two recipes are called {cell.name}; give each a name of its own")
        by_key[cell.key], names[cell.name] = cell, cell.key
        yield cell


def _flat(table: Any, name: str, prefix: str = "") -> dict[str, Any]:
    """Fields by their dotted names; `prefix` is only for what is no table."""
    if not isinstance(table, Mapping):
        raise BadSweep(name, f"{prefix or 'it'} is no table of fields")
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": item for inner, item in _flat(value, name, key).items()}
        else:
            flat[str(key)] = value
    return flat


def _cell(title: str, changed: Mapping[str, Any], base: NightSettings, name: str) -> Cell:
    kinds = _kinds(base)
    settings = base
    for field, value in changed.items():
        if field not in kinds:
            raise BadSweep(name, f"there is no setting {field}; {_nearest(field, _swept(kinds))}")
        if field not in _swept(kinds):
            raise BadSweep(
                name, f"{field} changes neither dreams nor training; {_nearest(field, _swept(kinds))}"
            )
        settings = _set(settings, field, _checked(field, kinds[field], value, name))
    return Cell(title, settings, dict(changed))


def _kinds(settings: NightSettings) -> dict[str, Any]:
    """The type of every field, dotted."""
    kinds: dict[str, Any] = {}
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            inner = get_type_hints(type(value))
            kinds |= {f"{field.name}.{item.name}": inner[item.name] for item in fields(value)}
        else:
            kinds[field.name] = hints[field.name]
    return kinds


def _swept(kinds: Mapping[str, Any]) -> list[str]:
    return [field for field in kinds if field in _SWEPT or field.startswith(_SWEPT_TABLES)]


def _nearest(wrong: str, known: Sequence[str]) -> str:
    """What the person may have meant, by the whole name or by its last part."""
    by_last = {field.rpartition(".")[2]: field for field in known}
    close = difflib.get_close_matches(wrong, known, 1, 0.5)
    last = difflib.get_close_matches(wrong.rpartition(".")[2], list(by_last), 1, 0.6)
    if last and (not close or wrong.rpartition(".")[2] in by_last):
        close = [by_last[last[0]]]
    return f"the nearest is {close[0]}" if close else f"it can be {', '.join(known)}"


def _checked(field: str, kind: Any, value: Any, name: str) -> Any:
    """The value as the setting takes it."""
    wanted = (
        [part for part in get_args(kind) if part is not NoneType] if isinstance(kind, UnionType) else [kind]
    )
    takes = " or ".join(_NAMES.get(part, str(part)) for part in wanted)
    if value is None or (value == "none" and str not in wanted):
        if isinstance(kind, UnionType):
            return None
        raise BadSweep(name, f"{field} is {value!r}; it takes {takes}")
    if field in _CHOICES and value not in _CHOICES[field]:
        raise BadSweep(name, f"{field} is {value!r}; it takes {', '.join(_CHOICES[field])}")
    if float in wanted and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) not in wanted:
        raise BadSweep(name, f"{field} is {value!r}; it takes {takes}")
    if isinstance(value, int | float) and (not math.isfinite(value) or value < 0):
        raise BadSweep(name, f"{field} is {value!r}; it takes {takes} from 0 on")
    return value


def _set(settings: NightSettings, field: str, value: Any) -> NightSettings:
    table, _, inner = field.rpartition(".")
    if not table:
        return replace(settings, **{field: value})
    return replace(settings, **{table: replace(getattr(settings, table), **{inner: value})})
