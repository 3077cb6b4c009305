"""A talk of two people who write as differently as can be, and what a fidelity report is made of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agents.constitutions import HabitWriter
from memory.types import Episode
from simulator.fidelity import Material
from simulator.held_out import exchanges

BEGIN = datetime(2025, 3, 1, 10, tzinfo=UTC)


def chat(n: int, begin: datetime = BEGIN) -> list[Episode]:
    """Ada in small letters without a mark, Bo loud."""
    said = (("Ada Lund", "no idea about number {}"), ("Bo Rask", "WONDERFUL!!! Tell me about {} 😍"))
    return [
        Episode(f"{begin:%Y}{i}", "talk", i, who, who, begin + timedelta(minutes=i), text.format(i))
        for i in range(n)
        for who, text in [said[i % 2]]
    ]


def material_of(name: str, partner: str) -> Material:
    """Eighty messages of before and twenty-four of a year later."""
    before, later = chat(80), chat(24, BEGIN + timedelta(days=400))
    own, others = ([e for e in before if e.speaker == who] for who in (name, partner))
    return Material(
        name,
        exchanges(later, name),
        exchanges(later, partner),
        {name: [e.text for e in own], partner: [e.text for e in others]},
        HabitWriter().write(name, before),
        lambda exchange: ["I live in Porto."],
        own,
        others,
    )
