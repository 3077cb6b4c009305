from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.runtime.repeats import Breakers, Repeats
from agents.runtime.sampling import Sampler, entropy_of, likely
from agents.sampling import Sampling

TEXT = st.lists(st.integers(0, 3), max_size=40)
LOGITS = st.lists(st.floats(-6, 6, width=32), min_size=2, max_size=12)


def draw(sampling: Sampling, logits: list[float], recent: list[int] | None = None) -> set[int]:
    generator = torch.Generator().manual_seed(0)
    seeds = torch.randint(2**31, (200,), generator=generator).tolist()
    return {
        Sampler(Sampling(**{**fields(sampling), "seed": seed}), recent or []).draw(torch.tensor(logits))[0]
        for seed in seeds
    }


def fields(sampling: Sampling) -> dict[str, object]:
    return {name: getattr(sampling, name) for name in Sampling.__slots__}


def test_temperature_zero_takes_the_likeliest() -> None:
    assert draw(Sampling(temperature=0), [0.0, 2.0, 1.0]) == {1}


def test_filters_never_draw_what_they_exclude() -> None:
    plain = Sampling(temperature=1, min_p=0.0)
    logits = [3.0, 2.9, 0.0, -1.0]
    assert draw(plain, logits) >= {0, 1, 2}
    assert draw(Sampling(temperature=1, min_p=0.0, top_k=2), logits) == {0, 1}
    assert draw(Sampling(temperature=1, min_p=0.5), logits) == {0, 1}
    assert draw(Sampling(temperature=1, min_p=0.0, top_p=0.5), logits) == {0}


def test_the_repetition_penalty_moves_away_from_recent_tokens() -> None:
    sampling = Sampling(temperature=0, repetition_penalty=2.0)
    assert draw(sampling, [2.0, 1.5], [0]) == {1}
    assert draw(sampling, [-1.0, -1.5], [0]) == {1}


@settings(deadline=None)
@given(LOGITS, st.integers(0, 5), st.sampled_from([0.0, 0.05, 0.3]), st.sampled_from([0.3, 0.9, 1.0]))
def test_filters_leave_what_a_plain_loop_leaves(
    logits: list[float], top_k: int, min_p: float, top_p: float
) -> None:
    probabilities = torch.softmax(torch.tensor(logits), dim=-1)
    tokens, weights = likely(probabilities, Sampling(top_k=top_k, min_p=min_p, top_p=top_p))
    assert torch.equal(weights, probabilities[tokens])
    left = {i: float(p) for i, p in enumerate(probabilities)}
    if top_k:
        least = sorted(left.values())[-min(top_k, len(left))]
        left = {i: p for i, p in left.items() if p >= least}
    left = {i: p for i, p in left.items() if p >= min_p * max(left.values())}
    total, before, kept = sum(left.values()), 0.0, Counter[float]()
    for p in sorted(left.values(), reverse=True):
        if top_p < 1 and before >= top_p * total - 1e-6 and kept:
            break
        kept[p] += 1
        before += p
    # of equal probabilities at the edge any may be the one that is left
    assert abs(sum(Counter(weights.tolist()).values()) - sum(kept.values())) <= 1
    assert set(tokens.tolist()) <= set(left)


@settings(deadline=None)
@given(LOGITS)
def test_the_entropy_is_that_of_the_models_distribution(logits: list[float]) -> None:
    p = torch.softmax(torch.tensor(logits, dtype=torch.float64), dim=-1)
    assert entropy_of(torch.tensor(logits)) == pytest.approx(float(-(p * p.log()).sum()), abs=1e-4)
    masked = torch.tensor([*logits, -math.inf])
    assert entropy_of(masked) == pytest.approx(entropy_of(torch.tensor(logits)), abs=1e-5)


def test_a_text_repeats_under_its_seed_and_differs_under_another() -> None:
    def drawn(seed: int) -> list[int]:
        sampler = Sampler(Sampling(temperature=1, min_p=0.0, dry_multiplier=0.8, seed=seed), [1, 2, 3])
        return [sampler.draw(torch.zeros(50))[0] for _ in range(20)]

    assert drawn(4) == drawn(4) != drawn(5)


# ---- DRY


def naive_continuations(ids: list[int], breakers: set[int], least: int) -> dict[int, int]:
    """By the definition: for every token the longest match of what came before it with the end of the text."""
    found: dict[int, int] = {}
    for at in range(1, len(ids)):
        length = 0
        while length < at and ids[at - 1 - length] == ids[-1 - length] and ids[-1 - length] not in breakers:
            length += 1
        if length >= least and ids[at] not in breakers:
            found[ids[at]] = max(found.get(ids[at], 0), length)
    return found


@settings(deadline=None)
@given(TEXT, TEXT, st.sets(st.integers(0, 3), max_size=1), st.integers(1, 4))
def test_repeats_are_those_of_the_definition(
    ids: list[int], more: list[int], breakers: set[int], least: int
) -> None:
    repeats = Repeats(ids, Breakers(breakers.__contains__))
    for token in more:
        repeats.push(token)
    tokens, lengths = repeats.continuations(least)
    assert dict(zip(tokens.tolist(), lengths.tolist(), strict=True)) == naive_continuations(
        [*ids, *more], breakers, least
    )


def test_a_reply_may_end_and_a_next_message_begin_as_often_as_any_other() -> None:
    how = Sampling(temperature=0, repetition_penalty=2.0)
    logits = torch.tensor([1.0, 1.6, 1.7])
    assert Sampler(how, [1, 2]).draw(logits)[0] == 0
    assert Sampler(how, [1, 2], exempt=frozenset({2})).draw(logits)[0] == 2
    assert Sampler(how, [1, 2], breakers=Breakers({1}.__contains__)).draw(logits)[0] == 1


def test_no_repetition_reaches_across_a_tag_of_several_tokens() -> None:
    tag = (7, 8)
    repeats = Repeats([1, 7, 8, 2, 3, 1, 7, 8], Breakers(sequences=(tag,)))
    assert not len(repeats.continuations(1)[0])
    repeats.push(2)
    tokens, lengths = repeats.continuations(1)
    assert (tokens.tolist(), lengths.tolist()) == ([3], [1])


def test_dry_makes_the_next_token_of_a_long_repetition_unlikely_and_spares_short_ones() -> None:
    logits = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.5])
    how = Sampling(temperature=0, dry_multiplier=0.8, dry_allowed_length=2)
    assert Sampler(how, [0, 1, 3, 2, 0, 1]).draw(logits)[0] == 4
    assert Sampler(how, [0, 1, 3, 2, 1]).draw(logits)[0] == 3
    assert Sampler(how, [0, 1, 3, 2, 0, 1], history=[]).draw(logits)[0] == 3


@settings(deadline=None)
@given(st.integers(1, 6))
def test_the_penalty_grows_by_the_base_with_each_token(length: int) -> None:
    how = Sampling(temperature=0, dry_multiplier=0.5, dry_base=2.0, dry_allowed_length=1)
    ids = [*range(1, length + 1), 9, 0, *range(1, length + 1)]
    penalty = 0.5 * 2.0 ** (length - 1)
    for gap, expected in ((penalty - 0.01, 8), (penalty + 0.01, 9)):
        logits = torch.full((10,), -99.0)
        logits[8], logits[9] = 0.0, gap
        assert Sampler(how, ids).draw(logits)[0] == expected
