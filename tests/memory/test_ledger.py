from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import delete, update

from db.tables import LedgerEntry
from memory import ledger
from memory.spaces import ensure_space


@pytest.fixture
def chain(world):
    """Five entries; the rows as they were returned."""
    with world.database.transaction() as session:
        return [
            ledger.append(session, world.space_id, "test", {"n": n, "share": 0.1}, clock=world.clock)
            for n in range(5)
        ]


def problems(world) -> list[str]:
    return ledger.verify(world.database, world.space_id)


def change(world, seq: int, **columns: object) -> None:
    with world.database.transaction() as session:
        session.execute(update(LedgerEntry).where(LedgerEntry.seq == seq).values(**columns))


def test_an_untouched_chain_is_sound(world, chain) -> None:
    assert problems(world) == []


def test_an_empty_ledger_is_sound(world) -> None:
    assert problems(world) == []


def test_each_entry_follows_from_the_one_before(chain) -> None:
    assert [row.seq for row in chain] == [1, 2, 3, 4, 5]
    assert [row.prev_hash for row in chain[1:]] == [row.hash for row in chain[:-1]]


def test_entries_come_newest_first(world, chain) -> None:
    assert ledger.entries(world.database, world.space_id, limit=2) == [chain[4], chain[3]]


@pytest.mark.parametrize("columns", [{"payload": {"n": 9}}, {"kind": "other"}, {"hash": "0" * 64}])
def test_a_changed_entry_is_found(world, chain, columns: dict[str, object]) -> None:
    change(world, 3, **columns)
    assert "ledger entry 3 was changed after it was written" in problems(world)


def test_a_rehashed_entry_is_found_by_the_next_one(world, chain) -> None:
    row = chain[2]
    forged = ledger.entry_hash(row.prev_hash, row.seq, row.kind, {"n": 9}, row.at)
    change(world, 3, payload={"n": 9}, hash=forged)
    assert problems(world) == ["ledger entry 4 does not follow from the one before it"]


def test_a_missing_entry_is_found(world, chain) -> None:
    with world.database.transaction() as session:
        session.execute(delete(LedgerEntry).where(LedgerEntry.seq == 2))
    assert problems(world) == ["ledger entry 2 is missing"]


def test_the_first_break_is_where_the_chain_cannot_be_trusted_any_more(world, chain) -> None:
    change(world, 2, payload={"n": 9})
    change(world, 4, payload={"n": 9})
    assert [item.seq for item in ledger.breaks(world.database, world.space_id)] == [2, 4]


def test_the_hash_is_of_the_moment_whatever_its_time_zone(now: datetime) -> None:
    elsewhere = now.astimezone(timezone(timedelta(hours=5)))
    assert ledger.entry_hash("0", 1, "k", {}, elsewhere) == ledger.entry_hash("0", 1, "k", {}, now)


def test_spaces_have_chains_of_their_own(world, chain) -> None:
    other = ensure_space(world.database, "other")
    with world.database.transaction() as session:
        assert ledger.append(session, other, "test", {}).seq == 1
    assert problems(world) == []


def test_a_payload_that_json_cannot_hold_is_refused(world) -> None:
    with world.database.transaction() as session, pytest.raises(ValueError, match="JSON"):
        ledger.append(session, world.space_id, "test", {"n": float("nan")})


def test_times_come_back_in_utc(world, chain) -> None:
    assert ledger.entries(world.database, world.space_id)[0].at.tzinfo is UTC
