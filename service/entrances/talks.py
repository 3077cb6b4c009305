"""Conversations with personas behind HTTP: a loaded session is kept between turns, one speaks at a time.

Loading the weights takes longer than a reply, so the newest session, or the company that a human leads, stays open until
somebody else is talked with, another recipe is published or nobody has spoken for IDLE_S seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from agents.errors import AgentError
from memory.artifacts import pointer
from memory.errors import GraphError
from service.streams import Line, streamed
from simulator.drawing import AskedSampling
from simulator.steering import Wish
from simulator.tools import check_consent

if TYPE_CHECKING:
    from service.users import Users
    from service.wiring import Services
    from simulator.company import Company, SaidTurn
    from simulator.session import Session
    from simulator.spoken_turn import SpokenTurn

IDLE_S = 600.0


@dataclass(frozen=True, slots=True)
class Says(AskedSampling):
    """One turn as a caller asks for it: `as_person` says `text` to `person`'s persona."""

    person: str
    as_person: str
    text: str
    autocomplete: bool = False
    seed: int | None = None
    think: bool = False
    use_weights: bool = True
    steer: tuple[Wish, ...] = ()
    force_dose: bool = False

    def options(self) -> dict[str, Any]:
        """Of the session in which it is said."""
        return {
            "as_person": self.as_person,
            "seed": self.seed,
            "think": self.think,
            "use_weights": self.use_weights,
            "steer": self.steer,
            "force_dose": self.force_dose,
            **self.knobs(),
        }


@dataclass(frozen=True, slots=True)
class Gathering(AskedSampling):
    """Two or three personas to talk with each other for at most `n_turns`; `about`: what they turn to first.

    Where `as_person` leads them, they answer `text` instead.
    """

    names: tuple[str, ...]
    n_turns: int = 20
    seed: int = 0
    about: str = ""
    use_weights: bool = True
    as_person: str | None = None
    text: str = ""

    def options(self) -> dict[str, Any]:
        return {
            "as_person": self.as_person,
            "seed": self.seed,
            "about": self.about,
            "use_weights": self.use_weights,
            **self.knobs(),
        }


