"""What every entrance does with pictures of readouts: gather what is drawn, and write it to a file.

Pictures of people are made of their own observed messages, without those that no reader may see; their words stay
where they are. Messages are read evenly over the weeks, as many as `per_week` of each person, and kept as read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation.readout_pictures import (
    HTML,
    READINGS,
    SVG,
    TAGS,
    Felt,
    Picture,
    as_file,
    cross_talk,
    layer_curves,
    speakers,
    timeline,
)
from consolidation.stage import Progress, no_progress
from memory.emotions import list_tags
from memory.episodes import audience, list_episodes, readable
from memory.people import list_people
from service.entrances.reading import OpenReader, open_reader, read_messages
from service.entrances.readout import open_readout
from service.errors import CannotDraw

if TYPE_CHECKING:
    from memory.types import Episode, Person
    from service.wiring import Services

KINDS = ("cross-talk", "layers", "timeline", "speakers")
MAX_SPEAKERS = 16
MIN_SPOKEN = 10  # messages of somebody who is drawn without being named
PER_WEEK = 30


@dataclass(frozen=True, slots=True)
class Wish:
    """What to draw. `concepts` are those of a timeline or map; empty chooses. `with_readings` off draws tags alone."""

    kind: str
    people: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    readout: str | None = None
    per_week: int = PER_WEEK
    with_readings: bool = True
    use_weights: bool = True


def draw(services: Services, wish: Wish, out: Path, progress: Progress = no_progress) -> dict[str, Any]:
    """Write the picture to `out`, an .svg or .html file, as a whole or not at all.

    Raises CannotDraw, UnknownPerson, and what opening a readout raises.
    """
    if out.suffix.lower() not in (SVG, HTML):
        raise CannotDraw(f"{out.name} is neither an .svg nor an .html file")
    pictures = _pictures(services, wish, progress)
    if not pictures:
        raise CannotDraw("there is not enough to draw; import more messages, or name other people")
    text = as_file(pictures, f"Readouts: {wish.kind}", out.suffix.lower())
    half = out.with_name(f".{out.name}.part")
    half.write_text(text, encoding="utf-8")
    half.replace(out)
    return {
        "file": str(out),
        "kind": wish.kind,
        "pictures": [
            {"title": picture.title, "head": list(picture.head), "rows": [list(row) for row in picture.rows]}
            for picture in pictures
        ],
        "bytes": len(text.encode()),
    }


def _pictures(services: Services, wish: Wish, progress: Progress) -> list[Picture]:
    if wish.kind in ("cross-talk", "layers"):
        manifest = open_readout(services, wish.readout).manifest
        return cross_talk(manifest) if wish.kind == "cross-talk" else layer_curves(manifest)
    people = _people(services, wish)
    said = _said(services, people, together=wish.kind == "timeline")
    if wish.kind == "speakers":
        reader = open_reader(services, wish.readout, use_weights=wish.use_weights)
        concepts = _checked(reader, wish.concepts) or reader.readout.manifest.concepts
        felt = _readings(services, reader, _evenly(said, wish.per_week), progress)
        return speakers(felt, [person.name for person in people], concepts)
    return _over_time(services, wish, people, said, progress)


def _over_time(
    services: Services, wish: Wish, people: Sequence[Person], said: Sequence[Episode], progress: Progress
) -> list[Picture]:
    """Readings first, then tags; a concept that is wanted is drawn in each of them that knows it."""
    names = [person.name for person in people]
    tags = _tags(services, said)
    drawn = {"tags": (tags, TAGS, {concept for one in tags for concept in one.numbers})}
    if wish.with_readings:
        reader = open_reader(services, wish.readout, use_weights=wish.use_weights)
        felt = _readings(services, reader, _evenly(said, wish.per_week), progress)
        drawn = {"readings": (felt, READINGS, set(reader.readout.manifest.concepts)), **drawn}
    for concept in wish.concepts:
        if not any(concept in known for _, _, known in drawn.values()):
            raise CannotDraw(
                f"neither a tag nor the readout has {concept}; `slowwave readout show` names them"
            )
    pictures: list[Picture] = []
    for felt, kind, known in drawn.values():
        wanted = [concept for concept in wish.concepts if concept in known]
        if wanted or not wish.concepts:
            pictures += timeline(felt, names, kind, wanted)
    return pictures


def _checked(reader: OpenReader, concepts: Sequence[str]) -> tuple[str, ...]:
    known = reader.readout.manifest.concepts
    for concept in concepts:
        if concept not in known:
            raise CannotDraw(f"the readout has no {concept}; it has {', '.join(known)}")
    return tuple(concepts)


def _people(services: Services, wish: Wish) -> list[Person]:
    """Those who are named; of a map without names, those who wrote most."""
    named = list({person.id: person for person in map(services.person, wish.people)}.values())
    if wish.kind == "timeline":
        if len(named) != 2:
            raise CannotDraw("a timeline is of two people; name both")
        return named
    if named:
        return named
    counts: dict[str, int] = defaultdict(int)
    for episode in list_episodes(services.database, services.space_id):
        counts[episode.speaker_id] += 1
    known = [
        one
        for one in list_people(services.database, services.space_id)
        if counts.get(one.id, 0) >= MIN_SPOKEN
    ]
    return sorted(known, key=lambda one: (-counts[one.id], one.name))[:MAX_SPEAKERS]


def _said(services: Services, people: Sequence[Person], *, together: bool) -> list[Episode]:
    """Their messages in time order; `together`: in conversations that all of them take part in."""
    wanted = {person.id for person in people}
    heard = audience(services.database, services.space_id)
    said = [
        episode
        for episode in list_episodes(services.database, services.space_id)
        if not together or wanted <= heard.get(episode.conversation_id, frozenset())
    ]
    found = [one for one in readable(said, services.withhold) if one.speaker_id in wanted]
    return sorted(found, key=lambda one: (one.time, one.id))


def _evenly(said: Sequence[Episode], per_week: int) -> list[Episode]:
    """At most so many messages of each person and week, spread over it."""
    weeks: dict[tuple[str, date], list[Episode]] = defaultdict(list)
    for episode in said:
        day = episode.time.date()
        weeks[episode.speaker_id, day - timedelta(days=day.weekday())].append(episode)
    chosen = []
    for episodes in weeks.values():
        n = min(per_week, len(episodes))
        chosen += [episodes[i * len(episodes) // n] for i in range(n)]
    return chosen


def _readings(
    services: Services, reader: OpenReader, said: Sequence[Episode], progress: Progress
) -> list[Felt]:
    found = read_messages(services, reader, said, progress)
    return [Felt(one.speaker, one.time, found[one.id]) for one in said if one.id in found]


def _tags(services: Services, said: Iterable[Episode]) -> list[Felt]:
    """The strongest intensity that anybody gave a concept in a message; a message without tags has none of them."""
    strongest: dict[str, dict[str, float]] = defaultdict(dict)
    for tag in list_tags(services.database, services.space_id):
        by_concept = strongest[tag.episode_id]
        by_concept[tag.concept] = max(tag.intensity, by_concept.get(tag.concept, 0.0))
    return [Felt(one.speaker, one.time, strongest.get(one.id, {})) for one in said]
