"""What an answer says: the value, the fact as a statement with its time, and who said so where people disagree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

from memory import values
from memory.facts import sentence
from memory.questions import Question
from memory.types import Episode, Fact
from memory.wordings import spoken

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


def _with_time(fact: Fact, now: datetime) -> str:
    statement = sentence(fact)
    is_over = fact.valid_to is not None and fact.valid_to <= now
    if not is_over:
        return statement
    since = f"from {say_day(fact.valid_from)} " if fact.valid_from else ""
    return f"{statement.rstrip('.')} ({since}until {say_day(fact.valid_to)})." if fact.valid_to else statement


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def of_day(fact: Fact, day: datetime) -> str:
    return f"{say_day(day)}. {sentence(fact)}"


def yes(fact: Fact) -> str:
    return f"Yes. {sentence(fact)}"


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
    return "Unknown: nothing in the messages answers this."
