"""Health told in fragments: doses, diagnoses, broken bones, what is given up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from agents.extractors.dates import find_dates
from agents.extractors.lexicon import lexicon
from agents.extractors.patterns import spell
from agents.extractors.proposal import Proposal
from agents.extractors.scene import Scene, Spec
from agents.extractors.values import is_drug


def dose(scene: Scene) -> Iterator[Proposal]:
    """ "Bisoprolol, 2.5 mg every morning": the drug, and its dose. About the speaker unless a name stands before."""
    for match in _DRUG_DOSE.finditer(scene.text):
        if is_drug(match["drug"]):
            owner = _patient(scene, match.start())
            drug = match["drug"].lower()
            yield from scene.fact(owner, "medication", drug, "drug-and-dose", 0.8)
            yield from scene.fact(owner, "medication_dose", f"{drug} {match['dose']}", "drug-and-dose", 0.8)


def diagnosis(scene: Scene) -> Iterator[Proposal]:
    """ "It's an arrhythmia. Atrial fibrillation": the patient is who the message is about."""
    match = _IT_IS.match(scene.text) or _FRAGMENT.match(scene.text)
    if match and (scene.index or _AT_AGE.search(scene.text) or scene.talk.is_talked_of("doctor", within=4)):
        who = _whom(scene)
        yield from scene.fact(who, "health_condition", match["o"].lower(), "diagnosis", 0.7)
        if at_age := _AT_AGE.search(scene.text):
            yield from scene.fact(who, "age", at_age[1], "at-age", 0.7)


def bone(scene: Scene) -> Iterator[Proposal]:
    """ "Broken hip." after somebody fell."""
    if match := _BONE.match(scene.text):
        yield from scene.fact(
            _whom(scene),
            "injury",
            match["o"].lower(),
            "broken-bone",
            0.7,
            Spec(is_past=True, day=_fall(scene)),
        )


def no_more(scene: Scene) -> Iterator[Proposal]:
    """ "no more coffee": given up, from the day said."""
    if match := _NO_MORE.search(scene.text):
        yield from scene.fact(scene.talk.speaker, "gave_up", match["o"].lower(), "no-more", 0.75)


def _patient(scene: Scene, at: int) -> str | None:
    before = re.findall(r"\b(he|she|you)\b", scene.text[:at], re.IGNORECASE)
    return scene.talk.pronoun(before[-1]) if before else scene.talk.speaker


def _whom(scene: Scene) -> str:
    """Whoever opened the message as its subject, else the speaker."""
    here = [m for m in scene.talk.mentions if m.at == scene.talk.at and not m.is_thing]
    said_i = re.search(r"\b(?:i|me)\b", scene.message.lower())
    return (
        here[0].name
        if here and not said_i and not scene.talk.is_speaker(here[0].name)
        else scene.talk.speaker
    )


def _fall(scene: Scene) -> datetime:
    dates = find_dates(scene.message, scene.episode.time, is_past=True)
    return dates[0].day if dates else scene.today


_CONDITION = rf"(?:(?:mild|severe|chronic|early|bad|slight|a touch of) )?(?P<o>(?:{lexicon().alternation('conditions')}))\b"
_IT_IS = re.compile(
    rf"(?:and |so |well |turns out )*(?:it is|it was|turns out it is|diagnosis:?|they say it is|he says it is|she says it is) (?:an? |the )?{_CONDITION}",
    re.IGNORECASE,
)
_FRAGMENT = re.compile(rf"{_CONDITION}(?=$|[,.!]| at \d| on | last | yesterday| today| this )", re.IGNORECASE)
_AT_AGE = re.compile(r"\bat (\d{2})\b(?! ?(?:am|pm|:|percent|%))")
_BONE = re.compile(
    spell(r"(?:a )?(?P<o>(?:broken|fractured|sprained|torn|dislocated) (?:\w+ )?(?:@BODY@))\b"), re.IGNORECASE
)
_DRUG_DOSE = re.compile(
    r"\b(?P<drug>[A-Za-z][\w-]{4,}),?(?: is| at| of|:)? (?P<dose>\d[\d.,]* ?(?:mg|mcg|µg|g|ml|units|milligrams?))\b",
    re.IGNORECASE,
)
_NO_MORE = re.compile(spell(r"\bno more (?P<o>@HABITS@)\b(?! for (?:today|tonight))"), re.IGNORECASE)
