"""The entities and relations of a space in memory, and how they are searched.

Exact: a name is its characters, two entities may share one, and the order is that of their coming. `words` are compared
as the memory server does: lower-cased, anywhere in a name, a type or an observation.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

from memory.entities.trigrams import LEAST, Trigrams

_END = "\0"  # closes each text of an entity; the store holds none
_SEARCHES = 4  # of one state, after which sorting its trigrams is worth while
_OF_TEXTS = ("_haystack", "_starts", "_trigrams", "_noted")  # what is derived from what the entities say


@dataclass(frozen=True, slots=True)
class Observation:
    id: str
    text: str
    episode_id: str | None  # the note that stands for it; None where it holds no words


@dataclass(frozen=True)
class Entity:
    id: str
    name: str
    entity_type: str
    observations: tuple[Observation, ...] = ()
    episode_id: str | None = None  # the note that says its type

    @cached_property
    def row(self) -> dict[str, Any]:
        """As the memory server shows it. Shared between answers: not to be changed."""
        texts = [item.text for item in self.observations]
        return {"name": self.name, "entityType": self.entity_type, "observations": texts}

    @cached_property
    def as_text(self) -> str:
        return pretty(self.row)

    @cached_property
    def searched(self) -> str:
        texts = (self.name, self.entity_type, *(item.text for item in self.observations))
        return "".join(text.lower() + _END for text in texts)

    @property
    def episodes(self) -> set[str]:
        """The notes that stand for it."""
        held = {item.episode_id for item in self.observations} | {self.episode_id}
        return {episode_id for episode_id in held if episode_id is not None}


@dataclass(frozen=True)
class Relation:
    id: str
    source: str
    target: str
    relation_type: str
    episode_id: str | None = None

    @cached_property
    def row(self) -> dict[str, Any]:
        return {"from": self.source, "to": self.target, "relationType": self.relation_type}

    @cached_property
    def as_text(self) -> str:
        return pretty(self.row)

    @property
    def triple(self) -> tuple[str, str, str]:
        return self.source, self.target, self.relation_type


@dataclass(frozen=True, slots=True)
class Part:
    """Some entities and relations, in their order."""

    entities: Sequence[Entity]
    relations: Sequence[Relation]

    def as_json(self) -> dict[str, Any]:
        return {
            "entities": [entity.row for entity in self.entities],
            "relations": [relation.row for relation in self.relations],
        }

    def as_text(self) -> str:
        """`as_json` with two spaces for each level; equal to what `pretty` makes of it, and much faster."""
        entities = _listed(entity.as_text for entity in self.entities)
        relations = _listed(relation.as_text for relation in self.relations)
        return f'{{\n  "entities": {entities},\n  "relations": {relations}\n}}'


def pretty(value: Any) -> str:
    """JSON as people read it: two spaces for each level, every character as itself."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _listed(texts: Iterable[str]) -> str:
    inner = ",\n".join(texts)
    return "[\n    " + inner.replace("\n", "\n    ") + "\n  ]" if inner else "[]"


@dataclass
class Graph:
    """`version` is the store's word for this state. What is derived from the lists is made when it is asked for."""

    version: str | None = None
    entities: list[Entity] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    n_places: int = 0  # the place of whatever comes next
    _n_searched: int = 0  # since the entities changed

    def add(self, entity: Entity) -> None:
        self.places.setdefault(entity.name, len(self.entities))
        self.entities.append(entity)
        self._forget(*_OF_TEXTS)

    def put(self, place: int, entity: Entity) -> None:
        """The entity in place of the one that stands there, under the same name."""
        self.entities[place] = entity
        self._forget(*_OF_TEXTS)

    def drop(self, entity_ids: Collection[str]) -> None:
        self.entities = [entity for entity in self.entities if entity.id not in entity_ids]
        self._forget("places", *_OF_TEXTS)

    def relate(self, relation: Relation) -> None:
        self.relations.append(relation)
        self._forget("_ends", "_noted")

    def unrelate(self, relation_ids: Collection[str]) -> None:
        self.relations = [relation for relation in self.relations if relation.id not in relation_ids]
        self._forget("_ends", "_noted")

    def _forget(self, *derived: str) -> None:
        if "_trigrams" in derived:
            self._n_searched = 0
        for name in derived:
            self.__dict__.pop(name, None)

    @cached_property
    def places(self) -> dict[str, int]:
        """Where the first entity of each name stands."""
        found: dict[str, int] = {}
        for place, entity in enumerate(self.entities):
            found.setdefault(entity.name, place)
        return found

    @cached_property
    def _haystack(self) -> str:
        return "".join(entity.searched for entity in self.entities)

    @cached_property
    def _starts(self) -> list[int]:
        """Where each entity begins in the haystack, and its end."""
        return list(accumulate((len(entity.searched) for entity in self.entities), initial=0))

    @cached_property
    def _ends(self) -> dict[str, list[int]]:
        """The relations that begin or end at each name."""
        found: dict[str, list[int]] = defaultdict(list)
        for place, relation in enumerate(self.relations):
            for name in {relation.source, relation.target}:
                found[name].append(place)
        return found

    @cached_property
    def _noted(self) -> dict[str, list[int]]:
        """By note, the entities for which it stands; of a relation, those at its ends."""
        found: dict[str, list[int]] = defaultdict(list)
        for place, entity in enumerate(self.entities):
            for episode_id in entity.episodes:
                found[episode_id].append(place)
        for relation in self.relations:
            if relation.episode_id is not None:
                ends = (self.places.get(name) for name in (relation.source, relation.target))
                found[relation.episode_id] += [place for place in ends if place is not None]
        return found

    def noted_by(self, episode_id: str) -> list[Entity]:
        """The entities for which the note stands."""
        return [self.entities[place] for place in self._noted.get(episode_id, ())]

    def whole(self) -> Part:
        return Part(self.entities, self.relations)

    def named(self, names: Collection[str]) -> Part:
        """The entities of these names, and every relation at one of them."""
        wanted = set(names)
        return self.part([entity for entity in self.entities if entity.name in wanted])

    def containing(self, words: str) -> Part:
        """The entities with these words in a name, a type or an observation, and every relation at one of them."""
        wanted = words.lower()
        if _END in wanted:
            return self.part([])
        self._n_searched += 1
        is_worth_it = self._n_searched > _SEARCHES and len(wanted) >= LEAST
        places = self._trigrams.find(wanted) if is_worth_it else None
        if places is None:
            places = self._looked_through(wanted)
        return self.part([self.entities[place] for place in places])

    def _looked_through(self, wanted: str) -> list[int]:
        haystack, starts = self._haystack, self._starts
        found: list[int] = []
        at = haystack.find(wanted)
        while 0 <= at < len(haystack):
            found.append(bisect_right(starts, at) - 1)
            at = haystack.find(wanted, starts[found[-1] + 1])
        return found

    @cached_property
    def _trigrams(self) -> Trigrams:
        return Trigrams([entity.searched for entity in self.entities])

    def part(self, entities: Sequence[Entity]) -> Part:
        """These entities with every relation at one of them."""
        places = {place for entity in entities for place in self._ends.get(entity.name, ())}
        return Part(entities, [self.relations[place] for place in sorted(places)])
