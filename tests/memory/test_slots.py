from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest

from memory.decisions import decide, unsettled
from memory.fact_rows import load
from memory.slots import Slots


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_decisions_with_slots_read_ahead_are_those_without(world: Any, seed: int) -> None:
    rng = random.Random(seed)
    values, changes = ("Porto", "Lisbon", "a flat in Porto", "Braga"), ("state", "update", "correct", "end")
    for day in range(1, 9):
        world.claim(rng.choice(values), day, change=rng.choice(changes))
    assert outcome(world, is_ahead=True) == outcome(world, is_ahead=False)


def outcome(world: Any, *, is_ahead: bool) -> dict[str, Any]:
    """How the statements stand when all are decided, in a transaction that is taken back."""
    found: dict[str, Any] = {}
    with suppress(Undone), world.database.transaction() as session:
        rows = sorted(load(session, world.space_id, states=("candidate",)), key=_said)
        slots = Slots(session, world.space_id, [row.id for row in rows]) if is_ahead else None
        for place, row in enumerate(rows):
            kind = "QUARANTINE" if place % 4 == 3 else "STORE"
            decide(session, world.space_id, row.id, kind, ["x"], world.registry, run_id=None, slots=slots)
        assert unsettled(session, world.space_id, world.registry) == []
        stand = load(session, world.space_id)
        found = {row.id: (row.state, row.valid_to, row.superseded_by, row.is_contested) for row in stand}
        raise Undone
    return found


class Undone(Exception):
    """Takes the transaction back."""


def _said(row: Any) -> Any:
    return row.evidence[0].time, row.id
