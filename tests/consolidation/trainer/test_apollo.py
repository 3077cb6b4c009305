"""APOLLO against algorithm 1 written out in float64, a column at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from consolidation.errors import StateUnfit
from consolidation.trainer.apollo import MINI, Apollo, ApolloSettings, factor_matrices
from consolidation.trainer.lora import LoraFactors
from consolidation.trainer.optimizer import BETAS, EPS

Array = npt.NDArray[np.float64]
FREE = ApolloSettings(rank=3, growth=math.inf)
SHAPES = {"wide": (6, 11), "tall": (13, 7), "square": (8, 8)}


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def gradients(n: int, seed: int = 1) -> Iterator[dict[str, torch.Tensor]]:
    """Sizes that jump, so that the limiter has something to do."""
    generator = torch.Generator().manual_seed(seed)
    for step in range(n):
        size = 100.0 if step % 5 == 3 else 0.3
        yield {name: size * torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def by_the_paper(
    weight: Array, steps: list[tuple[Array, Array]], settings: ApolloSettings, lr: float
) -> Array:
    """Algorithm 1 for one matrix with m <= n, from (gradient, projection) pairs."""
    w = weight.copy()
    m = v = np.zeros((settings.rank, w.shape[1]))
    before = None
    for t, (g, p) in enumerate(steps, 1):
        r = p @ g
        m = BETAS[0] * m + (1 - BETAS[0]) * r
        v = BETAS[1] * v + (1 - BETAS[1]) * r**2
        adapted = (m / (1 - BETAS[0] ** t)) / (np.sqrt(v / (1 - BETAS[1] ** t)) + EPS)
        if settings.scaling == "channel":
            s = np.diag([np.linalg.norm(adapted[:, j]) / np.linalg.norm(r[:, j]) for j in range(w.shape[1])])
        else:
            s = np.eye(w.shape[1]) * np.linalg.norm(adapted) / np.linalg.norm(r)
        scaled = g @ s
        if before is not None and np.linalg.norm(scaled) / before > settings.growth:
            scaled = scaled / np.linalg.norm(scaled) * settings.growth * before
        before = np.linalg.norm(scaled)
        alpha = np.sqrt(w.shape[0] / settings.rank) if settings.scale is None else settings.scale
        w = w - lr * alpha * scaled - lr * settings.weight_decay * w
    return w


@pytest.mark.parametrize(
    "settings",
    [
        FREE,
        ApolloSettings(rank=3),
        ApolloSettings(rank=2, refresh=4, weight_decay=0.1, scale=1.7),
        MINI,
        replace(MINI, growth=math.inf, scale=128**0.5),
    ],
    ids=["channel", "limited", "refreshed", "mini", "mini, free"],
)
def test_a_training_is_that_of_the_algorithm_in_float64(settings: ApolloSettings) -> None:
    ours = weights()
    apollo = Apollo(ours, settings, seed=5)
    seen: dict[str, list[tuple[Array, Array]]] = {name: [] for name in SHAPES}
    for gradient in gradients(12):
        for name, (rows, columns) in SHAPES.items():
            g = gradient[name].double().numpy()
            p = apollo.projection(name, min(rows, columns)).double().numpy()
            seen[name].append((g if rows <= columns else g.T, p))
        apollo.update(gradient, 0.01)
    for name, (rows, columns) in SHAPES.items():
        start = weights()[name].double().numpy()
        expected = by_the_paper(start if rows <= columns else start.T, seen[name], settings, 0.01)
        np.testing.assert_allclose(
            ours[name].numpy(), expected if rows <= columns else expected.T, rtol=2e-5, atol=2e-6
        )


def test_at_full_rank_every_column_goes_as_far_as_with_adamw_and_along_its_gradient() -> None:
    ours, adamw = weights()["wide"], torch.nn.Parameter(weights()["wide"])
    apollo = Apollo({"wide": ours}, ApolloSettings(rank=6, growth=math.inf), 0)
    reference = torch.optim.AdamW([adamw], lr=0.01, betas=BETAS, eps=EPS, weight_decay=0)
    for gradient in gradients(6):
        before, theirs = ours.clone(), adamw.detach().clone()
        apollo.update({"wide": gradient["wide"]}, 0.01)
        adamw.grad = gradient["wide"].clone()
        reference.step()
        change = ours - before
        torch.testing.assert_close(
            change.norm(dim=0), (adamw.detach() - theirs).norm(dim=0), rtol=1e-3, atol=1e-6
        )
        cosine = torch.cosine_similarity(change, -gradient["wide"], dim=0)
        torch.testing.assert_close(cosine, torch.ones(11), atol=1e-3, rtol=0)


@pytest.mark.parametrize("rank", [8, 32])
def test_at_a_small_rank_a_step_is_about_as_long_as_adamws(rank: int) -> None:
    generator = torch.Generator().manual_seed(2)
    ours = torch.zeros(96, 128)
    apollo = Apollo({"w": ours}, ApolloSettings(rank=rank, growth=math.inf), 0)
    full = Apollo({"w": torch.zeros(96, 128)}, ApolloSettings(rank=96, growth=math.inf), 0)
    lengths: dict[Apollo, list[float]] = {apollo: [], full: []}
    for _ in range(8):
        gradient = {"w": torch.randn(96, 128, generator=generator)}
        for one, norms in lengths.items():
            before = one.moments["w"].count
            one.update(gradient, 1.0)
            assert one.moments["w"].count == before + 1
            norms.append(float(one.moments["w"].norm) * one.settings.alpha(96))
    ratio = np.mean(lengths[apollo]) / np.mean(lengths[full])
    assert ratio == pytest.approx(1, abs=0.25)


def test_a_step_may_not_be_longer_than_the_last_by_more_than_the_limit() -> None:
    def norms(growth: float) -> list[float]:
        apollo = Apollo(weights(), ApolloSettings(rank=3, growth=growth), 3)
        values = []
        for gradient in gradients(12):
            apollo.update(gradient, 0.01)
            values.append(float(apollo.moments["wide"].norm))
        return values

    limited, free = norms(1.01), norms(math.inf)
    assert all(b <= 1.01 * a * (1 + 1e-6) for a, b in pairwise(limited))
    assert any(b > 1.01 * a for a, b in pairwise(free))
    assert limited[0] == free[0]


def test_a_first_gradient_of_nothing_does_not_hold_a_matrix_for_ever() -> None:
    ours = weights()
    apollo = Apollo(ours, ApolloSettings(rank=3), 0)
    apollo.update({name: torch.zeros(shape) for name, shape in SHAPES.items()}, 0.01)
    assert all(torch.equal(ours[name], weights()[name]) for name in SHAPES)
    apollo.update(next(gradients(1)), 0.01)
    assert all(bool((ours[name] != weights()[name]).any()) for name in SHAPES)


def test_moments_decide_how_far_and_never_where_to() -> None:
    following = next(gradients(1, seed=9))
    for settings in (FREE, MINI):
        ours = weights()
        apollo = Apollo(ours, settings, 0)
        for gradient in gradients(4):
            apollo.prime(gradient)
        apollo.update(following, 0.01)
        moved = weights()["wide"] - ours["wide"]
        cosine = torch.cosine_similarity(moved, following["wide"], dim=0)
        torch.testing.assert_close(cosine, torch.ones(11), atol=1e-3, rtol=0)


def test_priming_moves_no_weight_and_takes_the_size_of_the_first_gradient() -> None:
    def primed(size: float) -> dict[str, torch.Tensor]:
        ours = weights()
        apollo = Apollo(ours, FREE, 0)
        for gradient in gradients(3):
            apollo.prime({name: size * g for name, g in gradient.items()})
        assert all(torch.equal(ours[name], weights()[name]) for name in SHAPES)
        for gradient in gradients(3, seed=4):
            apollo.update(gradient, 0.01)
        return ours

    small, large = primed(1e-3), primed(10.0)
    for name in SHAPES:
        torch.testing.assert_close(small[name], large[name], rtol=1e-4, atol=1e-5)


def test_only_what_has_a_gradient_is_primed_and_only_before_the_first_update() -> None:
    factors = LoraFactors([[("q", 12, 10)]], 4, 8)
    factors.initialise(0)
    gradient = torch.zeros_like(factors.flat)
    views = factor_matrices(factors, gradient)
    views["q.B"].copy_(torch.randn(10, 4))
    apollo = Apollo(factor_matrices(factors, factors.flat), ApolloSettings(rank=2), 0)
    apollo.prime(views)
    assert (apollo.moments["q.A"].count, apollo.moments["q.B"].count) == (0, 1)
    apollo.update(views, 0.1)
    assert bool(factors.named(factors.flat)["q"][1].any())
    with pytest.raises(ValueError, match="before the first update"):
        apollo.prime(views)


def test_a_seed_decides_the_bits_and_projections_are_drawn_anew() -> None:
    def trained(seed: int) -> torch.Tensor:
        ours = weights()
        apollo = Apollo(ours, ApolloSettings(rank=2), seed)
        for gradient in gradients(5):
            apollo.update(gradient, 0.01)
        return ours["tall"]

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))
    apollo = Apollo(weights(), ApolloSettings(rank=2, refresh=2), 1)
    drawn = []
    for gradient in gradients(3):
        drawn.append(apollo.projection("wide", 6))
        apollo.update(gradient, 0.01)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[1], drawn[2])
    assert not torch.equal(apollo.projection("wide", 6), apollo.projection("other", 6))


def test_what_is_saved_goes_on_to_the_bit(tmp_path: Path) -> None:
    settings, whole, broken = ApolloSettings(rank=2, refresh=3), weights(), weights()
    one, other = Apollo(whole, settings, 7), Apollo(broken, settings, 7)
    steps = list(gradients(8))
    for apollo in (one, other):
        apollo.prime(steps[0])
        for gradient in steps[1:4]:
            apollo.update(gradient, 0.01)
    other.save(tmp_path / "state.safetensors")
    resumed = Apollo(broken, settings, 7)
    resumed.restore(tmp_path / "state.safetensors")
    for gradient in steps[4:]:
        one.update(gradient, 0.01)
        resumed.update(gradient, 0.01)
    assert all(torch.equal(whole[name], broken[name]) for name in SHAPES)
    assert resumed.step == one.step
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_primed_moments_are_still_primed_after_a_restart(tmp_path: Path) -> None:
    first = Apollo(weights(), FREE, 0)
    first.prime(next(gradients(1)))
    first.save(tmp_path / "state")
    second = Apollo(weights(), FREE, 0)
    second.restore(tmp_path / "state")
    assert all(moments.is_primed and moments.count == 1 for moments in second.moments.values())


def test_a_state_of_something_else_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    file = tmp_path / "state"
    saved = Apollo(weights(), FREE, 0)
    saved.update(next(gradients(1)), 0.01)
    saved.save(file)
    others = {
        "other settings": Apollo(weights(), MINI, 0),
        "another seed": Apollo(weights(), FREE, 1),
        "other matrices": Apollo({"wide": torch.zeros(6, 11)}, FREE, 0),
        "another shape": Apollo({**weights(), "wide": torch.zeros(6, 12)}, FREE, 0),
    }
    for why, apollo in others.items():
        with pytest.raises(StateUnfit, match=why):
            apollo.restore(file)
        assert apollo.step == 0
    file.write_bytes(file.read_bytes()[:40])
    for damaged in (file, tmp_path / "missing"):
        with pytest.raises(StateUnfit, match="cannot be used"):
            Apollo(weights(), FREE, 0).restore(damaged)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_changes_nothing(bad: float) -> None:
    ours = weights()
    apollo = Apollo(ours, FREE, 0)
    gradient = next(gradients(1))
    gradient["tall"][2, 3] = bad
    assert not math.isfinite(apollo.update(gradient, 0.01))
    assert all(torch.equal(ours[name], weights()[name]) for name in SHAPES)
    assert apollo.step == 0
    assert all(not moments.count for moments in apollo.moments.values())


@pytest.mark.parametrize("size", [math.nan, 0.0, 1e-25])
def test_what_is_no_gradient_primes_nothing(size: float) -> None:
    ours, cold = weights(), weights()
    one, other = Apollo(ours, FREE, 0), Apollo(cold, FREE, 0)
    one.prime({name: size * g for name, g in next(gradients(1)).items()})
    for apollo in (one, other):
        apollo.update(next(gradients(1, seed=2)), 0.01)
    assert all(torch.equal(ours[name], cold[name]) for name in SHAPES)


def test_the_state_is_two_rows_per_rank_and_column() -> None:
    apollo = Apollo({"w": torch.zeros(64, 48)}, ApolloSettings(rank=5), 0)
    mini = Apollo({"w": torch.zeros(64, 48)}, MINI, 0)
    for one, rank in ((apollo, 5), (mini, 1)):
        assert one.moments["w"].first.shape == one.moments["w"].second.shape == (rank, 64)


def test_settings_that_mean_nothing_and_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="channel, tensor"):
        ApolloSettings(scaling="row")
    with pytest.raises(ValueError, match="positive"):
        ApolloSettings(rank=0)
    with pytest.raises(ValueError, match="norm has 1 dimensions"):
        Apollo({"norm": torch.ones(4)}, FREE, 0)
