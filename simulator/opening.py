"""Opens a session: consent, weights, perspective, guards, the mood and the turns that were left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agents.turns import Persona, Turn, recent
from consolidation.mastery import Mastered, serving_mastery
from consolidation.truth_check import TruthCheck, usable_truth_probe
from memory import constitutions, fact_rows
from memory.episodes import audience, conversation_id_of, list_episodes, readable
from memory.people import list_people
from memory.persona_settings import get_sampling
from memory.ports import Judge
from memory.revision import Line
from memory.sensitive import kinds
from memory.types import Episode, Person
from simulator.circles import Written
from simulator.claims import Listener
from simulator.composing import Composer
from simulator.consistency import ClaimGuard
from simulator.drawing import AskedSampling, sampling_with
from simulator.engines import LocalEngine
from simulator.errors import SamePerson, SteeringElsewhere
from simulator.lengths import lengths_of
from simulator.loops import LoopGuard
from simulator.manner import manner_of
from simulator.moments import MAX_GAP_S
from simulator.ports import Engine
from simulator.reader import Reader
from simulator.session import Session, SessionSettings, conversation_name
from simulator.spoken_digests import SpokenDigests
from simulator.stance import Sight
from simulator.steering_sources import Sources, steering_for
from simulator.tools import SimulatorTools, check_consent
from simulator.topics import Graph, Topics, topics_of

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from agents.sampling import Sampling
    from consolidation.recipe import Recipe

MOST_READ = 20_000  # messages of the person and of their conversations each, the newest, from which their ways are known
MAX_TURNS = 64  # of an earlier sitting that this one follows
REAL_TURNS = 8  # that a new conversation follows
_NEVER = datetime.min.replace(tzinfo=UTC)


def open_session(
    tools: SimulatorTools, person: Person, partner: Person, settings: SessionSettings
) -> Session:
    """See `Session.open`."""
    from consolidation.current import current_readout
    from consolidation.recipe import current_recipe

    check_session(tools, person, partner, settings)
    recipe = current_recipe(tools.database, tools.space_id, tools.home) if settings.use_weights else None
    worn = recipe.for_person(person.id) if recipe else None
    model = None if tools.server is not None else load_model(tools, worn)
    readout = current_readout(tools.database, tools.space_id, tools.home, model.base_hash) if model else None
    composer = make_composer(tools, person, (partner,), sampling_of(tools, person, settings), recipe)
    weights = composer.recipe
    composer.engine = engine_of(tools, model, weights, composer.persona)
    composer.thinks = settings.think
    composer.mastered = _mastered(tools) if recipe and settings.trust_weights else Mastered()
    session = Session(
        composer=composer,
        settings=settings,
        model=model,
        digests=SpokenDigests(
            tools.database,
            tools.space_id,
            conversation_name(person, partner),
            (person, partner),
            embedder=tools.index.embedder,
            clock=tools.clock,
        ),
        reader=Reader(model, readout) if model and readout else None,
        checks=_checks(tools, model, weights),
        notices=notices_of(tools, [person], recipe),
    )
    if model is not None:
        sources = Sources(tools, model, readout, person)
        session.steering = steering_for(
            sources, settings.steer, weights=weights, is_forced=settings.force_dose
        )
    _go_on(session, _recent(tools, conversation_name(person, partner)))
    return session


def check_session(tools: SimulatorTools, person: Person, partner: Person, settings: SessionSettings) -> None:
    """What can be refused before a model is loaded. Raises SamePerson, NoConsent, SteeringElsewhere, BadSampling."""
    if person.id == partner.id:
        raise SamePerson(person.name)
    check_consent(tools, person)
    if tools.server is not None and settings.steer:
        raise SteeringElsewhere
    sampling_of(tools, person, settings)


def load_model(tools: SimulatorTools, worn: Recipe | None) -> LanguageModel:
    from agents.runtime.lm import LanguageModel
    from consolidation.recipe import recipe_adapters

    return LanguageModel.load(tools.model_spec, recipe_adapters(tools.home, worn) if worn else ())


def engine_of(
    tools: SimulatorTools, model: LanguageModel | None, weights: str | None, persona: Persona
) -> Engine:
    """What draws: the settings' server, else the model in this process."""
    if tools.server is not None:
        return tools.server()
    if model is None:
        raise ValueError("without a server a model speaks")
    return LocalEngine(model, recipe=weights, tags=list(persona.tags.values()))


def sampling_of(tools: SimulatorTools, person: Person, asked: AskedSampling) -> Sampling:
    """As asked, as set for the person, as by default. Raises BadSampling."""
    stored = get_sampling(tools.database, tools.space_id, person.id)
    return sampling_with(stored, asked.knobs())


