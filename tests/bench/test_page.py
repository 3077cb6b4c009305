from __future__ import annotations

from pathlib import Path

from bench.page import fill
from memory.graph_map import graph_map
from service.settings import Settings
from service.wiring import Services


def test_the_invented_graph_is_placed_whole_and_its_circles_stand_together(tmp_path: Path) -> None:
    with Services(Settings(home=tmp_path)) as services:
        n_facts = fill(services, 320, seed=7)
        found = graph_map(services.database, services.space_id)
    assert len(found.labels) == 320
    assert 0.9 * n_facts < len(found.predicates) <= n_facts
    inside = [
        abs(int(found.xs_N[a]) - int(found.xs_N[b])) + abs(int(found.ys_N[a]) - int(found.ys_N[b]))
        for a, b in zip(found.sources_L, found.targets_L, strict=True)
    ]
    width = int(found.xs_N.max() - found.xs_N.min()) + int(found.ys_N.max() - found.ys_N.min())
    assert sorted(inside)[len(inside) // 2] < width / 3
