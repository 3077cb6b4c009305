"""Who is meant: pronouns, "my brother", first names and left-out subjects, over a stretch of chat.

The state is small and forgets: the people mentioned of late, what gender words gave away about them, and who is
whose sister. Nothing is guessed from a name's sound. Where two readings are equally near, the nearer mention wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from agents.extractors.lexicon import Relation, lexicon
from agents.extractors.names import canonical, first_name
from memory.ports import Roster
from memory.types import Episode

_NOBODY = frozenset(
    [
        "someone",
        "somebody",
        "everyone",
        "everybody",
        "anyone",
        "anybody",
        "nobody",
        "who",
        "that",
        "it",
        "let",
    ]
)
_REACH = 12  # messages a pronoun may look back over


@dataclass(frozen=True, slots=True)
class Mention:
    name: str
    at: int  # index of the message
    is_animal: bool = False
    is_thing: bool = False


@dataclass
class Discourse:
    """Grows as messages are read in order. `at` is the index of the message being read."""

    roster: Roster
    at: int = 0
    speaker: str = ""
    genders: dict[str, str] = field(default_factory=dict)
    kin: dict[tuple[str, str], str] = field(default_factory=dict)  # (owner, relation word) -> name
    mentions: list[Mention] = field(default_factory=list)
    people: set[str] = field(default_factory=set)
    things: set[str] = field(default_factory=set)
    animals: set[str] = field(default_factory=set)
    places: frozenset[str] = frozenset()  # lowercase words that are places or houses
    topics: dict[str, int] = field(default_factory=dict)  # what was talked of -> message index
    pair: Mention | None = None  # the first of two named together: "they"
    guesses: dict[str, int] = field(default_factory=dict)  # name -> pronouns so far, he +1, she -1
    focus: Mention | None = None  # somebody asked about: pronouns stay with them for a while
    prospect: tuple[str | None, str | None] = (None, None)  # a job in sight: role, employer
    previous: str = ""  # the message before this one
    _current: str = ""
    mark: int = 0  # how many mentions there were when the sentence began
    named: Counter[str] = field(default_factory=Counter)  # name -> messages that mention it
    doers: dict[str, str] = field(default_factory=dict)  # sentence of this message -> its first subject

    def begin(self, at: int, episode: Episode) -> None:
        self.at, self.speaker = at, episode.speaker
        self.previous, self._current = self._current, episode.text
        del self.mentions[:-40]
        self.doers = {}
        self.mark = len(self.mentions)

    @property
    def message(self) -> str:
        """The message being read, as it was written."""
        return self._current

    @property
    def addressee(self) -> str | None:
        """The other speaker, where there is exactly one."""
        others = [name for name in self.roster.speakers if name != self.speaker]
        return others[0] if len(others) == 1 else None

    def person(self, name: str) -> str:
        """A speaker's full name for their first name; any other name as it stands."""
        return canonical(name, [*self.roster.speakers, *self.roster.known])

    def is_speaker(self, name: str) -> bool:
        return name in self.roster.speakers

    def note(self, name: str, *, gender: str = "?", is_animal: bool = False, is_thing: bool = False) -> None:
        """Record a mention; what was once known of the name stays known."""
        if gender != "?":
            self.genders[name] = gender
        if is_animal:
            self.animals.add(name)
        if is_thing:
            self.things.add(name)
        if not is_thing and not is_animal:
            self.people.add(name)
        if not any(m.name == name and m.at == self.at for m in self.mentions[-8:]):
            self.named[name] += 1
        self.mentions.append(Mention(name, self.at, name in self.animals, name in self.things))

    def learn_kin(self, owner: str, relation: Relation, name: str) -> None:
        self.kin[owner, relation.word] = name
        self.kin[owner, relation.predicate] = name
        self.note(name, gender=relation.gender, is_animal=relation.is_animal, is_thing=relation.is_thing)

    def relative(self, owner: str, relation: Relation) -> str:
        """Their name where it was said, else "Ana Silva's brother"."""
        found = self.kin.get((owner, relation.word)) or self.kin.get((owner, relation.predicate))
        return (
            found or f"{owner}'s {relation.predicate if relation.predicate != 'relation' else relation.word}"
        )

    def doer(self, sentence: str) -> str:
        """Whom a sentence of this message was about; the speaker where it named nobody."""
        return self.doers.get(sentence, self.speaker)

    def unnamed(self, pronoun: str) -> tuple[str, Relation] | None:
        """The owner and relation of the nearest "Ana's brother" without a name that a pronoun can mean."""
        wanted = {"his": "m", "her": "f"}.get(pronoun)
        for mention in reversed(self.mentions):
            owner, _, word = mention.name.partition("'s ")
            kin = relation(word) if word else None
            if self.at - mention.at > 2:
                return None
            if kin and (wanted is None or kin.gender in ("?", wanted)):
                return owner, kin
        return None

    def described(self) -> dict[str, str]:
        """ "Ana Silva's brother" -> "Rui", for all whose name came out."""
        return {f"{owner}'s {word}": name for (owner, word), name in self.kin.items() if owner}

    def owner(self, possessive: str) -> str | None:
        """Whose: "my", "your", "her", "Ana's"."""
        plain = possessive.lower()
        if plain in ("my", "our"):
            return self.speaker
        if plain == "your":
            return self.addressee
        if plain in ("his", "her", "their", "its"):
            return self.pronoun({"his": "he", "her": "she", "their": "they", "its": "it"}[plain])
        name = possessive.removesuffix("'s").removesuffix("'")
        return None if name.lower() in _NOBODY else self.person(name)

    def pronoun(self, word: str) -> str | None:
        plain = word.lower()
        if plain in ("i", "me", "we", "us", "my"):
            return self.speaker
        if plain == "you":
            return self.addressee
        if plain == "they" and self.pair and self.at - self.pair.at <= 3:
            return self.pair.name
        wanted = {"he": "m", "him": "m", "she": "f", "her": "f"}.get(plain)
        if wanted and (name := self._focused(wanted)):
            return name
        for by_name in (
            True,
            False,
        ):  # a name that is mostly a woman's is a man's where nobody else can be meant
            for mention in reversed(self.mentions):
                if self.at - mention.at > _REACH:
                    break
                if self._fits(mention, plain, wanted, by_name=by_name):
                    if wanted:
                        self._guess(mention.name, wanted)
                    return mention.name
        return None

    def _guess(self, name: str, gender: str) -> None:
        """A pronoun may have been misread: only the second of a kind settles it."""
        self.guesses[name] = self.guesses.get(name, 0) + (1 if gender == "m" else -1)

    def gender(self, name: str) -> str:
        """m, f or ?: what was said, else how they were spoken of, else what most bearers of the name are."""
        if known := self.genders.get(name):
            return known
        if n := self.guesses.get(name, 0):
            return "m" if n > 0 else "f"
        return _given(name) or "?"

    def is_personal(self, name: str) -> bool:
        """Whether a name is a person's or an animal's, as far as one can know: borne by people, told of as a relative, or
        mentioned again. A word in capitals that came once is as likely a shop, a feast or a shout."""
        is_borne = _given(name) is not None or "'s " in name or self.is_speaker(name)
        return is_borne or name in self.animals or name in self.kin.values() or self.named[name] > 1

    def _focused(self, wanted: str) -> str | None:
        """Whoever was asked about, unless somebody else who fits was named in this message."""
        if self.focus is None or self.at - self.focus.at > _REACH:
            return None
        if self.genders.get(self.focus.name, wanted) != wanted:
            return None
        if any(m.at == self.at and self._fits(m, "he", wanted) for m in self.mentions):
            return None
        self._guess(self.focus.name, wanted)
        return self.focus.name

    def is_talked_of(self, topic: str, *, within: int = 8) -> bool:
        return self.at - self.topics.get(topic, -99) <= within

    def is_place(self, name: str) -> bool:
        return any(word.lower() in self.places for word in name.split())

    def _fits(self, mention: Mention, pronoun: str, wanted: str | None, *, by_name: bool = True) -> bool:
        if self.is_speaker(mention.name):
            return False
        if pronoun == "it":
            return mention.is_thing or mention.is_animal
        if mention.is_thing and pronoun != "she":
            return False
        if pronoun == "they" or mention.name in self.genders:
            return pronoun == "they" or self.genders[mention.name] == wanted
        guess = self.guesses.get(mention.name, 0)
        if abs(guess) > 1:
            return (guess > 0) == (wanted == "m")
        is_likely = self.is_personal(mention.name) or mention.name in self.doers.values()
        return is_likely and (not by_name or _given(mention.name) in (None, "?", wanted))

    def last_person(self, *, within: int = 3, is_before: bool = False) -> str | None:
        """The last one mentioned who takes no part in the chat; `is_before`: before this sentence began."""
        for mention in reversed(self.mentions[: self.mark] if is_before else self.mentions):
            if self.at - mention.at > within:
                return None
            if mention.is_thing or self.is_speaker(mention.name):
                continue
            if self.is_personal(mention.name):
                return mention.name
        return None


def _given(name: str) -> str | None:
    """The gender that most bearers of a first name have, m, f or ?; None where nobody bears it."""
    return lexicon().given.get(first_name(name).lower())


def relation(word: str) -> Relation | None:
    return lexicon().relations.get(word.lower().replace(" ", "-")) or lexicon().relations.get(word.lower())


def known_people(roster: Roster) -> Sequence[str]:
    return [*roster.speakers, *roster.known]


__all__ = ["Discourse", "Mention", "first_name", "known_people", "relation"]
