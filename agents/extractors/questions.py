"""What a question asks for, and whether a reply gives it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agents.extractors.clauses import POSSESSIVE
from agents.extractors.dates import day_and_month, find_dates
from agents.extractors.discourse import Discourse, relation
from agents.extractors.lexicon import lexicon
from agents.extractors.names import take_name, take_organisation, take_phrase, take_place
from agents.extractors.numbers import NUMBER, to_int
from agents.extractors.patterns import spell
from agents.extractors.sentences import Sentence
from agents.extractors.values import is_drug, role_of
from memory.types import Episode

_SUBJECT = rf"(?:you|he|she|it|they|{POSSESSIVE} (?:[a-z]+ )?[\w-]+|(?:[A-ZÀ-Þ][\w-]+))"
_LEAD = re.compile(
    r"^(?:(?:a (?:woman|man|guy|girl|lady|bloke) (?:called|named)|yes|yeah|yep|oh|ah|ok|well|so|just|only|still|now|some|on|in|at|it is|she is|he is|i am|they are|a|an|as|the|about|around|called|"
    r"to|from|since|at the|she turns|he turns|turning|thank you|hm+|erm?|um|actually|no|probably|also|her name is|his name is)\b[\s,.:]*)+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the asker is after: a value of `kind` for `predicate` of `subject`."""

    subject: str
    predicate: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Form:
    ask: re.Pattern[str]
    predicate: str
    kind: str
    about: str


@cache
def _forms() -> tuple[_Form, ...]:
    rows = tomllib.loads(Path(__file__).with_name("questions.toml").read_text(encoding="utf-8"))["question"]
    made = []
    for row in rows:
        ask = row["ask"].replace("@SUBJECT@", _SUBJECT).replace("@POSS@", POSSESSIVE)
        made.append(
            _Form(
                re.compile(spell(ask), re.IGNORECASE),
                row["predicate"],
                row["kind"],
                row.get("about", "addressee"),
            )
        )
    return tuple(made)


def wanted(sentence: Sentence, talk: Discourse) -> Wanted | None:
    """What a question asks of the graph, if it is of a form we know."""
    for form in _forms():
        if match := form.ask.search(sentence.text):
            groups = match.groupdict()
            if form.predicate == "relation":
                return _wanted_name(groups, talk)
            if form.about == "dated":
                return _wanted_day(talk)
            subject = _about(form, groups, talk)
            return Wanted(subject, form.predicate, form.kind) if subject else None
    return None


def answer(want: Wanted, sentence: Sentence, episode: Episode) -> str | None:
    """The value a reply gives, read from its beginning; None where it gives none."""
    lead = _LEAD.match(sentence.text)
    rest = sentence.text[lead.end() :] if lead else sentence.text
    if re.match(r"(?:no idea|do not know|not sure|why|who|what|guess|secret|depends)\b", rest, re.IGNORECASE):
        return None
    return _read(want.kind, rest, sentence, episode)


def _read(kind: str, rest: str, sentence: Sentence, episode: Episode) -> str | None:
    is_cased = sentence.is_cased
    if kind == "place":
        return take_place(rest, is_cased)
    if kind == "organisation":
        return take_organisation(rest, is_cased) or take_organisation("the " + rest, is_cased)
    if kind == "person":
        name = take_name(rest, is_cased, most=2)
        return None if name is None or lexicon().is_ordinary(name.split()[0]) else name
    if kind == "named_subject":
        name = take_name(rest, is_cased, most=1)
        follows = name and re.match(
            r"\s*(?:is|was|has|'s|still|just|sleeps|eats)\b|\s*[,.!]?$", rest[len(name) :]
        )
        return name if follows and not lexicon().is_ordinary(str(name)) else None
    if kind == "role":
        found = re.match(r"(.+?) (?:at|for|with) (.+)", rest)
        where = take_organisation(found[2], is_cased) if found else None
        role = role_of(found[1] if found else rest)
        return f"{role} at {where}" if role and where else role
    if kind in ("date", "month_day"):
        days = [w for w in find_dates(sentence.text, episode.time) if w.precision != "duration"]
        if not days or (kind == "month_day" and not days[0].is_day):
            return None
        return day_and_month(days[0].day.date()) if kind == "month_day" else days[0].iso
    if kind == "age":
        found = re.match(
            rf"({NUMBER})\b(?! (?:minutes|hours|days|weeks|months|mg|km|metres))", rest, re.IGNORECASE
        )
        n = to_int(found[1]) if found else None
        return str(n) if n and n < 120 else None
    return _plain(kind, rest)


