"""Who somebody was at a moment and what they could know: constitution and facts, made of what was said before it.

Nothing that was said at the moment or later is looked at, whatever the graph holds by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property

from agents.constitutions import HabitWriter
from agents.held import held
from memory.ask import ask
from memory.errors import UnknownFact
from memory.facts import get_fact, list_facts
from memory.names import first
from memory.people import list_people
from memory.revision import Found, Standing, revise
from memory.types import Episode, Fact, Person, Principle
from memory.wordings import Wordings
from simulator.held_out import Exchange
from simulator.persona import in_third_person, own_words
from simulator.session import MAX_FACTS, MIN_DENSE, SimulatorTools

_BEFORE = timedelta(microseconds=1)
_HOLDING = ("current", "candidate", "contested")


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
        heard = [turn.text for turn in exchange.before if turn.speaker != self._person.name]
        return self._about(exchange, heard[-1]) if heard else []

    def _about(self, exchange: Exchange, heard: str) -> list[Fact]:
        tools, then = self._tools, exchange.at - _BEFORE
        question = in_third_person(heard, first(self._person.name), first(exchange.partners[0]))
        answer = ask(
            tools.database,
            tools.space_id,
            tools.index,
            tools.registry,
            question,
            known_to=self._person.id,
            as_of=then,
            clock=lambda: then,
        )
        found = {fact.id: fact for fact in answer.facts}
        hits = tools.index.search(
            question, k=MAX_FACTS, known_to=self._person.id, as_of=then, kinds=("fact",)
        )
        for hit in hits:
            is_relevant = "fulltext" in hit.parts or hit.parts.get("dense", 0.0) >= MIN_DENSE
            if hit.id not in found and is_relevant:
                with suppress(UnknownFact):
                    found[hit.id] = get_fact(
                        tools.database,
                        tools.space_id,
                        hit.id,
                        tools.registry,
                        known_to=self._person.id,
                        as_of=then,
                        clock=lambda: then,
                    )
        return _usable(list(found.values()))


def _usable(facts: Sequence[Fact]) -> list[Fact]:
    return [fact for fact in facts if fact.status in _HOLDING][:MAX_FACTS]
