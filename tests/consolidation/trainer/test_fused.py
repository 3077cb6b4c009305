"""The compiled passes against the same computed in float64, and a whole step against torch's operations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation.trainer import fused as module
from consolidation.trainer.fused import Fused, compiled
from consolidation.trainer.handwritten import HandwrittenEngine
from consolidation.trainer.texts import make_texts
from tests.consolidation.trainer.rows import make_rows

HALF_A_BIT = 2**-8  # of bfloat16's eight


@pytest.fixture
def fused() -> Fused:
    found = compiled()
    if found.fused is None:
        pytest.skip(found.obstacle)
    return found.fused


def numbers(*shape: int, seed: int = 0, spread: float = 1.0) -> torch.Tensor:
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (made * spread).to(torch.bfloat16)


def strided(x: torch.Tensor, beside: int = 5) -> torch.Tensor:
    """The same numbers in a matrix with further columns."""
    return torch.cat((x, x.new_full((len(x), beside), 7.0)), dim=1)[:, : x.shape[1]]


def check(found: torch.Tensor, expected: torch.Tensor, rounds: float = 1.0) -> None:
    torch.testing.assert_close(found.double(), expected, rtol=rounds * HALF_A_BIT, atol=rounds * 1e-3)


def norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * weight


@pytest.mark.parametrize("d", [1, 7, 64, 576])
def test_a_norm_and_its_gradient(fused: Fused, d: int) -> None:
    x, add, gy, g = (strided(numbers(9, d, seed=n, spread=3)) for n in range(4))
    weight = numbers(d, seed=5).float()
    expected_x = (x.double() + add.double()).to(torch.bfloat16)
    before = expected_x.double().requires_grad_()
    out, rstd = strided(torch.empty(9, d, dtype=torch.bfloat16)), torch.empty(9, 1)
    fused.norm_forward(x, weight, 1e-5, out, rstd, add)
    assert torch.equal(x, expected_x)
    expected = norm(before, weight.double(), 1e-5)
    check(out, expected.detach())
    expected.backward(gy.double())
    assert before.grad is not None
    expected_g = g.double() + before.grad
    fused.norm_backward(gy, x, rstd, weight, g)
    check(g, expected_g, 2)


def test_a_gated_unit_and_its_gradient(fused: Fused) -> None:
    gu, ga = strided(numbers(11, 2 * 33, spread=4)), numbers(11, 33, seed=1)
    gu[0, :4] = torch.tensor([-300.0, 300.0, 0.0, -88.0])
    wide = gu.double().requires_grad_()
    gate, up = wide.chunk(2, dim=-1)
    expected = torch.nn.functional.silu(gate) * up
    a, ggu = strided(torch.empty(11, 33, dtype=torch.bfloat16)), strided(torch.empty_like(gu))
    fused.swiglu_forward(gu, a)
    check(a, expected.detach())
    expected.backward(ga.double())
    assert wide.grad is not None
    fused.swiglu_backward(ga, gu, ggu)
    check(ggu, wide.grad, 2)


@pytest.mark.parametrize("t", [1, 5, 40])
def test_causal_probabilities_and_their_gradient(fused: Fused, t: int) -> None:
    scores, g = numbers(6, 3 * t, t, spread=6), numbers(6, 3 * t, t, seed=1)
    unseen = torch.ones(t, t, dtype=torch.bool).triu(1).repeat(3, 1)
    wide = scores.double().requires_grad_()
    expected = torch.softmax((wide * 0.3).masked_fill(unseen, -torch.inf), -1)
    p = scores.clone()
    fused.softmax_forward(p, 0.3)
    check(p, expected.detach())
    assert not p[:, unseen].any()
    (expected * g.double()).sum().backward()
    assert wide.grad is not None
    fused.softmax_backward(g, p)
    check(g.double() * 0.3, wide.grad, 8)  # from probabilities that are rounded


def test_what_is_no_number_stays_none(fused: Fused) -> None:
    bad = torch.tensor([[torch.nan, 1.0, torch.inf, 2.0]], dtype=torch.bfloat16)
    a, rstd = torch.zeros(1, 2, dtype=torch.bfloat16), torch.empty(1, 1)
    fused.swiglu_forward(bad, a)
    assert a[0, 0].isnan()
    out = torch.zeros(1, 4, dtype=torch.bfloat16)
    fused.norm_forward(bad.clone(), torch.ones(4), 1e-5, out, rstd)
    assert out.isnan().any()
    p = bad[:, :1].reshape(1, 1, 1).clone()
    fused.softmax_forward(p, 1.0)
    assert p.isnan().all()


def test_a_step_is_that_of_torch(
    fused: Fused, tiny_folder: Path, model_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModelSpec(cache_dir=model_cache, source=str(tiny_folder), dtype="bfloat16", device="cpu")
    found = []
    for is_fused in (True, False):
        if not is_fused:
            monkeypatch.setattr(module, "compiled", lambda: module.Compiled(None, "asked for"))
        model = LanguageModel.load(spec)
        engine = HandwrittenEngine(model, 4, 8, 0.4)
        engine.factors.initialise(3)
        torch.manual_seed(2)
        engine.factors.flat += 0.05 * torch.randn(engine.factors.flat.shape)
        texts = make_texts(make_rows(), model.template)
        engine.prepare(texts)
        found.append((engine.name, engine.step(texts, 1.0).losses, engine.gradient.clone()))
    (name, losses, gradient), (other, expected, torchs) = found
    assert (name, other) == ("handwritten-fused", "handwritten")
    assert losses == pytest.approx(expected, abs=0.05)
    assert torch.nn.functional.cosine_similarity(gradient, torchs, dim=0) > 0.99


def test_without_a_compiler_torch_computes_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    found = compiled.__wrapped__()
    assert found.fused is None
    assert found.obstacle.startswith("no C compiler was found")


def test_a_compiler_that_fails_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    found = compiled.__wrapped__()
    assert found.fused is None
    assert found.obstacle.endswith("did not make the fused passes: CalledProcessError")
