"""What a session, a steering direction and a report work with; wired by `service`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from consolidation.stage import StyleSettings
from db.engine import Database
from memory import consent
from memory.index import Index
from memory.ports import Clock, Extractor, Withhold
from memory.registry import Registry
from memory.types import Person
from simulator.errors import NoConsent

if TYPE_CHECKING:
    from agents.runtime.spec import ModelSpec
    from consolidation.probes import Probe
    from simulator.ports import Engine


@dataclass(frozen=True, slots=True)
class SimulatorTools:
    database: Database
    space_id: str
    home: Path
    registry: Registry
    index: Index  # refreshed
    model_spec: ModelSpec
    clock: Clock
    withhold: Withhold
    probe: Callable[[str], Probe]  # by its name
    extractor: Extractor  # reads what a persona claims
    server: Callable[[], Engine] | None = None  # what speaks instead of the model in this process
    style_needs: int = (
        StyleSettings().min_messages
    )  # messages by a person, below which the nights train no style of theirs


class InSpace(Protocol):
    """Where people are: tools, or opened services."""

    @property
    def database(self) -> Database: ...

    @property
    def space_id(self) -> str: ...


def check_consent(space: InSpace, person: Person) -> None:
    """Raises NoConsent: asked anew before every turn, for it may be withdrawn while somebody talks."""
    if not consent.has_consent(space.database, space.space_id, person.id):
        raise NoConsent(person.name)
