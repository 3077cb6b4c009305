"""A small readout of the tiny model, made from its own activations: what a test of reading reads by."""

from __future__ import annotations

from pathlib import Path

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation import readouts
from consolidation.readouts import Activations, Contrast, Provenance

LAYERS = (0, 1, 2)
JOYFUL = ("we won, hooray!", "what a lovely day!", "I am so happy!!", "yes! wonderful news!")
AFRAID = ("something moved in the dark", "I am scared of it", "do not go down there", "it is behind us")
PROUD = ("I built that myself", "top of the class again", "my own boat, at last", "they all clapped for me")
PLAIN = ("the shop opens at nine", "page four is missing", "take the second left", "it is ten past three")
TEXTS = (*JOYFUL, *AFRAID, *PROUD, *PLAIN)


def write_tiny_readout(source: Path, cache: Path, root: Path) -> Path:
    """The folder of a readout of joy, fear and pride at two of the model's layers."""
    model = LanguageModel.load(ModelSpec(cache, str(source), dtype="float32"))
    acts_NLD, norms_L = model.residual_statistics(TEXTS, LAYERS)
    rows = range(len(TEXTS))
    contrasts = {
        name: Contrast(tuple(rows[4 * k : 4 * k + 4]), tuple(row for row in rows if row // 4 != k))
        for k, name in enumerate(("joy", "fear", "pride"))
    }
    made = readouts.build(
        Activations(acts_NLD, norms_L, LAYERS),
        contrasts,
        tuple(rows[12:]),
        Provenance(model.base_hash, model.template.sha256, None, {"awe": 2}, seed=0),
        n_layers=2,
    )
    return readouts.write_readout(made, root)[0]
