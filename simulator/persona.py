"""What a persona brings to a turn: facts in their own words, and questions turned to them and from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from agents.turns import Persona
from memory import replies
from memory.types import Fact
from memory.wordings import Wordings, fill

_PAST = {
    "am": "was",
    "is": "was",
    "are": "were",
    "have": "had",
    "has": "had",
    "do": "did",
    "go": "went",
    "get": "got",
    "take": "took",
    "come": "came",
    "drive": "drove",
    "speak": "spoke",
    "teach": "taught",
    "study": "studied",
    "play": "played",
    "plan": "planned",
    "sing": "sang",
    "own": "owned",
    "work": "worked",
    "want": "wanted",
    "visit": "visited",
    "start": "started",
}
_VERB = re.compile(rf"\b({'|'.join(_PAST)}|(?<=\bI )(?:\w+))\b")


def own_words(fact: Fact, persona: Persona, wordings: Wordings, now: datetime | None = None) -> str:
    """A fact as the persona would say it: in the first person about themselves, by name about others.

    What is over by `now` is told in the past.
    """
    is_own = fact.subject == persona.name
    said = worded(fact.subject, fact.predicate, fact.object, persona.name, wordings)
    if now is None or fact.valid_to is None or fact.valid_to > now:
        return said
    return in_the_past(said) if is_own else replies.in_the_past(said)


def worded(subject: str, predicate: str, value: str, name: str, wordings: Wordings) -> str:
    """What holds of the subject, as whoever has that `name` says it: in the first person where they are the subject."""
    forms = wordings.first_person(predicate) if subject == name else wordings.statements(predicate)
    return fill(forms[0], subject=subject, object=value, predicate=predicate)


def in_the_past(said: str) -> str:
    """A sentence in the first person with its first verb in the past: "I live in Kotor." becomes "I lived in Kotor."."""
    plain = re.sub(r"\bI'm\b", "I am", re.sub(r"\bI've\b", "I have", said))
    return _VERB.sub(lambda match: _past(match[1]), plain, count=1)


def _past(verb: str) -> str:
    return _PAST.get(verb) or (f"{verb}d" if verb.endswith("e") else f"{verb}ed")


_PRONOUNS = {
    "you": "{persona}",
    "your": "{persona}'s",
    "yours": "{persona}'s",
    "i": "{partner}",
    "my": "{partner}'s",
    "me": "{partner}",
    "mine": "{partner}'s",
}
_SINGULAR = {"are": "is", "do": "does", "have": "has", "were": "was", "am": "is"}
_VERB_FIRST = re.compile(r"\b(are|do|have|were|am) (\{(?:persona|partner)\})", re.IGNORECASE)
_VERB_LAST = re.compile(
    r"(?P<helped>\b(?:did|does|do|will|would|can|could|should|shall|may|might|must) )?"
    r"(?P<who>\{(?:persona|partner)\}) (?P<verb>are|have|were|am)\b",
    re.IGNORECASE,
)


def in_third_person(text: str, persona: str, partner: str) -> str:
    """What was said to the persona, as a question about them: "where do you live?" asks where Ines lives."""
    words = re.sub(r"\byou're\b", "you are", text, flags=re.IGNORECASE)
    words = re.sub(
        r"\b(" + "|".join(_PRONOUNS) + r")\b",
        lambda match: _PRONOUNS[match.group().lower()],
        words,
        flags=re.IGNORECASE,
    )
    words = _VERB_FIRST.sub(lambda match: f"{_as(match[1], _SINGULAR[match[1].lower()])} {match[2]}", words)
    words = _VERB_LAST.sub(_agree, words)
    return words.replace("{persona}", persona).replace("{partner}", partner)


def _agree(match: re.Match[str]) -> str:
    """A verb after a name; one that another verb helps stays as it is ("did Ines have")."""
    if match["helped"]:
        return match[0]
    return f"{match['who']} {_SINGULAR[match['verb'].lower()]}"


_PLURAL = {"is": "are", "does": "do", "has": "have", "was": "were", "isn't": "aren't", "doesn't": "don't"} | {
    "hasn't": "haven't",
    "wasn't": "weren't",
}
_AGREEING = "|".join(re.escape(verb) for verb in _PLURAL)
_BEFORE_YOU = re.compile(rf"\b({_AGREEING})((?: \w+)?) (?=\{{you\}})", re.IGNORECASE)
_AFTER_YOU = re.compile(
    rf"((?<![\w] )\{{you\}}|\{{they\}}) ((?:\w+ly |still |now |also )?)({_AGREEING}|\w+s)\b"
)
_SUBJECT = {"he": "{they}", "she": "{they}", "his": "your", "himself": "yourself", "herself": "yourself"} | {
    "him": "you",
    "hers": "yours",
}


def in_second_person(text: str, names: Sequence[str], *, others: Sequence[str] = ()) -> str:
    """A question or statement about somebody, as it is said to them: "where does Ines live?" asks "where do you live?".

    `names` are theirs, `others` the names of everybody else: where none of those is in the text, "she" is them too.
    """
    forms = sorted({name for name in names if name}, key=len, reverse=True)
    spelled = "|".join(re.escape(form) for form in forms)
    if not spelled or not re.search(rf"\b(?:{spelled})\b", text):
        return text
    words = re.sub(rf"\b(?:{spelled})(?:'s|’s|s')(?= \w)", "your", text)
    words = re.sub(rf"\b(?:{spelled})(?:'s|’s)?(?!\w)", "{you}", words)
    if not any(re.search(rf"\b{re.escape(name)}\b", words) for name in others if name):
        words = re.sub(r"\bher(?= (?!and\b|in\b|at\b|to\b|on\b|for\b|with\b|from\b)\w)", "your", words)
        words = re.sub(r"\bher\b", "you", words)
        pronoun = rf"\b({'|'.join(_SUBJECT)})\b"
        words = re.sub(pronoun, lambda match: _SUBJECT[match[1]], words)
    words = _BEFORE_YOU.sub(lambda match: f"{_as(match[1], _PLURAL[match[1].lower()])}{match[2]} ", words)
    words = re.sub(
        rf"\b({_AGREEING}) (?=\{{they\}})", lambda m: f"{_as(m[1], _PLURAL[m[1].lower()])} ", words
    )
    words = _AFTER_YOU.sub(lambda m: f"{m[1]} {m[2]}{_plural(m[3])}", words)
    words = words.replace("{they}", "you").replace("{you}", "you")
    return words[:1].upper() + words[1:] if text[:1].isupper() else words


def _as(before: str, after: str) -> str:
    return after.capitalize() if before[:1].isupper() else after


def _plural(verb: str) -> str:
    """The verb as it stands after "you": "lives" becomes "live"; what is no verb of the third person stays."""
    if verb in _PLURAL:
        return _PLURAL[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return f"{verb[:-3]}y"
    if re.search(r"(?:sh|ch|ss|x|o)es$", verb):
        return verb[:-2]
    return verb[:-1] if re.search(r"[^su']s$", verb) and len(verb) > 3 else verb
