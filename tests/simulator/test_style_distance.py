from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from simulator.style_distance import (
    UNITS,
    Reply,
    common_words,
    distances,
    earth_mover,
    jensen_shannon,
    latencies,
    total_variation,
)

LOUD = [Reply((f"YES!!! I love number {i} so much 😍", "Tell me everything!")) for i in range(30)]
QUIET = [Reply((f"ok. number {i} then",)) for i in range(30)]


def test_the_earth_movers_distance_is_scipys() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 30, 50).tolist(), rng.integers(5, 20, 40).tolist()
    assert earth_mover(Counter(one), Counter(other)) == pytest.approx(wasserstein_distance(one, other))


def test_the_jensen_shannon_divergence_is_scipys_of_smoothed_counts() -> None:
    one, other = Counter("aab"), Counter("bccc")
    p, q = [2.5, 1.5, 0.5], [0.5, 1.5, 3.5]
    assert jensen_shannon(one, other) == pytest.approx(jensenshannon(p, q, base=2) ** 2)


def test_equal_counts_have_no_distance_and_disjoint_ones_all_of_it() -> None:
    one = Counter({"a": 3, "b": 1})
    assert jensen_shannon(one, one) == total_variation(one, one) == 0
    assert total_variation(one, Counter("c")) == 1
    assert jensen_shannon(one, Counter()) == jensen_shannon(Counter(), one) == 1
    assert jensen_shannon(Counter(), Counter()) == 0


def test_a_topic_is_as_old_as_the_turn_that_brought_it_up() -> None:
    reply = Reply(("the boat again, and the weather",), ("my boat sank", "really", "what weather"))
    assert sorted(latencies(reply, frozenset({"the", "and", "my", "what"}))) == [1, 3]
    assert latencies(Reply(("no",), ("my boat sank",)), frozenset()) == [0]


def test_common_words_are_no_topics() -> None:
    turns = [Reply((f"the word{i}",)) for i in range(40)]
    assert common_words(turns) == {"the"}


def test_the_persons_own_words_lie_at_the_floor_and_the_partners_at_the_ceiling() -> None:
    own = {one.name: one for one in distances(LOUD, LOUD, QUIET)}
    theirs = {one.name: one for one in distances(QUIET, LOUD, QUIET)}
    assert list(own) == list(theirs) == list(UNITS)
    for name in ("words_per_message", "messages_per_turn", "case", "emoji", "punctuation", "character_use"):
        assert own[name].relative == pytest.approx(0, abs=0.1)
        assert theirs[name].relative == pytest.approx(1, abs=0.1)


def test_the_same_seed_draws_the_same_halves_and_too_few_replies_give_nothing() -> None:
    assert distances(QUIET, LOUD, QUIET, 3) == distances(QUIET, LOUD, QUIET, 3)
    assert distances(QUIET, LOUD[:1], QUIET) == []


def test_a_side_on_which_two_people_do_not_differ_has_no_scale() -> None:
    found = {one.name: one for one in distances(LOUD, LOUD, LOUD)}
    assert found["case"].as_json() == {
        "value": 0.0,
        "floor": 0.0,
        "ceiling": 0.0,
        "relative": None,
        "unit": UNITS["case"],
    }
