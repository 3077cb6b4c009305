"""Weights for other programs: what an entrance gives back about exports, as docs/json.md has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation.stage import Progress
from memory.consent import has_consent
from simulator.errors import NoConsent

if TYPE_CHECKING:
    from consolidation.export import Export, Wish, Written
    from service.wiring import Services


def export(
    services: Services, name: str, folder: Path, wish: Wish, progress: Progress, *, person: str | None = None
) -> dict[str, Any]:
    """Write the recipe of that name into `folder`, with the style of `person` (a name) where one is given.

    Raises UnknownPerson, NoConsent, and what `consolidation.export.export_recipe` does.
    """
    from consolidation.export import export_recipe

    if person is not None:
        found = services.person(person)
        if not has_consent(services.database, services.space_id, found.id):
            raise NoConsent(found.name)
        wish = replace(wish, person=found.id)
    return _json(
        export_recipe(services.place(), services.model_spec(), folder, wish, name=name, progress=progress)
    )


def list_all(services: Services) -> list[dict[str, Any]]:
    """Every export of the space that is on record, oldest first. `holds_erased`: an erasure took a vector that is in it."""
    from consolidation.recipe_serving import tainted_vectors
    from memory.exports import known_exports

    place = services.place()
    erased = tainted_vectors(place)
    return [
        {
            "folder": record.path and str(record.path),
            **record.as_json(),
            "vectors": len(record.vectors),
            "holds_erased": not erased.keys().isdisjoint(record.vectors),
        }
        for record in known_exports(place.home, place.space_id)
    ]


def _json(export: Export) -> dict[str, Any]:
    files = sorted(path for path in export.folder.rglob("*") if path.is_file())
    return {
        "format": export.format,
        "folder": str(export.folder),
        "recipe": export.sha256,
        "base": export.recipe.base_hash,
        "vectors": len(export.recipe.entries),
        "rank": export.rank,
        "dtype": export.dtype,
        "residual": export.residual,
        "adapters": [_adapter_json(item) for item in export.adapters],
        "files": [path.relative_to(export.folder).as_posix() for path in files],
        "bytes": sum(path.stat().st_size for path in files),
        "sha256": export.folder_sha256,
    }


def _adapter_json(item: Written) -> dict[str, Any]:
    entry = item.entry
    return {
        "path": item.path,
        "rank": item.rank,
        "vector": entry and entry.adapter_sha256,
        "night": entry and entry.run_id,
        "coefficient": entry and entry.coefficient,
    }
