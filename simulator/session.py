"""One conversation with a persona: retrieve what they can know, speak, read their state, write the turn back.

Everything said in it, by either side, is kept as `simulated`: it never supports a fact. The base model with the
current recipe's weights is loaded once per session. What the person cannot know is never put into the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.turns import Persona, Turn, turn_messages
from consolidation.mastery import Mastered, serving_mastery
from consolidation.reading import read_texts
from consolidation.readouts import sha256_of
from consolidation.truth_check import TruthCheck, usable_truth_probe
from db.engine import Database
from memory import consent, constitutions
from memory.ask import ask
from memory.episodes import append_turn, conversation_id_of, list_episodes
from memory.errors import UnknownFact
from memory.facts import fact_json, get_fact
from memory.index import Index
from memory.names import first
from memory.ports import Clock, Judge, Withhold
from memory.readings import Reading, keep_readings
from memory.registry import Registry
from memory.types import Episode, Fact, Hit, Person
from memory.wordings import Wordings
from simulator.claims import CheckedClaim, check_claims
from simulator.errors import NoConsent, SamePerson
from simulator.loops import without_repetition
from simulator.persona import in_third_person, own_words
from simulator.steering import Steering, Wish
from simulator.steering_sources import Sources, steering_for
from simulator.tags import TagFilter

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from agents.runtime.spec import ModelSpec
    from consolidation.probes import Probe
    from consolidation.readouts import Readout

MAX_FACTS = 4
MIN_DENSE = 1.1  # a hit that shares no word counts only when its dense part of the score reaches this
MAX_TURNS = 8  # of the running conversation in the prompt
MAX_GAP_S = 120 * 60  # a pause longer than this begins a new conversation


@dataclass(frozen=True, slots=True)
class SimulatorTools:
    """What a session works with; wired by `service`."""

    database: Database
    space_id: str
    home: Path
    registry: Registry
    index: Index
    model_spec: ModelSpec
    clock: Clock
    withhold: Withhold
    probe: Callable[[str], Probe]  # by its name


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """What the persona said, what it rested on and how it read. `readouts`: standard deviations of neutral text.

    `heard`: the readouts of what the partner said before. `left_to_weights`: ids of those of the facts that the
    prompt did not hold, because the weights know them.
    """

    reply: str
    facts: tuple[Fact, ...]
    readouts: dict[str, float]
    recipe: str | None
    left_to_weights: tuple[str, ...] = ()
    heard: dict[str, float] = field(default_factory=dict)
    steering: Steering | None = None  # that it was spoken with
    claims: tuple[CheckedClaim, ...] = ()  # its sentences with what each check says; none without one

    def as_json(self) -> dict[str, Any]:
        return {
            "reply": self.reply,
            "facts": [fact_json(fact) for fact in self.facts],
            "readouts": {concept: round(value, 3) for concept, value in self.readouts.items()},
            "heard": {concept: round(value, 3) for concept, value in self.heard.items()},
            "recipe": self.recipe,
            "left_to_weights": list(self.left_to_weights),
            "claims": [claim.as_json() for claim in self.claims],
            "steering": self.steering.as_json() if self.steering else [],
        }


@dataclass(frozen=True, slots=True)
class SessionSettings:
    temperature: float = 0.7
    max_new_tokens: int = 60
    seed: int | None = None
    use_weights: bool = True
    trust_weights: bool = False  # leave out of the prompt what the weights have mastered
    steer: tuple[Wish, ...] = ()
    force_dose: bool = False  # steer with the whole dose also where it breaks fluency


@dataclass(slots=True)
class Session:
    """Open one with `Session.open`. Not safe for two threads at once."""

    tools: SimulatorTools
    person: Person
    partner: Person
    persona: Persona
    settings: SessionSettings
    model: LanguageModel
    recipe: str | None
    readout: Readout | None
    mastered: Mastered = field(default_factory=Mastered)  # by the weights that were loaded
    readout_sha256: str = ""  # under which its readings are kept
    checks: tuple[Judge, ...] = ()  # of what the persona claims
    steering: Steering | None = None
    turns: list[Turn] = field(default_factory=list)
    last: SpokenTurn | None = None

    @classmethod
    def open(
        cls, tools: SimulatorTools, person: Person, partner: Person, settings: SessionSettings
    ) -> Session:
        """Load the persona. Raises NoConsent where nobody has recorded that the person agreed.

        A dose is tried before it is worn; raises what `Sources.find` does where there is nothing to steer by.
        """
        from agents.runtime.lm import LanguageModel
        from consolidation.current import current_readout
        from consolidation.recipe import current_recipe, recipe_adapters

        if person.id == partner.id:
            raise SamePerson(person.name)
        if not consent.has_consent(tools.database, tools.space_id, person.id):
            raise NoConsent(person.name)
        recipe = current_recipe(tools.database, tools.space_id, tools.home) if settings.use_weights else None
        adapters = recipe_adapters(tools.home, recipe) if recipe else ()
        principles = constitutions.current(tools.database, tools.space_id, person.id)
        model = LanguageModel.load(tools.model_spec, adapters)
        readout = current_readout(tools.database, tools.space_id, tools.home, model.base_hash)
        weights = recipe.sha256 if recipe else None
        sources = Sources(tools, model, readout, person)
        steering = steering_for(sources, settings.steer, weights=weights, is_forced=settings.force_dose)
        return cls(
            tools=tools,
            person=person,
            partner=partner,
            persona=Persona(person.name, (partner.name,), tuple(principles)),
            settings=settings,
            model=model,
            recipe=weights,
            readout=readout,
            readout_sha256=sha256_of(readout) if readout else "",
            steering=steering,
            mastered=_mastered(tools) if recipe and settings.trust_weights else Mastered(),
            checks=_checks(tools, model, weights),
            turns=_recent_turns(tools, person, partner),
        )

    def reply(self, text: str, *, autocomplete: bool = False) -> SpokenTurn:
        """The whole turn at once; see `stream`."""
        for _ in self.stream(text, autocomplete=autocomplete):
            pass
        if self.last is None:
            raise RuntimeError("the stream ended without a turn")
        return self.last

    def stream(self, text: str, *, autocomplete: bool = False) -> Iterator[str]:
        """The reply as it is drawn; `last` holds the turn when the stream has ended.

        With `autocomplete`, `text` is what the person has begun to write themselves, and the stream continues it.
        """
        facts = self.known_facts(text if not autocomplete else self._last_said() or text)
        turns = list(self.turns)
        if text and not autocomplete:
            turns.append(Turn(self.partner.name, text))
        needed = [fact for fact in facts if not self.mastered.covers(fact)]
        pieces: list[str] = []
        with self._steered():
            for piece in self._speak(turns, needed, prefix=text if autocomplete else ""):
                pieces.append(piece)
                yield piece
        reply = "".join(pieces).strip()
        said = f"{text} {reply}".strip() if autocomplete else reply
        heard, spoken = self._read(self._write_back(text if not autocomplete else "", said))
        spared = tuple(fact.id for fact in facts if fact not in needed)
        claims = tuple(check_claims(reply, self.checks))
        self.last = SpokenTurn(
            reply,
            tuple(facts),
            spoken,
            self.recipe,
            spared,
            heard,
            self.steering,
            claims=claims,
        )

    def known_facts(self, text: str) -> list[Fact]:
        """Facts that bear on what was said and that the person can know, the best first."""
        tools = self.tools
        question = in_third_person(text, first(self.person.name), first(self.partner.name))
        answer = ask(
            tools.database,
            tools.space_id,
            tools.index,
            tools.registry,
            question,
            known_to=self.person.id,
            clock=tools.clock,
        )
        found = {fact.id: fact for fact in answer.facts}
        for hit in tools.index.search(question, k=MAX_FACTS, known_to=self.person.id, kinds=("fact",)):
            if hit.id not in found and _is_relevant(hit):
                with suppress(UnknownFact):  # what the person heard may have been taken back since
                    found[hit.id] = get_fact(
                        tools.database,
                        tools.space_id,
                        hit.id,
                        tools.registry,
                        known_to=self.person.id,
                        clock=tools.clock,
                    )
        usable = [fact for fact in found.values() if fact.status in ("current", "candidate", "contested")]
        return usable[:MAX_FACTS]

    def _speak(self, turns: list[Turn], facts: list[Fact], *, prefix: str) -> Iterator[str]:
        from agents.runtime.sampling import Sampling

        wordings = Wordings.load()
        known = [own_words(fact, self.persona, wordings) for fact in facts]
        messages = turn_messages(
            self.persona, turns[-MAX_TURNS:], known, now=self.tools.clock(), prefix=prefix
        )
        ids = self.model.chat_ids(messages)
        seed = self.settings.seed if self.settings.seed is not None else _seed_from(self.tools.clock)

        def draw(attempt: int) -> Iterator[str]:
            sampling = Sampling(
                max_new_tokens=self.settings.max_new_tokens,
                temperature=self.settings.temperature,
                repetition_penalty=1.1,
                seed=(seed + len(turns) + 1009 * attempt) % 2**31,
            )
            return TagFilter(self.persona.tag).run(self.model.stream(ids, sampling))

        own = [turn.text for turn in self.turns if turn.speaker == self.person.name]
        return without_repetition(draw, own[-MAX_TURNS:])

    def _steered(self) -> AbstractContextManager[object]:
        """The model as the persona speaks with it; what it reads before and after, it reads unsteered."""
        from agents.runtime.steering import steered

        if self.steering is None:
            return nullcontext()
        return steered(self.model, self.steering.added(), self.steering.positions)

    def _read(self, turns: list[Episode]) -> tuple[dict[str, float], dict[str, float]]:
        """The readings of the partner's and the persona's new turn, kept with them; empty where there is none."""
        said = [turn for turn in turns if turn.text]
        if self.readout is None or not said:
            return {}, {}
        found = read_texts(self.model, self.readout, [turn.text for turn in said])
        kept = [
            Reading(turn.id, self.readout_sha256, numbers) for turn, numbers in zip(said, found, strict=True)
        ]
        with self.tools.database.transaction() as session:
            keep_readings(session, self.tools.space_id, kept, clock=self.tools.clock)
        by_speaker = {turn.speaker_id: numbers for turn, numbers in zip(said, found, strict=True)}
        return by_speaker.get(self.partner.id, {}), by_speaker.get(self.person.id, {})

    def _write_back(self, said: str, reply: str) -> list[Episode]:
        """The turns that were kept, in their order."""
        kept = []
        for person, text in ((self.partner, said), (self.person, reply)):
            if not text:
                continue
            self.turns.append(Turn(person.name, text))
            turn = append_turn(
                self.tools.database,
                self.tools.space_id,
                conversation=_conversation(self.person, self.partner),
                speaker_id=person.id,
                text=text,
                origin="simulated",
                participants=(self.person.id, self.partner.id),
                time=self.tools.clock(),
            )
            kept.append(turn)
        return kept

    def _last_said(self) -> str:
        return next((turn.text for turn in reversed(self.turns) if turn.speaker == self.partner.name), "")


def _checks(tools: SimulatorTools, model: LanguageModel, recipe: str | None) -> tuple[Judge, ...]:
    """What looks at a persona's claims: the truth probe, where one may be read with these weights."""
    probe, _ = usable_truth_probe(tools.database, tools.space_id, tools.home, model.base_hash, recipe)
    return (TruthCheck(probe, model),) if probe else ()


