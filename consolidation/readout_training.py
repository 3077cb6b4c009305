"""A readout from a folder of examples (`readout_pairs`)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.runtime.token_rules import MEAN
from consolidation import readouts
from consolidation.errors import BadReadout
from consolidation.readout import Reader, activations, layers_to_try
from consolidation.readout_pairs import FORMAT, MANIFEST_FILE, NEGATIVE, NEUTRAL_FILE, POSITIVE
from consolidation.readout_settings import LDA
from consolidation.readouts import Activations, Contrast, Provenance, Readout
from consolidation.stage import Progress, no_progress


@dataclass(frozen=True, slots=True)
class How:
    """How a training reads and what it keeps. `layers`: none chooses by held-out AUROC; `batch_tokens`: None is the
    runtime's own."""

    layers: tuple[int, ...] = ()
    token_rule: str = MEAN
    batch_tokens: int | None = None
    method: str = LDA
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Examples:
    """A folder of examples as it was read: texts, and per concept the rows with it and without."""

    texts: tuple[str, ...]
    contrasts: dict[str, Contrast]
    neutral: tuple[int, ...]
    left_out: dict[str, int]
    sha256: str  # of the manifest and all files


def read_examples(folder: Path) -> Examples:
    """Raises BadReadout where the folder is none that `readout pairs` makes, or one of its files was changed."""
    try:
        content = (folder / MANIFEST_FILE).read_bytes()
        manifest = json.loads(content)
        if manifest["format"] != FORMAT:
            raise ValueError("another format")
        digest, rows = hashlib.sha256(content), dict[str, int]()
        contrasts = {}
        for one in manifest["concepts"]:
            lines = _lines(folder, one["file"], one["sha256"], digest)
            contrasts[one["concept"]] = Contrast(
                *(
                    tuple(
                        rows.setdefault(line["text"], len(rows)) for line in lines if line["polarity"] == side
                    )
                    for side in (POSITIVE, NEGATIVE)
                )
            )
        quiet = _lines(folder, NEUTRAL_FILE, manifest["neutral"]["sha256"], digest)
        neutral = tuple(rows.setdefault(line["text"], len(rows)) for line in quiet)
        left_out = {str(concept): int(n) for concept, n in manifest["left_out"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}" if isinstance(error, ValueError) else type(error).__name__
        raise BadReadout(
            f"{folder} is no folder of examples ({why}); make one with `slowwave readout pairs`"
        ) from error
    if not contrasts:
        named = ", ".join(f"{concept} ({n})" for concept, n in left_out.items()) or "none was found"
        raise BadReadout(f"{folder} has no concept with enough examples: {named}; lower the thresholds")
    return Examples(tuple(rows), contrasts, neutral, left_out, digest.hexdigest())


def _lines(folder: Path, name: str, sha256: str, digest: Any) -> list[dict[str, Any]]:
    content = (folder / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{name} was changed")
    digest.update(content)
    return [json.loads(line) for line in content.splitlines()]


def train(
    examples: Examples, model: Reader, shape: tuple[str, str, int], how: How, progress: Progress = no_progress
) -> Readout:
    """The readout of the examples. `shape`: the model's hash, its template's, and its number of layers.

    Raises BadReadout for layers that are not there and activations that are no numbers.
    """
    model_hash, template_hash, n_layers = shape
    layers = layers_to_try(how.layers, n_layers, "--target-layers")
    acts_NLD, norms_L = activations(
        model,
        examples.texts,
        layers,
        progress,
        token_rule=how.token_rule,
        batch_tokens=how.batch_tokens,
        contrasts=examples.contrasts,
    )
    return readouts.build(
        Activations(acts_NLD, norms_L, layers),
        examples.contrasts,
        examples.neutral,
        Provenance(model_hash, template_hash, None, examples.left_out, how.seed, how.token_rule),
        n_layers=len(how.layers) or readouts.N_LAYERS_KEPT,
        method=how.method,
    )
