"""What trainers of heads on the embedded encoder have in common: batches, the backward pass on all cores, a running mean.

What a step needs is computed once for all its rows (`merged`: matrices with their changes); the rows run on that, each
core with a share of them, and the gradient of each merged tensor then goes on to what learns. Imports torch; only the
trainers import this. Letters of shapes: B batch, T token.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch

from agents.encoder_network import Tensors
from agents.runtime.hardware import in_parallel
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
