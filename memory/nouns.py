"""Nouns that lead from one person to another ("sister", "boss", "cat"), and the predicates that each may mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from memory.types import Fact
from memory.wordings import Wordings

SYNONYMS = {
    "mum": "mother",
    "mom": "mother",
    "mam": "mother",
    "mama": "mother",
    "dad": "father",
    "papa": "father",
    "grandma": "grandmother",
    "granny": "grandmother",
    "gran": "grandmother",
    "nan": "grandmother",
    "grandad": "grandfather",
    "grandpa": "grandfather",
    "girlfriend": "partner",
    "boyfriend": "partner",
    "fiancé": "fiance",
    "fiancée": "fiance",
    "fiancee": "fiance",
    "manager": "boss",
    "director": "boss",
    "employer": "workplace",
    "kid": "child",
    "puppy": "dog",
    "kitten": "cat",
    "baby": "child",
    "witness": "wedding_witness",
    "coworker": "colleague",
    "workmate": "colleague",
}
_PETS = "dog dogs cat cats parrot rabbit rabbits hamster horse budgie tortoise guinea_pig pet pets"
_CHILDREN = "child children daughter daughters son sons"
_GROUPS = {
    "partner": "partner fiance husband wife spouse girlfriend boyfriend",
    "husband": "husband spouse partner",
    "wife": "wife spouse partner",
    "fiance": "fiance spouse partner",
    "spouse": "husband wife spouse",
    "pet": _PETS,
    "animal": _PETS,
    "child": _CHILDREN,
    "children": _CHILDREN,
    "sibling": "brother brothers sister sisters sibling siblings half_sister half_brother",
    "parent": "mother father parent parents",
    "grandparent": "grandmother grandfather grandparents",
    "grandchild": "grandson granddaughter grandchild",
    "roommate": "roommate flatmate housemate",
    "flatmate": "roommate flatmate housemate",
    "housemate": "roommate flatmate housemate",
    "boss": "boss supervisor manager",
    "supervisor": "boss supervisor manager",
}
_KIN = {noun: frozenset(members.split()) for noun, members in _GROUPS.items()}


def groups_of(predicate: str) -> tuple[str, ...]:
    """The wider nouns that people use for it: "pet" and "animal" for a parrot."""
    return tuple(noun for noun, members in _KIN.items() if predicate in members)


def singular(noun: str) -> str:
    """The noun for one of them: "cats" becomes "cat", "puppies" "puppy"."""
    noun = noun.casefold()
    if noun.endswith("ies") and len(noun) > 4:
        return f"{noun[:-3]}y"
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") and len(noun) > 3 else noun


def forms(noun: str) -> frozenset[str]:
    """The noun, its singular, and what either is another word for."""
    plain = {noun.casefold(), singular(noun)}
    return frozenset(plain | {SYNONYMS[form] for form in plain if form in SYNONYMS})


class Relations:
    """Which of the predicates at hand a noun means."""

    def __init__(self, facts: Iterable[Fact], wordings: Wordings) -> None:
        self._by_noun: dict[str, set[str]] = defaultdict(set)
        for predicate in {fact.predicate for fact in facts}:
            for noun in (predicate.replace("_", " "), wordings.noun(predicate)):
                self._by_noun[noun.casefold()].add(predicate)

    def of(self, noun: str) -> set[str]:
        """Predicates that the noun names, its synonyms and nearer forms included."""
        found: set[str] = set()
        for form in forms(noun):
            found |= self._by_noun.get(form, set())
            for member in _KIN.get(form, ()):
                found |= self._by_noun.get(member.replace("_", " "), set())
        return found


def is_relation(noun: str) -> bool:
    """Whether the noun stands for somebody or a pet, known here or not: then only such facts can answer it."""
    return any(form in _KIN or form in _RELATIVES for form in forms(noun))


_RELATIVES = frozenset(
    [
        "mother",
        "father",
        "sister",
        "brother",
        "daughter",
        "son",
        "aunt",
        "uncle",
        "niece",
        "nephew",
        "cousin",
        "grandmother",
        "grandfather",
        "grandson",
        "granddaughter",
        "husband",
        "wife",
        "partner",
        "boss",
        "colleague",
        "friend",
        "landlord",
        "neighbour",
        "teacher",
        "doctor",
        "dog",
        "cat",
        "parrot",
        "horse",
        "rabbit",
        "godmother",
        "godfather",
        "mother-in-law",
        "father-in-law",
    ]
)
