"""Who somebody was at a moment and what they could know: constitution and facts, made of what was said before it.

Nothing that was said at the moment or later is looked at, whatever the graph holds by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property

from agents.constitutions import HabitWriter
from agents.held import held
from agents.turns import Turn
from memory.ask import ask
from memory.facts import HOLDING, list_facts
from memory.people import list_people
from memory.revision import Found, Standing, revise
from memory.types import Episode, Fact, Person, Principle
from memory.wordings import Wordings
from simulator.held_out import Exchange
from simulator.knowing import MAX_FACTS, asked, related
from simulator.persona import in_third_person, own_words
from simulator.tools import SimulatorTools

_BEFORE = timedelta(microseconds=1)


class Recall:
    """One person's, on an index that was refreshed."""

    def __init__(self, tools: SimulatorTools, person: Person) -> None:
        self._tools = tools
        self._person = person

    @cached_property
    def _wordings(self) -> Wordings:
        return Wordings.load()

    def principles(self, episodes: Sequence[Episode], until: datetime) -> list[Principle]:
        """The constitution that a first night would have written then, by the writer that needs no model.

        Lines that stand now, and those that people wrote, may rest on what came later; none is used. `episodes`: all
        that was said in the person's conversations, without what no writer may see.
        """
        tools, then = self._tools, until - _BEFORE
        said = [episode for episode in episodes if episode.time < until]
        people = list_people(tools.database, tools.space_id)
        facts = list_facts(
            tools.database,
            tools.space_id,
            tools.registry,
            person_id=self._person.id,
            as_of=then,
            known_to=self._person.id,
            clock=lambda: then,
        )
        lines = [*HabitWriter().write(self._person.name, said, people), *held(facts)]
        return [line.principle for line in revise(Standing(0, (), {}), Found(lines)).lines]

    def known(self, exchange: Exchange) -> list[str]:
        """At most MAX_FACTS that bear on what was said last, in the person's own words, the best first."""
        persona = exchange.persona()
        return [own_words(fact, persona, self._wordings) for fact in self.facts(exchange)]

    def facts(self, exchange: Exchange) -> list[Fact]:
        """As `known`; empty where nobody had said anything."""
        heard = [turn for turn in exchange.before if turn.speaker != self._person.name]
        return self._about(exchange, heard[-1]) if heard else []

    def _about(self, exchange: Exchange, heard: Turn) -> list[Fact]:
        """What answers a question comes first, then what the search finds, as in a session."""
        tools, then = self._tools, exchange.at - _BEFORE
        partner = Person("", heard.speaker)
        answer = ask(
            tools.database,
            tools.space_id,
            tools.index,
            tools.registry,
            in_third_person(asked(heard.text), self._person.name, partner.name),
            known_to=self._person.id,
            as_of=then,
            clock=lambda: then,
        )
        found = {fact.id: fact for fact in answer.facts if fact.status in HOLDING}
        for fact in related(tools, self._person, partner, heard.text, as_of=then):
            found.setdefault(fact.id, fact)
        return list(found.values())[:MAX_FACTS]
