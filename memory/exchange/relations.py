"""What other programs call a relation, as a predicate: `worksAt` is `workplace`, `sister_of` is `sister` turned round."""

from __future__ import annotations

import re

from memory import names
from memory.registry import Registry

_SAME = {  # their word -> ours
    "workplace": "works_at works_for works_in employed_by employed_at employee_of job_at",
    "lives_in": "lives_at resides_in living_in",
    "spouse": "married_to",
    "fiance": "engaged_to",
    "partner": "dating in_a_relationship_with partner_of partners_with",
    "friend": "friends_with friend_of friends",
    "neighbour": "neighbor neighbor_of neighbour_of",
    "roommate": "roommate_of lives_with flatmate flatmate_of",
    "colleague": "colleague_of coworker coworker_of works_with",
    "cousin": "cousin_of",
    "boss": "reports_to managed_by works_under",
    "school": "studies_at attends studied_at student_at",
    "likes": "loves enjoys fond_of",
    "dislikes": "hates",
    "owns": "owner_of",
    "speaks": "speaks_language",
    "allergy": "allergic_to",
    "child": "parent_of",
}
_TURNED = {"boss": "manages boss_of manager_of", "child": "child_of", "workplace": "employs employer_of"}

_OURS = {theirs: ours for ours, said in _SAME.items() for theirs in said.split()}
_OURS_TURNED = {theirs: ours for ours, said in _TURNED.items() for theirs in said.split()}


def words(relation: str) -> str:
    """The relation as it is read in a sentence: "worksAt" as "works at"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", relation)
    return " ".join(re.sub(r"[_\W]+", " ", spaced).split()).casefold()


def predicate(relation: str, registry: Registry) -> tuple[str, bool]:
    """The predicate and whether subject and object change places; ("", False) for a relation without a letter.

    What the registry does not know stays as it was said, and is `many` as every unknown predicate.
    """
    said = re.sub(r"\W+", "_", names.key(words(relation))).strip("_")
    plain = re.sub(r"^(?:is|are|has|have)_(?:an?_|the_)?", "", said) or said
    for form in (said, plain):
        if form in _OURS_TURNED:
            return _OURS_TURNED[form], True
        if form in _OURS:
            return _OURS[form], False
    base = plain.removesuffix("_of")
    if base != plain and registry.get(base).is_known and registry.get(base).object == "person":
        return base, True
    if registry.get(plain).is_known:
        return plain, False
    return said[:64], False
