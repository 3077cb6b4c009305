"""What trainers of heads on the embedded encoder have in common: batches, the backward pass on all cores, a running mean.

Two of them learn by factors and share a `Learner`; the third (emotions) has its own rates.

What a step needs is computed once for all its rows (`merged`: matrices with their changes); the rows run on that, each
core with a share of them, and the gradient of each merged tensor then goes on to what learns. Imports torch; only the
trainers import this. Letters of shapes: B batch, T token, P place of dropout, D width.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
import torch

from agents.encoder_network import Tensors
from agents.runtime.hardware import in_parallel, n_workers
from memory.ports import FloatMatrix

MASK = 103  # the encoder's token for a hidden word
POOL = 20  # batches that are sorted by length together

Row = TypeVar("Row")
Job = TypeVar("Job")


def alike(
    rows: Sequence[Row], size: int, rng: random.Random, length: Callable[[Row], int]
) -> Iterator[list[Row]]:
    """All rows in random order, such that those of a batch are of similar length."""
    order = list(rows)
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), size * POOL):
        pool = sorted(order[start : start + size * POOL], key=length)
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    rng.shuffle(batches)
    yield from batches


def padded(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T) numbers, zeros behind the end of each row, and (B, T) which are real."""
    lengths = np.array([len(row) for row in rows])
    ids_BT = np.zeros((len(rows), lengths.max()), np.int64)
    for number, row in enumerate(rows):
        ids_BT[number, : len(row)] = row
    is_real_BT = np.arange(ids_BT.shape[1]) < lengths[:, None]
    return torch.from_numpy(ids_BT), torch.from_numpy(is_real_BT)


def hidden(
    ids_BT: torch.Tensor, is_real_BT: torch.Tensor, share: float, rng: torch.Generator
) -> torch.Tensor:
    """The numbers with some of the tokens behind the mask."""
    is_hidden_BT = torch.rand(ids_BT.shape, generator=rng) < share
    return ids_BT.masked_fill(is_hidden_BT & is_real_BT, MASK)


def backward(
    merged: Tensors, jobs: Sequence[Job], loss_of: Callable[[Tensors, Job], torch.Tensor], workers: int
) -> float:
    """Sum of the jobs' losses; its gradient is added to what `merged` was computed from."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in merged.items()}

    def work(job: Job) -> tuple[float, tuple[torch.Tensor, ...]]:
        loss = loss_of(leaves, job)
        return float(loss.detach()), torch.autograd.grad(loss, list(leaves.values()))

    done = in_parallel(work, jobs, workers)
    gradients = [sum(parts[1:], parts[0]) for parts in zip(*(grads for _, grads in done), strict=True)]
    torch.autograd.backward(list(merged.values()), gradients)
    return sum(loss for loss, _ in done)


class RunningMean:
    """Of the weights that learn, over the last 1 / (1 - `decay`) steps; what is measured and kept."""

    def __init__(self, trained: Mapping[str, torch.Tensor], decay: float) -> None:
        self._trained = trained
        self._decay = decay
        self._step = 0
        self.weights = {name: weight.detach().clone() for name, weight in trained.items()}

    def update(self) -> None:
        """After each step; early ones count for more."""
        self._step += 1
        decay = min(self._decay, self._step / (self._step + 10))
        with torch.no_grad():
            for name, weight in self._trained.items():
                self.weights[name].lerp_(weight, 1 - decay)

    def arrays(self) -> dict[str, FloatMatrix]:
        return {name: weight.numpy().copy() for name, weight in self.weights.items()}


class Network(Protocol):
    """What a learner needs to know of a head's network."""

    trained: dict[str, torch.Tensor]
    n_dropped: int  # places of dropout
    width: int

    @property
    def n_parameters(self) -> int: ...

    def merged(self) -> dict[str, torch.Tensor]: ...


class Settings(Protocol):
    """What a learner needs to know of a head's settings."""

    @property
    def batch(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def decay(self) -> float: ...
    @property
    def warm_up(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def masked(self) -> float: ...
    @property
    def mean_decay(self) -> float: ...
    @property
    def seed(self) -> int: ...


class Learner:
    """Optimiser, random numbers and running mean of a network whose matrices learn by factors; the head's own course
    says what a batch is and what it costs."""

    def __init__(self, network: Network, settings: Settings, n_steps: int) -> None:
        self._network = network
        self._settings = settings
        self._n_steps = n_steps
        self._step = 0
        self.workers = n_workers(network.n_parameters, torch.device("cpu"))
        self._order = random.Random(settings.seed)
        self._rng = torch.Generator().manual_seed(settings.seed)
        self.mean = RunningMean(network.trained, settings.mean_decay)  # what is measured and kept
        self._optimizer = torch.optim.AdamW(
            network.trained.values(), lr=settings.lr, weight_decay=settings.decay
        )

    def batches(self, rows: Sequence[Row], length: Callable[[Row], int]) -> list[list[Row]]:
        """All rows once, in random order, those of a batch of similar length."""
        return list(alike(rows, self._settings.batch, self._order, length))

    def learn(
        self,
        rows: Sequence[Row],
        job_of: Callable[[Sequence[Row]], Job],
        loss_of: Callable[[Tensors, Job], torch.Tensor],
    ) -> float:
        """One step; each worker has a share of the rows. `loss_of` gives what a share adds to the batch's loss."""
        shares = [rows[i :: self.workers] for i in range(min(self.workers, len(rows)))]
        jobs = [job_of(share) for share in shares]
        self._optimizer.zero_grad()
        loss = backward(self._network.merged(), jobs, loss_of, self.workers)
        self._update()
        return loss

    def _update(self) -> None:
        """Warm-up, and a rate that falls linearly to zero."""
        settings = self._settings
        left = 1 - self._step / max(1, self._n_steps)
        self._step += 1
        for group in self._optimizer.param_groups:
            group["lr"] = settings.lr * min(1.0, self._step / settings.warm_up) * max(0.0, left)
        torch.nn.utils.clip_grad_norm_(self._network.trained.values(), 1.0)
        self._optimizer.step()
        self.mean.update()

    def hidden(self, ids_BT: torch.Tensor, is_open_BT: torch.Tensor) -> torch.Tensor:
        """The numbers with some of the tokens that are open to it behind the mask."""
        return hidden(ids_BT, is_open_BT, self._settings.masked, self._rng)

    def dropped(self, n: int) -> torch.Tensor:
        """(P, B, D) for n rows: 0 where a number is dropped, else what keeps the mean."""
        kept = 1 - self._settings.dropout
        shape = (self._network.n_dropped, n, self._network.width)
        return (torch.rand(shape, generator=self._rng) < kept) / kept
