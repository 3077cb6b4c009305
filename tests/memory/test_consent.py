from __future__ import annotations

import pytest

from memory import consent, ledger


def test_nobody_may_be_simulated_without_a_record(world) -> None:
    assert not consent.has_consent(world.database, world.space_id, world.person("Ana Reis"))


def test_a_record_is_consent_for_that_person_alone(world) -> None:
    consent.record(world.database, world.space_id, world.person("Ana Reis"), agreed_by="Ana Reis")
    assert consent.has_consent(world.database, world.space_id, world.person("Ana Reis"))
    assert not consent.has_consent(world.database, world.space_id, world.person("Ben Ode"))


def test_a_withdrawn_consent_no_longer_stands(world) -> None:
    ana = world.person("Ana Reis")
    consent.record(world.database, world.space_id, ana, agreed_by="Ana Reis", clock=world.clock)
    assert consent.withdraw(world.database, world.space_id, ana, clock=world.clock) == 1
    assert not consent.has_consent(world.database, world.space_id, ana)


def test_the_ledger_keeps_the_act_without_the_note(world) -> None:
    consent.record(
        world.database, world.space_id, world.person("Ana Reis"), agreed_by="Ana Reis", note="by letter"
    )
    (row,) = ledger.entries(world.database, world.space_id)
    assert row.kind == "consent"
    assert "letter" not in str(row.payload)


def test_a_consent_of_nobody_is_refused(world) -> None:
    with pytest.raises(ValueError, match="who agreed"):
        consent.record(world.database, world.space_id, world.person("Ana Reis"), agreed_by=" ")