def _plain(kind: str, rest: str) -> str | None:
    if kind == "dose":
        found = re.search(r"\d[\d.,]* ?(?:mg|mcg|µg|ml|units)\b", rest)
        return found[0] if found else None
    if kind == "drug":
        found = re.match(r"[A-Za-z][\w-]{4,}", rest)
        return found[0].lower() if found and is_drug(found[0]) else None
    if kind == "breed":
        found = re.search(spell(r"\b(?:[\w-]+ )?(?:@BREEDS@)\b"), rest, re.IGNORECASE)
        return found[0].lower() if found else None
    if kind == "allergy":
        text = take_phrase(rest, most=3)
        return None if text is None or text.lower() in ("nothing", "nope", "none") else text
    if kind == "email":
        found = re.search(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", rest)
        return found[0] if found else None
    return take_phrase(rest, most=4)


def _wanted_day(talk: Discourse) -> Wanted | None:
    """A bare "when?": the day of what was last talked of."""
    days = {"interview": "interview_date", "wedding": "wedding_date", "baby": "due_date", "flight": "arrival"}
    topic = max(
        (t for t in days if talk.is_talked_of(t, within=3)), key=lambda t: talk.topics[t], default=None
    )
    subject = talk.kin.get(("", "expecting")) if topic == "baby" else talk.addressee
    return Wanted(subject, days[topic], "date") if topic and subject else None


def _about(form: _Form, groups: dict[str, str | None], talk: Discourse) -> str | None:
    if said := groups.get("s") or groups.get("s2"):
        return resolve(said, talk)
    if said := groups.get("p"):
        return talk.owner(said)
    if form.about == "topic":
        return talk.last_person(within=3) or talk.addressee
    if form.about == "animal":
        return next((m.name for m in reversed(talk.mentions) if m.is_animal), None)
    if form.about == "medicated":
        return talk.kin.get(("", "medicated"))
    return talk.addressee


def _wanted_name(groups: dict[str, str | None], talk: Discourse) -> Wanted | None:
    if how := groups.get("how"):
        kin = relation(how)
        owner = talk.addressee
        if kin is None or owner is None:
            return None
        name = talk.relative(owner, kin)
        talk.note(name, gender=kin.gender, is_animal=kin.is_animal)
        is_known = "'s " not in name or kin.predicate in ("relation", "mother", "father")
        return None if is_known else Wanted(owner, kin.predicate, "named_subject")
    word, poss = groups.get("rel") or groups.get("rel2"), groups.get("p") or groups.get("p2")
    kin = relation(word) if word else None
    owner = talk.owner(poss) if poss else None
    if kin is None or owner is None or kin.predicate == "relation":
        return None
    return Wanted(owner, kin.predicate, "person")


def resolve(said: str, talk: Discourse) -> str | None:
    """Whom a subject inside a question means."""
    if said.lower() in ("you", "he", "she", "it", "they", "him", "her"):
        return talk.pronoun({"him": "he", "her": "she"}.get(said.lower(), said))
    words = said.split()
    if len(words) > 1 and (owner := talk.owner(words[0])) and (kin := relation(words[-1])):
        return talk.relative(owner, kin)
    if len(words) == 1 and words[0].lower() not in lexicon().classes["not_names"]:
        return talk.person(said)
    return None
