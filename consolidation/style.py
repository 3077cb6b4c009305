"""How those write who agreed to be simulated: a task vector for each, trained on windows of their real conversations.

Here is who is due and what they are trained on; `style_training` trains and measures, `style_night` is the night's part.
A person's newest replies are held out, split by time: the first half watch over the training, the second are the gate's, and
no two of the three share a message. Once the gate is passed all of it is trained (docs/adr/0064). What stands beside a window
in its prompt varies, so that the vector serves the bare conversation and the simulator's whole prompt alike (docs/adr/0046).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from agents.constitutions import HabitWriter
from consolidation.exam import spread
from consolidation.recipe_serving import Place
from consolidation.runs import list_runs, stage_records
from consolidation.stage import Gate, NightContext, StyleSettings, TrainSettings
from consolidation.trainer.job import Row
from consolidation.windows import (
    Bounds,
    Known,
    Message,
    Span,
    Window,
    bare_prompt,
    barred,
    drawn_prompt,
    shown,
    time_of_split,
    whole_prompt,
    windows_of,
)
from memory import constitutions
from memory.artifacts import Artifact, list_artifacts
from memory.consent import has_consent
from memory.episodes import list_episodes
from memory.facts import list_facts
from memory.people import list_people
from memory.ports import Withhold
from memory.registry import Registry
from memory.sensitive import kinds_of_fact
from memory.types import Episode, Person, Principle
from memory.wordings import Wordings, fill

MAX_WATCHING = 24  # windows that are looked at during the training
MAX_JUDGED = 64
MAX_SAYINGS = 40  # facts that prompts are made with
_BEFORE = timedelta(microseconds=1)


class Standing(StrEnum):
    """Where a person stands with their style."""

    DUE = "due"
    TRAINED = "trained"  # just now
    PROMPT_ONLY = "prompt only"  # too few messages: they speak from the prompt alone
    UP_TO_DATE = "up to date"
    WAITS = "waits"  # for another night: this one has enough to train


@dataclass(frozen=True, slots=True)
class Ground:
    """What a style is made from and with. `leave_out`: kinds of memory.sensitive that are not trained on."""

    place: Place
    registry: Registry
    withhold: Withhold
    leave_out: frozenset[str]
    base_model: str
    style: StyleSettings
    train: TrainSettings
    gate: Gate
    seed: int

    @classmethod
    def of(cls, context: NightContext) -> Ground:
        tools, settings = context.tools, context.settings
        return cls(
            Place(context.database, context.space_id, context.home, context.clock),
            tools.registry,
            tools.withhold or (lambda _: frozenset()),
            tools.leave_out,
            settings.base_model,
            settings.style,
            settings.train,
            settings.gate,
            settings.seed,
        )

    @property
    def bounds(self) -> Bounds:
        style = self.style
        return Bounds(style.gap_minutes, style.max_context, style.max_context_chars, style.max_reply_chars)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person with a consent record. `n_messages`: theirs that may be trained on; `n_trained`: of those, how many there were
    when their style was last trained, None where it never was."""

    person: Person
    n_messages: int
    n_trained: int | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class Material:
    """The windows of one style: trained, watching over the training, and the gate's; and the prompts' other parts.

    `every`: the windows of all time; `latest`: the prompts' other parts as of the last of them.
    """

    person: Person
    n_messages: int
    trained: Sequence[Window]
    watching: Sequence[Window]
    judged: Sequence[Window]
    known: Mapping[str, Known]  # by the speaker's name
    every: Sequence[Window] = ()
    latest: Mapping[str, Known] = field(default_factory=dict)

    @property
    def is_enough(self) -> bool:
        return bool(self.trained and self.watching and self.judged)

    @property
    def whole(self) -> Material:
        """All of it trained, and nothing watching; what was the gate's still is, to be looked at."""
        return replace(self, trained=self.every, watching=(), known=self.latest)

    @property
    def evidence(self) -> set[str]:
        """Ids of the messages that the prompts' other parts rest on."""
        return {
            episode_id
            for known in self.known.values()
            for ids in (known.evidence, *(line.evidence for line in known.principles))
            for episode_id in ids
        }

    @property
    def episodes(self) -> list[Episode]:
        """Every message in any of them, once, by time."""
        found = {
            e.id: e for part in (self.trained, self.watching, self.judged) for w in part for e in w.episodes
        }
        return sorted(found.values(), key=lambda episode: (episode.time, episode.id))


