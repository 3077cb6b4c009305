"""A picture of the graph for people who would rather look than read: one SVG, or one HTML page around it.

Self-contained: no script, no font and no address of another place. The layout is networkx's spring layout with a fixed
seed, so that the same graph gives the same picture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from memory.exchange.graphml import legal

if TYPE_CHECKING:
    import networkx

WIDTH, HEIGHT, MARGIN = 1200, 860, 90  # px
MOST = 70  # nodes; more cannot be told apart
_SEED = 7
_COLOURS = {
    "person": "#2f6fb3",
    "place": "#3b8f5a",
    "organisation": "#c47a1c",
    "conversation": "#8a5fb0",
    "thing": "#7a7f87",
    "value": "#b9bec5",
}
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1d2530;paint-order:stroke;stroke:#fff;stroke-width:3px}"
    ".r{font-size:10px;fill:#69717c}line{stroke:#c3cad3}.past{stroke-dasharray:4 4}"
)


@dataclass(frozen=True, slots=True)
class Part:
    """What one picture shows, out of `n_nodes`; around a person, of those that are near."""

    graph: networkx.MultiDiGraph
    title: str
    n_nodes: int


def around(graph: networkx.MultiDiGraph, person_id: str) -> networkx.MultiDiGraph:
    """The person with everything one step away; nothing where they are not in the graph."""
    if person_id not in graph:
        return graph.__class__()
    near = {person_id, *graph.successors(person_id), *graph.predecessors(person_id)}
    return _best_known(_part(graph, near), person_id)


def among_people(graph: networkx.MultiDiGraph) -> networkx.MultiDiGraph:
    """People and how they are related, with the places and things that two or more of them share."""
    people = {node for node, kind in graph.nodes(data="kind") if kind == "person"}
    joined = {
        node
        for node in graph
        if node not in people and len({*graph.predecessors(node), *graph.successors(node)} & people) > 1
    }
    part = _part(graph, people | joined)
    linked = {node for node, n_edges in part.degree() if n_edges}
    return _best_known(_part(part, linked) if linked else part)


def _best_known(graph: networkx.MultiDiGraph, first: str | None = None) -> networkx.MultiDiGraph:
    """At most MOST nodes: those with the most edges, ties in the graph's order. `first` always stays."""
    ranked = sorted(graph, key=lambda node: (node != first, -graph.degree(node)))
    return _part(graph, set(ranked[:MOST]))


def _part(graph: networkx.MultiDiGraph, wanted: Collection[str]) -> networkx.MultiDiGraph:
    """Those nodes and the edges between them, in the graph's order (a subgraph's own order is a set's)."""
    part = graph.__class__()
    part.add_nodes_from((node, data) for node, data in graph.nodes(data=True) if node in wanted)
    part.add_edges_from(
        (source, target, key, data)
        for source, target, key, data in graph.edges(keys=True, data=True)
        if source in wanted and target in wanted
    )
    return part


def svg(graph: networkx.MultiDiGraph, title: str) -> str:
    """The graph as an SVG image; `title` is shown above it and read by screen readers."""
    spots = _layout(graph)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{_text(title)}</title><style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="24" y="36" style="font-size:18px">{_text(title)}</text>',
        *_edges(graph, spots),
        *_nodes(graph, spots),
        *_legend(graph),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def html(graph: networkx.MultiDiGraph, title: str) -> str:
    """The same on a page of its own."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{_text(title)}</title>"
        "<style>body{margin:0}svg{display:block;width:100%;height:100vh}</style></head>\n"
        f"<body>\n{svg(graph, title)}</body></html>\n"
    )


def _layout(graph: networkx.MultiDiGraph) -> dict[str, tuple[float, float]]:
    """Where each node stands, in px."""
    import networkx

    if not graph:
        return {}
    flat = networkx.Graph()
    flat.add_nodes_from(graph)
    flat.add_edges_from((source, target) for source, target in graph.edges() if source != target)
    spread = 2.2 / max(1, len(flat)) ** 0.5
    found = networkx.spring_layout(flat, seed=_SEED, k=spread, iterations=200, method="energy")
    xs, ys = [spot[0] for spot in found.values()], [spot[1] for spot in found.values()]
    return {
        node: (
            MARGIN + _share(x, xs) * (WIDTH - 2 * MARGIN),
            MARGIN + _share(y, ys) * (HEIGHT - 2 * MARGIN),
        )
        for node, (x, y) in found.items()
    }


def _share(value: float, among: list[float]) -> float:
    low, high = min(among), max(among)
    return float((value - low) / (high - low)) if high > low else 0.5


def _edges(graph: networkx.MultiDiGraph, spots: dict[str, tuple[float, float]]) -> Iterator[str]:
    """One line for each pair, with all that is said of it in its middle."""
    said: dict[frozenset[str], dict[str, bool]] = defaultdict(dict)
    for source, target, data in graph.edges(data=True):
        if source != target:
            is_over = data.get("status") in ("past", "retracted")
            pair = said[frozenset((source, target))]
            pair[data["label"]] = pair.get(data["label"], True) and is_over
    for ends, labels in said.items():
        (x1, y1), (x2, y2) = sorted(spots[end] for end in ends)
        past = ' class="past"' if all(labels.values()) else ""
        yield f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"{past}/>'
        middle = f'x="{(x1 + x2) / 2:.1f}" y="{(y1 + y2) / 2:.1f}"'
        yield f'<text class="r" {middle} text-anchor="middle">{_text(_short(", ".join(labels), 40))}</text>'


def _nodes(graph: networkx.MultiDiGraph, spots: dict[str, tuple[float, float]]) -> Iterator[str]:
    for node, data in graph.nodes(data=True):
        x, y = spots[node]
        radius = 6 + min(10.0, 2 * graph.degree(node) ** 0.5)
        label = _text(_short(data["label"], 28))
        yield (
            f'<g><title>{_text(_hover(graph, node))}</title><circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" '
            f'fill="{_COLOURS.get(data["kind"], _COLOURS["thing"])}"/>'
            f'<text x="{x:.1f}" y="{y - radius - 4:.1f}" text-anchor="{_anchor(x)}">{label}</text></g>'
        )


def _anchor(x: float) -> str:
    """Names near a side grow towards the middle."""
    return "start" if x < 2 * MARGIN else "end" if x > WIDTH - 2 * MARGIN else "middle"


def _hover(graph: networkx.MultiDiGraph, node: str) -> str:
    """The node's name and facts, for the pointer that rests on it."""
    lines = [graph.nodes[node]["label"]]
    for _, target, data in graph.out_edges(node, data=True):
        since = f" ({data['valid_from'][:10]})" if "valid_from" in data else ""
        lines.append(f"{data['label']}: {_short(graph.nodes[target]['label'], 60)}{since}")
    return "\n".join(lines[:16])


def _legend(graph: networkx.MultiDiGraph) -> Iterator[str]:
    kinds = dict.fromkeys(kind for _, kind in graph.nodes(data="kind"))
    for position, kind in enumerate(kinds):
        y = HEIGHT - 20 - 20 * position
        yield f'<circle cx="30" cy="{y - 4}" r="6" fill="{_COLOURS.get(kind, _COLOURS["thing"])}"/>'
        yield f'<text x="44" y="{y}">{_text(kind)}</text>'


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def _text(text: str) -> str:
    return escape(legal(text))