def make_composer(
    tools: SimulatorTools,
    person: Person,
    partners: tuple[Person, ...],
    sampling: Sampling,
    recipe: Recipe | None,
    *,
    seed: int = 0,
    about: str = "",
    is_guarded: bool = True,
) -> Composer:
    """A persona in a conversation with these partners; its engine is the caller's to set.

    `about`: what it shall turn to first. `is_guarded` False leaves loops alone: a control.
    """
    with tools.database.reading() as session:
        lines = constitutions.standing(session, tools.space_id, person.id).lines
        zone = fact_rows.timezone(session, tools.space_id)
    persona = Persona(
        person.name, tuple(one.name for one in partners), tuple(line.principle for line in lines)
    )
    claims = _claim_guard(tools, person, partners, lines)
    listeners = tuple(one.id for one in partners)
    graph = Graph(tools.database, tools.space_id, tools.registry, tools.clock, tools.withhold, listeners)
    topics = Topics(topics_of(graph, person.id, persona), seed=seed, about=about)
    heard = list_episodes(tools.database, tools.space_id, heard_by=person.id, newest=MOST_READ)
    own = list_episodes(tools.database, tools.space_id, speaker_id=person.id, newest=MOST_READ)
    written = Written([episode.text for episode in own])
    loops = LoopGuard(person.name, written, topics.opening)
    return Composer(
        tools=tools,
        person=person,
        partners=partners,
        persona=persona,
        sampling=sampling,
        lengths=lengths_of(heard, person.id),
        manner=manner_of(own, person.id),
        claims=claims,
        loops=loops if is_guarded else None,
        topics=topics,
        zone=zone,
        recipe=recipe.sha256 if recipe else None,
        adapters=tuple(entry.adapter_sha256 for entry in recipe.for_person(person.id).entries)
        if recipe
        else (),
    )


def notices_of(tools: SimulatorTools, people: Sequence[Person], recipe: Recipe | None) -> tuple[str, ...]:
    """What whoever talks with these personas should know about the weights, a sentence each."""
    if tools.server is not None:
        return ("a server speaks: weights, steering and readings of this space are not used",)
    worn = {entry.person for entry in recipe.entries} if recipe else set()
    return tuple(_without_style(tools, person) for person in people if person.id not in worn)


def _without_style(tools: SimulatorTools, person: Person) -> str:
    own = list_episodes(tools.database, tools.space_id, speaker_id=person.id, newest=MOST_READ)
    n = len(readable(own, tools.withhold))
    if n < tools.style_needs:
        wrote = f"{n} message{'' if n == 1 else 's'}"
        return f"{person.name} has written {wrote}; a style needs {tools.style_needs}; the prompt alone makes them speak"
    return f"{person.name} has no style of their own in the weights yet; the prompt alone makes them speak"


def _claim_guard(
    tools: SimulatorTools, person: Person, partners: Sequence[Person], lines: Sequence[Line]
) -> ClaimGuard:
    people = tuple(list_people(tools.database, tools.space_id))
    sight = Sight(
        tools.database,
        tools.space_id,
        tools.index,
        tools.registry,
        tools.clock,
        person,
        partners[0],
        people,
        tuple(partners),
    )
    known = tuple(name for one in people for name in (one.name, *one.aliases))
    listener = Listener(tools.extractor, person.name, tuple(one.name for one in partners), known)
    return ClaimGuard(sight, listener, tuple(lines))


def _checks(tools: SimulatorTools, model: LanguageModel | None, recipe: str | None) -> tuple[Judge, ...]:
    """What looks at a persona's claims: the truth probe, where one may be read with these weights."""
    if model is None:
        return ()
    probe, _ = usable_truth_probe(tools.database, tools.space_id, tools.home, model.base_hash, recipe)
    return (TruthCheck(probe, model),) if probe else ()


def _mastered(tools: SimulatorTools) -> Mastered:
    return serving_mastery(tools.database, tools.space_id, tools.home, tools.registry, clock=tools.clock)


def _recent(tools: SimulatorTools, conversation: str) -> list[Episode]:
    """The last turns of the simulated talk of that name, oldest first."""
    conversation_id = conversation_id_of(tools.database, tools.space_id, conversation)
    if conversation_id is None:
        return []
    return list_episodes(
        tools.database,
        tools.space_id,
        conversation_id=conversation_id,
        origins=("simulated",),
        newest=MAX_TURNS,
    )


def really_said(tools: SimulatorTools, people: Sequence[Person]) -> list[Turn]:
    """The last that these people really wrote where all of them could hear it, oldest first: a new conversation follows it.

    Nothing of others, nothing sensitive and nothing that is withheld.
    """
    ids = {person.id for person in people}
    shared = [one for one, heard in audience(tools.database, tools.space_id).items() if ids <= heard]
    talks = [
        list_episodes(tools.database, tools.space_id, conversation_id=one, newest=8 * REAL_TURNS)
        for one in shared
    ]
    newest = max(talks, key=lambda talk: talk[-1].time if talk else _NEVER, default=[])
    said = [episode for episode in newest if episode.speaker_id in ids and not kinds(episode.text)]
    return [Turn(one.speaker, one.text) for one in readable(said[-REAL_TURNS:], tools.withhold)]


def begin_from_reality(session: Session) -> None:
    """Let a session without turns follow what the two really wrote."""
    for turn in really_said(session.tools, (session.person, session.partner)):
        session.composer.hear(turn.speaker, turn.text)
        session.turns.append(turn)


def _go_on(session: Session, said: Sequence[Episode]) -> None:
    """Take up the turns since the last long pause, and the mood that is left of them all."""
    if not said:
        return
    session.last_at = said[-1].time
    start, later = len(said), session.tools.clock()
    while start and (later - said[start - 1].time).total_seconds() <= MAX_GAP_S:
        start, later = start - 1, said[start - 1].time
    for episode in said[start:]:
        session.composer.hear(episode.speaker, episode.text)
    session.n_said = len(said) - start
    session.turns = recent([Turn(episode.speaker, episode.text) for episode in said[start:]])
    if session.reader is not None:
        session.mood = session.reader.mood_after(session.tools, said, session.person.id)
