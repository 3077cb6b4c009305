"""A networkx graph as GraphML that networkx and Gephi read, written edge by edge.

Attributes are declared by what is found: texts, whole numbers, numbers. Characters that XML cannot hold (controls,
halves of surrogate pairs) become U+FFFD, so that no name makes a file that nobody can open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    import networkx

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TYPES = {str: "string", int: "long", float: "double"}

Keys = dict[str, tuple[str, str]]  # attribute -> (key in the file, type)


def legal(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return _ILLEGAL.sub("\ufffd", text)


def write_graphml(graph: networkx.MultiDiGraph, file: IO[bytes]) -> None:
    """Write the graph: nodes with their attributes, edges with theirs and their key as `id`."""
    for piece in _pieces(graph):
        file.write(piece.encode())


def _pieces(graph: networkx.MultiDiGraph) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    node_keys = _keys("n", (data for _, data in graph.nodes(data=True)))
    edge_keys = _keys("e", (data for _, _, data in graph.edges(data=True)))
    for kind, keys in (("node", node_keys), ("edge", edge_keys)):
        for name, (key, type_) in keys.items():
            yield f'  <key id="{key}" for="{kind}" attr.name={quoteattr(name)} attr.type="{type_}"/>\n'
    yield '  <graph edgedefault="directed">\n'
    for node, data in graph.nodes(data=True):
        yield f"    <node id={_quoted(node)}>{_data(data, node_keys)}</node>\n"
    for source, target, key, data in graph.edges(keys=True, data=True):
        ends = f"source={_quoted(source)} target={_quoted(target)}"
        yield f"    <edge id={_quoted(key)} {ends}>{_data(data, edge_keys)}</edge>\n"
    yield "  </graph>\n</graphml>\n"


def _keys(prefix: str, attributes: Iterable[Mapping[str, Any]]) -> Keys:
    found: Keys = {}
    for data in attributes:
        for name, value in data.items():
            if name not in found:
                found[name] = (f"{prefix}{len(found)}", _TYPES[type(value)])
    return found


def _data(attributes: Mapping[str, Any], keys: Keys) -> str:
    return "".join(
        f'<data key="{keys[name][0]}">{escape(legal(str(value)), {chr(13): "&#13;"})}</data>'
        for name, value in attributes.items()
    )


def _quoted(value: object) -> str:
    return quoteattr(legal(str(value)))