def candidates(ground: Ground) -> list[Candidate]:
    """Everybody who speaks and agreed, those first who are due: whose training failed last time after the others, those
    without a style before those with one, and then those with the most messages."""
    if not ground.style.is_on:
        return []
    agreed = [person for person in _speakers(ground) if _agreed(ground, person.id)]
    if not agreed:
        return []
    talk = read_talk(ground)
    known, failed = n_trained(ground), failed_last(ground.place)
    found = []
    for person in agreed:
        n = talk.n_by(person.id)
        standing = _standing(ground, n, known.get(person.id))
        if standing == Standing.DUE and not _parts(ground, talk, person.id).is_enough:
            standing = Standing.PROMPT_ONLY
        found.append(Candidate(person, n, known.get(person.id), standing))
    found.sort(
        key=lambda one: (
            one.standing != Standing.DUE,
            one.person.id in failed,
            one.n_trained is not None,
            -one.n_messages,
        )
    )
    return [
        replace(one, standing=Standing.WAITS)
        if one.standing == Standing.DUE and place >= ground.style.people_per_night
        else one
        for place, one in enumerate(found)
    ]


def failed_last(place: Place) -> set[str]:
    """Whose training came to nothing in the last of the newest nights that tried it."""
    last: dict[str, bool] = {}
    for run in list_runs(place.database, place.space_id):
        stage = stage_records(place.database, run.id).get("train")
        for told in (stage.output.get("styles") or ()) if stage else ():
            if told["standing"] == Standing.TRAINED:
                last.setdefault(told["person"], "vector" not in told)
    return {person_id for person_id, has_failed in last.items() if has_failed}


def _standing(ground: Ground, n_messages: int, n_before: int | None) -> Standing:
    if n_messages < ground.style.min_messages:
        return Standing.PROMPT_ONLY
    is_new = n_before is None or n_messages >= math.ceil(n_before * (1 + ground.style.renew))
    return Standing.DUE if is_new else Standing.UP_TO_DATE


def _speakers(ground: Ground) -> list[Person]:
    place = ground.place
    return [person for person in list_people(place.database, place.space_id) if person.is_speaker]


def _agreed(ground: Ground, person_id: str) -> bool:
    return has_consent(ground.place.database, ground.place.space_id, person_id)


def n_trained(ground: Ground) -> dict[str, int]:
    """Person -> messages when their style was last tried on this base, whether or not the gate let it serve.

    A night that was cut off before it published has tried nothing, and one that came before the person's constitution, as
    a first one does, tried something else: prompts without principles.
    """
    from agents.runtime.spec import ModelSpec, resolve

    base_hash = resolve(ModelSpec(ground.place.home / "cache", ground.base_model)).base_hash
    return {
        row.meta["style"]: int(row.meta["n_messages"])
        for row in styles_on_record(ground.place)
        if row.meta["base_hash"] == base_hash
        and _is_settled(ground.place, row)
        and (row.meta.get("n_principles") or not principles_of(ground.place, row.meta["style"]))
    }


def styles_on_record(place: Place) -> list[Artifact]:
    """Vectors of styles, oldest first; those that hold what was erased are none."""
    rows = list_artifacts(place.database, place.space_id, kind="adapter")
    return [row for row in rows if "style" in row.meta and row.tainted_at is None]


def _is_settled(place: Place, row: Artifact) -> bool:
    """Whether a night that tried it came to its end; outside a night (None) every training does."""
    return any(run_id is None or _has_published(place, run_id) for run_id in row.meta.get("tried_in", ()))


def _has_published(place: Place, run_id: str) -> bool:
    publish = stage_records(place.database, run_id).get("publish")
    return publish is not None and publish.status == "done"


@dataclass(frozen=True, slots=True)
class Talk:
    """Every message of the space until some time, and the ids of those that no window may hold."""

    episodes: Sequence[Episode]
    barred: frozenset[str]

    def n_by(self, person_id: str) -> int:
        """Messages by that person that a window may hold."""
        return sum(e.speaker_id == person_id and e.id not in self.barred for e in self.episodes)


def read_talk(ground: Ground, until: datetime | None = None) -> Talk:
    place = ground.place
    episodes = list_episodes(
        place.database,
        place.space_id,
        origins=("observed", "inferred", "simulated"),
        kinds=("text", "media", "deleted"),
        until=until,
    )
    return Talk(episodes, barred(episodes, ground.withhold))


def material(ground: Ground, person: Person, until: datetime | None = None) -> Material:
    """What the style of that person would be trained and judged on; `until` is exclusive."""
    talk = read_talk(ground, until)
    parts = _parts(ground, talk, person.id)
    learnt = _learnt(ground, person)
    every = _of_all(ground, talk, learnt, Span())
    last = max((window.reply[-1].time for window in every), default=None)

    def known(before: datetime | None) -> dict[str, Known]:
        return {one.name: _known(ground, talk, one, before) if before else Known() for one in learnt}

    return Material(
        person,
        talk.n_by(person.id),
        _of_all(ground, talk, learnt, Span(until=parts.split)),
        spread(parts.watching, MAX_WATCHING),
        spread(parts.judged, MAX_JUDGED),
        known(parts.split),
        every,
        known(last),
    )


def _of_all(ground: Ground, talk: Talk, learnt: Sequence[Person], span: Span) -> list[Window]:
    """The windows of all whose replies are learnt, by time."""
    windows = [window for one in learnt for window in _windows(ground, talk, one.id, span)]
    return sorted(windows, key=lambda window: (window.at, window.reply[0].id))


