"""Bring two or three personas together, or two and a human: their consent, weights, perspective, topics and guards.

Personas that wear the same weights share one model in memory. The conversation itself knows `simulator.company.Member`
only; a persona's turns are composed as in a session (`simulator.composing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from agents.turns import MAX_RECENT_CHARS
from memory.sessions import NewSession
from memory.types import Person
from simulator.company import Company, CompanySettings, check_people, seats
from simulator.company_record import Record, conversation_of
from simulator.drawing import AskedSampling
from simulator.lengths import Lengths
from simulator.member import PersonaMember
from simulator.opening import engine_of, load_model, make_composer, notices_of, really_said, sampling_of
from simulator.reader import Reader
from simulator.tools import SimulatorTools, check_consent

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from consolidation.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Invitation(AskedSampling):
    """How personas come together. `about`: what they shall turn to first, where they know of it.

    `max_chars` bounds a reply, which else is as long as that person's are. `is_guarded` False leaves loops alone, and
    topics as they fall: a control.
    """

    seed: int = 0
    max_chars: int | None = None
    use_weights: bool = True
    about: str = ""
    is_guarded: bool = True


def open_company(
    tools: SimulatorTools, people: Sequence[Person], how: Invitation, human: Person | None = None
) -> Company:
    """The conversation of these people's personas as they left it, with a human who speaks for themselves where there is one.

    Raises NoConsent (a human needs none), SamePerson, TooManyPersonas, and what loading does.
    """
    from consolidation.recipe import current_recipe

    check_people(people, human)
    for person in people:
        check_consent(tools, person)
    present = seats(people, human)
    recipe = current_recipe(tools.database, tools.space_id, tools.home) if how.use_weights else None
    models = _Models(tools)
    members = [_member(tools, person, present, how, recipe, models, human) for person in people]
    first = members[0].composer
    session = NewSession(
        people[0].id,
        conversation_of(people, human),
        tuple(person.id for person in present),
        "company",
        {**asdict(first.sampling), "seed": how.seed, "is_guarded": how.is_guarded},
        first.engine.name,
        first.recipe,
        members[0].reader.sha256 if members[0].reader else None,
    )
    record = Record(
        tools.database, tools.space_id, present, session, embedder=tools.index.embedder, clock=tools.clock
    )
    settings = CompanySettings(seed=how.seed, changes=how.is_guarded)
    if human is not None:  # who may write more at once than personas do
        settings = replace(settings, context_chars=MAX_RECENT_CHARS)
    company = Company.begin(members, record, settings, before=really_said(tools, present), human=human)
    company.notices = notices_of(tools, people, recipe)
    return company


def _member(
    tools: SimulatorTools,
    person: Person,
    people: Sequence[Person],
    how: Invitation,
    recipe: Recipe | None,
    models: _Models,
    human: Person | None,
) -> PersonaMember:
    composer = make_composer(
        tools,
        person,
        tuple(one for one in people if one.id != person.id),
        sampling_of(tools, person, how),
        recipe,
        seed=how.seed,
        about=how.about,
        is_guarded=how.is_guarded,
    )
    if how.max_chars is not None:
        composer.lengths = _shortened(composer.lengths, how.max_chars)
    model = models.wearing(recipe.for_person(person.id) if recipe else None)
    composer.engine = engine_of(tools, model, composer.recipe, composer.persona)
    return PersonaMember(composer, models.reader(model) if model else None, human)


def _shortened(lengths: Lengths, max_chars: int) -> Lengths:
    return Lengths(
        lengths.heard, tuple(min(n, max_chars) for n in lengths.chars), tuple(1 for _ in lengths.messages)
    )


@dataclass(slots=True)
class _Models:
    """Language models by what they wear, and who reads by them: one for all who wear the same, none where a server speaks."""

    tools: SimulatorTools
    _loaded: dict[tuple[tuple[str, float], ...], LanguageModel] = field(default_factory=dict)
    _readers: dict[int, Reader] = field(default_factory=dict)

    def wearing(self, worn: Recipe | None) -> LanguageModel | None:
        if self.tools.server is not None:
            return None
        key = tuple((entry.adapter_sha256, entry.coefficient) for entry in worn.entries) if worn else ()
        if key not in self._loaded:
            self._loaded[key] = load_model(self.tools, worn)
        return self._loaded[key]

    def reader(self, model: LanguageModel) -> Reader | None:
        """None where no readout serves."""
        from consolidation.current import current_readout

        if id(model) not in self._readers:
            tools = self.tools
            readout = current_readout(tools.database, tools.space_id, tools.home, model.base_hash)
            if readout is None:
                return None
            self._readers[id(model)] = Reader(model, readout)
        return self._readers[id(model)]
