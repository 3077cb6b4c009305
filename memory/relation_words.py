"""Words that say how two people are related: which predicates a word means, and what gender it gives away.

Tables and pure functions. Words are compared by `memory.names.key`. A word that a fact may also have filed under a
broader predicate ("husband" under `spouse`) lists it after a bar: such a fact fits where nothing speaks against it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from memory import names

_COUPLE = "partner boyfriend girlfriend fiance fiancee spouse husband wife"
# predicates [| broader predicates] : the words for them
_TABLE = f"""
mother | parent : mother mum mom mam mama mamma mummy mommy ma mãe madre mamá mutter mutti mère maman
father | parent : father dad daddy papa pa pop pai padre papá vater papi père
mother father parent : parent
sister | sibling : sister sis irmã hermana schwester soeur sorella
brother | sibling : brother bro irmão hermano bruder frère fratello
sister brother sibling : sibling
daughter | child : daughter filha hija tochter fille figlia
son | child : son filho hijo sohn fils figlio
daughter son child : child kid baby
grandmother | grandparent : grandmother grandma granny gran nan nana avó abuela oma grand-mère nonna babcia mormor farmor
grandfather | grandparent : grandfather grandpa grandad granddad gramps avô abuelo opa grand-père nonno morfar farfar
grandmother grandfather grandparent : grandparent
granddaughter | grandchild : granddaughter neta nieta enkelin petite-fille
grandson | grandchild : grandson neto nieto enkel petit-fils
granddaughter grandson grandchild : grandchild grandkid
aunt | aunt_or_uncle : aunt auntie aunty tia tante zia
uncle | aunt_or_uncle : uncle tio onkel oncle zio
niece | niece_or_nephew : niece sobrinha sobrina nichte nièce
nephew | niece_or_nephew : nephew sobrinho sobrino neffe neveu
cousin : cousin cuz primo prima cousine cugino cugina
husband | spouse partner : husband hubby marido esposo ehemann mari marito
wife | spouse partner : wife wifey missus esposa mulher ehefrau femme moglie
husband wife spouse | partner : spouse
boyfriend | partner : boyfriend namorado novio freund
girlfriend | partner : girlfriend namorada novia freundin
fiance fiancee : fiancé fiancée betrothed
{_COUPLE} : partner other-half better-half significant-other so
boss : boss manager supervisor chef jefe jefa chefe
employee : employee
colleague : colleague coworker co-worker workmate colega kollege kollegin collègue
roommate : roommate flatmate housemate
neighbour : neighbour neighbor vizinho vizinha vecino vecina nachbar nachbarin voisin voisine vicino vicina
best_friend friend : friend mate buddy bestie bff pal amigo amiga ami amie amico amica
mentor : mentor
teacher : teacher
stepmother : stepmother stepmum stepmom
stepfather : stepfather stepdad
stepsister : stepsister
stepbrother : stepbrother
godmother : godmother
godfather : godfather
"""
# a word that no fact need have filed: the ways from one person to the other
_PATHS: dict[str, tuple[tuple[str, ...], ...]] = {
    "mother-in-law": (("spouse", "mother"),),
    "father-in-law": (("spouse", "father"),),
    "sister-in-law": (("spouse", "sister"), ("brother", "wife")),
    "brother-in-law": (("spouse", "brother"), ("sister", "husband")),
    "daughter-in-law": (("child", "wife"),),
    "son-in-law": (("child", "husband"),),
    "grandmother": (("parent", "mother"),),
    "grandfather": (("parent", "father"),),
    "aunt": (("parent", "sister"),),
    "uncle": (("parent", "brother"),),
    "niece": (("sibling", "daughter"),),
    "nephew": (("sibling", "son"),),
    "cousin": (("parent", "sibling", "child"),),
    "granddaughter": (("child", "daughter"),),
    "grandson": (("child", "son"),),
    "grandchild": (("child", "child"),),
}
_GENDERED = {  # neutral predicate: hers, his
    "sibling": ("sister", "brother"),
    "parent": ("mother", "father"),
    "child": ("daughter", "son"),
    "grandparent": ("grandmother", "grandfather"),
    "grandchild": ("granddaughter", "grandson"),
    "spouse": ("wife", "husband"),
    "aunt_or_uncle": ("aunt", "uncle"),
    "niece_or_nephew": ("niece", "nephew"),
}
_GENDER = {word: gender for pair in _GENDERED.values() for word, gender in zip(pair, "fm", strict=True)}
_GENDER |= {"girlfriend": "f", "boyfriend": "m", "fiancee": "f"}
_NEUTRAL = {word: neutral for neutral, pair in _GENDERED.items() for word in pair}
_NEUTRAL |= {"girlfriend": "partner", "boyfriend": "partner", "fiancee": "fiance"}


def _set(spaced: str) -> frozenset[str]:
    return frozenset(spaced.split())


_ADJECTIVES = _set(
    "older younger elder eldest oldest youngest little big baby twin late dear new current own only beloved lovely "
    "poor best good close great favourite dearest"
)
_PAST = _set("ex former previous")
_PAST_AT_WORK = _set("boss colleague roommate neighbour")  # "my old boss", but not "my old friend"


@dataclass(frozen=True, slots=True)
class RelationWord:
    """What a word like "hubby" means. `paths` lead there over others where no fact does directly."""

    predicates: frozenset[str]
    broader: frozenset[str] = frozenset()
    paths: tuple[tuple[str, ...], ...] = ()
    is_past: bool = False


def _read() -> Mapping[str, RelationWord]:
    found: dict[str, RelationWord] = {}
    for line in _TABLE.strip().splitlines():
        meant, _, words = line.partition(" : ")
        predicates, _, broader = meant.partition("|")
        for word in words.split():
            key = names.key(word)
            found[key] = RelationWord(
                _set(predicates),
                _set(broader),
                _PATHS.get(predicates.split()[0], ()),
            )
    for word, paths in _PATHS.items():
        found.setdefault(word, RelationWord(frozenset({word.replace("-", "_")}), paths=paths))
    return found


_WORDS = _read()


def relation_word(said: str) -> RelationWord | None:
    """What the words mean, adjectives aside: "hubby", "ex-wife", "little sister"; None where they are no relation."""
    words = [word for word in re.split(r"\s+", names.key(said)) if word not in ("the", "a")]
    text = re.sub(r"^(ex|former|previous)[- ]", r"\1 ", " ".join(words))
    words, is_past, is_old = text.split(), False, False
    while len(words) > 1 and "-".join(words) not in _WORDS and words[0] in _ADJECTIVES | _PAST | {"old"}:
        is_past, is_old = is_past or words[0] in _PAST, is_old or words[0] == "old"
        words = words[1:]
    if words == ["ex"]:
        words, is_past = ["partner"], True
    found = _WORDS.get("-".join(words)) or _WORDS.get(" ".join(words))
    if found is None:
        return None
    is_past = is_past or (is_old and not found.predicates.isdisjoint(_PAST_AT_WORK))
    return RelationWord(found.predicates, found.broader, found.paths, is_past=is_past)


def words_for(predicate: str) -> tuple[str, ...]:
    """The predicate's name and every word that means this predicate before all."""
    own = (
        word for word, meant in _WORDS.items() if predicate in meant.predicates and len(meant.predicates) == 1
    )
    return tuple(dict.fromkeys((predicate, predicate.replace("_", " "), *own)))


def gender(predicate: str) -> str | None:
    """The gender of a fact's object that the predicate gives away: f, m, or None."""
    return _GENDER.get(predicate)


def neutral(predicate: str) -> str:
    """The predicate without gender: `sister` gives `sibling`."""
    return _NEUTRAL.get(predicate, predicate)


def counterparts(predicate: str) -> tuple[str, ...]:
    """The predicates of the same relation that say another gender: `mother` gives `father`."""
    return tuple(
        word
        for word, base in _NEUTRAL.items()
        if base == neutral(predicate) and gender(word) not in (None, gender(predicate))
    )


def of_gender(predicate: str, known: str | None) -> str:
    """The neutral predicate as it is for somebody of that gender: `sibling`, "f" gives `sister`."""
    pair = _GENDERED.get(predicate)
    if pair is None or known is None:
        return predicate
    return pair[0] if known == "f" else pair[1]
