"""Claims about counting: planted patterns are found, chance is not, and one evening is one observation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agents.patterns import Pattern, find_patterns
from agents.patterns.counting import corrected, fisher_greater
from bench.patterns import Plan, invent
from memory.types import Episode

PLAN = Plan(sessions=100, strength=0.8, base=0.1)


def strong(episodes: list[Episode], felt: dict[str, dict[str, float]]) -> list[Pattern]:
    return [p for p in find_patterns(episodes, felt, UTC) if p.is_strong]


@pytest.mark.parametrize(
    "planted",
    [("goes quiet", "stressed"), ("laughs", "happy"), ('brings up "kitchen"', "sad"), ("swears", "angry")],
)
def test_what_is_planted_is_found_with_its_messages(planted: tuple[str, str]) -> None:
    episodes, felt = invent(PLAN, planted, seed=3)
    (pattern,) = [p for p in strong(episodes, felt) if p.text == f"{planted[0]} when {planted[1]}"]
    by_id = {e.id: e for e in episodes}
    assert pattern.person_id == "a"
    assert {by_id[item].speaker_id for item in pattern.evidence} == {"a"}
    assert pattern.counts is not None
    assert pattern.counts.k_when / pattern.counts.n_when > 2 * pattern.counts.k_else / pattern.counts.n_else


def test_where_nothing_joins_state_and_deed_hardly_anything_is_found() -> None:
    n_false = sum(len(strong(*invent(PLAN, None, seed=seed))) for seed in range(12))
    assert n_false <= 2


def test_one_long_evening_is_one_observation() -> None:
    """A hundred laughs after joy in one session, and as many sessions without either, make no pattern."""
    episodes, felt = invent(Plan(sessions=30, strength=0.0, base=0.0), None, seed=1)
    felt.clear()
    last = episodes[-1].time + timedelta(days=1)
    evening = [
        Episode(f"x{n}", "talk", 10_000 + n, "a", "a", last + timedelta(minutes=n), "hahaha")
        for n in range(100)
    ]
    felt |= {e.id: {"joy": 9.0} for e in evening}
    assert [p for p in strong(episodes + evening, felt) if p.kind == "shown"] == []


def test_the_message_that_carries_the_feeling_shows_nothing_itself() -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    episodes, felt = [], {}
    for day in range(40):
        is_glad = day % 2 == 0
        for turn in range(4):
            text = "hahaha" if is_glad and turn == 0 else "the bus came at nine"
            episode = Episode(
                f"{day}-{turn}", "c", len(episodes), "a", "a", start + timedelta(days=day, minutes=turn), text
            )
            episodes.append(episode)
            if is_glad and turn == 0:
                felt[episode.id] = {"joy": 9.0}
    assert strong(episodes, felt) == []


def test_no_messages_and_no_feelings_are_no_error() -> None:
    assert find_patterns([], {}, UTC) == []
    episodes, _ = invent(Plan(sessions=3, strength=0.5, base=0.5), None, seed=0)
    assert [p for p in find_patterns(episodes, {}, UTC) if p.kind == "shown"] == []


def test_the_test_is_fishers() -> None:
    """Against scipy's own, which answers with a table."""
    from scipy.stats import fisher_exact

    expected = fisher_exact([[7, 3], [4, 16]], alternative="greater").pvalue
    assert fisher_greater(7, 10, 4, 20) == pytest.approx(expected)


def test_the_correction_is_benjamini_and_hochbergs() -> None:
    """The worked example of four tests: sorted p times m over rank, made monotone from above."""
    assert corrected([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert corrected([]) == []
