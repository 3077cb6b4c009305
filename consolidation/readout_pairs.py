"""Examples of concepts out of a graph: texts that have a concept, each beside one like it that has not.

A folder holds `manifest.json`, per concept a file of JSON lines in `concepts/` and neutral texts in `neutral.jsonl`.
A negative is by the same speaker where there is one, of like length, and of these the nearest in topic by the sentence
embedder, so that a direction between the two sides says neither who, nor how much, nor about what. What a text carries
of its labels (`[INES] ` before it, `warmth:9 clarity:10` behind it) is taken off: a direction must not read tags.
The texts are people's words: the folder belongs to whoever made it, and no erasure reaches it.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from consolidation.errors import BadReadout, ExportExists
from consolidation.patterns import list_patterns
from consolidation.readout_settings import PATTERNS, PRINCIPLES, TAGS, PairSettings
from consolidation.stage import Progress, no_progress
from db.engine import Database
from memory import constitutions, feelings
from memory.emotions import list_tags
from memory.episodes import list_episodes
from memory.people import list_people
from memory.ports import Embedder, FloatMatrix
from memory.registry import Registry
from memory.types import EmotionTag, Episode
from memory.whole import whole_folder, write_text

FORMAT = "slowwave-readout-pairs-1"
MANIFEST_FILE, NEUTRAL_FILE, CONCEPTS_FOLDER = "manifest.json", "neutral.jsonl", "concepts"
POSITIVE, NEGATIVE = "positive", "negative"
SHORTLIST = 16  # texts of the nearest length among which the topic decides
OTHER_SPEAKER = 1.0  # what another speaker counts, beside distances of length and topic in [0, 2]
MAX_NEUTRAL = 240
NEUTRAL_BELOW = 3.0  # a text none of whose tags reaches this counts as neutral

_SPEAKER = re.compile(r"^[ \t]*\[[^\[\]\na-z]{1,40}\][ \t]*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Text:
    """One message as an example: without what it carries of labels."""

    id: str
    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Material:
    """Texts of a graph, and per concept what each text was scored, 0-10. `n_tags` counts every judge's."""

    texts: tuple[Text, ...]
    scores: dict[str, dict[str, float]]  # concept -> text id -> score
    mentions: dict[str, Counter[str]]  # concept -> text id -> how many judges tagged it
    loudest: dict[str, float]  # text id -> its strongest emotion tag


@dataclass(frozen=True, slots=True)
class Pair:
    positive: Text
    negative: Text
    score: float
    similarity: float  # cosine of the two texts' sentence vectors


@dataclass(frozen=True, slots=True)
class Pairs:
    """Examples per concept, the strongest first; neutral texts; concepts with too few pairs, and how many they have."""

    by_concept: dict[str, list[Pair]]
    neutral: list[Text]
    left_out: dict[str, int] = field(default_factory=dict)


def gather(database: Database, space_id: str, registry: Registry, settings: PairSettings) -> Material:
    """The observed messages of a space that are long enough, and what scores them.

    Of principles and patterns the messages they rest on are the positives, with a score of 10.
    """
    episodes = list_episodes(database, space_id)
    tags = list_tags(database, space_id)
    texts = distinct(episodes, settings.min_content_chars)
    ids = {text.id for text in texts}
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    mentions: dict[str, Counter[str]] = defaultdict(Counter)
    loudest: dict[str, float] = defaultdict(float)
    for tag in tags:
        loudest[tag.episode_id] = max(loudest[tag.episode_id], tag.intensity)
    for concept, scored in _scored(database, space_id, registry, settings.kinds, tags):
        for key, score in scored:
            if key in ids and score > 0:
                mentions[concept][key] += 1
                scores[concept][key] = max(score, scores[concept].get(key, 0.0))
    return Material(tuple(texts), dict(scores), dict(mentions), dict(loudest))


def _scored(
    database: Database, space_id: str, registry: Registry, kinds: Collection[str], tags: Sequence[EmotionTag]
) -> Iterator[tuple[str, Iterator[tuple[str, float]]]]:
    """Concepts with the messages that score on them."""
    if TAGS in kinds:
        by_concept: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for tag in tags:
            by_concept[tag.concept].append((tag.episode_id, tag.intensity))
        for concept, scored in by_concept.items():
            yield concept, iter(scored)
    if PRINCIPLES in kinds:
        for person in list_people(database, space_id):
            if person.is_speaker:
                for line in constitutions.current(database, space_id, person.id):
                    yield f"{person.name}: {line.text}", ((key, 10.0) for key in line.evidence)
    if PATTERNS in kinds:
        for fact in list_patterns(database, space_id, registry):
            yield f"{fact.subject}: {fact.object}", ((key, 10.0) for key in fact.evidence)


