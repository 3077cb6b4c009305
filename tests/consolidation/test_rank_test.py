"""The exact tests against scipy, against counting by hand, and against what they must say of chance."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import wilcoxon

from consolidation.rank_test import among_controls_p, middle_ranks, places, signed_rank_p


@pytest.mark.parametrize("n", [3, 8, 14])
def test_without_ties_the_signed_ranks_say_what_scipys_exact_test_says(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    wanted = wilcoxon(differences, alternative="greater", method="exact").pvalue
    assert signed_rank_p(differences.tolist()) == pytest.approx(wanted, abs=1e-12)


def test_ties_share_their_ranks_and_zeros_count_nothing() -> None:
    values = [2.0, -2.0, 5.0, 0.0, 2.0]
    ranks = [2.0, 2.0, 4.0, 2.0]  # of 2, 2, 5, 2
    found = 2.0 + 4.0 + 2.0
    as_far = [
        sum(r for r, up in zip(ranks, ups, strict=True) if up) >= found for ups in product((0, 1), repeat=4)
    ]
    assert signed_rank_p(values) == sum(as_far) / 16


def test_nothing_that_differs_is_no_sign_of_anything() -> None:
    assert signed_rank_p([]) == signed_rank_p([0.0, 0.0]) == 1.0
    assert among_controls_p([], []) == 1.0


def test_n_facts_can_give_no_smaller_p_than_all_in_front() -> None:
    assert signed_rank_p([1.0, 2.0, 3.0]) == 1 / 8
    assert among_controls_p([1], [24]) == 1 / 25
    assert among_controls_p([1, 1, 1], [24, 24, 9]) == pytest.approx(1 / 6250)


def test_places_among_controls_are_counted_out() -> None:
    every = list(product(range(1, 4), range(1, 5)))
    for mine in every:
        wanted = sum(sum(other) <= sum(mine) for other in every) / len(every)
        assert among_controls_p(mine, [2, 3]) == pytest.approx(wanted)
    with pytest.raises(ValueError, match="place 5"):
        among_controls_p([5], [3])


def test_under_chance_one_in_twenty_is_called_a_sign() -> None:
    dice = np.random.default_rng(1)
    told = [among_controls_p(places(dice.normal(size=(5, 10))), [9] * 5) < 0.05 for _ in range(400)]
    assert 0.02 < np.mean(told) < 0.08


def test_a_place_is_behind_its_equals_and_a_middle_rank_between_them() -> None:
    scores = np.array([[3.0, 1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]])
    assert places(scores) == [1, 3, 3]
    assert middle_ranks(scores) == [1.0, 2.0, 2.5]
