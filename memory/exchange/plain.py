"""Notes that state one thing outright, as other programs word them: "Likes tea", "Favorite color: blue", "Wife is Sofia".

An extractor reads what people say, where "likes" means little and half a sentence nothing. A note is a statement
that a program made of what was said, so its plain forms are taken at their word. Whatever does not fit one of them, or
says more than one thing, is left to the extractor.
"""

from __future__ import annotations

import re

from memory import names
from memory.registry import Predicate, Registry
from memory.types import Episode, FactCandidate

RULE = "plain note"
_SURE = 0.8
_VERBS = {
    "likes": r"likes?|loves?|enjoys?|prefers?|is fond of|is interested in|is passionate about|adores?",
    "dislikes": r"dislikes?|hates?|avoids?|(?:does not|doesn['’]t) like|can(?:not|['’]t) stand",
    "owns": r"owns?",
    "fears": r"fears?|is afraid of|is scared of",
    "wants": r"wants?|would like",
}
_VERB = [
    (predicate, re.compile(rf"(?:{verbs})\s+(.+)", re.IGNORECASE)) for predicate, verbs in _VERBS.items()
]
_NAMED = re.compile(
    r"(?:(?:has|have)\s+)?(?:(?:his|her|their|the|an?)\s+)?([\w -]+?)(?:['’]s name)?"
    r"\s*(:|\bis (?:called|named)|\b(?:called|named)|\bis)\s+(.+)",
    re.IGNORECASE,
)
_FAVOURITE = re.compile(r"favou?rite\s+([\w ]+)", re.IGNORECASE)
_SAME = {  # what a value is called in notes -> our predicate
    "name": "full_name",
    "full name": "full_name",
    "city": "lives_in",
    "location": "lives_in",
    "home": "lives_in",
    "occupation": "job",
    "profession": "job",
    "role": "job",
    "employer": "workplace",
    "company": "workplace",
    "phone": "phone_number",
    "mobile": "phone_number",
    "email address": "email",
    "girlfriend": "partner",
    "boyfriend": "partner",
    "manager": "boss",
    "mum": "mother",
    "mom": "mother",
    "dad": "father",
    "language": "speaks",
    "date of birth": "birthday",
    "pet": "pet",
}
# what may follow a bare "is": "birthday is 3 March" states it, "job is hard" does not state the job
_STATED = frozenset(
    [
        "birthday",
        "age",
        "email",
        "phone_number",
        "address",
        "full_name",
        "nickname",
        "nationality",
        "lives_in",
        "hometown",
    ]
)
_LONGEST = 80  # characters of a value; a longer one is more than one thing


def plain_fact(
    about: str, kind: str, sentence: str, episode: Episode, registry: Registry
) -> FactCandidate | None:
    """The one fact that the sentence about `about` states outright, or None."""
    if len(sentence) > len(about) + 3 * _LONGEST:
        return None
    said = re.sub(rf"^{re.escape(about)}(?:['’]s)?\s+", "", sentence.strip(), flags=re.IGNORECASE)
    found = _verb(said) or _value(said, registry)
    if found is None or not _is_one_thing(found[1]):
        return None
    predicate, value = found
    known = registry.get(predicate)
    return FactCandidate(
        subject=about,
        predicate=predicate,
        object=value,
        episode_ids=(episode.id,),
        asserted_by="",
        confidence=_SURE,
        rule=RULE,
        subject_kind=kind,
        object_kind=known.object if known.object in ("person", "place", "organisation") else None,
    )


def _verb(said: str) -> tuple[str, str] | None:
    for predicate, verbs in _VERB:
        if match := verbs.fullmatch(said):
            return predicate, match[1].strip(" .")
    return None


def _value(said: str, registry: Registry) -> tuple[str, str] | None:
    match = _NAMED.fullmatch(said)
    if match is None:
        return None
    key, value = " ".join(match[1].casefold().split()), match[3].strip(" .")
    if favourite := _FAVOURITE.fullmatch(key):
        return "favourite_" + "_".join(favourite[1].split()), value
    predicate = _SAME.get(key, key.replace(" ", "_").replace("-", "_"))
    is_said = match[2].casefold() != "is" or predicate in _STATED or _is_name(value, registry.get(predicate))
    return (predicate, value) if is_said and registry.get(predicate).is_known else None


def _is_name(value: str, predicate: Predicate) -> bool:
    """Whether "her sister is …" names the sister: "Marta" does, "ill" does not."""
    return predicate.object in ("person", "thing") and value[:1].isupper()


def _is_one_thing(value: str) -> bool:
    return bool(
        0 < len(value) <= _LONGEST
        and names.key(value)
        and not re.search(
            r"[;?!]|\.\s|\b(?:but|because|who|which|when|not|no longer)\b", value, re.IGNORECASE
        )
    )
