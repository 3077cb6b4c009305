"""Homes, jobs, animals, numbers: news that comes in fragments rather than in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from agents.extractors.dates import find_dates
from agents.extractors.names import take_name, take_organisation, take_place
from agents.extractors.patterns import spell
from agents.extractors.proposal import Proposal
from agents.extractors.scene import Scene, Spec
from agents.extractors.values import role_of, thing_of
from memory.types import Change


def contact(scene: Scene) -> Iterator[Proposal]:
    """A number or address; "old", "dead", "stops" after a number make it the past one."""
    for match in _EMAIL.finditer(scene.text):
        yield from scene.fact(_contact_owner(scene), "email", match[0], "email", 0.85, Spec(_renewed(scene)))
    for match in _PHONE.finditer(scene.text):
        digits = re.sub(r"\D", "", match[0])
        if not 7 <= len(digits) <= 15 or not (match[0].startswith("+") or _ABOUT_PHONE.search(scene.message)):
            continue
        is_dead = re.search(
            r"\b(?:dead|stops?|gone|not (?:in use|working)|delete)\b", scene.text[match.end() :].lower()
        )
        change: Change = (
            "end" if is_dead and not _ABOUT_PHONE.search(scene.text[: match.start()]) else _renewed(scene)
        )
        day = next((w.day for w in find_dates(scene.message, scene.episode.time) if w.is_day), scene.today)
        yield from scene.fact(
            _contact_owner(scene), "phone_number", match[0].strip(), "phone", 0.9, Spec(change, day=day)
        )


def first_day(scene: Scene) -> Iterator[Proposal]:
    """ "First week at Corvane Freight survived": where the speaker works from about now on."""
    if match := _FIRST_DAY.search(scene.text):
        where = take_organisation(match["o"], scene.sentence.is_cased)
        spec = Spec("update", "organisation", day=_first_of(match["unit"].lower(), scene))
        whose = scene.talk.owner(match["whose"]) if match["whose"] else scene.talk.speaker
        yield from scene.fact(whose, "workplace", where, "first-day", 0.75, spec)


def _first_of(unit: str, scene: Scene) -> datetime:
    """The day a first day or week began: one that is said, else the Monday of the week that is over or ending."""
    if said := next((when.day for when in scene.dates() if when.is_day), None):
        return said
    if unit == "month":
        return scene.today - timedelta(days=30)
    if unit == "week":
        return scene.today - timedelta(days=scene.today.weekday() if scene.today.weekday() > 2 else 7)
    return scene.today


def first_night(scene: Scene) -> Iterator[Proposal]:
    if match := _FIRST_NIGHT.search(scene.text):
        place = take_place(match["o"], scene.sentence.is_cased)
        yield from scene.fact(
            scene.talk.speaker, "lives_in", place, "first-night", 0.85, Spec("update", "place", is_past=True)
        )


def new_home(scene: Scene) -> Iterator[Proposal]:
    """ "WE GOT THE HOUSE. The little one in Matosinhos", "found a room in levenshulme": lived in from the day of moving."""
    if not _HOME_FOUND.search(scene.message) or (scene.index == 0 and not _HOME_FOUND.search(scene.text)):
        return
    match = re.search(
        r"\b(?:house|flat|room|apartment|place|home|one|cottage|studio)\b[\w ]{0,12}? in (?P<o>[^,.!?]+)",
        scene.text,
        re.IGNORECASE,
    )
    place = take_place(match["o"], scene.sentence.is_cased) if match else None
    day = _moving_day(scene)
    yield from scene.fact(
        scene.talk.speaker,
        "lives_in",
        place,
        "new-home",
        0.75 if day else 0.6,
        Spec("update", "place", day=day or scene.today),
    )


def _moving_day(scene: Scene) -> datetime | None:
    for sentence in scene.sentences:
        if match := re.search(r"\b(?:move|moving|moved|keys)\b(?P<rest>.*)", sentence.text, re.IGNORECASE):
            for when in find_dates(match["rest"], scene.episode.time):
                return when.day
    return None


def hired(scene: Scene) -> Iterator[Proposal]:
    """ "got it. house engineer at orchard studios. start 15 july": a job in fragments, once it is accepted."""
    talk = scene.talk
    if not talk.is_talked_of("job", within=60):
        return
    role, where = _job_fragment(scene)
    if role or where:
        talk.prospect = (
            (role or talk.prospect[0], where or talk.prospect[1])
            if talk.is_talked_of("job", within=6)
            else (role, where)
        )
        talk.topics["prospect"] = talk.at
    if (
        not _ACCEPTED.search(scene.message)
        or scene.index != len(scene.sentences) - 1
        or not talk.is_talked_of("job", within=60)
    ):
        return
    if not talk.is_talked_of("prospect", within=40) or talk.prospect == (None, None):
        return
    role, where = talk.prospect
    day = next(
        (
            w.day
            for s in scene.sentences
            if re.search(r"\bstart|begin|from\b", s.lower)
            for w in find_dates(s.text, scene.episode.time)
        ),
        scene.today,
    )
    value = f"{role} at {where}" if role and where else role
    spec = Spec("update", day=day)
    yield from scene.fact(talk.speaker, "job", value, "hired", 0.75, spec)
    yield from scene.fact(
        talk.speaker, "workplace", where, "hired", 0.7, Spec("update", "organisation", day=day)
    )
    talk.prospect = (None, None)


def _job_fragment(scene: Scene) -> tuple[str | None, str | None]:
    """Role and employer, where a whole short sentence is nothing but them."""
    text = re.sub(
        r"^(?:as |it is |at |for |with |a |an |the )+", "", scene.text.strip(" .!"), flags=re.IGNORECASE
    )
    if len(text.split()) > 7 or not scene.talk.is_talked_of("job", within=6):
        return None, None
    found = re.match(r"(.+?) (?:at|for|with) (.+)", text)
    role = role_of(found[1] if found else text)
    where = take_organisation(found[2] if found else text, scene.sentence.is_cased)
    if where and not found and len(where.split()) < len(text.split()):
        where = None
    if where and (where.isupper() or where in scene.talk.people or where in scene.talk.animals):
        where = None
    if where and (scene.talk.is_place(where) and len(where.split()) == 1 and not found):
        where = None
    return role, where if not (role and not found) else None


def address(scene: Scene) -> Iterator[Proposal]:
    """A street with its number, where the message tells of an address or a move of the speaker's."""
    match = _STREET.search(scene.text)
    if match and not re.search(r"\b(?:he|she|they|his|her|their|your)\b", scene.message.lower()):
        spec = Spec(_renewed(scene), day=next((w.day for w in scene.dates()), scene.today))
        yield from scene.fact(scene.talk.speaker, "address", match[0], "address", 0.7, spec)


