"""Personalised PageRank over the graph: what is near, by links, to what the question names and what it matched.

Nodes are people and things, facts, episodes and sessions. Haveliwala 2002 (https://doi.org/10.1145/511446.511513);
as retrieval over passages and entities, HippoRAG (https://arxiv.org/abs/2405.14831).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

DAMPING = 0.5
N_STEPS = 15  # the rest of the series weighs 0.5^15

# How strongly each kind of link leads on.
NEXT = 1.0  # to the neighbouring message of a session
EVIDENCE = 1.0  # between a fact and a message it rests on
IN_SESSION = 0.5
ABOUT = 0.5  # between a fact and its subject or object
SPOKEN_BY = 0.1

FloatVector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Link:
    a: int
    b: int
    weight: float


class Walk:
    """Nodes are numbers from 0; links lead both ways."""

    def __init__(self, n_nodes: int, links: Sequence[Link]) -> None:
        a = np.fromiter((link.a for link in links), np.int64, len(links))
        b = np.fromiter((link.b for link in links), np.int64, len(links))
        weight = np.fromiter((link.weight for link in links), np.float64, len(links))
        both = (np.concatenate([weight, weight]), (np.concatenate([a, b]), np.concatenate([b, a])))
        adjacency = sparse.csr_matrix(both, shape=(n_nodes, n_nodes))
        degree = np.asarray(adjacency.sum(axis=0)).ravel()
        self._step = (adjacency @ sparse.diags(1 / np.maximum(degree, 1e-12))).tocsr()

    def rank(self, seeds: FloatVector) -> FloatVector:
        """Probability of each node for a walker who returns to the seeds half of the time; zeros for no seeds."""
        total = seeds.sum()
        if total <= 0:
            return np.zeros_like(seeds)
        start = seeds / total
        rank: FloatVector = start.copy()
        for _ in range(N_STEPS):
            rank = (1 - DAMPING) * start + DAMPING * (self._step @ rank)
        return rank
