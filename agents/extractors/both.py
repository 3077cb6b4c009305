"""Facts by rules and by a language model together: the rules' are all kept, the model adds what they left out.

Where both speak of the same subject and matter, the rules' reading stands: the model's repeats it, or reads the same
words otherwise. What the model cannot read waits; what the rules found in it is kept all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from memory import names, values
from memory.ports import Extractor, PatientExtractor, Reading, Roster
from memory.registry import Registry
from memory.types import Episode, FactCandidate


class UnionExtractor:
    """Implements PatientExtractor."""

    def __init__(self, rules: Extractor, model: PatientExtractor, registry: Registry) -> None:
        self.name = f"{rules.name}+{model.name}"
        self._rules, self._model, self._registry = rules, model, registry

    def extract(self, episodes: Sequence[Episode], roster: Roster) -> list[FactCandidate]:
        """Raises what the model raises where a message could not be read."""
        ruled = self._rules.extract(episodes, roster)
        return [*ruled, *self._added(ruled, self._model.extract(episodes, roster))]

    def read(self, episodes: Sequence[Episode], roster: Roster) -> Reading:
        ruled = self._rules.extract(episodes, roster)
        modelled = self._model.read(episodes, roster)
        return Reading([*ruled, *self._added(ruled, modelled.candidates)], modelled.unread)

    def _added(
        self, ruled: Sequence[FactCandidate], modelled: Sequence[FactCandidate]
    ) -> list[FactCandidate]:
        return [fact for fact in modelled if not any(self._is_settled_by(rule, fact) for rule in ruled)]

    def _is_settled_by(self, rule: FactCandidate, fact: FactCandidate) -> bool:
        """Whether the rules said it already, or read the same message otherwise about one value at a time."""
        predicate = self._registry.get(rule.predicate)
        if predicate.name != self._registry.get(fact.predicate).name or not _are_one(
            rule.subject, fact.subject
        ):
            return False
        if values.normal(rule.object) == values.normal(fact.object):
            return True
        is_shared = not set(rule.episode_ids).isdisjoint(fact.episode_ids)
        return is_shared and predicate.cardinality == "one"


def _are_one(first: str, second: str) -> bool:
    """Whether two names may be one person's: all words of the shorter are in the longer."""
    a, b = set(names.key(first).split()), set(names.key(second).split())
    return bool(a and b) and (a <= b or b <= a)
