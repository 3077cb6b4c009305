"""Where the processor time of a training step goes, by part, on one thread.

Every part is a method of the trainer; while a profile is made, a clock stands around each of them. Time in a part that is
called from another one counts for the inner one only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from consolidation.trainer import blocks
from consolidation.trainer.engine import Text
from consolidation.trainer.handwritten import HandwrittenEngine
from consolidation.trainer.losses import Head
from consolidation.trainer.optimizer import Adam
from consolidation.trainer.spread import Spread

STEPS = 3
PARTS: tuple[tuple[str, Any, str], ...] = (
    ("products_forward", blocks.Linear, "forward"),
    ("products_backward", blocks.Linear, "backward"),
    ("lora_gradients", blocks.Linear, "factor_gradients"),
    ("casting_factors", blocks.Linear, "load"),
    ("norm", blocks.Norm, "forward"),
    ("norm", blocks.Norm, "backward"),
    ("attention", blocks, "_attend"),
    ("attention", blocks, "_attend_backward"),
    ("rotary_and_gathering", Spread, "spread"),
    ("rotary_and_gathering", Spread, "gather"),
    ("rotary_and_gathering", Spread, "gather_output"),
    ("rotary_and_gathering", Spread, "spread_output"),
    ("indexes", Spread, "__init__"),
    ("words_and_loss", Head, "losses"),
    ("optimizer", Adam, "update"),
    ("silu_residuals_and_rest", HandwrittenEngine, "step"),
)


class _Clock:
    """Exclusive thread time per part."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._inner = [0.0]

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            started = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                took = time.thread_time() - started
                self.spent[part] = self.spent.get(part, 0.0) + took - self._inner.pop()
                self._inner[-1] += took

        return timed


@contextmanager
def _clocks(clock: _Clock) -> Iterator[None]:
    originals = [(owner, name, getattr(owner, name)) for _, owner, name in PARTS]
    try:
        for (part, owner, name), (_, _, function) in zip(PARTS, originals, strict=True):
            setattr(owner, name, clock.around(part, function))
        yield
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)


def profile(engine: HandwrittenEngine, texts: Sequence[Text]) -> dict[str, float]:
    """Share of each part in the time of a step over these prepared texts; they sum to 1. Changes no weights."""
    clock, workers, adam = _Clock(), engine.workers, Adam.zeros_like(engine.factors.flat)
    engine.workers = 1
    try:
        engine.step(texts, 1.0)
        with _clocks(clock):
            for _ in range(STEPS):
                engine.step(texts, 1.0)
                adam.update(engine.factors.flat.clone(), engine.gradient, 0.0)
    finally:
        engine.workers = workers
    total = sum(clock.spent.values())
    return {part: spent / total for part, spent in sorted(clock.spent.items(), key=lambda item: -item[1])}
