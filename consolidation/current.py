"""The readout that serves now. (The recipe: `consolidation.recipe.current_recipe`.)"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from consolidation.readouts import Readout, paths_from, read_files, read_readout
from db.engine import Database
from memory.artifacts import pointer, servable


def current_readout(
    database: Database, space_id: str, home: Path, model_hash: str, environ: Mapping[str, str] = os.environ
) -> Readout | None:
    """The readout named by the environment, else the published one; None where there is none.

    Raises BrokenReadout when its files are damaged or were made with another model, TaintedArtifact when it holds
    what was erased.
    """
    named = paths_from(environ)
    if named is not None:
        readout = read_files(*named)
    else:
        now = pointer(database, space_id)
        if now is None or now.readout_id is None:
            return None
        readout = read_readout(home / servable(database, now.readout_id).path)
    readout.check_model(model_hash)
    return readout
