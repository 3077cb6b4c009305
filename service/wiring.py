"""`Services`: an open space with its components and all that the CLI and the HTTP app ask of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.graph_work import GraphWork
from service.night_work import NightWork

if TYPE_CHECKING:
    from simulator.session import Session


class Services(GraphWork, NightWork):
    """One open space. Close it, or use it in a `with`."""

    def open_session(self, person: str, *, as_person: str, **options: Any) -> Session:
        """A conversation with `person`'s persona, held by `as_person`; `options` as in SessionSettings."""
        from simulator.session import Session, SessionSettings, SimulatorTools

        self.index.refresh()
        tools = SimulatorTools(
            database=self.database,
            space_id=self.space_id,
            home=self.settings.home,
            registry=self.registry,
            index=self.index,
            model_spec=self.model_spec(),
            clock=self.clock,
        )
        settings = SessionSettings(trust_weights=self.settings.memory.trust_weights, **options)
        return Session.open(tools, self.person(person), self.person(as_person), settings)
