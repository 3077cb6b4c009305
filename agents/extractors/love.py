"""Couples: engagements, weddings, partings, who is seeing whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from agents.extractors.dates import find_dates
from agents.extractors.names import take_name, take_place
from agents.extractors.numbers import NUMBER
from agents.extractors.proposal import Proposal
from agents.extractors.scene import Scene, Spec


def wedding(scene: Scene) -> Iterator[Proposal]:
    """A day next to a word for the wedding, or next to "we have a date" and "new date" while one is talked of."""
    is_named = _WEDDING.search(scene.text)
    if not is_named and not (
        _DATE_SET.search(scene.text) and (scene.talk.is_talked_of("wedding", within=60))
    ):
        return
    dates = [w for w in scene.dates() if w.is_day and not w.is_since]
    if not dates and _DATE_SET.search(scene.text):
        dates = [w for w in find_dates(scene.following, scene.episode.time) if w.is_day]
    if not dates:
        return
    is_new = re.search(r"\b(?:moved|now|instead|new date|postponed|changed|rescheduled)\b", scene.lower)
    owner = scene.talk.addressee if re.search(r"\byour\b", scene.lower) else scene.talk.speaker
    spec = Spec(change="update" if is_new else "state", day=scene.today)
    yield from scene.fact(owner, "wedding_date", dates[0].iso, "wedding-date", 0.75, spec)


def proposal_place(scene: Scene) -> Iterator[Proposal]:
    """ "On Sunday, at the lighthouse in Leça" beside "proposed"."""
    if not re.search(r"\bproposed\b", scene.message, re.IGNORECASE):
        return
    if match := re.search(
        r"\b(?:at|on|in) (the [a-z]+(?: (?:in|of|at|near) (?-i:[A-ZÀ-Þ])[\w-]+)?|(?-i:[A-ZÀ-Þ])[\w-]+)",
        scene.text,
        re.IGNORECASE,
    ):
        place = match[1]
        if not find_dates(place, scene.episode.time) and not re.search(
            r"morning|evening|middle|end|table|rain", place
        ):
            yield from scene.fact(
                scene.talk.speaker,
                "proposal_place",
                place,
                "proposal-place",
                0.6,
                Spec(kind="place", day=scene.today),
            )


def married(scene: Scene) -> Iterator[Proposal]:
    """ "I'm married", "I'm a wife", "we got married": to whoever the speaker was engaged to."""
    if not (match := _MARRIED.search(scene.text)):
        return
    talk = scene.talk
    name = talk.kin.get((talk.speaker, "fiance")) or talk.kin.get((talk.speaker, "partner"))
    if name is None:
        return
    predicate = {"f": "wife", "m": "husband"}.get(talk.gender(name), "spouse")
    if re.search(r"\ba wife\b", match[0].lower()):
        predicate = "husband" if talk.gender(name) != "f" else "wife"
    yield from scene.fact(
        talk.speaker, predicate, name, "married", 0.8, Spec("update", "person", is_past=True)
    )


def engaged(scene: Scene) -> Iterator[Proposal]:
    """ "we're engaged": to the partner known of."""
    name = scene.talk.kin.get((scene.talk.speaker, "partner"))
    if name and re.search(r"\b(?:we|i) (?:are|am|got|have got)(?: now)? engaged\b(?! to)", scene.lower):
        scene.talk.kin[scene.talk.speaker, "fiance"] = name
        yield from scene.fact(
            scene.talk.speaker, "fiance", name, "engaged", 0.75, Spec("update", "person", is_past=True)
        )


def parted(scene: Scene) -> Iterator[Proposal]:
    """ "we're not together any more", "we broke up": the partner known of ends, and the speaker is single."""
    named = _OVER.search(scene.text)
    if not named and not _PARTED.search(scene.text):
        return
    talk = scene.talk
    name = named["name"] or named["other"] if named else None
    name = name or (
        talk.kin.get((talk.speaker, "partner"))
        or talk.kin.get((talk.speaker, "fiance"))
        or talk.last_person(within=4)
    )
    day = _parting_day(scene)
    if name:
        yield from scene.fact(talk.speaker, "partner", name, "parted", 0.75, Spec("end", "person", day=day))
    yield from scene.fact(
        talk.speaker, "relationship_status", "single", "parted", 0.65, Spec("update", day=day)
    )


def _parting_day(scene: Scene) -> datetime:
    for sentence in scene.sentences[scene.index :]:
        for when in find_dates(sentence.text, scene.episode.time, is_past=True):
            return when.day
    return scene.today


def together(scene: Scene) -> Iterator[Proposal]:
    """ "maren and i are two years today", "we're seeing each other" about the one last spoken of."""
    talk = scene.talk
    if match := _AND_I.search(scene.text):
        name = talk.person(match["name"])
        talk.kin.setdefault((talk.speaker, "partner"), name)
        yield from scene.fact(talk.speaker, "partner", name, "couple", 0.75, Spec(kind="person"))
    if _SEEING.search(scene.text) and not talk.is_speaker(named := _whom(scene)):
        talk.kin[talk.speaker, "partner"] = named
        yield from scene.fact(
            talk.speaker, "partner", named, "seeing-each-other", 0.7, Spec("update", "person", is_past=True)
        )
    if match := _SOMEONE.search(scene.text):
        found = take_name(match["name"] or "", scene.sentence.is_cased, most=1) or _introduced(scene)
        if found:
            talk.kin[talk.speaker, "partner"] = found
            talk.note(found)
        yield from scene.fact(
            talk.speaker, "partner", found, "seeing-someone", 0.75, Spec("update", "person", is_past=True)
        )


def _whom(scene: Scene) -> str:
    """The one who was asked about, else the one last spoken of."""
    focus = scene.talk.focus
    if focus and scene.talk.at - focus.at <= 12:
        return focus.name
    return scene.talk.last_person(within=6) or scene.talk.speaker


def _introduced(scene: Scene) -> str | None:
    match = re.search(
        r"\b(?:(?:her|his|their) name is|(?:she|he) is called|called|named) (?P<n>.+)",
        scene.text + " " + scene.following,
        re.IGNORECASE,
    )
    return take_name(match["n"], scene.sentence.is_cased, most=1) if match else None


def honeymoon(scene: Scene) -> Iterator[Proposal]:
    if match := re.search(
        r"\bhoneymoon(?: is| will be)? (?:in|on|to|at) (?P<o>.+)", scene.text, re.IGNORECASE
    ):
        place = take_place(match["o"], scene.sentence.is_cased)
        yield from scene.fact(
            scene.talk.speaker, "honeymoon_place", place, "honeymoon", 0.8, Spec(kind="place")
        )


def away_after_wedding(scene: Scene) -> Iterator[Proposal]:
    """ "The Azores tomorrow, ten days on São Jorge", soon after a wedding."""
    match = _AWAY.match(scene.text)
    if match is None or not scene.talk.is_talked_of("married", within=40):
        return
    named = re.search(r"\b(?:on|in) (?P<p>[A-ZÀ-Þ].+)", scene.text[match.end("o") :])
    place = take_place(named["p"], True) if named else match["o"]
    yield from scene.fact(
        scene.talk.speaker, "honeymoon_place", place, "away-after-wedding", 0.65, Spec(kind="place")
    )


_AWAY = re.compile(r"(?:[Tt]he )?(?P<o>[A-ZÀ-Þ]\w+) (?:tomorrow|on \w+day|next week)\b.*\b(?:days|weeks)\b")


def witness(scene: Scene) -> Iterator[Proposal]:
    """ "you're my witness", "please be my best man": the addressee, unless a name stands there."""
    if match := _WITNESS.search(scene.text):
        who = (
            scene.talk.addressee
            if match["who"].lower() in ("you", "be", "please be")
            else scene.talk.person(match["who"])
        )
        yield from scene.fact(
            scene.talk.speaker, "wedding_witness", who, "witness", 0.7, Spec(kind="person", day=scene.today)
        )


_WEDDING = re.compile(
    r"\b(?:wedding|getting married|we marry|marry on|save the date|tie the knot)\b", re.IGNORECASE
)
_DATE_SET = re.compile(
    r"\b(?:have a date|new date|the date is|set a date|got a date|save the date|date is set)\b", re.IGNORECASE
)
_MARRIED = re.compile(
    r"\b(?:(?:i am|we are) (?:a )?(?:officially |now |finally )*(?:married|wife\b|a husband|husband and wife|wife and wife|husband and husband)"
    r"|we (?:just |finally |actually )?got married)\b(?! to\b)",
    re.IGNORECASE,
)
_PARTED = re.compile(
    r"\b(?:we are (?:not|no longer) together|not together any ?more|we (?:have )?(?:broke|broken|split) up|we split|broke up with me|it is over between us|"
    r"we called off the (?:wedding|engagement)|(?:the )?(?:wedding|engagement) is off)\b",
    re.IGNORECASE,
)
_OVER = re.compile(
    r"\b(?:(?P<name>[A-ZÀ-Þ][\w-]+) and (?:i|I|me)|(?:[Mm]e|i|I) and (?P<other>[A-ZÀ-Þ][\w-]+)) "
    r"(?:are (?:over|done|through|finished|no longer|not together)|(?:have )?(?:broke|broken|split))"
)
_AND_I = re.compile(
    rf"\b(?P<name>[A-ZÀ-Þ][\w-]+) and (?:i|I|me) (?:are|have been|were) (?:(?:{NUMBER}|a) (?:years?|months?)\b|together|a couple|an item|dating|engaged)"
)
_SEEING = re.compile(
    r"\bwe (?:are|have been|have started) (?:now |kind of |sort of |officially )*(?:seeing each other|dating|together\b|a couple|going out|an item)",
    re.IGNORECASE,
)
_SOMEONE = re.compile(
    r"\b(?:(?:been |am |started )(?:seeing|dating)|met) (?:someone|somebody)\b(?:,? (?:called|named))? ?(?P<name>.+)?",
    re.IGNORECASE,
)
_WITNESS = re.compile(
    r"\b(?P<who>you|please be|be|(?-i:[A-ZÀ-Þ])[\w-]+) (?:are |is |will be |as )?my (?:witness|best man|maid of honou?r|bridesmaid)\b",
    re.IGNORECASE,
)
