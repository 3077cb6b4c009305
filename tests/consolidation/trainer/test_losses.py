"""The losses by hand against torch's own under autograd."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from consolidation.trainer.engine import Text
from consolidation.trainer.losses import Head, text_weights

D, V = 24, 5000
KL_WEIGHT = 0.7


def make_texts() -> list[Text]:
    torch.manual_seed(3)
    return [
        Text("a", "answer", "f", (7, 4999, 3, 2048, 9), (0, 1, 3)),
        Text("k", "kl", None, (5, 6, 7), (0, 1), torch.randn(2, D)),
        Text("b", "replay", "g", (1, 2, 2047), (1,)),
    ]


def by_autograd(
    texts: list[Text], weight: torch.Tensor, hidden: torch.Tensor
) -> tuple[list[float], torch.Tensor]:
    hidden = hidden.double().requires_grad_()
    logits, weight = hidden @ weight.double().t(), weight.double()
    losses, parts, start = [], [], 0
    for text, count in zip(texts, text_weights(texts, KL_WEIGHT), strict=True):
        own = logits[start : start + len(text.positions)]
        if text.teacher is None:
            values = F.cross_entropy(
                own, torch.tensor([text.ids[p + 1] for p in text.positions]), reduction="none"
            )
        else:
            teacher = F.log_softmax(text.teacher.double() @ weight.t(), -1)
            values = F.kl_div(F.log_softmax(own, -1), teacher, reduction="none", log_target=True).sum(-1)
        losses.append(float(values.detach().mean()))
        parts.append(count * values.sum())
        start += len(text.positions)
    torch.stack(parts).sum().backward()
    assert hidden.grad is not None
    return losses, hidden.grad


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_losses_and_gradients_are_those_of_autograd(keep: bool, spread: float) -> None:
    texts = make_texts()
    weight, hidden = torch.randn(V, D) * spread, torch.randn(6, D)
    expected, gradient = by_autograd(texts, weight, hidden)
    losses, ours = Head(weight, keep=keep).losses(texts, text_weights(texts, KL_WEIGHT), hidden)
    assert losses == pytest.approx(expected, rel=1e-5, abs=1e-5)
    torch.testing.assert_close(ours.double(), gradient, rtol=1e-4, atol=1e-5)


def test_the_weights_make_a_mean_over_answers_plus_a_weighted_one_over_kl() -> None:
    assert text_weights(make_texts(), KL_WEIGHT) == pytest.approx([1 / 4, KL_WEIGHT / 2, 1 / 4])


def test_the_loss_of_a_word_that_is_nearly_certain_is_not_rounded_away_in_bfloat16() -> None:
    torch.manual_seed(4)
    weight = torch.randn(V, D).bfloat16()
    hidden = (weight[[11]].float() * 1.3).bfloat16()
    text = Text("a", "answer", "f", (0, 11), (0,))
    expected, gradient = by_autograd([text], weight, hidden)
    losses, ours = Head(weight, keep=True).losses([text], [1.0], hidden)
    assert 0 < expected[0] < 4e-3
    assert losses == pytest.approx(expected, rel=0.05)
    torch.testing.assert_close(ours.double(), gradient, rtol=0.05, atol=0.02 * float(gradient.abs().max()))


def test_a_model_that_is_its_teacher_has_no_loss_and_no_gradient() -> None:
    torch.manual_seed(5)
    states = torch.randn(3, D)
    weight = torch.randn(V, D)
    text = Text("k", "kl", None, (5, 6, 7), (0, 1, 2), states)
    losses, gradient = Head(weight, keep=True).losses([text], [1.0], states)
    assert losses == pytest.approx([0], abs=1e-5)
    assert float(gradient.abs().max()) < 1e-5
