"""Weights for other programs: what an entrance gives back about an export, as docs/json.md has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation.stage import Progress

if TYPE_CHECKING:
    from consolidation.export import Export, Wish, Written
    from service.wiring import Services


def export(services: Services, name: str, folder: Path, wish: Wish, progress: Progress) -> dict[str, Any]:
    """Write the recipe of that name into `folder`; raises what `consolidation.export.export_recipe` does."""
    from consolidation.export import export_recipe

    return _json(
        export_recipe(services.place(), services.model_spec(), folder, wish, name=name, progress=progress)
    )


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
