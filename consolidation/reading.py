"""Texts read by a readout, and models that are read while they run.

A text is read by itself, in a user's turn, as the neutral texts were whose spread is the unit; what a generating model
is read by is in `agents.runtime.readout_hooks`, and here is only what opens it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from consolidation.errors import UnknownReadout
from consolidation.readout import Reader, activations
from consolidation.readouts import Readout, paths_from, read_files
from consolidation.stage import Progress, no_progress

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from agents.runtime.readout_hooks import Projections, ReadoutManager

MAX_CHARS = 8000  # of one text; what stands behind them is not read


def read_texts(
    model: Reader, readout: Readout, texts: Sequence[str], progress: Progress = no_progress
) -> list[dict[str, float]]:
    """Per text and concept the reading in standard deviations of neutral text, in the order of the texts.

    Raises StageFailed where the model's activations are not finite.
    """
    if not texts:
        return []
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    shown = [texts[i][:MAX_CHARS] for i in order]
    manifest = readout.manifest
    acts_NLD, _ = activations(model, shown, manifest.layers, progress, token_rule=manifest.token_rule)
    found = dict(zip(order, readout.read(acts_NLD), strict=True))
    return [found[i] for i in range(len(texts))]


def projections_of(readout: Readout) -> Projections:
    from agents.runtime.readout_hooks import Projections

    manifest = readout.manifest
    return Projections(
        manifest.concepts,
        {layer: readout.vectors[layer] for layer in manifest.layers},
        np.array(manifest.neutral_mean, np.float32),
        np.array(manifest.neutral_std, np.float32),
        manifest.token_rule,
    )


def open_manager(model: LanguageModel, readout: Readout) -> ReadoutManager:
    """Hooks on the model until it is closed. Raises BrokenReadout with both hashes for another model's directions."""
    from agents.runtime.readout_hooks import ReadoutManager

    readout.check_model(model.base_hash)
    return ReadoutManager(model.model, projections_of(readout))


def manager_from(model: LanguageModel, environ: Mapping[str, str] = os.environ) -> ReadoutManager:
    """`open_manager` on the files that the environment names, slowwave's own names before vLLM's.

    Raises UnknownReadout where it names none, BrokenReadout for files that are damaged or another model's.
    """
    named = paths_from(environ)
    if named is None:
        raise UnknownReadout
    return open_manager(model, read_files(*named))
