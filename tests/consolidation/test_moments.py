from __future__ import annotations

import numpy as np
import pytest

from consolidation.moments import Moments, differences, shrunk, whitened
from consolidation.readout_settings import LDA
from consolidation.readouts import Sums, components, directions_from, find_directions
from memory.ports import FloatMatrix
from tests.consolidation.test_readouts import contrasts, planted


def mixed(n: int = 400, width: int = 24) -> FloatMatrix:
    """Dimensions that go together, and one with a thousandfold spread."""
    random = np.random.default_rng(0)
    acts = random.normal(size=(n, 2, width)) @ random.normal(size=(width, width))
    acts[:, :, 5] *= 1000
    return acts.astype(np.float32)


def test_moments_of_parts_add_up_to_those_of_the_whole() -> None:
    acts = mixed()
    whole = Moments.of(acts, with_second=True)
    parts = Moments.of(acts[:150], with_second=True) + Moments.of(acts[150:], with_second=True)
    for layer in range(2):
        np.testing.assert_allclose(parts.covariance_DD(layer), whole.covariance_DD(layer), rtol=1e-9)
        np.testing.assert_allclose(
            whole.covariance_DD(layer),
            np.cov(acts[:, layer].T.astype(float), bias=True),
            rtol=1e-6,
            atol=1e-6,
        )
    left = parts - Moments.of(acts[150:], with_second=True)
    np.testing.assert_allclose(left.mean_LD, acts[:150].mean(axis=0), rtol=1e-4, atol=1e-4)
    assert (parts.count, left.count) == (400, 150)


def test_a_covariance_needs_second_moments() -> None:
    with pytest.raises(ValueError, match="with_second=True"):
        (Moments.of(mixed(), with_second=True) + Moments.of(mixed())).covariance_DD(0)


def test_the_mean_of_no_text_makes_no_direction() -> None:
    acts = mixed()
    assert not differences([Moments.of(acts[:0])], [Moments.of(acts)]).any()


def test_whitening_is_fishers_discriminant_of_the_covariance_within_the_classes() -> None:
    """Against the textbook's formula, unshrunk: many texts leave next to nothing to shrink."""
    random = np.random.default_rng(3)
    mix = random.normal(size=(6, 6))
    negative = (random.normal(size=(40000, 1, 6)) @ mix).astype(np.float32)
    positive = (random.normal(size=(40000, 1, 6)) @ mix + np.arange(6) / 3).astype(np.float32)
    difference = differences([Moments.of(positive)], [Moments.of(negative)])
    everything = Moments.of(np.concatenate([positive, negative]), with_second=True)
    found, shares = whitened(difference, everything, least_share=0)
    within = np.cov(positive[:, 0].T) + np.cov(negative[:, 0].T)
    expected = np.linalg.solve(within, difference[0, 0])
    cosine = found[0, 0] @ expected / np.linalg.norm(found[0, 0]) / np.linalg.norm(expected)
    assert cosine > 0.999
    assert shares[0] < 0.01


def test_few_texts_are_shrunk_more_and_never_past_uncorrelated() -> None:
    shares = []
    for n in (3, 30, 300):
        moments = Moments.of(mixed(n), with_second=True)
        scale_D, correlation_DD, share = shrunk(moments.covariance_DD(0), moments.count, least_share=0)
        shares.append(share)
        assert np.linalg.eigvalsh(correlation_DD).min() > 0
        np.testing.assert_allclose(np.diag(correlation_DD), 1, rtol=1e-6)
        np.testing.assert_allclose(scale_D, mixed(n)[:, 0].std(axis=0), rtol=1e-3)
    assert 1 >= shares[0] > shares[1] > shares[2] > 0


def test_running_sums_give_the_directions_that_a_full_pass_gives() -> None:
    acts, given = planted(200), list(contrasts(200).values())
    once = find_directions(acts, given, seed=0, method=LDA)
    nights = [slice(0, 70), slice(70, 200)]

    def kept(rows: tuple[int, ...]) -> Moments:
        parts = [Moments.of(acts[[r for r in rows if r in range(200)[night]]]) for night in nights]
        return parts[0] + parts[1]

    everything = [Moments.of(acts[night], with_second=True) for night in nights]
    sums = Sums(
        tuple(kept(contrast.positive) for contrast in given),
        tuple(kept(contrast.negative) for contrast in given),
        everything[0] + everything[1],
        tuple(components(acts[:0, layer]) for layer in range(3)),
    )
    again = directions_from(sums, LDA)
    np.testing.assert_allclose(again.vectors_LKD, once.vectors_LKD, atol=1e-5)
    np.testing.assert_allclose(again.steering_LKD, once.steering_LKD, atol=1e-5)
