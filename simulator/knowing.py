"""The facts that bear on what was said to a persona and that the persona can know."""

from __future__ import annotations

from datetime import datetime

from agents import cues
from agents.pasted import is_pasted
from memory.facts import HOLDING, get_facts
from memory.types import Fact, FactStatus, Hit, Person
from simulator.persona import in_third_person
from simulator.tools import SimulatorTools

MAX_FACTS = 4
MIN_DENSE = 1.1  # a hit that shares no word counts only when its dense part of the score reaches this
MAX_ASKED_CHARS = 600  # of a long turn: its questions, else its end
UNDISPUTED: tuple[FactStatus, ...] = ("current", "candidate")  # what may be brought up unasked


def gives_orders(fact: Fact) -> bool:
    """Whether it holds orders to machines: then it stands in no prompt and is never said."""
    return is_pasted(fact.object) or is_pasted(fact.subject)


def asked(text: str) -> str:
    """What of a turn is looked up: all of a short one, the questions of a long one, its end where it has none."""
    if len(text) <= MAX_ASKED_CHARS:
        return text
    questions = [
        one.text for one in cues.sentences(text[-20 * MAX_ASKED_CHARS :]) if cues.is_question(one.text)
    ]
    return (" ".join(questions) or text)[-MAX_ASKED_CHARS:]


def related(
    tools: SimulatorTools, person: Person, partner: Person, text: str, *, as_of: datetime | None = None
) -> list[Fact]:
    """At most MAX_FACTS that the search finds, the best first, and none that gives orders to machines; with `as_of`, by what
    was said until then."""
    question = in_third_person(asked(text), person.name, partner.name)
    clock = tools.clock if as_of is None else lambda: as_of
    hits = tools.index.search(question, k=MAX_FACTS, as_of=as_of, known_to=person.id, kinds=("fact",))
    found = get_facts(
        tools.database,
        tools.space_id,
        [hit.id for hit in hits if _is_relevant(hit)],
        tools.registry,
        known_to=person.id,
        as_of=as_of,
        clock=clock,
    )
    return [fact for fact in found if fact.status in HOLDING and not gives_orders(fact)]


def _is_relevant(hit: Hit) -> bool:
    return "fulltext" in hit.parts or hit.parts.get("dense", 0.0) >= MIN_DENSE
