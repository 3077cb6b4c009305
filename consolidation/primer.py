"""The primer: a vector that comes with the program and stands first in a person's recipe.

It is trained once for a base, on people who do not exist (`consolidation.primer_training`): how people ask for what, how an
answer begins, and that who is not known is refused. A night then has only the facts left to teach. It holds nothing of
anybody, so no erasure takes it, and it counts against a night's gate like everything else that is worn. A base that
has none, or a night whose settings leave it out, begins with the base as it is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from agents.runtime.adapter import PREFIX, Adapter
from agents.runtime.spec import ModelSpec, resolve
from consolidation.recipe import Recipe, changed, current_recipe
from consolidation.recipe_serving import Place, record, take_in
from consolidation.stage import NightContext

FOLDER = Path(__file__).with_name("primers")
LABEL = "primer"
COEFFICIENT = (
    0.7  # at 1 it alone moves the perplexity by 2.3 %; a night makes good what is missing of the rest
)


def folder_for(base_hash: str) -> Path:
    """Where the primer of a base is, if it has one."""
    return FOLDER / base_hash[:12]


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
    """File the adapter of that folder as the primer of its base, its factors rounded to 16 bits."""
    adapter = Adapter.load(trained)
    rounded = {
        name: tuple(factor.astype(np.float16) for factor in factors)
        for name, factors in adapter.modules.items()
    }
    modules = {name: (a.astype(np.float32), b.astype(np.float32)) for name, (a, b) in rounded.items()}
    folder = folder_for(adapter.base_hash)
    replace(adapter, modules=modules).save(folder)
    tensors = {
        f"{PREFIX}{name}.lora_{letter}.weight": factor
        for name, factors in rounded.items()
        for letter, factor in zip("AB", factors, strict=True)
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder
