"""Who is whose: "my brother dan", "Leela, my cousin", "new boss since the 1st. paula ekström", "uncle Pat"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agents.extractors.clauses import POSSESSIVE, RELATIVE, SUBJECT, subject_of
from agents.extractors.discourse import Discourse, relation
from agents.extractors.lexicon import Relation, lexicon
from agents.extractors.names import take_name
from agents.extractors.patterns import spell
from agents.extractors.sentences import Sentence


@dataclass(frozen=True, slots=True)
class Kinship:
    """`name` is `relation` of `owner`; `is_new` where the words say it is a change."""

    owner: str
    relation: Relation
    name: str
    rule: str
    confidence: float
    at: int
    is_new: bool = False


_ADJECTIVE = r"(?:(?:[a-z-]+) ){0,2}"
_MY_NAMED = re.compile(
    spell(
        rf"\b{RELATIVE}(?:,? (?:is |was )?(?:called|named)|'s (?:called|named|name is)|'s name is| is called|,|:| is(?: now| still)?)? (?P<rest>[^\s,.!?].*)"
    ),
    re.IGNORECASE,
)
_OF_NAMED = re.compile(
    spell(
        rf"\b(?P<name>(?-i:[A-ZÀ-Þ])[\w-]+(?: (?-i:[A-ZÀ-Þ])[\w-]+)?)(?P<sep>,| is| was|'s|) (?P<poss>{POSSESSIVE}) {_ADJECTIVE}(?P<rel>@REL@)\b(?!'s)"
    ),
    re.IGNORECASE,
)
_PRONOUN_IS = re.compile(
    spell(rf"\b(?P<pron>he|she) is (?P<poss>{POSSESSIVE}) {_ADJECTIVE}(?P<rel>@REL@)\b(?!'s)"), re.IGNORECASE
)
_CALLED = re.compile(
    spell(r"\b(?P<a>the|a|an|our|new) (?:new |first )?(?P<rel>@REL@)(?: is)? (?:called|named) (?P<rest>.+)"),
    re.IGNORECASE,
)
_NEW = re.compile(spell(r"\b(?:a |my |our |got a |have a )?new (?P<rel>@REL@)\b(?P<rest>.*)"), re.IGNORECASE)
_NAME_IS = re.compile(r"\b(?P<poss>his|her|their) name is (?P<rest>.+)", re.IGNORECASE)
_NEWBORN = re.compile(
    spell(r"\b(?:born|baby|girl|boy|twins|adopted|shelter|rescue|puppy|kitten|@BREEDS@)\b"), re.IGNORECASE
)
_TITLE = re.compile(
    r"\b(?P<rel>nan|nana|gran|grandma|granny|grandpa|grandad|granddad|auntie|aunt|uncle|avó|avô|abuela|abuelo|oma|opa|nonna|nonno|mormor|"
    r"farmor|morfar|farfar|tia|tio|babcia) (?P<rest>(?-i:[A-ZÀ-Þ]).+)",
    re.IGNORECASE,
)
_GOT_ANIMAL = re.compile(
    spell(
        r"\b(?:adopted|rescued|got|bought|have|has|picked up|brought home|meet)\b[^.!?]{0,40}?\b(?P<rel>dog|puppy|pup|cat|kitten|rabbit|"
        r"hamster|horse|pony|parrot|tortoise|boat)\b(?:,? (?:and )?(?:called|named|name of|(?:her|his|its) name is)|[,:])? (?P<rest>.+)"
    ),
    re.IGNORECASE,
)


def kinships(sentence: Sentence, talk: Discourse, following: Sentence | None) -> Iterator[Kinship]:
    """Relations that one sentence states. `following` serves "new boss. paula ekström"."""
    if sentence.words.isdisjoint(lexicon().relations) and "name" not in sentence.words:
        return
    text, is_cased = sentence.text, sentence.is_cased
    for match in _MY_NAMED.finditer(text):
        yield from _one(
            talk, match, talk.owner(match["poss"]), _named(match["rest"], is_cased, talk), "my-relation", 0.9
        )
    for match in _OF_NAMED.finditer(text):
        opens = match.start() == 0 and lexicon().is_ordinary(match["name"].split()[0])
        is_theirs = match["sep"] == "'s" and match["poss"].lower() not in ("my", "our", "your")
        if not is_theirs and not opens:
            confidence = 0.85 if match["sep"] == "," else 0.9
            yield from _one(talk, match, talk.owner(match["poss"]), match["name"], "is-relation", confidence)
    for match in _PRONOUN_IS.finditer(text):
        yield from _one(
            talk, match, talk.owner(match["poss"]), talk.pronoun(match["pron"]), "is-relation", 0.75
        )
    for match in _CALLED.finditer(text):
        if match["a"].lower() in ("our", "new") or _HAS.search(text[: match.start("rel")]):
            owner, name = _holder(text, match, talk), _named(match["rest"], is_cased, talk)
            yield from _one(talk, match, owner, name, "relation-called", 0.85)
    for match in _TITLE.finditer(text):
        before = text[: match.start()].lower().rstrip().split(" ")[-1]
        if before not in ("my", "your", "his", "her", "our") and not before.endswith("'s"):
            yield from _one(
                talk, match, talk.speaker, _named(match["rest"], True, talk), "family-title", 0.55
            )
    if not _NEWBORN.search(text + talk.message):
        for match in _NAME_IS.finditer(text):
            unnamed = talk.unnamed(match["poss"].lower())
            if unnamed and (name := _named(match["rest"], is_cased, talk)):
                yield Kinship(*unnamed, name, "name-is", 0.8, match.start())
    for match in _GOT_ANIMAL.finditer(text):
        owner, name = _holder(text, match, talk), _named(match["rest"], is_cased, talk)
        yield from _one(talk, match, owner, name, "got-animal", 0.75, is_new=True)
    if new := _NEW.search(text):
        yield from _newly(talk, new, is_cased, following)


def _holder(text: str, match: re.Match[str], talk: Discourse) -> str | None:
    """Who has whom a phrase tells of: "Jule has a new boyfriend called Piet"; the speaker where nobody is named."""
    before = text[: match.start("rel")]
    if found := list(_HAS.finditer(before)):
        subject = SUBJECT.search(before[: found[-1].start() + 1])
        return subject_of(subject, talk) if subject else talk.speaker
    return talk.speaker


_HAS = re.compile(r" (?:has|have|had|got|gets|is getting|adopted|bought|rescued|took|found)\b", re.IGNORECASE)


def echoes(sentence: Sentence, talk: Discourse) -> Iterator[Kinship]:
    """Ties that the answer to a name gives away: "ebba is pregnant" - "Your little sister!!"; "my mum ..." - "say hi to sunita"."""
    pointed = _POINTED.search(talk.previous)  # "is she still up north" - "My sister lives in Oulu, yes"
    name = talk.last_person(within=3 if pointed else 1, is_before=True)
    if name and (match := _ECHO.match(sentence.text)) and (kin := relation(match["rel"])):
        owner = talk.owner(match["poss"])
        is_asked = match["poss"].lower() == "your" or pointed or _ASKED.search(talk.previous)
        fits = talk.genders.get(name, kin.gender) == kin.gender or kin.gender == "?"
        is_free = (
            name not in (n for (of, _), n in talk.kin.items() if of)
            and owner is not None
            and (owner, kin.word) not in talk.kin
        )
        if is_asked and fits and is_free and owner and talk.is_personal(name) and not talk.is_place(name):
            yield Kinship(owner, kin, name, "echo", 0.65, 0)
    if match := _GREETED.search(sentence.text):
        yield from _greeted(match, sentence, talk)


def _greeted(match: re.Match[str], sentence: Sentence, talk: Discourse) -> Iterator[Kinship]:
    name = _named(match["name"], sentence.is_cased, talk)
    for mention in reversed(talk.mentions):
        owner, _, word = mention.name.partition("'s ")
        kin = relation(word) if word else None
        if talk.at - mention.at > 2:
            return
        if kin and name and owner == talk.addressee and not talk.is_speaker(name):
            yield Kinship(owner, kin, name, "greeted", 0.6, match.start())
            return


_ECHO = re.compile(
    spell(
        rf"(?:(?:oh|what|wow|no|yes|yea|yeah|yep|well|so|aw+|ah|hey|omg|haha)\b[\s,!.]*)*(?P<poss>your|my) {_ADJECTIVE}(?P<rel>@REL@)\b(?!'s)(?! (?-i:[A-Z]))"
    ),
    re.IGNORECASE,
)
_POINTED = re.compile(r"\b(?:he|she|him|her)\b", re.IGNORECASE)
_ASKED = re.compile(r"\?|^(?:ask|tell|greet|say (?:hi|hello)|how|is|did|what about)\b", re.IGNORECASE)
_GREETED = re.compile(
    r"\b(?:say (?:hi|hello) to|greet|(?:my )?love to|hug|kiss|give|regards to|hello to)\s+(?P<name>\S.+)",
    re.IGNORECASE,
)


def _newly(
    talk: Discourse, match: re.Match[str], is_cased: bool, following: Sentence | None
) -> Iterator[Kinship]:
    rest = re.sub(
        r"^[\s,:]*(?:is |called |named |(?:a )?(?:guy|woman|man|lady|girl) (?:named|called) )*",
        "",
        match["rest"],
    )
    name = _named(rest, is_cased, talk)
    if name is None and following is not None:
        lead = re.match(
            r"(?:(?:his|her|their|the) name is |(?:she|he|it) is (?:called|named) |called |named )?",
            following.text,
            re.IGNORECASE,
        )
        whole = following.text[lead.end() :] if lead else following.text
        name = _named(whole, following.is_cased, talk)
        if name and len(whole.split()) > len(name.split()) + 6:
            name = None
    yield from _one(talk, match, talk.speaker, name, "new-relation", 0.8, is_new=True)


def _named(text: str, is_cased: bool, talk: Discourse) -> str | None:
    name = take_name(text, is_cased, most=2)
    if name is None or name.lower().split()[0] in lexicon().relations:
        return None
    return talk.person(name)


def _one(
    talk: Discourse,
    match: re.Match[str],
    owner: str | None,
    name: str | None,
    rule: str,
    confidence: float,
    *,
    is_new: bool = False,
) -> Iterator[Kinship]:
    kin = relation(match["rel"])
    if owner is None or kin is None or name is None or name == owner:
        return
    if lexicon().is_in(name.split()[0], "not_names"):
        return
    if name in (talk.speaker,) and owner == talk.speaker:
        return
    yield Kinship(owner, kin, name, rule, confidence, match.start(), is_new)