def own_place(scene: Scene) -> Iterator[Proposal]:
    """ "It has a name: Fala Comigo. My own practice, I open on 15 September"."""
    match = re.search(rf"\bmy own (?P<o>(?:[\w-]+ ){{0,2}}?{_BUSINESS})\b", scene.text, re.IGNORECASE)
    if match is None or re.search(r"\b(?:want|should|dream|would|if)\b", scene.message.lower()):
        return
    named = re.search(
        r"\b(?:called|named|name(?: is|:)?)[ :]+(?P<n>.+?)(?:$|[|,.!])", scene.message, re.IGNORECASE
    )
    name = take_name(named["n"], scene.sentence.is_cased, most=3) if named else None
    day = next((w.day for w in scene.dates()), scene.today)
    value = f"runs own {match['o'].lower()}" + (f" {name}" if name else "")
    yield from scene.fact(scene.talk.speaker, "job", value, "own-place", 0.75, Spec("update", day=day))


def pet(scene: Scene) -> Iterator[Proposal]:
    """ "Meet Biscuit! We adopted him", "her name is Bolota, she's from the shelter": an animal of the speaker's."""
    cue = _ANIMAL_CUE.search(scene.message)
    match = _PET_NAMED.search(scene.text)
    if not cue or not match:
        return
    name = take_name(match["name"], scene.sentence.is_cased, most=1)
    if name is None or any(m.name == name and m.at < scene.talk.at for m in scene.talk.mentions):
        return
    predicate = (
        "cat"
        if re.search(r"\b(?:cat|kitten|kitty|tabby|meow)\b", scene.message.lower())
        else "dog"
        if _DOG_CUE.search(scene.message)
        else "pet"
    )
    scene.talk.note(name, is_animal=True)
    day = next(
        (w.day for w in find_dates(scene.message, scene.episode.time, is_past=True) if w.is_day), scene.today
    )
    yield from scene.fact(
        _pet_owner(scene), predicate, name, "pet-named", 0.75, Spec("update", "thing", day=day)
    )


