"""How many steps fit into the time, and the learning rate along them.

`progress` runs from 0 to 1 and advances by its remaining share per remaining step: with a fixed number of steps it
is linear; when the plan changes (a machine that is slower or faster than it seemed, everything learnt) the rate still
comes down smoothly to its floor.
The plan is state: it is checkpointed with the weights.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

FLOOR = 0.1  # of the peak rate, at the end
COOL_DOWN_STEPS = 24  # steps left once everything is learnt
MEASURE_STEPS = 8  # steps after which the step time is believed
REPLAN_EVERY = 16


@dataclass
class Schedule:
    lr: float
    warmup_steps: int
    total: int
    wanted: int = 0  # steps when time is no matter; 0: `total`
    step: int = 0
    progress: float = 0.0
    plans: list[tuple[int, int]] = field(default_factory=list)  # (at step, total from then on)

    def __post_init__(self) -> None:
        self.wanted = self.wanted or self.total

    @property
    def is_done(self) -> bool:
        return self.step >= self.total

    def rate(self) -> float:
        """Linear warm-up times cosine from 1 to FLOOR (Loshchilov and Hutter 2016, arXiv:1608.03983, eq. 5)."""
        warm = min(1.0, (self.step + 1) / max(1, self.warmup_steps))
        return self.lr * warm * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * self.progress)))

    def advance(self) -> None:
        self.progress += (1 - self.progress) / max(1, self.total - self.step)
        self.step += 1

    def fit_to_time(self, step_s: float, left_s: float) -> None:
        """Every few steps, plan as many as fit into the time left, at most those wanted and at least one more."""
        if self.step < MEASURE_STEPS or (self.step - MEASURE_STEPS) % REPLAN_EVERY:
            return
        self._plan(min(self.wanted, self.step + max(1, int(left_s / max(step_s, 1e-6)))))

    def cool_down(self) -> None:
        """Nothing is left to learn: a last few steps at a falling rate."""
        self.wanted = min(self.wanted, self.step + COOL_DOWN_STEPS)
        self._plan(min(self.total, self.wanted))

    def _plan(self, total: int) -> None:
        if total != self.total:
            self.total = total
            self.plans.append((self.step, total))

    def state(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Schedule:
        return cls(**{**state, "plans": [(at, total) for at, total in state["plans"]]})