def distinct(episodes: Iterable[Episode], min_chars: int, first: Collection[str] = ()) -> list[Text]:
    """Texts without their labels, each wording once: the same words in a training and a held-out fold would score
    themselves. Of equals the one in `first` stays, or the oldest."""
    found: dict[str, Text] = {}
    for episode in sorted(episodes, key=lambda one: one.id not in first):
        text = stripped(episode.text)
        if len(text) >= min_chars:
            found.setdefault(" ".join(text.casefold().split()), Text(episode.id, episode.speaker_id, text))
    return list(found.values())


def stripped(text: str) -> str:
    """Without speakers' tags at the beginning of lines and tags of feelings at the end."""
    return feelings.split(_SPEAKER.sub("", text))[0].strip()


def choose_pairs(
    material: Material, settings: PairSettings, embedder: Embedder, progress: Progress = no_progress
) -> Pairs:
    """Balanced examples of every concept wanted. Repeatable: the same material gives the same pairs.

    Raises BadReadout for a list that names no concept of the material.
    """
    wanted = _wanted(material, settings)
    by_concept: dict[str, list[Pair]] = {}
    left_out: dict[str, int] = {}
    topics = _Topics(embedder)
    for n_done, concept in enumerate(wanted):
        progress(n_done, len(wanted))
        pairs = _pairs_of(concept, material, settings, topics)
        if len(pairs) < settings.min_examples:
            left_out[concept] = len(pairs)
        else:
            by_concept[concept] = pairs
    progress(len(wanted), len(wanted))
    quiet = [text for text in material.texts if material.loudest.get(text.id, 0.0) < NEUTRAL_BELOW]
    step = max(1, -(-len(quiet) // MAX_NEUTRAL))
    return Pairs(by_concept, quiet[::step], left_out)


def _wanted(material: Material, settings: PairSettings) -> list[str]:
    """The named concepts, or the commonest; those that nothing scores are wanted all the same, to be left out by name."""
    if settings.concepts:
        if not set(settings.concepts) & set(material.scores):
            known = ", ".join(sorted(material.scores)[:12]) or "none"
            raise BadReadout(f"no text has one of the named concepts; the graph has: {known}")
        return list(dict.fromkeys(settings.concepts))
    found = Counter(
        {
            concept: sum(score >= settings.min_positive_score for score in scored.values())
            for concept, scored in material.scores.items()
        }
    )
    return [concept for concept, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))][
        : settings.top
    ]


def _pairs_of(concept: str, material: Material, settings: PairSettings, topics: _Topics) -> list[Pair]:
    """The strongest positives, each with the free text that is nearest to it."""
    scored = material.scores.get(concept, {})
    mentions = material.mentions.get(concept, Counter())
    name = re.compile(rf"\b{re.escape(concept)}\b", re.IGNORECASE)
    positives, free = [], []
    for text in material.texts:
        if scored.get(text.id, 0.0) >= settings.min_positive_score:
            positives.append(text)
        elif mentions[text.id] + len(name.findall(text.text)) <= settings.max_negative_mentions:
            free.append(text)
    positives.sort(key=lambda text: (-scored[text.id], text.id))
    shelf = Shelf(free)
    pairs = []
    for positive in positives[: settings.max_examples_per_emotion]:
        near = shelf.near(positive)
        if not near:
            break
        similarity = topics.similarity(positive, near)
        costs = [_cost(positive, one, float(alike)) for one, alike in zip(near, similarity, strict=True)]
        best = min(range(len(near)), key=lambda index: (costs[index], near[index].id))
        shelf.take(near[best])
        pairs.append(Pair(positive, near[best], scored[positive.id], float(similarity[best])))
    return pairs


def _cost(positive: Text, negative: Text, similarity: float) -> float:
    lengths = abs(np.log(len(positive.text) / len(negative.text)))
    return float(lengths + (1 - similarity) + OTHER_SPEAKER * (positive.speaker != negative.speaker))


