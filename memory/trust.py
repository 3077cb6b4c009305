"""How far a message can be believed by where it comes from: its origin and the kind of its source.

A fact can be no surer than the least trusted message it rests on (`add_candidates` holds its confidence down to that).
What a model wrote is worth nothing as evidence, whatever it says; mail is mostly written by shops and machines; what
another memory program noted down was somebody's words once, and a model's since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

OF_ORIGIN: Mapping[str, float] = {"observed": 1.0, "inferred": 0.8, "simulated": 0.0}
OF_SOURCE: Mapping[str, float] = {"mbox": 0.85, "mem0": 0.8, "mcp-memory": 0.8}  # other kinds: 1


def trust_of(origin: str, source_kind: str) -> float:
    """In [0, 1]; of an origin that is not known nothing is believed."""
    return OF_ORIGIN.get(origin, 0.0) * OF_SOURCE.get(source_kind, 1.0)


def least(messages: Iterable[tuple[str, str]]) -> float:
    """Of the (origin, kind of source) of a fact's messages; 0 where it rests on none."""
    return min((trust_of(*message) for message in messages), default=0.0)