class Talks:
    """Safe for threads; `lock` is shared with whoever else may let a persona speak or erase what it remembers, and held for
    a whole turn."""

    def __init__(self, services: Services, lock: threading.RLock, users: Users) -> None:
        self._services = services
        self._lock, self._users = lock, users
        self._key: tuple[Any, ...] | None = None
        self._session: Session | None = None
        self._company: Company | None = None  # between two rounds of it; at most one of both is open
        self._idle: threading.Timer | None = None
        self._generation = 0  # grows with every `end`

    def reply(self, says: Says) -> SpokenTurn:
        """The whole turn. Raises UnknownPerson, NoConsent and what loading a model raises."""
        with self._open(says) as session:
            return session.reply(says.text, autocomplete=says.autocomplete)

    def stream(self, says: Says) -> Iterator[str | SpokenTurn | Exception]:
        """The pieces of the reply and at last the turn, or the error that ended it.

        The session is opened, with its errors, before this returns. A caller that closes the iterator before the end
        stops the reply, and nothing of it is kept.
        """

        def speak(line: Line[str | SpokenTurn]) -> None:
            with self._open(says) as session:
                line.ready()
                with closing(session.stream(says.text, autocomplete=says.autocomplete)) as spoken:  # type: ignore[type-var]
                    for piece in spoken:
                        line.put(piece)
                if session.last is not None:
                    line.put(session.last)

        return streamed(speak, "talk", self._users)

    def converse(self, gathering: Gathering) -> Iterator[SaidTurn | Company | Exception]:
        """Turns of personas among themselves, or in answer to whoever leads them, as they are said, each kept by then; at last
        the company, or the error.

        They are brought together, or still there after an earlier round, with the errors of that, before this returns. A
        caller that closes the iterator ends the talk with the turn that is being said. Between two turns others may use the
        lock.
        """

        from simulator.session import check_said

        if gathering.as_person is not None:
            check_said(gathering.text)

        def talk(line: Line[SaidTurn | Company]) -> None:
            with self._lock:
                company, key = self._gather(gathering)
                generation = self._generation
            line.ready()
            turns = (
                company.turns(gathering.n_turns)
                if gathering.as_person is None
                else company.answer(gathering.text)
            )
            is_kept = False
            try:
                while True:
                    with self._lock:
                        said = self._next_said(company, turns, generation)
                        if said is None:
                            last = copy(company)  # another round may be on before this one is read
                            is_kept = gathering.as_person is not None and self._keep(company, key)
                            break
                    line.put(said)
            finally:
                if not is_kept:
                    with self._lock:
                        _end_company(company)
            line.put(last)

        return streamed(talk, "company", self._users)

    def _gather(self, gathering: Gathering) -> tuple[Company, tuple[Any, ...]]:
        """The company that was kept from an earlier round, nothing having been said to it elsewhere since, or a new one, and
        the key it was opened under."""
        company, key = self._company, self._key_of_company(gathering)
        if company is not None and key == self._key and company.record.is_complete():
            self._company = self._key = None
            self._stop_waiting()
            return company, key
        self._drop()  # frees the weights of who spoke before others load
        return self._services.open_company(gathering.names, **gathering.options()), key

    def _next_said(self, company: Company, turns: Iterator[SaidTurn], generation: int) -> SaidTurn | None:
        if self._generation != generation:  # what its members remember may be erased by now
            company.ended = "interrupted"
            return None
        for member in company.members:
            check_consent(self._services, member.person)
        return next(turns, None)

    def _keep(self, company: Company, key: tuple[Any, ...]) -> bool:
        """Whether it stays open for the next round: it came to its end and nobody else is open."""
        if company.ended == "interrupted" or self._session is not None or self._company is not None:
            return False
        self._company, self._key = company, key
        self._wait_for_idle()
        return True

    def end(self, *, timeout_s: float = -1) -> None:
        """Close the session that is open, and end every company; the next turn opens one anew.

        A turn that takes longer than that goes on.
        """
        self._generation += 1
        if self._lock.acquire(timeout=timeout_s):
            try:
                self._drop()
            finally:
                self._lock.release()

    @contextmanager
    def _open(self, says: Says) -> Iterator[Session]:
        """The session for that turn. What is refused of it is refused before an open one is let go of."""
        from simulator.session import check_said

        check_said(says.text, autocomplete=says.autocomplete)
        with self._lock:
            key = self._key_of(says)
            if self._session is not None and key == self._key:
                self._session.draw_as(says, says.seed)
            else:
                self._services.check_session(says.person, **says.options())
                self._drop()  # frees the old weights before new ones load
                self._session = self._services.open_session(says.person, **says.options())
                self._key = key
            self._stop_waiting()
            try:
                check_consent(self._services, self._session.person)
                yield self._session
            except BaseException:
                self._drop()  # an unfinished turn leaves nothing behind
                raise
            finally:
                self._wait_for_idle()

    def _drop(self) -> None:
        """Let go of who is open; the end goes on record where it still can."""
        session, company = self._session, self._company
        self._session = self._company = self._key = None
        self._stop_waiting()
        if company is not None:
            _end_company(company)
        if session is not None:
            with suppress(GraphError, AgentError, SQLAlchemyError):  # it may be erased, its server away
                session.close()

    def _wait_for_idle(self) -> None:
        if self._session is not None or self._company is not None:
            self._idle = threading.Timer(IDLE_S, self._drop_idle)
            self._idle.daemon = True
            self._idle.start()

    def _stop_waiting(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _drop_idle(self) -> None:
        with self._lock:
            if self._idle is threading.current_thread():  # nobody spoke meanwhile
                self._drop()

    def _key_of(self, says: Says) -> tuple[Any, ...]:
        """What takes a session of its own: who, weights and what is worn with them. How words are drawn is each turn's."""
        services = self._services
        current = pointer(services.database, services.space_id)
        people = (services.person(says.person).id, services.person(says.as_person).id)
        return (*people, says.think, says.use_weights, says.steer, says.force_dose, current)

    def _key_of_company(self, gathering: Gathering) -> tuple[Any, ...]:
        services = self._services
        names = (*gathering.names, gathering.as_person) if gathering.as_person else gathering.names
        people = tuple(services.person(name).id for name in names)
        asked = replace(gathering, text="", n_turns=0)
        return (*people, asked, pointer(services.database, services.space_id))


def _end_company(company: Company) -> None:
    with suppress(GraphError, AgentError, SQLAlchemyError):  # it may be erased
        company.record.end()
