from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from consolidation.readouts import Activations, Contrast, Provenance, Readout, build
from memory.types import Episode
from simulator.errors import BadDose, OtherBase, TooFewExamples, UnknownDirection
from simulator.steering import (
    CONCEPT,
    PAIR,
    Direction,
    Steering,
    Wish,
    concepts_of,
    mentions,
    messages_of,
    of_readout,
    of_texts,
)

WIDTH, LAYERS = 16, (1, 2)


def readout(*concepts: str, method: str = "caa") -> Readout:
    """Of texts in which each concept has an axis of its own."""
    rng = np.random.default_rng(0)
    acts = rng.normal(size=(120, len(LAYERS), WIDTH)).astype(np.float32)
    contrasts = {}
    for k, concept in enumerate(concepts):
        rows = tuple(range(20 * k, 20 * k + 20))
        acts[list(rows), :, k] += 6
        contrasts[concept] = Contrast(rows, tuple(range(100, 120)))
    seen = Activations(acts, np.array([10.0, 20.0], dtype=np.float32), LAYERS)
    return build(seen, contrasts, (), Provenance("base", "template", None, {}, 0), n_layers=2, method=method)


def direction(seed: int = 0, base: str = "base") -> Direction:
    drawn = np.random.default_rng(seed).normal(size=(2, WIDTH)).astype(np.float32)
    units = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    norms = dict(zip(LAYERS, (10.0, 20.0), strict=True))
    return Direction("joy", CONCEPT, base, dict(zip(LAYERS, units, strict=True)), norms)


def test_a_dose_is_a_share_of_the_residual_norm_dealt_out_over_the_layers() -> None:
    added = direction().added(0.3)
    lengths = {layer: float(np.linalg.norm(vector)) for layer, vector in added.items()}
    assert lengths == pytest.approx({1: 0.15 * 10, 2: 0.15 * 20})


def test_a_random_control_is_as_long_and_the_same_at_every_layer() -> None:
    control = direction().random(5)
    assert {layer: float(np.linalg.norm(v)) for layer, v in control.added(0.3).items()} == pytest.approx(
        {layer: float(np.linalg.norm(v)) for layer, v in direction().added(0.3).items()}
    )
    assert np.array_equal(control.vectors[1], control.vectors[2])
    assert np.array_equal(control.vectors[1], direction(3).random(5).vectors[1])
    assert not np.array_equal(control.vectors[1], direction().random(6).vectors[1])


def test_a_pair_is_the_unit_difference_of_its_concepts() -> None:
    made = readout("love", "hate", "joy")
    love, hate, pair = (of_readout(made, name) for name in ("love", "hate", "love-hate"))
    assert (love.kind, pair.kind, pair.layers) == (CONCEPT, PAIR, LAYERS)
    for layer in LAYERS:
        difference = love.vectors[layer] - hate.vectors[layer]
        np.testing.assert_allclose(pair.vectors[layer], difference / np.linalg.norm(difference), atol=1e-6)
    assert pair.norms == {1: 10.0, 2: 20.0}


def test_steering_takes_the_differences_of_means_of_a_whitened_readout() -> None:
    plain, white = readout("love", "hate", "joy"), readout("love", "hate", "joy", method="lda")
    np.testing.assert_allclose(
        of_readout(white, "joy").vectors[1], of_readout(plain, "joy").vectors[1], atol=1e-5
    )


def test_a_concept_with_a_hyphen_is_no_pair() -> None:
    known = ("self-pity", "self", "pity", "joy")
    assert concepts_of("self-pity", known) == ("self-pity", None)
    assert concepts_of("joy-self-pity", known) == ("joy", "self-pity")
    for wrong in ("joy-joy", "joy-", "-joy", "envy", ""):
        with pytest.raises(UnknownDirection, match="self-pity, self, pity, joy"):
            concepts_of(wrong, known)


def test_without_a_readout_it_says_how_to_get_one() -> None:
    with pytest.raises(UnknownDirection, match="run `slowwave sleep`"):
        of_readout(None, "joy")


def test_doses_of_several_directions_add_up_and_are_clamped_together() -> None:
    steering = Steering(((direction(1), 0.2), (direction(2), -0.1)), clamped_to=0.5)
    whole = steering.added(1.0)
    for layer in LAYERS:
        expected = direction(1).added(0.2)[layer] + direction(2).added(-0.1)[layer]
        np.testing.assert_allclose(whole[layer], expected, atol=1e-6)
        np.testing.assert_allclose(steering.added()[layer], expected / 2, atol=1e-6)
    assert [(one["wanted"], one["dose"]) for one in steering.as_json()] == [(0.2, 0.1), (-0.1, -0.05)]


def test_another_base_is_refused_with_both_hashes() -> None:
    with pytest.raises(OtherBase, match=r"aaaa.*bbbb"):
        Steering(((direction(base="aaaa"), 0.1),)).check_base("bbbb")


@pytest.mark.parametrize("text", ["joy", "joy=", "=0.2", "joy=much", "joy=nan", "joy=inf", "joy=4.1", ""])
def test_what_is_no_dose_is_refused(text: str) -> None:
    with pytest.raises(BadDose, match="DIRECTION=DOSE"):
        Wish.parse(text)


def test_a_wish_may_hold_an_equals_sign_and_blanks() -> None:
    assert Wish.parse("topic: a=b =-0.25") == Wish("topic: a=b", -0.25)


def test_a_direction_of_texts_points_from_those_without_to_those_with() -> None:
    rng = np.random.default_rng(1)
    acts = rng.normal(size=(40, 2, WIDTH)).astype(np.float32)
    acts[:20, :, 3] += 5
    found = of_texts("topic:boats", "topic", "base", acts, 20, {1: 10.0, 2: 20.0})
    assert found.vectors[2][3] > 0.9
    assert found.auroc is not None
    assert found.auroc > 0.95
    mean, deviation = found.others[1]
    projected = acts[20:, 0] @ found.vectors[1]
    assert (mean, deviation) == pytest.approx((projected.mean(), projected.std()), rel=1e-4)


def said(number: int, speaker: str, text: str) -> Episode:
    return Episode(str(number), "c", number, speaker, speaker, datetime(2025, 1, 1, tzinfo=UTC), text)


def test_like_messages_are_by_the_same_speaker_and_about_as_long() -> None:
    having = [said(i, "ab"[i % 2], f"Marta and I went out, day {i}" + "!" * i) for i in range(10)]
    lacking = [said(50 + i, "ab"[i % 2], f"we stayed at home, on day {i}" + "!" * i) for i in range(10)]
    long = [said(90 + i, "a", "nothing " * 40 + str(i)) for i in range(10)]
    found = messages_of("mentions:Marta", [*having, *lacking, *long], mentions(["Marta"]))
    assert set(found.having) == {one.text for one in having}
    assert set(found.lacking) == {one.text for one in lacking}


def test_a_name_counts_only_as_a_word_of_its_own() -> None:
    has_it = mentions(["Ann", "Mr. B."])
    texts = ("ann came", "Anna came", "so did Mr. B. today", "Annie")
    assert [has_it(said(0, "a", text)) for text in texts] == [True, False, True, False]


def test_too_few_messages_are_refused_with_their_number() -> None:
    few = [said(i, "a", f"Marta came by on day {i}") for i in range(3)]
    with pytest.raises(TooFewExamples, match="3 messages and 0 without"):
        messages_of("mentions:Marta", few, mentions(["Marta"]))
