"""The whole graph as columns, placed for the eye: what a screen needs to show fifty thousand nodes at once.

Nodes that belong together stand together: communities by label propagation (Raghavan et al. 2007,
https://arxiv.org/abs/0709.2938: each node takes the label that most of its neighbours have), each a sunflower
(Vogel 1979) with its best connected node in the middle, the communities a sunflower of sunflowers. The same graph gives
the same picture. A link is a fact that was neither rejected, quarantined nor retracted and has not ended; what decides
between rivals in time is `memory.facts`, and not asked here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Fact, Node
from memory.digests import DIGEST
from memory.exchange.notes import NOTEBOOK
from memory.ports import Clock, utc_now

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SHOWN_STATES = ("stored", "candidate")
ROUNDS = 12  # of label propagation; more change nothing that can be seen
SPACING = 10.0  # between neighbours in a sunflower
_GOLDEN = math.pi * (3.0 - math.sqrt(5.0))
_SEED = 7
_NOT_SHOWN = (NOTEBOOK, DIGEST, "vector", "night")


@dataclass(frozen=True, slots=True)
class GraphMap:
    """Nodes, the best connected first, and links between their places in the columns."""

    labels: Sequence[str]
    kinds: Sequence[str]
    xs_N: Ints
    ys_N: Ints
    sources_L: Ints
    targets_L: Ints
    predicates: Sequence[str]  # of the links

    def as_json(self) -> dict[str, Any]:
        """Columns; `kind` and `what` are places in `kinds` and `predicates`."""
        kinds, predicates = sorted(set(self.kinds)), sorted(set(self.predicates))
        kind_at = {kind: place for place, kind in enumerate(kinds)}
        predicate_at = {name: place for place, name in enumerate(predicates)}
        return {
            "kinds": kinds,
            "predicates": predicates,
            "nodes": {
                "label": list(self.labels),
                "kind": [kind_at[kind] for kind in self.kinds],
                "x": self.xs_N.tolist(),
                "y": self.ys_N.tolist(),
            },
            "links": {
                "source": self.sources_L.tolist(),
                "target": self.targets_L.tolist(),
                "what": [predicate_at[name] for name in self.predicates],
            },
        }


def graph_map(database: Database, space_id: str, *, clock: Clock = utc_now) -> GraphMap:
    """Everything that is in the graph now, placed."""
    with database.reading() as session:
        nodes, links = _nodes(session, space_id), _links(session, space_id, clock)
    place = {node_id: at for at, (node_id, _, _) in enumerate(nodes)}
    kept = [row for row in links if row[0] in place and row[1] in place and row[0] != row[1]]
    sources_L = np.array([place[row[0]] for row in kept], np.int64)
    targets_L = np.array([place[row[1]] for row in kept], np.int64)
    degrees_N = np.bincount(np.concatenate([sources_L, targets_L]), minlength=len(nodes))
    order_N = np.argsort(-degrees_N, kind="stable")
    rank_N = np.empty_like(order_N)
    rank_N[order_N] = np.arange(len(nodes))
    sources_L, targets_L = rank_N[sources_L], rank_N[targets_L]
    xs_N, ys_N = _placed(_communities(len(nodes), sources_L, targets_L))
    return GraphMap(
        labels=[nodes[at][1] for at in order_N],
        kinds=[nodes[at][2] for at in order_N],
        xs_N=xs_N,
        ys_N=ys_N,
        sources_L=sources_L,
        targets_L=targets_L,
        predicates=[row[2] for row in kept],
    )


def _nodes(session: Session, space_id: str) -> list[tuple[str, str, str]]:
    query = (
        select(Node.id, Node.name, Node.kind)
        .where(Node.space_id == space_id, Node.kind.not_in(_NOT_SHOWN), Node.merged_into.is_(None))
        .order_by(Node.kind, Node.name_key, Node.id)
    )
    return [(node_id, name, kind) for node_id, name, kind in session.execute(query)]


def _links(session: Session, space_id: str, clock: Clock) -> list[tuple[str, str, str]]:
    query = (
        select(Fact.subject_id, Fact.object_id, Fact.predicate)
        .where(
            Fact.space_id == space_id,
            Fact.object_id.is_not(None),
            Fact.state.in_(SHOWN_STATES),
            Fact.retracted_at.is_(None),
            or_(Fact.valid_to.is_(None), Fact.valid_to > clock()),
        )
        .order_by(Fact.subject_id, Fact.object_id, Fact.predicate)
        .distinct()
    )
    return [(source, target or "", what) for source, target, what in session.execute(query)]


def _communities(n: int, sources_L: Ints, targets_L: Ints) -> Ints:
    """A label for each node; ties go to the smaller label. Half of the nodes move at a time, so that none swap for ever."""
    labels_N = np.arange(n, dtype=np.int64)
    ends, others = np.concatenate([sources_L, targets_L]), np.concatenate([targets_L, sources_L])
    random = np.random.default_rng(_SEED)
    for _ in range(ROUNDS if len(ends) else 0):
        pairs, counts = np.unique(ends * n + labels_N[others], return_counts=True)
        nodes, found = pairs // n, pairs % n
        best = np.lexsort((found, -counts, nodes))
        first = np.unique(nodes[best], return_index=True)[1]
        moved = nodes[best][first]
        is_turn = random.random(len(moved)) < 0.5
        labels_N[moved[is_turn]] = found[best][first][is_turn]
    return labels_N


def _placed(labels_N: Ints) -> tuple[Ints, Ints]:
    """Where each node stands; nodes come best connected first, so the middle of a community is its first."""
    _, members, sizes = np.unique(labels_N, return_inverse=True, return_counts=True)
    by_size = np.argsort(-sizes, kind="stable")
    area = np.cumsum((np.sqrt(sizes[by_size]) + 1.2) ** 2)
    far = np.empty(len(sizes))
    turn = np.empty(len(sizes))
    far[by_size] = np.sqrt(area - area[:1] if len(area) else area) * SPACING * 1.15
    turn[by_size] = np.arange(len(sizes)) * _GOLDEN
    within = _places_within(members, len(sizes))
    near, angle = np.sqrt(within) * SPACING * 0.8, within * _GOLDEN
    xs = far[members] * np.cos(turn[members]) + near * np.cos(angle)
    ys = far[members] * np.sin(turn[members]) + near * np.sin(angle)
    return np.rint(xs).astype(np.int64), np.rint(ys).astype(np.int64)


def _places_within(members: Ints, n: int) -> Floats:
    """0, 1, 2 ... for the members of each community, in the order of nodes."""
    order = np.argsort(members, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(members, minlength=n))[:-1]])
    within = np.empty(len(members))
    within[order] = np.arange(len(members)) - starts[members[order]]
    return within
