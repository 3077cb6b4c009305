"""Births, ages and birthdays."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agents.extractors.dates import MONTHS, day_and_month, find_dates
from agents.extractors.names import take_name
from agents.extractors.numbers import NUMBER, to_int
from agents.extractors.proposal import Proposal
from agents.extractors.scene import Scene, Spec
from agents.extractors.sentences import expand


def birthday(scene: Scene) -> Iterator[Proposal]:
    """Greetings make the day the addressee's; "my birthday is ..." says it."""
    talk = scene.talk
    if (
        _GREETING.search(scene.text)
        and not re.search(r"\bhad\b|\bto be\b", scene.lower)
        and not re.search(r"(?:birthday|b-?day) to (?:my \w+|[A-Z]\w+)", scene.text)
    ):
        day = next((w.day for w in find_dates(scene.message, scene.episode.time) if w.is_day), scene.today)
        if abs((day - scene.today).days) <= 2:
            yield from scene.fact(
                talk.addressee, "birthday", day_and_month(day.date()), "greeting", 0.75, Spec(day=scene.today)
            )
    if match := _WHOSE.search(scene.text):
        days = [w for w in scene.dates() if w.is_day]
        is_today = bool(_TODAY.search(scene.text.rstrip("!. ").lower()))
        found = days[0].day if days else scene.today if is_today else None
        if found:
            yield from scene.fact(
                talk.owner(match[1]),
                "birthday",
                day_and_month(found.date()),
                "birthday",
                0.8,
                Spec(day=scene.today),
            )


def age(scene: Scene) -> Iterator[Proposal]:
    """ "38 today" to somebody's face; "turning 90 in February, on the 8th" of whoever the talk is about."""
    talk = scene.talk
    if (match := re.search(rf"\b({NUMBER}) today\b", scene.text, re.IGNORECASE)) and not re.search(
        r"\b(?:i|he|she|my|his|her)\b", scene.lower
    ):
        n = to_int(match[1])
        if n and 1 < n < 120:
            yield from scene.fact(talk.addressee, "age", str(n), "age-today", 0.75)
    if match := re.match(
        rf"(?:she |he )?(?:turns|turning|will be|will turn|is turning) ({NUMBER})\b(?P<rest>.*)",
        scene.text,
        re.IGNORECASE,
    ):
        subject = talk.last_person(within=3, is_before=True)
        apart = re.search(
            rf"\b(?:in )?({'|'.join(MONTHS)}),? (?:on )?the (\d{{1,2}})(?:st|nd|rd|th)\b",
            match["rest"],
            re.IGNORECASE,
        )
        whole = next((w for w in scene.dates() if w.is_day), None)
        value = (
            f"{int(apart[2])} {apart[1].capitalize()}"
            if apart
            else day_and_month(whole.day.date())
            if whole
            else None
        )
        yield from scene.fact(subject, "birthday", value, "turning", 0.7, Spec(day=scene.today))


def expecting(scene: Scene) -> Iterator[Proposal]:
    """Notes who is with child, for the birth; "due in September" gives the day."""
    talk = scene.talk
    if not re.search(r"\b(?:pregnant|due|expecting)\b(?! with)", scene.lower):
        return
    mother = talk.last_person(within=1)
    if re.search(r"\b(?:i am|we are) (?:pregnant|expecting)\b", scene.lower):
        mother = talk.speaker
    if mother and re.search(r"\b(?:pregnant|expecting)\b", scene.lower):
        talk.kin["", "expecting"] = mother
    if (
        match := re.match(r"(?:she is |the baby is |baby )?due\b", scene.text, re.IGNORECASE)
    ) and talk.is_talked_of("baby"):
        when = next(iter(find_dates(scene.text[match.end() :], scene.episode.time)), None)
        if when and when.precision != "duration":
            yield from scene.fact(
                talk.kin.get(("", "expecting")), "due_date", when.iso, "due", 0.8, Spec(day=scene.today)
            )


def birth(scene: Scene) -> Iterator[Proposal]:
    """ "had the baby ... called him Arun", "she's here. signe. 3410 grams"."""
    talk = scene.talk
    parent = talk.kin.get(("", "expecting"))
    if parent is None or not (_BORN.search(scene.message) or _WEIGHT.search(scene.message)):
        return
    named = _NAMED.search(scene.text)
    name = take_name(named["name"], scene.sentence.is_cased, most=1) if named else None
    if name is None and _WEIGHT.search(scene.message) and len(scene.text.split()) == 1:
        name = take_name(scene.text, scene.sentence.is_cased, most=1)
    if name and name != parent and not talk.is_speaker(name):
        predicate = _sex(scene)
        talk.note(name, gender={"daughter": "f", "son": "m"}.get(predicate, "?"))
        talk.kin["", "baby"] = name
        yield from scene.fact(parent, predicate, name, "birth", 0.75, Spec(kind="person", is_past=True))
    if match := _WEIGHT.search(scene.text):
        yield from scene.fact(
            talk.kin.get(("", "baby")),
            "birth_weight",
            match[0].strip(),
            "birth-weight",
            0.8,
            Spec(is_past=True),
        )


def _sex(scene: Scene) -> str:
    said = (scene.talk.previous + " " + scene.message).lower()
    if re.search(r"\b(?:she|her|girl|daughter)\b", scene.message.lower()) or re.search(
        r"\b(?:girl|daughter|she is here)\b", expand(said)
    ):
        return "daughter"
    return "son" if re.search(r"\b(?:he|him|his|boy|son)\b", said) else "child"


_GREETING = re.compile(
    r"\b(?:happy birthday|parabéns|feliz cumplea|grattis|alles gute|bon anniversaire|happy b-?day|many happy returns|buon compleanno|gefeliciteerd)",
    re.IGNORECASE,
)
_WHOSE = re.compile(
    r"\b(my|your|his|her|(?-i:[A-ZÀ-Þ])[\w-]+'s) birthday\b(?! (?:cake|party|present|card|gift|dinner))",
    re.IGNORECASE,
)
_TODAY = re.compile(
    r"\b(?:it|today|tomorrow) is (?:my|your|his|her|[\w-]+'s) birthday|birthday (?:is )?today"
)
_BORN = re.compile(
    r"\b(?:had (?:the|her|a) (?:baby|girl|boy)|(?:baby|she|he) (?:is|was) (?:here|born)|gave birth|born\b|baby (?:arrived|is here)|a (?:little |baby )?(?:girl|boy)\b|"
    r"it is a (?:girl|boy))",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?:(?:called|named|calling|naming) (?:him|her|it|them|the baby)|(?:her|his|the|its|baby) name is|(?:she|he) is (?:called|named)|"
    r"(?:girl|boy|daughter|son|baby),? (?:called|named)|welcome)\s+(?P<name>\S.+)",
    re.IGNORECASE,
)
_WEIGHT = re.compile(
    r"\b\d[\d.,]{0,5} ?(?:kg|kilos?|kilograms?|grams?|g|lbs?|pounds)\b(?: \d+ ?(?:oz|ounces))?", re.IGNORECASE
)
