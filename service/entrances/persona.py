"""What every entrance does with somebody's persona beside talking with it: consent, and how its words are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from memory import consent, tombstones
from memory.persona_settings import get_sampling, set_sampling

if TYPE_CHECKING:
    from service.wiring import Services


def consents(services: Services, name: str) -> dict[str, Any]:
    """Whether somebody may be simulated, and every record of it. Raises UnknownPerson."""
    person, where = services.person(name), (services.database, services.space_id)
    return {
        "person": person.name,
        "stands": consent.has_consent(*where, person.id),
        "records": [record.as_json() for record in consent.records(*where, person.id)],
    }


def agree(services: Services, name: str, *, by: str, note: str = "") -> dict[str, Any]:
    """Record that `by` agreed. Raises UnknownPerson, ValueError for an empty `by`."""
    person = services.person(name)
    where = services.database, services.space_id
    consent.record(*where, person.id, agreed_by=by, note=note, clock=services.clock)
    return consents(services, person.name)


def withdraw(services: Services, name: str) -> dict[str, Any]:
    """They are no longer simulated from now on, also after a restore of an earlier day. Raises UnknownPerson."""
    person = services.person(name)
    consent.withdraw(services.database, services.space_id, person.id, clock=services.clock)
    tombstones.keep(services.database, services.settings.home)
    return consents(services, person.name)


def sampling(services: Services, name: str) -> dict[str, Any]:
    """How the words of their persona are drawn where a conversation does not say. Raises UnknownPerson."""
    from simulator.drawing import KNOBS

    person = services.person(name)
    stored = get_sampling(services.database, services.space_id, person.id)
    shown = {field: stored.get(field, knob.default) for field, knob in KNOBS.items()}
    return {"person": person.name, "sampling": shown, "set": sorted(stored)}


def set_(
    services: Services, name: str, wanted: Mapping[str, float], *, clear: bool = False
) -> dict[str, Any]:
    """Set some of them, after taking back what was set before where asked. Raises UnknownPerson, BadSampling."""
    from simulator.drawing import checked

    person, where = services.person(name), (services.database, services.space_id)
    stored = {} if clear else get_sampling(*where, person.id)
    stored |= {field: checked(field, value) for field, value in wanted.items()}
    if wanted or clear:
        set_sampling(*where, person.id, stored, clock=services.clock)
    return sampling(services, person.name)
