"""What comes with the program, trained on people who do not exist: the primer, and where styles begin.

The primer is a vector that stands first in a person's recipe. It is trained once for a base, on people who do not exist (`consolidation.primer_training`): how people ask for what, how an
answer begins, and that who is not known is refused. A night then has only the facts left to teach. It holds nothing of
anybody, so no erasure takes it, and it counts against a night's gate like everything else that is worn. A base that
has none, or a night whose settings leave it out, begins with the base as it is.

A style's training begins as a vector that has learnt how people write messages at all (`consolidation.talk_training`), and
ends as the one vector of that person: it stands in no recipe by itself (docs/adr/0069).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from agents.errors import BrokenAdapter
from agents.runtime.adapter import NOTES, PREFIX, Adapter
from agents.runtime.spec import ModelSpec, resolve
from consolidation.recipe import Recipe, changed, current_recipe
from consolidation.recipe_serving import Place, record, take_in
from consolidation.stage import NightContext, TrainSettings

FOLDER = Path(__file__).with_name("primers")
STARTS = Path(__file__).with_name("style_starts")
LABEL = "primer"
COEFFICIENT = (
    0.7  # at 1 it alone moves the perplexity by 2.3 %; a night makes good what is missing of the rest
)


def folder_for(base_hash: str) -> Path:
    """Where the primer of a base is, if it has one."""
    return FOLDER / base_hash[:12]


def style_start(base_hash: str, settings: TrainSettings) -> tuple[Path, str] | None:
    """What a style begins as, its folder and hash, where the base has one that was trained with the same rank, scale and depth.
    Raises BrokenAdapter for damaged notes; whether the rest is whole, finds out who loads it."""
    folder = STARTS / base_hash[:12]
    if not folder.is_dir():
        return None
    try:
        notes = json.loads((folder / NOTES).read_text(encoding="utf-8"))
        made, sha256 = notes["meta"]["settings"], notes["sha256"]
        fits = all(made[name] == getattr(settings, name) for name in ("rank", "alpha", "first_layer"))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BrokenAdapter(folder, "its notes are missing or damaged") from error
    return (folder, sha256) if fits else None


def recipe_to_extend(context: NightContext) -> Recipe | None:
    """What tonight's vector is trained on and added to: the recipe that serves, or on a plain base the primer alone.

    None is the plain base. When it is first wanted, the primer's vector is put among the home's, and it and its recipe on record.
    """
    serving = current_recipe(context.database, context.space_id, context.home)
    if serving is not None or not context.settings.primer:
        return serving
    spec = ModelSpec(source=context.settings.base_model, cache_dir=context.home / "cache")
    base_hash = resolve(spec).base_hash
    folder = folder_for(base_hash)
    if not folder.is_dir():
        return None
    place = Place(context.database, context.space_id, context.home, context.clock)
    entry = replace(take_in(place, folder, spec, LABEL), coefficient=COEFFICIENT)
    return record(place, changed(Recipe(base_hash), (entry,))).usable()


def save_primer(trained: Path) -> Path:
    """File the adapter of that folder as the primer of its base; where."""
    return _save(trained, FOLDER)


def save_style_start(trained: Path) -> Path:
    """File the adapter of that folder as what styles on its base begin as; where."""
    return _save(trained, STARTS)


def _save(trained: Path, there: Path) -> Path:
    """With its factors rounded to 16 bits."""
    adapter = Adapter.load(trained)
    rounded = {
        name: tuple(factor.astype(np.float16) for factor in factors)
        for name, factors in adapter.modules.items()
    }
    modules = {name: (a.astype(np.float32), b.astype(np.float32)) for name, (a, b) in rounded.items()}
    folder = there / adapter.base_hash[:12]
    replace(adapter, modules=modules).save(folder)
    tensors = {
        f"{PREFIX}{name}.lora_{letter}.weight": factor
        for name, factors in rounded.items()
        for letter, factor in zip("AB", factors, strict=True)
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder
