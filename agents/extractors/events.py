"""What happens to people, said without naming a subject first: births, weddings, partings, moves, doses, numbers.

Each rule looks at one sentence (and the next, where the news runs on) and knows itself whom it is about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from agents.extractors.dates import MONTHS, When, day_and_month, find_dates
from agents.extractors.discourse import Discourse
from agents.extractors.guards import commitment
from agents.extractors.names import take_name, take_place
from agents.extractors.numbers import NUMBER, to_int
from agents.extractors.patterns import spell
from agents.extractors.proposal import Proposal
from agents.extractors.sentences import Sentence
from agents.extractors.values import is_drug
from memory.types import Change, Episode


@dataclass(frozen=True, slots=True)
class Scene:
    """One sentence with what the rules of this module need to read it."""

    episode: Episode
    sentence: Sentence
    following: Sentence | None
    talk: Discourse

    @property
    def text(self) -> str:
        return self.sentence.text

    def dates(self, *, is_past: bool = False) -> list[When]:
        return find_dates(self.text, self.episode.time, is_past=is_past)

    def day(self, *, is_past: bool = False) -> datetime:
        """The day said in the sentence, else the day of the message."""
        for when in self.dates(is_past=is_past):
            if when.precision != "duration":
                return when.day
        return find_dates("today", self.episode.time)[0].day

    def fact(
        self,
        subject: str | None,
        predicate: str,
        value: str,
        rule: str,
        confidence: float,
        *,
        change: Change = "state",
        kind: str | None = None,
        subject_kind: str = "person",
        is_past: bool = False,
    ) -> Iterator[Proposal]:
        if not subject or not value:
            return
        day = self.day(is_past=is_past)
        is_end = change == "end"
        yield Proposal(
            subject,
            predicate,
            value,
            (self.talk.at,),
            self.episode.speaker,
            confidence,
            rule,
            subject_kind=subject_kind,
            object_kind=kind,
            valid_from=None if is_end else day,
            valid_to=day if is_end else None,
            change=change,
        )


def events(
    episode: Episode, sentence: Sentence, talk: Discourse, following: Sentence | None
) -> Iterator[Proposal]:
    """All that the rules of this module find in one sentence that is no question."""
    if commitment(sentence.text, sentence.text) == 0.0:
        scene = Scene(episode, sentence, following, talk)
        yield from _contact(scene)
        return
    scene = Scene(episode, sentence, following, talk)
    for rule in _RULES:
        yield from rule(scene)


def _contact(scene: Scene) -> Iterator[Proposal]:
    """A phone number or address next to a word for it; the words "old", "dead", "stops" make it the past one."""
    for match in _EMAIL.finditer(scene.text):
        yield from scene.fact(_contact_owner(scene), "email", match[0], "email", 0.85, change=_renewed(scene))
    for match in _PHONE.finditer(scene.text):
        digits = re.sub(r"\D", "", match[0])
        if not 7 <= len(digits) <= 15 or not (match[0].startswith("+") or _ABOUT_PHONE.search(scene.text)):
            continue
        is_dead = re.search(
            r"\b(?:dead|old one|stops?|gone|not (?:in use|working)|delete)\b",
            scene.text[match.end() :].lower(),
        )
        change: Change = (
            "end" if is_dead and not _ABOUT_PHONE.search(scene.text[: match.start()]) else _renewed(scene)
        )
        yield from scene.fact(
            _contact_owner(scene), "phone_number", match[0].strip(), "phone", 0.9, change=change
        )


def _contact_owner(scene: Scene) -> str | None:
    if match := re.search(
        r"\b(his|her)\s+(?:new )?(?:number|e-?mail|phone|mobile)", scene.text, re.IGNORECASE
    ):
        return scene.talk.owner(match[1])
    if match := re.search(
        r"\b(?-i:([A-Z][\w-]+))'s\s+(?:new )?(?:number|e-?mail|phone)", scene.text, re.IGNORECASE
    ):
        return scene.talk.owner(match[1] + "'s")
    return scene.talk.speaker


def _renewed(scene: Scene) -> Change:
    return (
        "update"
        if re.search(r"\b(?:new|changed|now|from (?:now|mon|tues|today))", scene.text.lower())
        else "state"
    )


def _wedding(scene: Scene) -> Iterator[Proposal]:
    if not _WEDDING.search(scene.text):
        return
    for when in scene.dates()[:1]:
        if when.is_day and not when.is_since:
            change: Change = (
                "update"
                if re.search(r"\b(?:moved|now|instead|new date|postponed|changed)\b", scene.text.lower())
                else "state"
            )
            owner = scene.talk.addressee if re.search(r"\byour\b", scene.text.lower()) else scene.talk.speaker
            for fact in scene.fact(owner, "wedding_date", when.iso, "wedding-date", 0.75, change=change):
                yield _told_today(scene, fact)


def _told_today(scene: Scene, fact: Proposal) -> Proposal:
    """The date is the value: the fact holds from the day it was told."""
    return replace(fact, valid_from=find_dates("today", scene.episode.time)[0].day)


def _married(scene: Scene) -> Iterator[Proposal]:
    """ "I'm married", "I'm a wife", "we got married": to whoever the speaker was engaged to."""
    if not (match := _MARRIED.search(scene.text)):
        return
    name = scene.talk.kin.get((scene.talk.speaker, "fiance")) or scene.talk.kin.get(
        (scene.talk.speaker, "partner")
    )
    if name is None:
        return
    predicate = {"f": "wife", "m": "husband"}.get(scene.talk.genders.get(name, "?"), "spouse")
    if re.search(r"\bwife\b", match[0].lower()):
        predicate = "husband" if scene.talk.genders.get(name) == "m" else "spouse"
    yield from scene.fact(
        scene.talk.speaker, predicate, name, "married", 0.8, change="update", kind="person", is_past=True
    )


def _parted(scene: Scene) -> Iterator[Proposal]:
    """ "we're not together any more", "we broke up": the partner known of ends, and the speaker is single."""
    if not _PARTED.search(scene.text):
        return
    speaker = scene.talk.speaker
    name = scene.talk.kin.get((speaker, "partner")) or scene.talk.kin.get((speaker, "fiance"))
    name = name or scene.talk.last_person(within=4)
    if name:
        yield from scene.fact(
            speaker, "partner", name, "parted", 0.75, change="end", kind="person", is_past=True
        )
    yield from scene.fact(
        speaker, "relationship_status", "single", "parted", 0.65, change="update", is_past=True
    )


def _together(scene: Scene) -> Iterator[Proposal]:
    """ "maren and i are two years today", "we're seeing each other" about the one last spoken of."""
    if match := _AND_I.search(scene.text):
        name = scene.talk.person(match["name"])
        scene.talk.kin.setdefault((scene.talk.speaker, "partner"), name)
        yield from scene.fact(scene.talk.speaker, "partner", name, "couple", 0.75, kind="person")
    if _SEEING.search(scene.text):
        name = scene.talk.last_person(within=10) or ""
        if name:
            scene.talk.kin[scene.talk.speaker, "partner"] = name
        yield from scene.fact(
            scene.talk.speaker,
            "partner",
            name,
            "seeing-each-other",
            0.7,
            change="update",
            kind="person",
            is_past=True,
        )


def _birthday(scene: Scene) -> Iterator[Proposal]:
    text, talk = scene.text, scene.talk
    today = find_dates("today", scene.episode.time)[0].day
    if re.search(
        r"\b(?:happy birthday|parabéns|feliz cumplea|grattis|alles gute|bon anniversaire|happy b-?day|many happy returns)",
        text,
        re.IGNORECASE,
    ):
        named = re.search(r"(?:birthday|b-?day) to (my \w+|[A-Z]\w+)", text)
        if named is None:
            yield from scene.fact(talk.addressee, "birthday", day_and_month(today.date()), "greeting", 0.75)
    if match := re.search(rf"\b({NUMBER}) today\b", text, re.IGNORECASE):
        n = to_int(match[1])
        about = talk.addressee if not re.search(r"\b(?:i|he|she|my|his|her)\b", text.lower()) else None
        if n and 1 < n < 120 and about:
            yield from scene.fact(about, "age", str(n), "age-today", 0.75)
    if match := re.search(
        r"\b(my|your|his|her|[A-Z][\w-]+'s) birthday\b(?! (?:cake|party|present|card|gift|dinner))", text
    ):
        days = [w for w in scene.dates() if w.is_day]
        is_today = bool(
            re.search(
                r"birthday(?: today)?$|birthday and\b|birthday is today|is (?:my|your|his|her) birthday",
                text.rstrip("!. ").lower(),
            )
        )
        day = (
            days[0].day
            if days
            else today
            if is_today and re.search(r"\b(?:is|today)\b", text.lower())
            else None
        )
        if day:
            yield from scene.fact(
                talk.owner(match[1]), "birthday", day_and_month(day.date()), "birthday", 0.8
            )


def _turning(scene: Scene) -> Iterator[Proposal]:
    """ "turning 90 in February, on the 8th": month and day may be said apart."""
    if not (
        match := re.search(
            rf"\b(?:turn|turns|turning|will be) ({NUMBER})\b(?P<rest>.*)", scene.text, re.IGNORECASE
        )
    ):
        return
    subject = scene.talk.last_person(within=2)
    apart = re.search(
        rf"\b(?:in )?({'|'.join(MONTHS)}),? (?:on )?the (\d{{1,2}})(?:st|nd|rd|th)\b",
        match["rest"],
        re.IGNORECASE,
    )
    if apart and subject:
        yield from scene.fact(
            subject, "birthday", f"{int(apart[2])} {apart[1].capitalize()}", "turning", 0.75
        )


def _birth(scene: Scene) -> Iterator[Proposal]:
    """ "had the baby ... called him Arun", "her name is Mabel, 2.9 kg"."""
    talk, text = scene.talk, scene.text
    named = (
        _BABY_NAMED.search(text)
        if _BABY.search(text + " " + (scene.following.text if scene.following else ""))
        or talk.kin.get(("", "expecting"))
        else None
    )
    if re.search(r"\b(?:pregnant|due|expecting)\b", text.lower()) and not re.search(
        r"\bpregnant with\b", text.lower()
    ):
        mother = talk.last_person(within=1)
        if re.search(r"\b(?:i am|we are) (?:pregnant|expecting)\b", text.lower()):
            mother = talk.speaker
        if mother:
            talk.kin["", "expecting"] = mother
    parent = talk.kin.get(("", "expecting"))
    baby = None
    if named and (baby := take_name(named["name"], scene.sentence.is_cased, most=1)) and parent:
        predicate = (
            "daughter"
            if re.search(r"\b(?:she|her|girl|daughter)\b", text.lower())
            else "son"
            if re.search(r"\b(?:he|him|his|boy|son)\b", text.lower())
            else "child"
        )
        talk.note(baby, gender={"daughter": "f", "son": "m"}.get(predicate, "?"))
        talk.kin["", "baby"] = baby
        yield from scene.fact(parent, predicate, baby, "birth", 0.75, kind="person", is_past=True)
    if match := _WEIGHT.search(text):
        baby = baby or talk.kin.get(("", "baby"))
        if baby:
            yield from scene.fact(baby, "birth_weight", match[0].strip(), "birth-weight", 0.8, is_past=True)


def _dose(scene: Scene) -> Iterator[Proposal]:
    """ "Bisoprolol, 2.5 mg every morning": the drug, and its dose. About the speaker unless a name stands before."""
    for match in _DRUG_DOSE.finditer(scene.text):
        if is_drug(match["drug"]):
            owner = _patient(scene, match.start())
            yield from scene.fact(owner, "medication", match["drug"].lower(), "drug-and-dose", 0.8)
            yield from scene.fact(
                owner, "medication_dose", f"{match['drug'].lower()} {match['dose']}", "drug-and-dose", 0.8
            )


def _patient(scene: Scene, at: int) -> str | None:
    before = re.findall(r"\b(he|she|you)\b", scene.text[:at], re.IGNORECASE)
    return scene.talk.pronoun(before[-1]) if before else scene.talk.speaker


def _no_more(scene: Scene) -> Iterator[Proposal]:
    """ "no more coffee", "day 19 without snus": given up, from the day said."""
    if match := _NO_MORE.search(scene.text):
        yield from scene.fact(scene.talk.speaker, "gave_up", match["o"].lower(), "no-more", 0.75)


def _first_night(scene: Scene) -> Iterator[Proposal]:
    if match := _FIRST_NIGHT.search(scene.text):
        place = take_place(match["o"], scene.sentence.is_cased)
        yield from scene.fact(
            scene.talk.speaker,
            "lives_in",
            place or "",
            "first-night",
            0.85,
            change="update",
            kind="place",
            is_past=True,
        )


def _breed(scene: Scene) -> Iterator[Proposal]:
    """ "he's a three-legged greyhound", "a very old beagle", of the animal last spoken of."""
    for match in _BREED.finditer(scene.text):
        animal = next(
            (m.name for m in reversed(scene.talk.mentions) if m.is_animal and scene.talk.at - m.at <= 6), None
        )
        if animal:
            yield from scene.fact(animal, "breed", match["o"].lower(), "breed", 0.75, subject_kind="thing")


_Rule = Callable[[Scene], Iterator[Proposal]]
_RULES: tuple[_Rule, ...] = (
    _contact, _wedding, _married, _parted, _together, _birthday, _turning, _birth, _dose, _no_more, _first_night, _breed,
)  # fmt: skip
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_PHONE = re.compile(r"(?<![\w.,-])\+?\d[\d \-()]{6,18}\d(?![\w-])")
_ABOUT_PHONE = re.compile(r"\b(?:number|phone|mobile|cell|call|text|whatsapp|ring)\b", re.IGNORECASE)
_WEDDING = re.compile(
    r"\b(?:wedding|we have a date|getting married|we marry|marry on|set a date|save the date)\b",
    re.IGNORECASE,
)
_MARRIED = re.compile(
    r"\b(?:(?:i am|we are) (?:a )?(?:officially |now |finally )*(?:married|a wife|wife|a husband|husband and wife|wife and wife|husband and husband)"
    r"|we (?:just |finally |actually )?got married|we did it, we are married)\b(?! to\b)",
    re.IGNORECASE,
)
_PARTED = re.compile(
    r"\b(?:we are (?:not|no longer) together|not together any ?more|we (?:have )?(?:broke|broken|split) up|we split|broke up with me|it is over between us|"
    r"we called off the (?:wedding|engagement)|(?:the )?(?:wedding|engagement) is off)\b",
    re.IGNORECASE,
)
_AND_I = re.compile(
    rf"\b(?P<name>[A-ZÀ-Þ][\w-]+) and (?:i|I|me) (?:are|have been|were) (?:(?:{NUMBER}|a) (?:years?|months?)\b|together|a couple|an item|dating|engaged)"
)
_SEEING = re.compile(
    r"\bwe (?:are|have been|have started) (?:now |kind of |sort of |officially )*(?:seeing each other|dating|together\b|a couple|going out|an item)",
    re.IGNORECASE,
)
_BABY = re.compile(
    r"\b(?:baby|born|arrived|gave birth|a (?:little )?(?:girl|boy)|daughter|son|is here|kg|kilos?|grams?|pounds|lbs)\b",
    re.IGNORECASE,
)
_BABY_NAMED = re.compile(
    r"(?:(?:called|named|calling|naming) (?:him|her|it|them|the baby)|(?:her|his|the|its) name is|(?:she|he) is (?:called|named)|(?:girl|boy|daughter|son),? (?:called|named))\s+(?P<name>\S.+)",
    re.IGNORECASE,
)
_WEIGHT = re.compile(
    r"\b\d[\d.,]{0,5} ?(?:kg|kilos?|kilograms?|grams?|g|lbs?|pounds)\b(?: \d+ ?(?:oz|ounces))?", re.IGNORECASE
)
_DRUG_DOSE = re.compile(
    r"\b(?P<drug>[A-Za-z][\w-]{4,}),?(?: is| at| of|:)? (?P<dose>\d[\d.,]* ?(?:mg|mcg|µg|g|ml|units|milligrams?))\b",
    re.IGNORECASE,
)
_NO_MORE = re.compile(spell(r"\bno more (?P<o>@HABITS@)\b(?! for (?:today|tonight))"), re.IGNORECASE)
_FIRST_NIGHT = re.compile(
    r"\bfirst (?:night|day|morning|week|evening|weekend|sunday) (?:in|at) (?:our |my |the )?(?:new )?(?:(?:house|flat|home|place|apartment|room) (?:in )?)?(?P<o>[^,.!?]+)",
    re.IGNORECASE,
)
_BREED = re.compile(
    spell(r"\b(?:an?|the|another) (?P<o>(?:(?!with\b|for\b|of\b)[\w-]+ ){0,3}?(?:@BREEDS@))\b(?!'s)"),
    re.IGNORECASE,
)
