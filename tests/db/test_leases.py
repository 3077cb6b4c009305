from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from db.engine import Database
from db.errors import LeaseHeld
from db.leases import acquire, holder_of, release


def take(database: Database, holder: str, now: datetime) -> None:
    acquire(database, "sleep", holder, now=now, ttl_s=60)


def test_a_free_lease_is_taken(database: Database, now: datetime) -> None:
    take(database, "a", now)
    assert holder_of(database, "sleep") == "a"


def test_a_held_lease_is_refused_with_the_holders_name(database: Database, now: datetime) -> None:
    take(database, "process 12 on here", now)
    with pytest.raises(LeaseHeld, match="held by process 12 on here"):
        take(database, "b", now + timedelta(seconds=59))


def test_an_expired_lease_is_taken_over(database: Database, now: datetime) -> None:
    take(database, "a", now)
    take(database, "b", now + timedelta(seconds=60))
    assert holder_of(database, "sleep") == "b"


def test_the_holder_renews_its_own_lease(database: Database, now: datetime) -> None:
    take(database, "a", now)
    take(database, "a", now + timedelta(seconds=50))
    with pytest.raises(LeaseHeld):
        take(database, "b", now + timedelta(seconds=100))


def test_a_holder_who_lost_the_lease_cannot_release_it(database: Database, now: datetime) -> None:
    take(database, "a", now)
    take(database, "b", now + timedelta(seconds=60))
    release(database, "sleep", "a")
    assert holder_of(database, "sleep") == "b"


def test_a_released_lease_is_free(database: Database, now: datetime) -> None:
    take(database, "a", now)
    release(database, "sleep", "a")
    take(database, "b", now)
    assert holder_of(database, "sleep") == "b"


def test_leases_of_other_names_do_not_matter(database: Database, now: datetime) -> None:
    acquire(database, "other", "a", now=now, ttl_s=60)
    take(database, "b", now)
    assert holder_of(database, "other") == "a"