def _pet_owner(scene: Scene) -> str:
    """Whoever the sentence that tells of getting it is about."""
    got = next((s for s in scene.sentences[: scene.index + 1] if _GOT.search(s.text)), None)
    return scene.talk.doer(got.text) if got else scene.talk.speaker


def breed(scene: Scene) -> Iterator[Proposal]:
    """ "he's a three-legged greyhound", "a very old beagle", of the animal last spoken of."""
    if match := _BARE_BREED.search(scene.text):
        animal = next(
            (m.name for m in reversed(scene.talk.mentions) if m.is_animal and scene.talk.at == m.at), None
        )
        yield from scene.fact(animal, "breed", match["o"].lower(), "breed", 0.65, Spec(subject_kind="thing"))
    for match in _BREED.finditer(scene.text):
        talk = scene.talk
        animal = next((m.name for m in reversed(talk.mentions) if m.is_animal and talk.at - m.at <= 3), None)
        is_whole = re.match(r"$|[,.!]| with| who| and|, ", scene.text[match.end() :])
        if (
            animal is None
            and is_whole
            and re.match(r"(?:(?:he|she|it) is )?(?:an?|the) ", scene.text, re.IGNORECASE)
            and match.start() < 12
        ):
            animal = talk.last_person(within=1)
            if animal:
                talk.note(animal, is_animal=True)
        value = re.sub(
            r"^(?:(?:very|really|tiny|small|big|little|lovely|good|bad|so|too) )+", "", match["o"].lower()
        )
        yield from scene.fact(animal, "breed", value, "breed", 0.75, Spec(subject_kind="thing"))


def sold(scene: Scene) -> Iterator[Proposal]:
    """What is sold was owned until then."""
    match = re.search(
        r"\bsold (?!it\b|them\b|out\b|that\b|this\b|a\b|an\b|some\b|him\b|her\b)(?P<o>.+)",
        scene.text,
        re.IGNORECASE,
    )
    if match and not re.search(r"\b(?:he|she|they|who) (?:has |have )?sold\b", scene.lower):
        thing = thing_of(match["o"])
        yield from scene.fact(
            scene.talk.speaker, "owns", thing, "owned-until-sold", 0.65, Spec("end", "thing", is_past=True)
        )


def booked(scene: Scene) -> Iterator[Proposal]:
    """ "booked. 6 february, friday", once coming was talked of."""
    if not re.search(r"\bbooked\b", scene.message, re.IGNORECASE) or re.search(
        r"\b(?:land|arriv|table|restaurant|dentist)", scene.message.lower()
    ):
        return
    days = [w for w in scene.dates() if w.is_day]
    if days and scene.talk.is_talked_of("flight", within=6) and len(scene.text.split()) <= 8:
        yield from scene.fact(
            scene.talk.speaker, "arrival", days[0].iso, "booked", 0.6, Spec(day=scene.today)
        )


def _contact_owner(scene: Scene) -> str | None:
    if match := re.search(
        r"\b(his|her|(?-i:[A-ZÀ-Þ])[\w-]+'s)\s+(?:new )?(?:number|e-?mail|phone|mobile)",
        scene.text,
        re.IGNORECASE,
    ):
        return scene.talk.owner(match[1])
    return scene.talk.speaker


