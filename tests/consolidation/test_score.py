from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consolidation import check, decide, score
from consolidation.score import Around, Scored, Voice, salience_of, terms_of
from consolidation.stage import NightSettings, SalienceWeights, no_progress
from memory.facts import candidates, get_fact
from memory.registry import Registry
from memory.uses import Use, record

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
        value is not None and set(named or {}) == set(SalienceWeights.__slots__)
        for value, named in first.values()
    )


def test_a_fact_that_was_asked_for_gains_and_none_loses_by_never_being_asked() -> None:
    asked = Scored("mona", "lives_in", "bergen", None, 0.8, use=Use(5, NOW))
    around = Around(NOW, now=NOW)
    plain = salience_of(terms(HOME, around=around))
    assert salience_of(terms(asked, around=around)) > plain == salience_of(terms(HOME))


def test_weights_of_the_settings_decide(chat: Any) -> None:
    chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    weights = SalienceWeights(
        identity=0, novelty=0, emotion=0, support=0, connectedness=0, recency=0, asked=0
    )
    score.run(chat.context(settings=NightSettings(salience=weights)), no_progress)
    (fact,) = candidates(chat.database, chat.space_id)
    assert fact.salience == pytest.approx(0.8)  # its confidence alone


def test_a_stored_fact_that_is_asked_for_is_scored_again_and_stays_as_new_as_it_was(chat: Any) -> None:
    (fact_id,) = chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    score.run(chat.context(), no_progress)
    check.run(chat.context(), no_progress)
    decide.run(chat.context(), no_progress)
    before = get_fact(chat.database, chat.space_id, fact_id, REGISTRY)
    assert before.status == "current"
    record(chat.database, chat.space_id, [fact_id])
    score.run(chat.context(), no_progress)
    after = get_fact(chat.database, chat.space_id, fact_id, REGISTRY)
    assert (after.salience or 0) > (before.salience or 0)
    assert (after.salience_terms or {})["novelty"] == (before.salience_terms or {})["novelty"] == 1.0


def test_a_message_weighs_as_much_as_the_weightiest_fact_that_rests_on_it(chat: Any) -> None:
    chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    score.run(chat.context(), no_progress)
    (fact,) = candidates(chat.database, chat.space_id)
    ids = [episode.id for episode in chat.episodes]
    with chat.database.reading() as session:
        found = score.salience_of_messages(session, chat.space_id, ids)
    assert found[ids[0]] == fact.salience
    assert all(value <= score.MOST_OF_WORDS for key, value in found.items() if key != ids[0])


def test_a_message_that_says_who_somebody_is_outweighs_chit_chat() -> None:
    told = score.message_terms("i never lie to my children, honesty matters to me", 6.0)
    idle = score.message_terms("ok see you at eight", 0.0)
    assert all(told[name] > idle[name] for name in told)
