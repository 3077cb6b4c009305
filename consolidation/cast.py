"""Whom a text names, among those of whom the graph holds something; and a text without their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from consolidation.slots import Names, Slot
from memory import names
from memory.wordings import content_words

_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)\b")
_NOT = re.compile(r"n['’]t\b", re.IGNORECASE)


class Cast:
    """The subjects of these slots, by every form of their names. Immutable."""

    def __init__(self, called: Names, slots: Sequence[Slot]) -> None:
        self._names = called
        self.subjects = {slot.subject_id: slot.subject for slot in slots}
        self.words = {subject: content_words(full) for subject, full in self.subjects.items()}
        self._forms: dict[str, list[tuple[frozenset[str], str]]] = defaultdict(list)  # by a word of the form
        for subject, full in self.subjects.items():
            for words in filter(None, map(content_words, called.forms(subject, full))):
                self._forms[min(words)].append((words, subject))
        aliases = {person.id: person.aliases for person in called.people if person.id in self.subjects}
        self._by_name = _by_key({s: (full,) for s, full in self.subjects.items()})
        self._by_alias = _by_key(aliases)
        self._by_part = _by_key({s: full.split() for s, full in self.subjects.items()})

    def named_in(self, text: str, speaker: str | None = None) -> list[str]:
        """The speaker, where there is one of the cast, and whom the text names."""
        said = content_words(text)
        found = [speaker] if speaker in self.subjects else []
        named = (entry for word in sorted(said & self._forms.keys()) for entry in self._forms[word])
        return list(dict.fromkeys([*found, *(subject for words, subject in named if words <= said)]))

    def called(self, name: str) -> str | None:
        """The one subject who goes by that name: in full, by an alias, or by a part that nobody else has."""
        wanted = names.key(name)
        for by_key in (self._by_name, self._by_alias, self._by_part):
            if len(found := by_key.get(wanted, ())) == 1:
                return next(iter(found))
        return None

    def is_half_known(self, run: str) -> bool:
        """Whether a run of capitals is part of a known name with something else, and nobody's: "Mona Lund"."""
        words = run.split()
        while words and not content_words(words[0]):  # "Does Mona Lund"
            words = words[1:]
        return (
            len(words) > 1
            and any(names.key(word) in self._by_part for word in words)
            and not self.is_known(" ".join(words))
        )

    def is_known(self, name: str) -> bool:
        return self._names.is_known(name)

    def bare(self, text: str, subjects: Collection[str] | None = None) -> frozenset[str]:
        """Content words without the names of those subjects (None: of all)."""
        left_out = self.words if subjects is None else [s for s in subjects if s in self.words]
        return content_words(folded(text)).difference(*(self.words[subject] for subject in left_out))


def _by_key(called: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for subject, forms in called.items():
        for form in forms:
            found[names.key(form)].add(subject)
    return dict(found)


def folded(text: str) -> str:
    """With "28th" as "28" and "don't" as "do not", whose stem would else be a word of its own."""
    return _ORDINAL.sub("", _NOT.sub(" not", text))
