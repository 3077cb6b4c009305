"""Seconds a text of our extraction and of the plain way: one text at a time through the whole model, a hook per layer.

Both give mean residuals of a text's own tokens at the same layers of the same weights. They take turns, so that a
busy machine is busy for both; the least of each side's rounds counts. The plain loop gets all cores in each operation, as torch does
by itself; ours gives the cores different texts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from agents.runtime.hardware import every_core
from agents.runtime.lm import LanguageModel
from agents.runtime.residuals import capture
from memory.ports import FloatMatrix

N_TEXTS = 512
N_PLAIN = 48  # of a round: the loop takes as long for each text, and there is no more to learn of it
N_ROUNDS = 3


def speed(model: LanguageModel, texts: Sequence[str], layers: Sequence[int]) -> dict[str, Any]:
    """Ratios, milliseconds a text, and how far the two results are from each other."""
    ours = list(texts[:N_TEXTS])
    plain = ours[:: max(1, len(ours) // N_PLAIN)][:N_PLAIN]
    plain_loop(model.model, model, plain[:2], layers)
    model.mean_residuals(ours[:2], layers)
    rounds = [
        (
            _timed(lambda: plain_loop(model.model, model, plain, layers)),
            _timed(lambda: model.mean_residuals(ours, layers)),
        )
        for _ in range(N_ROUNDS)
    ]
    plain_ms = min(loop[0] for loop, _ in rounds) / len(plain) * 1000
    ours_ms = min(batched[0] for _, batched in rounds) / len(ours) * 1000
    (_, theirs_NLD), (_, ours_NLD) = rounds[-1]
    rows = [ours.index(text) for text in plain]
    apart = np.linalg.norm(ours_NLD[rows] - theirs_NLD, axis=-1) / np.linalg.norm(theirs_NLD, axis=-1)
    return {
        "speedup_vs_plain_loop": round(plain_ms / ours_ms, 2),
        "speedup_by_round": [
            round(loop[0] / len(plain) * len(ours) / batched[0], 2) for loop, batched in rounds
        ],
        "plain_ms_per_text": round(plain_ms, 3),
        "ours_ms_per_text": round(ours_ms, 3),
        "plain_loop_difference": round(float(apart.max()), 5),
        "dtype": str(model.dtype).removeprefix("torch."),
    }


def plain_loop(
    network: Any, model: LanguageModel, texts: Sequence[str], layers: Sequence[int]
) -> FloatMatrix:
    """Mean residuals (N, L, D) the plain way."""
    header = model.template.user_header()
    rows = []
    with every_core():
        for text in texts:
            ids = torch.tensor([header + model.template.encode(text)], device=model.device)
            with torch.no_grad(), capture(network, layers) as seen:
                network(input_ids=ids)
            rows.append(torch.stack([seen[layer][0, len(header) :].float().mean(0) for layer in layers]))
    return torch.stack(rows).cpu().numpy()


def _timed(work: Callable[[], FloatMatrix]) -> tuple[float, FloatMatrix]:
    begun = time.perf_counter()
    found = work()
    return time.perf_counter() - begun, found
