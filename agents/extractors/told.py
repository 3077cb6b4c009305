"""What people say beside what they say: "my aunt in Nagpur", "the caretaker Veikko", "happy birthday Mam!! 69"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agents.extractors.clauses import RELATIVE
from agents.extractors.discourse import relation
from agents.extractors.lexicon import lexicon
from agents.extractors.names import take_name, take_place
from agents.extractors.numbers import NUMBER, to_int
from agents.extractors.patterns import spell
from agents.extractors.proposal import Proposal
from agents.extractors.scene import Scene, Spec


def whereabouts(scene: Scene) -> Iterator[Proposal]:
    """ "my aunt in Nagpur", "mum called from Iloilo", "over at Ammi's in Bradford": where somebody is at home."""
    talk = scene.talk
    for match in _RELATIVE_IN.finditer(scene.text):
        kin, owner = relation(match["rel"]), talk.owner(match["poss"])
        place = _town(match["place"], scene)
        if kin and owner and place and not kin.is_animal and not kin.is_thing:
            name = talk.person(match["relname"]) if match["relname"] else talk.relative(owner, kin)
            yield from scene.fact(
                name, "lives_in", place, "relative-in", 0.65, Spec(kind="place", day=scene.today)
            )
    for match in _PERSON_IN.finditer(scene.text):
        place = _town(match["place"], scene)
        if place:
            who = _person(match["name"], scene)
            yield from scene.fact(
                who, "lives_in", place, "person-in", 0.6, Spec(kind="place", day=scene.today)
            )


def _town(text: str, scene: Scene) -> str | None:
    """A place that is a town or country for sure: one that is listed, or that others live or are in."""
    place = take_place(text, scene.sentence.is_cased)
    is_known = place is not None and (lexicon().is_in(place, "gazetteer") or scene.talk.is_place(place))
    return place if is_known else None


def _person(name: str, scene: Scene) -> str | None:
    """Somebody the talk knows as a person already; a name that nobody has heard may be a shop's."""
    person = scene.talk.person(name)
    is_known = person in scene.talk.people and not scene.talk.is_place(person)
    return person if is_known and not scene.talk.is_speaker(person) else None


def trade(scene: Scene) -> Iterator[Proposal]:
    """ "the caretaker Veikko", "a doctor called Ingrid Solheim": what somebody is, said with their name."""
    for match in _TRADE.finditer(scene.text):
        name = take_name(match["rest"], True, most=2)
        head = match["job"].lower()
        if name is None or head in lexicon().classes["joke_titles"] or scene.talk.is_place(name):
            continue
        person = scene.talk.person(name)
        scene.talk.note(person)
        yield from scene.fact(person, "job", head, "trade", 0.65, Spec(day=scene.today))


def greeted_age(scene: Scene) -> Iterator[Proposal]:
    """ "HAPPY BIRTHDAY FIADH 12!!!!", "Happy birthday hermanita!! Thirty!": of whoever is greeted by name, else the other."""
    said = scene.sentences[scene.index : scene.index + 2]
    match = _GREETED.search(" ".join(sentence.text for sentence in said if not sentence.is_question))
    n = to_int(match["n"]) if match else None
    if match is None or n is None or not 0 < n < 110:
        return
    named = take_name(match["who"] or "", True, most=1)
    kin = relation((match["who"] or "").split()[-1]) if match["who"] else None
    person = scene.talk.person(named) if named and not kin else scene.talk.addressee
    if kin and not kin.is_animal:
        person = scene.talk.addressee or scene.talk.relative(scene.talk.speaker, kin)
    yield from scene.fact(person, "age", str(n), "greeted-age", 0.7, Spec(day=scene.today))


_RELATIVE_IN = re.compile(
    spell(rf"\b{RELATIVE}(?!'s)(?:,? (?P<relname>(?-i:[A-ZÀ-Þ])[\w-]+))?(?: (?:is|are|was|still|back|over|up|down|out|called|rang|phoned))*"
          r" (?:in|from) (?P<place>(?-i:[A-ZÀ-Þ])[^.!?,]*)"),
    re.IGNORECASE,
)  # fmt: skip
_PERSON_IN = re.compile(
    r"\b(?P<name>[A-ZÀ-Þ][\w-]+)(?:'s(?: place| house| flat)? in| (?:has |just )?(?:called|rang|phoned|texted|wrote)(?: (?:me|us))? from) "
    r"(?P<place>[A-ZÀ-Þ][^.!?,]*)"
)
_TRADE = re.compile(
    rf"\b(?:[Tt]he|[Aa]n?|[Oo]ur|[Mm]y) (?:new |old )?(?P<job>{'|'.join(sorted(map(re.escape, lexicon().classes['occupations']), key=len, reverse=True))})"
    r",? (?:called |named )?(?P<rest>[A-ZÀ-Þ][\w-]+(?: [A-ZÀ-Þ][\w-]+)?)"
)
_GREETED = re.compile(
    rf"\bhappy (?:birthday|b-?day)(?: to)?,? ?(?:my |our |little |dear )*(?P<who>[^\W\d_][\w-]*)?[\s!,.]+(?P<n>{NUMBER})(?! ?(?:pm|am|:|th|st|nd|rd|o'clock))\b",
    re.IGNORECASE,
)