def _mastered(tools: SimulatorTools) -> Mastered:
    return serving_mastery(tools.database, tools.space_id, tools.home, tools.registry, clock=tools.clock)


def _is_relevant(hit: Hit) -> bool:
    return "fulltext" in hit.parts or hit.parts.get("dense", 0.0) >= MIN_DENSE


def _conversation(person: Person, partner: Person) -> str:
    return f"simulated: {person.name} with {partner.name}"


def _recent_turns(tools: SimulatorTools, person: Person, partner: Person) -> list[Turn]:
    """The turns that this conversation follows: those of the same simulated talk with no long pause since."""
    name = _conversation(person, partner)
    conversation_id = conversation_id_of(tools.database, tools.space_id, name)
    if conversation_id is None:
        return []
    episodes = list_episodes(
        tools.database, tools.space_id, conversation_id=conversation_id, origins=("simulated",)
    )[-MAX_TURNS:]
    turns: list[Turn] = []
    later = tools.clock()
    for episode in reversed(episodes):
        if (later - episode.time).total_seconds() > MAX_GAP_S:
            break
        turns.append(Turn(episode.speaker, episode.text))
        later = episode.time
    return turns[::-1]


def _seed_from(clock: Clock) -> int:
    return int(clock().timestamp() * 1000) % 2**31
