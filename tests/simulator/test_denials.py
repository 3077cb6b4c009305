"""Claims about what contradicts the lines of a constitution, and what does not."""

from __future__ import annotations

import pytest

from memory.revision import Line
from memory.types import Person, Principle
from simulator.denials import Convictions

PEOPLE = tuple(Person(name, name) for name in ("Ada Lund", "Bo Rask", "Cy Holm", "Mona Berg"))


def convictions(text: str, kind: str = "principle", about: str | None = None) -> Convictions:
    """The one line of Ada, who talks with Bo."""
    return Convictions("Ada Lund", "Bo Rask", PEOPLE, [Line("1", Principle(kind, text, (), about))])


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("Holds dear: quiet mornings", "quiet mornings don't matter to me at all"),
        ("Cares about making a real impact", "I don't care about making an impact."),
        ("Does not believe in horoscopes", "i believe in horoscopes, you know"),
        ("Believes in or that: second chances", "I no longer believe in second chances."),
        ("Would never eat meat", "I eat meat every day."),
        ("Never: walk to work", "i always walk to work"),
        ("Always: walk to work", "I never walk to work."),
        ("Cares about making a real impact", "I don’t care about making an impact."),
        ("Tries to stay calm", "I never try to stay calm."),
        ("Cannot stand loud music", "I can stand the heat. i always love loud music"),
        ("Is afraid of flying home", "I'm not afraid of flying home."),
    ],
)
def test_a_line_is_denied_by_its_denial_and_its_opposite(line: str, sentence: str) -> None:
    denied = convictions(line).denied_by(sentence)
    assert denied is not None
    assert denied.principle.text == line


@pytest.mark.parametrize(
    ("line", "about", "sentence"),
    [
        ("Trusts Cy Holm", "Cy Holm", "i don't trust Cy"),
        ("Does not trust Cy Holm", "Cy Holm", "I trust Cy."),
        ("Loves Mona Berg", "Mona Berg", "I hate Mona."),
        ("Thinks that Bo Rask is so kind", "Bo Rask", "you're not kind"),
        ("Is proud of Mona Berg", "Mona Berg", "I'm not proud of Mona at all."),
    ],
)
def test_a_view_is_denied_by_who_is_named_or_spoken_to(line: str, about: str, sentence: str) -> None:
    assert convictions(line, kind="view", about=about).denied_by(sentence) is not None


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("Would never eat meat", "I'd never eat meat."),
        ("Would never eat meat", "do you eat meat?"),
        ("Would never eat meat", "Mona eats meat every day."),
        ("Would never eat meat", "I eat soup every day."),
        ("Always: walk to work", "I always walk to work."),
        ("Holds dear: family time", "time doesn't matter to me"),
        ("Is afraid of flying home", "I'm afraid of flying home again."),
        ("Thinks that Bo Rask is so kind", "Bo is so kind"),
        ("Trusts Cy Holm", "i don't trust Mona"),
    ],
)
def test_what_agrees_or_speaks_of_something_else_denies_nothing(line: str, sentence: str) -> None:
    about = next((one.name for one in PEOPLE if one.name in line), None)
    kind = "view" if about else "principle"
    assert convictions(line, kind=kind, about=about).denied_by(sentence) is None


def test_the_manner_of_writing_is_not_looked_at() -> None:
    line, sentence = "Always: writes in small letters", "I never write in small letters."
    assert convictions(line, kind="speech").denied_by(sentence) is None
    assert convictions(line).denied_by(sentence) is not None