@dataclass(frozen=True, slots=True)
class Parts:
    """A person's windows before the split, those that watch over the training, and the gate's."""

    split: datetime | None
    past: Sequence[Window]
    watching: Sequence[Window]
    judged: Sequence[Window]

    @property
    def is_enough(self) -> bool:
        return bool(self.past and self.watching and self.judged)


def _parts(ground: Ground, talk: Talk, person_id: str) -> Parts:
    own = _windows(ground, talk, person_id, Span())
    split = time_of_split(own, ground.style.holdout)
    if split is None:
        return Parts(None, own, (), ())
    past = _windows(ground, talk, person_id, Span(until=split))
    later = _windows(ground, talk, person_id, Span(since=split))
    middle = time_of_split(later, 0.5)
    if middle is None:
        return Parts(split, past, (), ())
    watching = _windows(ground, talk, person_id, Span(split, middle))
    return Parts(split, past, watching, _windows(ground, talk, person_id, Span(since=middle)))


def _windows(ground: Ground, talk: Talk, person_id: str, span: Span) -> list[Window]:
    return windows_of(talk.episodes, person_id, ground.bounds, span, barred=talk.barred)


def _learnt(ground: Ground, person: Person) -> list[Person]:
    """Whose replies are learnt: that person's, and where both are wanted those of everybody else who agreed."""
    if not ground.style.both_speakers:
        return [person]
    others = [one for one in _speakers(ground) if one.id != person.id and _agreed(ground, one.id)]
    return [person, *others]


def _known(ground: Ground, talk: Talk, person: Person, split: datetime) -> Known:
    """What could be told of them just before that time: their principles, and what they knew of themselves in their own
    words, the most salient first."""
    place, wordings, then = ground.place, Wordings.load(), split - _BEFORE
    facts = list_facts(
        place.database,
        place.space_id,
        ground.registry,
        person_id=person.id,
        as_of=then,
        known_to=person.id,
        clock=lambda: then,
    )
    own = [fact for fact in facts if ground.leave_out.isdisjoint(kinds_of_fact(fact))]
    own.sort(key=lambda fact: (-(fact.salience or 0.0), fact.predicate, fact.object))
    sayings = [
        fill(wordings.first_person(fact.predicate)[0], fact.subject, fact.object, fact.predicate)
        for fact in own[:MAX_SAYINGS]
    ]
    evidence = {episode_id for fact in own[:MAX_SAYINGS] for episode_id in fact.evidence}
    return Known(
        _principles_before(place, talk, person, split),
        tuple(dict.fromkeys(sayings)),
        tuple(sorted(evidence)),
    )


def _principles_before(place: Place, talk: Talk, person: Person, split: datetime) -> tuple[Principle, ...]:
    """The lines that stand, as far as they rest on what was said before; of a habit, whose messages are spread over all
    time, those that the messages of before show alone."""
    said = [episode for episode in talk.episodes if episode.time < split and episode.id not in talk.barred]
    people = list_people(place.database, place.space_id)
    habits = {(line.kind, line.text): line for line in HabitWriter().write(person.name, said, people)}
    ids = {episode.id for episode in said}
    found = []
    for line in principles_of(place, person.id):
        if line.evidence and ids.issuperset(line.evidence):
            found.append(line)
        elif (line.kind, line.text) in habits:
            found.append(habits[line.kind, line.text])
    return tuple(found)


def principles_of(place: Place, person_id: str) -> tuple[Principle, ...]:
    """Those that stand now."""
    return tuple(constitutions.current(place.database, place.space_id, person_id))


def rows_of(material: Material, ground: Ground, n_showings: int) -> list[Row]:
    """What the trainer gets: showings of the windows that are trained, and those that watch, with whole and bare prompts."""
    bounds, dice = ground.bounds, random.Random(f"style {ground.seed}")
    showings = shown(material.trained, n_showings, ground.style.half_life_days, dice)
    rows = [
        Row(f"style:{place:05d}", "style", drawn_prompt(window, material.known[window.speaker], bounds, dice))
        for place, window in enumerate(showings)
    ]
    watching = enumerate(held_out_prompts(material.watching, material.known, bounds))
    return [*rows, *(Row(f"validation:{place:03d}", "validation", messages) for place, messages in watching)]


def held_out_prompts(
    windows: Sequence[Window], known: Mapping[str, Known], bounds: Bounds
) -> Iterator[tuple[Message, ...]]:
    """A window with the whole prompt and one with the bare one, in turn."""
    for place, window in enumerate(windows):
        if place % 2:
            yield bare_prompt(window, bounds)
        else:
            yield whole_prompt(window, known[window.speaker], bounds)


def as_json(candidate: Candidate) -> dict[str, Any]:
    """For the record of a night: by id, for its page looks up the name."""
    return {
        "person": candidate.person.id,
        "standing": candidate.standing.value,
        "n_messages": candidate.n_messages,
        "n_trained": candidate.n_trained,
    }
