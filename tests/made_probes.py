"""Probes without a training, for tests of who may read one."""

from __future__ import annotations

from agents.runtime.token_rules import LAST
from consolidation.probes import Accuracy, ProbeManifest

GOOD = Accuracy("own", 200, 0.95, 0.91, 0.5)
TRUTH = ProbeManifest(  # usable, of a model of four dimensions or more
    name="truth",
    kind="truth",
    method="mass-mean",
    concepts=("truth",),
    layers=(1,),
    model_hash="base" * 16,
    template_hash="template",
    recipe=None,
    token_rule=LAST,
    coefficients=(4.0,),
    bias=0.0,
    mean_residual_norm=(1.0,),
    trained_on={"own": 200},
    labels={"0": 100, "1": 100},
    labelled_by=("file",),
    layer_accuracy={"1": 0.95},
    held_out=GOOD,
    rank=None,
    others=(GOOD,),
    usable=True,
    reason="right on everything",
    seed=0,
)
