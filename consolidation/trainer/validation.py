"""The part of the curriculum that is never trained: whether other wordings of tonight's facts are still getting better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from consolidation.trainer.engine import Engine, Text

MAX_TEXTS = 32
PATIENCE = 3  # looks without a better loss
_BETTER = 0.98  # a loss under this share of the best one counts as better
_AT_ONCE = 32


class Validation:
    """Mean loss over a fixed choice of texts, and how long it has not fallen."""

    def __init__(self, texts: Sequence[Text], every: int) -> None:
        """`every`: steps between two looks, of which each costs about two."""
        step = max(1, math.ceil(len(texts) / MAX_TEXTS))
        self._texts = list(texts[::step])
        self._every = every
        self._best = self._lowest = math.inf
        self._n_since = 0
        self._is_lowest = False

    def is_due(self, step: int, *, is_last: bool = False) -> bool:
        """`step`: how many were made."""
        return bool(self._texts) and step > 0 and (is_last or step % self._every == 0)

    @property
    def is_best(self) -> bool:
        """Whether the last look found the lowest loss so far."""
        return self._is_lowest

    @property
    def is_stale(self) -> bool:
        return self._n_since >= PATIENCE

    def measure(self, engine: Engine) -> float:
        """Mean loss per text, nats per answer token. The engine's gradient is of no use afterwards."""
        losses: list[float] = []
        for start in range(0, len(self._texts), _AT_ONCE):
            losses += engine.step(self._texts[start : start + _AT_ONCE], 0.0).losses
        loss = sum(losses) / len(losses)
        self._is_lowest = loss < self._lowest
        self._lowest = min(self._lowest, loss)
        if loss < self._best * _BETTER:
            self._best, self._n_since = loss, 0
        else:
            self._n_since += 1
        return loss

    def state(self) -> dict[str, Any]:
        best, lowest = (None if math.isinf(loss) else loss for loss in (self._best, self._lowest))
        return {"best": best, "lowest": lowest, "since": self._n_since}

    def restore(self, state: dict[str, Any]) -> None:
        self._best, self._lowest = (
            math.inf if state[name] is None else float(state[name]) for name in ("best", "lowest")
        )
        self._n_since = int(state["since"])
