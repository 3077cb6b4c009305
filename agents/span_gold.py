"""Chats with known facts as examples for the reader of spans: each message, and where in it the facts stand.

Facts name no place in a text. An object is looked for in the messages that are the fact's evidence, as written, as a
number or as a day; a message with a fact whose words were not found teaches nothing, a message that is nobody's
evidence teaches that it states nothing.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from agents.extractors.dates import find_dates
from agents.extractors.discourse import relation
from agents.extractors.numbers import to_int
from agents.span_examples import Example, Mark
from agents.span_head import ME, PREDICATES, THEM, YOU
from memory import names
from memory.errors import GraphError
from memory.importers.detect import Export
from memory.importing import ImportOptions, open_export
from memory.types import Change, Episode

GOLD_FILES = frozenset(
    ["facts.json", "not_facts.json", "emotions.json", "constitution.json", "questions.json", "exam.json"]
)
SYNONYMS = {
    "bought": "owns", "transport": "owns", "owns_boat": "owns", "moved_to": "lives_in", "location": "lives_in", "supervisor": "boss",
    "father_in_law": "relation", "lives_with": "roommate", "born_in": "hometown", "pregnant": "due_date", "spouse": "husband",
    "child": "daughter", "landlady": "relation", "landlord": "relation", "doctor": "relation", "ex_wife": "relation",
    "studies_language": "speaks", "learning": "speaks", "flatmate": "roommate", "car": "owns", "bicycle": "owns",
    "former_job": "job", "occupation": "job", "condition": "health_condition", "dose": "medication_dose",
    "fiancee": "fiance", "wedding_month": "wedding_date", "flight_arrival": "arrival", "worked_at": "workplace",
    "previous_workplace": "workplace", "former_home": "lives_in",
}  # fmt: skip
ENDED = frozenset(["worked_at", "previous_workplace", "former_home", "former_job"])
_PRONOUNS = frozenset(["he", "she", "him", "her", "his", "hers", "they", "them", "their", "hes", "shes"])
_WORD = re.compile(r"[^\W\d_][\w'’-]*")


def examples_in(folder: Path) -> list[Example]:
    """Those of a chat folder: an export, and its `facts.json`."""
    gold = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    episodes = [
        Episode(str(i), m.conversation, i, m.speaker, m.speaker, m.time, m.text, m.kind)
        for i, m in enumerate(_export(folder, gold).messages())
    ]
    return examples_of(episodes, gold)


def _export(folder: Path, gold: Sequence[Mapping[str, Any]]) -> Export:
    """The one file or folder that is an export; who is "Me" in it is the one speaker of facts that it does not name."""
    for path in sorted(p for p in folder.iterdir() if p.suffix != ".md" and p.name not in GOLD_FILES):
        with suppress(GraphError):
            export = open_export(path)
            speakers = {m.speaker for m in export.messages()}
            others = [str(f["speaker"]) for f in gold if f.get("speaker") not in speakers]
            return open_export(path, ImportOptions(me=others[0])) if "Me" in speakers and others else export
    raise FileNotFoundError(f"{folder} holds no chat export; put one beside facts.json")


def examples_of(episodes: Sequence[Episode], gold: Sequence[Mapping[str, Any]]) -> list[Example]:
    """One example per message that can teach something; evidence indices are places in `episodes`."""
    told: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for fact in gold:
        for at in fact["evidence"]:
            told[int(at)].append(fact)
    found = []
    for at, episode in enumerate(episodes):
        if episode.kind != "text":
            continue
        before = episodes[at - 1] if at and episodes[at - 1].kind == "text" else None
        marks = _marks(episode, before, told.get(at, []), episodes)
        if marks is not None:
            is_same = before is not None and before.speaker == episode.speaker
            found.append(Example(before.text if before else "", is_same, episode.text, tuple(marks)))
    return found


def _marks(
    episode: Episode, before: Episode | None, facts: Sequence[Mapping[str, Any]], episodes: Sequence[Episode]
) -> list[Mark] | None:
    """None where a fact rests on this message first of all, and its words were not found."""
    marks: list[Mark] = []
    for fact in facts:
        predicate = str(fact["predicate"])
        label = SYNONYMS.get(predicate, predicate)
        if label not in PREDICATES:
            continue
        place = find_object(fact, episode)
        if place is None:
            if int(fact["evidence"][0]) == _at(episode, episodes):
                return None
            continue
        if any(place[0] < m.end and m.start < place[1] for m in marks):
            continue
        change = "end" if predicate in ENDED else _change(fact)
        marks.append(Mark(*place, label, change, _subject(fact, episode, before, place[0], episodes)))
    return sorted(marks, key=lambda m: m.start)


def _at(episode: Episode, episodes: Sequence[Episode]) -> int:
    return next(i for i, e in enumerate(episodes) if e.id == episode.id)


def _change(fact: Mapping[str, Any]) -> Change:
    if fact.get("corrected_from"):
        return "correct"
    return "update" if fact.get("supersedes") else "state"


def find_object(fact: Mapping[str, Any], episode: Episode) -> tuple[int, int] | None:
    """Where the object of a fact stands in a message, the longest of its names first."""
    words = [str(fact["object"]), *map(str, fact.get("object_aliases") or [])]
    for value in sorted(_telling(words), key=len, reverse=True):
        plain = re.sub(r"^(?:an?|the)\s+", "", value.strip(), flags=re.IGNORECASE)
        if match := re.search(rf"(?<!\w){re.escape(plain)}(?!\w)", episode.text, re.IGNORECASE):
            return match.span()
    numbers = {to_int(value) for value in words} - {None}
    if numbers:
        for match in re.finditer(r"\b(?:\d+|[a-z]+(?:-[a-z]+)?)\b", episode.text, re.IGNORECASE):
            if to_int(match[0]) in numbers and match[0].lower() not in ("a", "an"):
                return match.span()
    days = {value[:10] for value in words if re.match(r"\d{4}-\d\d", value)}
    for when in find_dates(episode.text, episode.time):
        if any(when.iso.startswith(day) or day.startswith(when.iso) for day in days):
            return when.start, when.end
    return None


def _telling(words: Sequence[str]) -> list[str]:
    """Without prices and the like, where there are other words."""
    return [word for word in words if any(map(str.isalpha, word))] or list(words)


def _subject(
    fact: Mapping[str, Any], episode: Episode, before: Episode | None, at: int, episodes: Sequence[Episode]
) -> str | tuple[bool, int]:
    subject = names.key(str(fact["subject"]))
    if subject == names.key(episode.speaker):
        return ME
    if subject in {names.key(e.speaker) for e in episodes} and subject.split()[0] not in names.key(
        episode.text
    ):
        return YOU
    for is_before, text in ((False, episode.text), (True, before.text if before else "")):
        places = list(_named(subject, text))
        if places:
            nearest = [p for p in places if p < at] if not is_before else places
            return is_before, (nearest or places)[-1]
    for is_before, text in ((False, episode.text), (True, before.text if before else "")):
        places = [m.start() for m in _WORD.finditer(text) if _is_pointer(m[0])]
        if places:
            nearest = [p for p in places if p < at] if not is_before else places
            return is_before, (nearest or places)[-1]
    return THEM


def _named(subject: str, text: str) -> Iterator[int]:
    wanted = {w.removesuffix("'s") for w in subject.split() if len(w) > 2}
    for match in _WORD.finditer(text):
        word = names.key(match[0]).removesuffix("'s").removesuffix("’s")
        if word in wanted:
            yield match.start()


def _is_pointer(word: str) -> bool:
    plain = word.lower().replace("’", "'")
    return re.split("'", plain)[0] in _PRONOUNS or relation(plain.removesuffix("'s")) is not None
