"""What an answer says: the value, the fact as a statement with its time, and who said so where people disagree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime

from memory import values
from memory.facts import sentence
from memory.questions import Question
from memory.types import Episode, Fact
from memory.wordings import Wordings, possessive, spoken

WHO_ASKS = 'Unknown: say who "I" is, with --asked-by NAME or --known-to NAME.'
MAX_QUOTE = 400  # characters of a message


def say_day(moment: datetime) -> str:
    return spoken(moment.astimezone(UTC).date().isoformat())


def weekday(fact: Fact) -> str:
    """The weekday of a fact whose value is a dated day, "" for any other."""
    day = values.as_day(fact.object)
    if day is None or day[0] is None:
        return ""
    return f"{date(day[0], day[1], day[2]):%A} "


def of_facts(facts: Sequence[Fact], now: datetime, *, is_subject_asked: bool = False) -> str:
    """ "Malmö. Tomas lives in Malmö (since 26 October 2025)." """
    shown = [fact.subject if is_subject_asked else weekday(fact) + spoken(fact.object) for fact in facts]
    head = _listed(list(dict.fromkeys(shown)))
    said = " ".join(_with_time(fact, now) for fact in facts)
    if any(fact.status == "contested" for fact in facts):
        by = "; ".join(
            f"{spoken(fact.object)} according to {fact.asserted_by or 'somebody'}" for fact in facts
        )
        return f"That is contested: {by}. {said}"
    return f"{head[:1].upper()}{head[1:]}. {said}"


def of_namesakes(name: str, known: Sequence[Sequence[Fact]], now: datetime) -> str:
    """ "Several people are called Sam. Sam Okafor lives in Leeds. Sam Petrie lives in Hove." """
    said = " ".join(_with_time(fact, now) for facts in known for fact in facts)
    return f"Several are called {name}. {said}"


def told_by(fact: Fact, evidence: Sequence[Episode]) -> str:
    """ "Idris Bello, on 3 May 2024. Ana lives in Kotor." """
    first: dict[str, Episode] = {}
    for episode in evidence:
        first.setdefault(episode.speaker, episode)
    said = "; ".join(f"{speaker}, on {say_day(episode.time)}" for speaker, episode in first.items())
    return f"{said}. {sentence(fact)}"


def _with_time(fact: Fact, now: datetime) -> str:
    """The fact as a statement; what is over is told in the past, with when it held."""
    if not is_over(fact, now):
        return sentence(fact)
    since = f"from {say_day(fact.valid_from)} " if fact.valid_from else ""
    return f"{in_the_past(sentence(fact)).rstrip('.')} ({since}until {say_day(fact.valid_to or now)})."


def is_over(fact: Fact, now: datetime) -> bool:
    return fact.valid_to is not None and fact.valid_to <= now


_PAST = {
    "is": "was",
    "has": "had",
    "lives": "lived",
    "works": "worked",
    "comes": "came",
    "goes": "went",
    "gets": "got",
    "does": "did",
    "takes": "took",
    "plays": "played",
    "likes": "liked",
    "dislikes": "disliked",
    "speaks": "spoke",
    "teaches": "taught",
    "studies": "studied",
    "owns": "owned",
    "sings": "sang",
    "opens": "opened",
    "closes": "closed",
    "starts": "started",
    "arrives": "arrived",
    "visits": "visited",
    "plans": "planned",
    "wants": "wanted",
}
_VERB = re.compile(rf"\b({'|'.join(_PAST)})\b")


def in_the_past(statement: str) -> str:
    """The statement with its first verb in the past tense: "Ana lives in Kotor." becomes "Ana lived in Kotor."."""
    return _VERB.sub(lambda match: _PAST[match[1]], statement, count=1)


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def of_day(fact: Fact, day: datetime, now: datetime) -> str:
    return f"{say_day(day)}. {_with_time(fact, now)}"


def yes(fact: Fact, now: datetime) -> str:
    return f"Yes. {_with_time(fact, now)}"


def counted(facts: Sequence[Fact], noun: str) -> str:
    """ "Two: Zaatar and Senf." """
    n = len(facts)
    word = _NUMBERS[n] if n < len(_NUMBERS) else str(n)
    return f"{word} ({n}) {noun}: {_listed([spoken(fact.object) for fact in facts])}."


def lasted(fact: Fact, length: str, now: datetime) -> str:
    """ "3 years (since 1 May 2022). Ana lives in Kotor." """
    assert fact.valid_from is not None
    if is_over(fact, now):
        return f"About {length}. {_with_time(fact, now)}"
    return f"About {length} (since {say_day(fact.valid_from)}). {sentence(fact)}"


def who_is(relations: Sequence[Fact], wordings: Wordings, now: datetime) -> str:
    """Whose relation somebody is: "Femi is Idris Bello's wife." """
    return " ".join(
        f"{fact.object} {'was' if is_over(fact, now) else 'is'} {possessive(fact.subject)} {wordings.noun(fact.predicate)}."
        for fact in relations
    )


_NUMBERS = [
    "No",
    "One",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
    "Ten",
    "Eleven",
    "Twelve",
]


def no_longer(fact: Fact, now: list[Fact]) -> str:
    until = f" until {say_day(fact.valid_to)}" if fact.valid_to else ""
    instead = f" {sentence(now[0])}" if now else ""
    return f"No, not any more: that held{until}.{instead}"


def no_but(facts: Sequence[Fact]) -> str:
    return f"No. {' '.join(sentence(fact) for fact in facts)}"


def taken_back(fact: Fact, instead: Sequence[Fact]) -> str:
    right = f" {' '.join(sentence(other) for other in instead)}" if instead else ""
    return f"No, that was said and then corrected.{right}"


def quoted(episodes: Sequence[Episode]) -> str:
    """ "Ines wrote on 3 October 2025: “…”" """
    said = []
    for episode in episodes:
        text = " ".join(episode.text.split())
        shown = text if len(text) <= MAX_QUOTE else f"{text[:MAX_QUOTE].rsplit(' ', 1)[0]} …"
        said.append(f"{episode.speaker} wrote on {say_day(episode.time)}: “{shown}”")
    return " ".join(said)


def unknown(question: Question, who: str | None) -> str:
    """What an abstaining answer says; `who` is the person whose knowledge was asked."""
    if who is not None:
        return f"{who} cannot know: nothing that they said or heard by then answers this."
    if question.strangers and not question.mentions:
        return f"Unknown: nobody called {question.strangers[0]} is known here."
    return "Unknown: nothing in the messages answers this."
