"""What a persona's recipe begins with: the base, and with it the manners that are shipped for that base.

A manners vector (`consolidation.manners`) holds nobody's facts. On a base that none is shipped for, a recipe begins empty.
"""

from __future__ import annotations

from pathlib import Path

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec, resolve
from consolidation.manners import FOLDER
from consolidation.recipe import Entry, Recipe, current_recipe
from db.engine import Database

LABEL = "manners"


def standing_recipe(database: Database, space_id: str, home: Path, base_model: str) -> Recipe:
    """The recipe that a night adds to: the one that serves, or the base's first one."""
    serving = current_recipe(database, space_id, home)
    return serving or founding_recipe(home, base_model)


def founding_recipe(home: Path, base_model: str) -> Recipe:
    """The base with its manners, which are copied to home/adapters where every vector of a recipe lies."""
    base_hash = resolve(ModelSpec(source=base_model, cache_dir=home / "cache")).base_hash
    if not FOLDER.is_dir():
        return Recipe(base_hash)
    manners = Adapter.load(FOLDER)
    if manners.base_hash != base_hash:
        return Recipe(base_hash)
    path = f"adapters/{manners.sha256[:12]}"
    if not (home / path / "adapter_model.safetensors").is_file():
        manners.save(home / path, is_half=True)
    return Recipe(base_hash, (Entry(manners.sha256, path, 1.0, None, LABEL),))