def _renewed(scene: Scene) -> Change:
    return (
        "update"
        if re.search(r"\b(?:new|changed|now|from (?:now|mon|tues|today))", scene.message.lower())
        else "state"
    )


_BUSINESS = (
    r"(?:practice|shop|café|cafe|restaurant|bakery|studio|business|company|clinic|salon|workshop|bar|bookshop|gallery|school|farm|garage|"
    r"tasca|firm|agency|brewery|gym|pottery|nursery)"
)
_STREET = re.compile(
    r"\b(?:[A-ZÀ-Þ]\w+(?:straße|strasse|gata|gatan|vägen|weg|gade|gasse|laan|straat) \d+\w?|"
    r"\d+\w? [A-Z]\w+(?: [A-Z]\w+)? (?:Street|Road|Lane|Avenue|Square|Drive|Close|Crescent|Terrace)|"
    r"(?:Rua|Rue|Calle|Via|Avenida|Avenue) (?:[\wÀ-ÿ]+ ){0,3}[A-ZÀ-Þ]\w+,? \d+)"
)
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_PHONE = re.compile(r"(?<![\w.,-])\+?\d[\d \-()]{6,18}\d(?![\w-])")
_ABOUT_PHONE = re.compile(r"\b(?:number|phone|mobile|cell|call|text|whatsapp|ring)\b", re.IGNORECASE)
_FIRST_NIGHT = re.compile(
    r"\bfirst (?:(?:night|morning|evening|weekend|sunday) (?:in|at)|(?:day|week|month) in) (?:our |my |the )?(?:new )?(?:(?:house|flat|home|place|apartment|room) (?:in )?)?(?P<o>[^,.!?]+)",
    re.IGNORECASE,
)
_FIRST_DAY = re.compile(
    r"(?:\b(?P<whose>my|his|her|(?-i:[A-ZÀ-Þ])[\w-]+'s) )?\bfirst (?P<unit>day|week|month|shift|morning) (?:working )?(?:at|with|for) "
    r"(?!(?:the |my )?(?:new )?(?:job|place|house|flat|home|work|gym|school|uni)\b)(?P<o>[^,.!?]+)",
    re.IGNORECASE,
)
_HOME_FOUND = re.compile(
    r"\b(?:got|bought|found|rented|signed for|moving into|have|taken|took)(?: [\w']+){0,3}? (?:house|flat|room|apartment|place|cottage|studio)\b",
    re.IGNORECASE,
)
_ACCEPTED = re.compile(
    r"\b(?:(?:i )?(?:got|took|have) (?:it|the job|the offer|the place)\b|i said yes|said yes|accepted|they (?:offered|hired|want|took|picked) (?:it )?(?:me)?|signed the contract|i am hired)",
    re.IGNORECASE,
)
_ANIMAL_CUE = re.compile(
    spell(
        r"\b(?:adopt(?:ed)?|shelter|dog|puppy|pup|cat|kitten|rescue|rescued|paws?|legs|@BREEDS@|rabbit|hamster|vet)\b"
    ),
    re.IGNORECASE,
)
_GOT = re.compile(r"\b(?:got|getting|adopted|adopting|rescued|bought|took|taken|has|have)\b", re.IGNORECASE)
_DOG_CUE = re.compile(spell(r"\b(?:dog|puppy|pup|doggo|@BREEDS@)\b"), re.IGNORECASE)
_PET_NAMED = re.compile(
    r"\b(?:meet|(?:her|his|its) name is|(?:she|he|it) is (?:called|named)|(?:called|named)(?: (?:her|him|it|them))?) (?P<name>\S+)",
    re.IGNORECASE,
)
_BARE_BREED = re.compile(spell(r"(?:^|, )(?P<o>(?:@BREEDS@))(?=$|[,.!])"), re.IGNORECASE)
_BREED = re.compile(
    spell(
        r"\b(?:an?|the|another|half|part) (?P<o>(?:(?!with\b|for\b|of\b)[\w-]+ ){0,3}?(?:african grey|maine coon|@BREEDS@))\b(?!'s)"
    ),
    re.IGNORECASE,
)
