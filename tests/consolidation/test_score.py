from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consolidation import score
from consolidation.score import Around, Scored, Voice, salience_of, terms_of
from consolidation.stage import no_progress
from memory.facts import candidates
from memory.registry import Registry

REGISTRY = Registry.load()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOME = Scored("mona", "lives_in", "bergen", None, 0.8)


def voice(speaker: str = "mona", days_ago: float = 1, intensity: float = 0.0) -> Voice:
    return Voice(speaker, NOW - timedelta(days=days_ago), intensity)


def terms(fact: Scored = HOME, *voices: Voice, around: Around | None = None) -> dict[str, float]:
    return terms_of(fact, voices or (voice(),), around or Around(NOW), REGISTRY)


@given(
    st.sampled_from(REGISTRY.names()),
    st.floats(0, 1),
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5000), st.floats(0, 10)), max_size=6),
)
def test_every_term_and_the_salience_lie_between_0_and_1(
    predicate: str, confidence: float, said: list[tuple[str, float, float]]
) -> None:
    voices = [voice(*row) for row in said]
    around = Around(NOW, {}, Counter({"mona": 40}))
    found = terms_of(Scored("mona", predicate, "x", None, confidence), voices, around, REGISTRY)
    assert all(0 <= value <= 1 for value in found.values())
    assert 0 <= salience_of(found) <= 1


def test_five_hundred_repeats_of_a_day_are_one_voice() -> None:
    assert terms(HOME, *[voice()] * 500)["support"] == terms(HOME, voice())["support"]


def test_a_second_speaker_supports_more_than_a_second_day() -> None:
    two_people = terms(HOME, voice("mona"), voice("karl"))["support"]
    two_days = terms(HOME, voice("mona", 1), voice("mona", 9))["support"]
    assert two_people > two_days > terms(HOME, voice())["support"]


@pytest.mark.parametrize(("key", "least", "most"), [("oslo", 0.7, 0.9), ("bergen", 0.0, 0.2)])
def test_a_stored_value_is_old_news_and_another_value_is_not(key: str, least: float, most: float) -> None:
    around = Around(NOW, {("mona", "lives_in"): {key}})
    assert least <= terms(around=around)["novelty"] <= most


def test_a_visit_fades_in_days_and_a_birthday_never() -> None:
    visit = Scored("mona", "visits", "the dentist", None, 0.8)
    birthday = Scored("mona", "birthday", "1990-03-01", None, 0.8)
    assert terms(birthday, voice(days_ago=4000))["recency"] == 1
    assert terms(visit, voice(days_ago=60))["recency"] < 0.01


def test_a_pinned_visit_does_not_fade() -> None:
    pinned = Scored("mona", "visits", "the dentist", None, 0.8, is_pinned=True)
    assert terms(pinned, voice(days_ago=60))["recency"] == 1


def test_identity_outweighs_chit_chat() -> None:
    trifle = Scored("mona", "said_about_weather", "grey", None, 0.8)
    assert salience_of(terms(HOME)) > salience_of(terms(trifle)) + 0.1


def test_the_stage_stores_salience_with_its_terms_and_repeats_itself(chat: Any) -> None:
    chat.propose(("Mona Berg", "lives_in", "Bergen", 0), ("Vera", "likes", "tea", 2))
    context = chat.context()
    score.run(context, no_progress)
    first = {
        fact.id: (fact.salience, fact.salience_terms) for fact in candidates(chat.database, chat.space_id)
    }
    score.run(context, no_progress)
    again = {
        fact.id: (fact.salience, fact.salience_terms) for fact in candidates(chat.database, chat.space_id)
    }
    assert first == again
    assert all(
        value is not None and set(named or {}) == set(score.Weights.__slots__)
        for value, named in first.values()
    )
