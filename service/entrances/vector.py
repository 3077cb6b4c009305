"""What every entrance does to say whom and what a task vector was trained from, so that erasing it takes the vector.

Names become nodes of the graph here; the edges are `memory.vector_nodes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from consolidation import recipe as recipes
from consolidation import recipe_serving
from consolidation.errors import RecipeStays, UnknownRun
from consolidation.patterns import PREDICATE
from consolidation.recipe_history import SERVING
from consolidation.runs import get_run
from memory import vector_nodes
from memory.errors import TaintedArtifact, UnknownFact
from memory.facts import get_fact

if TYPE_CHECKING:
    from consolidation.recipe_serving import Place
    from service.wiring import Services


@dataclass(frozen=True, slots=True)
class About:
    """As somebody gives it. `sources`: people by name, patterns by the id of their fact, nights by theirs;
    `constitutions`: people by name."""

    sources: Sequence[str] = ()
    constitutions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Nodes:
    """Ids of nodes, and of nights."""

    people: frozenset[str]
    patterns: frozenset[str]
    constitutions: frozenset[str]
    nights: frozenset[str]


def nodes_of(services: Services, given: About) -> Nodes:
    """A pattern stands for its person as well, a night for the people and patterns that it taught of.

    Raises UnknownPerson, and RecipeStays for a fact that is no pattern.
    """
    people, patterns, nights = set[str](), set[str](), set[str]()
    for name in given.sources:
        if (pattern := _pattern(services, name)) is not None:
            people.add(pattern[0])
            patterns.add(pattern[1])
        elif _is_night(services, name):
            nights.add(name)
            with services.database.reading() as session:
                taught_people, taught_patterns = vector_nodes.taught_by(session, name)
            people.update(taught_people)
            patterns.update(taught_patterns)
        else:
            people.add(services.person(name).id)
    constitutions = frozenset(services.person(name).id for name in given.constitutions)
    return Nodes(frozenset(people), frozenset(patterns), constitutions, frozenset(nights))


def _pattern(services: Services, fact_id: str) -> tuple[str, str] | None:
    """Its person and its node; None where no fact has that id."""
    try:
        fact = get_fact(
            services.database, services.space_id, fact_id, services.registry, clock=services.clock
        )
    except UnknownFact:
        return None
    if fact.predicate != PREDICATE or fact.object_id is None:
        raise RecipeStays(
            f"{fact_id} is no pattern; `slowwave person patterns PERSON` shows their ids, and a vector that was trained "
            "from other facts is about their people"
        )
    return fact.subject_id, fact.object_id


def _is_night(services: Services, name: str) -> bool:
    try:
        get_run(services.database, services.space_id, name)
    except UnknownRun:
        return False
    return True


def connect(place: Place, vector: str, nodes: Nodes) -> None:
    """Edges from the vector, beside those it has; nothing where there is nothing to connect."""
    with place.database.transaction() as session:
        if nodes.people or nodes.patterns or nodes.constitutions:
            vector_nodes.connect(
                session,
                place.space_id,
                vector,
                people=sorted(nodes.people),
                patterns=sorted(nodes.patterns),
                constitutions=sorted(nodes.constitutions),
                clock=place.clock,
            )
        for night in sorted(nodes.nights):
            vector_nodes.connect(session, place.space_id, vector, run_id=night, clock=place.clock)


def about(services: Services, entry: str, given: About, *, recipe: str = SERVING) -> dict[str, Any]:
    """Whom and what an entry's vector was trained from, once what is given is added.

    Raises UnknownRecipe, UnknownEntry, UnknownPerson, RecipeStays, LeaseHeld, and TaintedArtifact for a vector that holds
    what was erased already.
    """
    place = services.place()
    history = place.history()
    version = history.find(recipe)
    if version is None:
        raise RecipeStays("the plain base has no entries")
    found = recipes.entry_of(version.usable(), entry)
    if given != About():
        with recipe_serving.alone(place):
            nodes = nodes_of(services, given)
            if artifact_id := recipe_serving.tainted_vectors(place).get(found.adapter_sha256):
                raise TaintedArtifact(artifact_id)
            connect(place, found.adapter_sha256, nodes)
    return {
        "vector": found.adapter_sha256,
        "label": found.label,
        "about": about_json(place, found.adapter_sha256),
    }


def about_json(place: Place, vector: str) -> list[dict[str, Any]]:
    return [asdict(one) for one in vector_nodes.trained_from(place.database, place.space_id, vector)]
