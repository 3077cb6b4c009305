"""`Services`: an open space with its components and all that the CLI and the HTTP app ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from service.graph_work import GraphWork
from service.night_work import NightWork
from service.persona_engine import server_of, speaking_spec

if TYPE_CHECKING:
    from consolidation.probes import Probe
    from simulator.company import Company
    from simulator.session import Session, SessionSettings
    from simulator.tools import SimulatorTools


class Services(GraphWork, NightWork):
    """One open space. Close it, or use it in a `with`."""

    def open_session(self, person: str, *, as_person: str, **options: Any) -> Session:
        """A conversation with `person`'s persona, held by `as_person`; `options` as in SessionSettings."""
        from simulator.session import Session

        self.index.refresh()
        settings = self._session_settings(options)
        return Session.open(self.simulator_tools(), self.person(person), self.person(as_person), settings)

    def check_session(self, person: str, *, as_person: str, **options: Any) -> None:
        """Raises what `open_session` would refuse before it loads a model."""
        from simulator.opening import check_session

        settings = self._session_settings(options)
        check_session(self.simulator_tools(), self.person(person), self.person(as_person), settings)

    def _session_settings(self, options: Mapping[str, Any]) -> SessionSettings:
        from simulator.session import SessionSettings

        return SessionSettings(trust_weights=self.settings.memory.trust_weights, **options)

    def open_company(self, names: Sequence[str], *, as_person: str | None = None, **options: Any) -> Company:
        """A conversation of these people's personas with each other, led by `as_person` where that is given; `options` as in
        Invitation."""
        from simulator.inviting import Invitation, open_company

        self.index.refresh()
        people = [self.person(name) for name in names]
        human = self.person(as_person) if as_person is not None else None
        return open_company(self.simulator_tools(), people, Invitation(**options), human)

    def simulator_tools(self) -> SimulatorTools:
        """What personas are made and steered with."""
        from simulator.tools import SimulatorTools

        return SimulatorTools(
            database=self.database,
            space_id=self.space_id,
            home=self.settings.home,
            registry=self.registry,
            index=self.index,
            model_spec=speaking_spec(self.model_spec(), self.settings.persona),
            clock=self.clock,
            withhold=self.withhold,
            probe=self._probe,
            extractor=self.extractor,
            server=server_of(self.settings, self.clock),
            style_needs=self.settings.night.style.min_messages,
        )

    def _probe(self, name: str) -> Probe:
        from service.entrances import probe

        return probe.find(self, name)[1]
