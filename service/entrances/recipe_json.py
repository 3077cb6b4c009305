"""Recipes and what changed in them, as other programs get them (docs/json.md) and as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from agents.errors import BaseChanged, BrokenAdapter
from consolidation import recipe as recipes
from consolidation.errors import MissingVector, NightError
from consolidation.recipe import Entry, Recipe
from consolidation.recipe_history import Change, History, Step, Version
from consolidation.recipe_serving import Place
from consolidation.recipe_weights import norm
from memory.people import list_people
from service.entrances.vector import about_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consolidation.exam import Drift
    from consolidation.interference import Interference, Pairs
    from consolidation.recipe_gate import Judged
    from consolidation.vector_exam import Examined
    from consolidation.vectors_picture import Seen


def result_json(
    place: Place, version: Version | None, before: str | None, judged: Judged | None
) -> dict[str, Any]:
    history = place.history()
    changed = history.step(version).changes if version else ()
    return {
        **version_json(history, version),
        "served_before": before,
        "changes": changes_json(place, changed),
        "exam": judged and judged.as_json(),
    }


def short_json(version: Version) -> dict[str, Any]:
    return {"recipe": version.sha256, "night": version.run_id, "at": version.at.isoformat()}


def version_json(history: History, version: Version | None) -> dict[str, Any]:
    """The plain base has no hash."""
    return {
        "recipe": version and version.sha256,
        "parent": history.parent(version) if version else None,
        "night": version and version.run_id,
        "at": version.at.isoformat() if version else None,
        "tags": list(version.tags) if version else [],
        "serves": history.serving == (version.sha256 if version else None),
        "tainted": bool(version and version.is_tainted),
    }


def step_json(place: Place, history: History, step: Step) -> dict[str, Any]:
    version = step.version
    return {
        **version_json(history, version),
        "broken": version.why,
        "n": len(version.recipe.entries) if version.recipe else None,
        "changes": changes_json(place, step.changes),
    }


def changes_json(place: Place, changes: Iterable[Change]) -> list[dict[str, Any]]:
    """`person` is a name; null as well where an erasure took whoever it was."""
    found = [change.as_json() for change in changes]
    if any(one["person"] for one in found):
        people = _people(place)
        found = [{**one, "person": people.get(one["person"])} for one in found]
    return found


def _people(place: Place) -> dict[str | None, str]:
    return {person.id: person.name for person in list_people(place.database, place.space_id)}


def what(change_or_entry: Mapping[str, Any]) -> str:
    """What an entry taught, and whose style it is."""
    name = change_or_entry["person"]
    return f"{change_or_entry['label']} of {name}" if name else str(change_or_entry["label"])


def entry_json(place: Place, recipe: Recipe, entry: Entry) -> dict[str, Any]:
    """`broken` says why a vector cannot be read; then it has no norm."""
    found: dict[str, Any] = {
        "vector": entry.adapter_sha256,
        "path": entry.path,
        "coefficient": entry.coefficient,
        "night": entry.run_id,
        "label": entry.label,
        "person": _people(place).get(entry.person) if entry.person else None,
        "about": about_json(place, entry.adapter_sha256),
    }
    try:
        ((adapter, _),) = recipes.vectors_of(place.home, Recipe(recipe.base_hash, (entry,)))
    except (NightError, BrokenAdapter, BaseChanged) as error:
        why = "missing" if isinstance(error, MissingVector) else "damaged"
        return {**found, "rank": None, "modules": None, "norm": None, "broken": why}
    rank, modules = adapter.rank, len(adapter.modules)
    return {**found, "rank": rank, "modules": modules, "norm": norm(adapter), "broken": None}


def verified_json(
    recipe: Recipe, seen: Seen, exams: Sequence[Examined], together: Drift | None
) -> dict[str, Any]:
    """The vectors in the recipe's order, and each two of them, those with the largest cosine first."""
    found = seen.found
    vectors = [
        {
            "vector": entry.adapter_sha256,
            "coefficient": entry.coefficient,
            "night": entry.run_id,
            "label": entry.label,
            "weighed_norm": float(found.whole.norms[number]),
            "exam": exams[number].as_json() if exams else None,
        }
        for number, entry in enumerate(recipe.entries)
    ]
    return {
        "density": found.density,
        "vectors": vectors,
        "together": together and {"ppl_change": together.ppl_change, "kl_to_base": together.kl_to_base},
        "pairs": [_pair_json(found, *pair) for pair in found.pairs()],
    }


def _pair_json(found: Interference, one: int, other: int) -> dict[str, Any]:
    def of(pairs: Pairs) -> dict[str, Any]:
        return {"cosine": pairs.cosine(one, other), "conflicts": pairs.conflicts(one, other)}

    return {
        "places": [one + 1, other + 1],
        **of(found.whole),
        "n_both": int(found.whole.n_both[one, other]),
        "blocks": {str(block): of(pairs) for block, pairs in found.blocks.items()},
        "kinds": {kind: of(pairs) for kind, pairs in found.kinds.items()},
    }


def says(change: dict[str, Any]) -> str:
    """A change, in its JSON, in words for people."""
    kind, before, after = change["change"], change["before"], change["after"]
    if kind == "moved":
        return "put the vectors in another order"
    if kind == "rule":
        return f"merged by {after} instead of {before}"
    if kind == "base":
        return f"on base {after[:12]} instead of {before[:12]}"
    whose = f" of night {change['night']}" if change["night"] else ""
    one = f"{what(change)}{whose} (vector {change['vector'][:12]})"
    if kind == "scaled":
        return f"weighed {one} {after:g} instead of {before:g}"
    if kind == "removed":
        return f"took out {one}"
    return f"added {one}" + ("" if after == 1 else f" at {after:g}")