class Shelf:
    """Free texts by speaker and length; what is taken is gone."""

    def __init__(self, texts: Iterable[Text]) -> None:
        self._by_speaker: dict[str, list[tuple[int, str, Text]]] = defaultdict(list)
        for text in texts:
            self._by_speaker[text.speaker].append((len(text.text), text.id, text))
        for row in self._by_speaker.values():
            row.sort(key=lambda item: item[:2])

    def near(self, positive: Text) -> list[Text]:
        """The SHORTLIST nearest in length by the same speaker; by others where that one has none left."""
        own = self._by_speaker.get(positive.speaker, [])
        rows = [own] if own else list(self._by_speaker.values())
        found = [item for row in rows for item in _around(row, len(positive.text))]
        found.sort(key=lambda item: (abs(item[0] - len(positive.text)), item[1]))
        return [text for _, _, text in found[:SHORTLIST]]

    def take(self, text: Text) -> None:
        row = self._by_speaker[text.speaker]
        del row[bisect_left(row, (len(text.text), text.id), key=lambda item: item[:2])]


def _around(row: list[tuple[int, str, Text]], length: int) -> list[tuple[int, str, Text]]:
    place = bisect_left(row, (length, ""), key=lambda item: item[:2])
    return row[max(0, place - SHORTLIST) : place + SHORTLIST]


class _Topics:
    """Sentence vectors of the texts that were asked for, each made once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, FloatMatrix] = {}

    def similarity(self, positive: Text, others: Sequence[Text]) -> FloatMatrix:
        """Cosines of the positive with the others, (N,)."""
        new = [text for text in (positive, *others) if text.id not in self._known]
        if new:
            vectors = self._embedder.encode([text.text for text in new])
            self._known.update({text.id: vector for text, vector in zip(new, vectors, strict=True)})
        others_ND = np.stack([self._known[text.id] for text in others])
        return np.asarray(others_ND @ self._known[positive.id], dtype=np.float32)


def write_pairs(pairs: Pairs, folder: Path, settings: PairSettings, source: str) -> dict[str, Any]:
    """Write the folder, whole or not at all; its manifest. An older folder of examples in its place is replaced.

    Raises ExportExists where something else is there.
    """
    if folder.exists() and any(folder.iterdir()) and not _is_ours(folder):
        raise ExportExists(folder)
    with whole_folder(folder, replaces=True) as part:
        (part / CONCEPTS_FOLDER).mkdir()
        neutral = [{"id": one.id, "text": one.text} for one in pairs.neutral]
        manifest = {
            "format": FORMAT,
            "source": source,
            "settings": asdict(settings),
            "concepts": [
                _write_concept(part, number, concept, found)
                for number, (concept, found) in enumerate(pairs.by_concept.items(), 1)
            ],
            "neutral": {
                "file": NEUTRAL_FILE,
                "n": len(pairs.neutral),
                "sha256": _write(part / NEUTRAL_FILE, neutral),
            },
            "left_out": pairs.left_out,
        }
        write_text(part / MANIFEST_FILE, json.dumps(manifest, indent=1, ensure_ascii=False))
    return manifest


def _is_ours(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / MANIFEST_FILE).read_bytes())["format"] == FORMAT)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write_concept(folder: Path, number: int, concept: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    slug = re.sub(r"[^a-z0-9]+", "-", concept.casefold()).strip("-")[:40]
    name = f"{CONCEPTS_FOLDER}/{number:03d}-{slug}.jsonl"
    rows = [
        {
            "concept": concept,
            "polarity": side,
            "pair": place,
            "score": score,
            "id": text.id,
            "text": text.text,
        }
        for place, pair in enumerate(pairs)
        for side, score, text in ((POSITIVE, pair.score, pair.positive), (NEGATIVE, 0.0, pair.negative))
    ]
    return {
        "concept": concept,
        "file": name,
        "sha256": _write(folder / name, rows),
        POSITIVE: len(pairs),
        NEGATIVE: len(pairs),
        "same_speaker": round(_mean(pair.positive.speaker == pair.negative.speaker for pair in pairs), 3),
        "mean_chars": [
            round(_mean(len(text.text) for text in texts), 1)
            for texts in ([pair.positive for pair in pairs], [pair.negative for pair in pairs])
        ],
        "topic_cosine": round(_mean(pair.similarity for pair in pairs), 3),
    }


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "replace")
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
