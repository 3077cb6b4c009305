"""Gradients by hooks against autograd through injected factors, on the tiny model, whose sides are all narrow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.errors import UnknownModule
from agents.runtime.adapter import Adapter
from agents.runtime.lm import LanguageModel
from agents.runtime.lora_gradients import MAX_RANK, Differentiator, Row

NAMES = ("model.layers.1.self_attn.q_proj", "model.layers.2.mlp.down_proj")


def adapter(model: LanguageModel, rank: int = 2, seed: int = 0) -> Adapter:
    dice = np.random.default_rng(seed)
    modules = {}
    for name in NAMES:
        n_out, n_in = model.model.get_submodule(name).weight.shape
        factors = dice.normal(0, 0.1, (rank, n_in)), dice.normal(0, 0.1, (n_out, rank))
        modules[name] = (factors[0].astype(np.float32), factors[1].astype(np.float32))
    return Adapter(model.base_hash, rank, 4.0, modules)


def rows(model: LanguageModel, *said: tuple[str, str]) -> list[Row]:
    return [
        model.template.supervised(
            [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        )
        for asked, answer in said
    ]


SAID = (("hi", "hello there"), ("where?", "in the yard, by the crane"), ("and?", "no"))


def injected(model: LanguageModel, worn: Adapter, row: Row) -> dict[str, np.ndarray]:
    """The same by autograd through base + scale * B A; the model must be plain."""
    ids, counted = row
    leaves = {
        name: [torch.from_numpy(factor).clone().requires_grad_() for factor in factors]
        for name, factors in worn.modules.items()
    }
    weights = {
        f"{name}.weight": model.model.get_submodule(name).weight + worn.alpha / worn.rank * b @ a
        for name, (a, b) in leaves.items()
    }
    with torch.enable_grad():
        logits = torch.func.functional_call(
            model.model, weights, kwargs={"input_ids": torch.tensor([ids])}
        ).logits[0]
        places = [t for t in range(1, len(ids)) if counted[t]]
        loss = torch.nn.functional.cross_entropy(
            logits[[t - 1 for t in places]], torch.tensor([ids[t] for t in places])
        )
        loss.backward()
    return {
        name: np.concatenate([b.grad.flatten().numpy(), a.grad.flatten().numpy()])  # type: ignore[union-attr]
        for name, (a, b) in leaves.items()
    }


def test_gradients_are_those_of_injected_factors(tiny: LanguageModel) -> None:
    worn = adapter(tiny)
    expected = [injected(tiny, worn, row) for row in rows(tiny, *SAID)]
    tiny.apply([(worn, 1.0)])
    found = Differentiator(tiny, [(worn, 1.0)]).gradients(rows(tiny, *SAID))
    assert set(found) == set(NAMES)
    for name in NAMES:
        np.testing.assert_allclose(found[name], np.stack([one[name] for one in expected]), atol=1e-5)


def test_vectors_of_one_module_stand_side_by_side(tiny: LanguageModel) -> None:
    """Two halves of an adapter, one at twice and one at half its share, are the adapter with scaled factors."""
    first, second = adapter(tiny, seed=1), adapter(tiny, seed=2)
    tiny.apply([(first, 1.0), (second, 0.5)])
    row = rows(tiny, SAID[1])
    both = Differentiator(tiny, [(first, 1.0), (second, 0.5)]).gradients(row)
    alone = Differentiator(tiny, [(first, 1.0)]).gradients(row)
    name = NAMES[0]
    n_out, n_in = tiny.model.get_submodule(name).weight.shape
    along_b = both[name][0][: n_out * 4].reshape(n_out, 4)
    np.testing.assert_allclose(along_b[:, :2].ravel(), alone[name][0][: n_out * 2], atol=1e-6)
    along_a = both[name][0][n_out * 4 :].reshape(4, n_in)
    np.testing.assert_allclose(along_a[:2].ravel(), alone[name][0][n_out * 2 :], atol=1e-6)


def test_without_an_adapter_the_weights_are_differentiated(tiny: LanguageModel) -> None:
    row = rows(tiny, SAID[0])[0]
    found = Differentiator(tiny, (), first_layer=2).gradients([row])
    assert {name.split(".")[2] for name in found} == {"2"}
    name = NAMES[1]
    weight = tiny.model.get_submodule(name).weight.detach().clone().requires_grad_()
    ids, counted = row
    with torch.enable_grad():
        logits = torch.func.functional_call(
            tiny.model, {f"{name}.weight": weight}, kwargs={"input_ids": torch.tensor([ids])}
        ).logits[0]
        places = [t for t in range(1, len(ids)) if counted[t]]
        torch.nn.functional.cross_entropy(
            logits[[t - 1 for t in places]], torch.tensor([ids[t] for t in places])
        ).backward()
    assert weight.grad is not None
    np.testing.assert_allclose(found[name][0], weight.grad.flatten().numpy(), atol=1e-5)


def test_too_many_ranks_are_told_by_the_weights(tiny: LanguageModel) -> None:
    worn = adapter(tiny, rank=MAX_RANK + 1)
    tiny.apply([(worn, 1.0)])
    differentiator = Differentiator(tiny, [(worn, 1.0)])
    assert differentiator.is_of_weights
    assert set(differentiator.gradients(rows(tiny, SAID[0]))) == set(NAMES)


def test_rows_together_give_what_rows_alone_give(tiny: LanguageModel) -> None:
    worn = adapter(tiny)
    tiny.apply([(worn, 1.0)])
    differentiator = Differentiator(tiny, [(worn, 1.0)])
    together = differentiator.gradients(rows(tiny, *SAID))
    for place, row in enumerate(rows(tiny, *SAID)):
        alone = differentiator.gradients([row])
        for name in NAMES:
            np.testing.assert_allclose(together[name][place], alone[name][0], atol=1e-6)


def test_sketches_keep_inner_products(tiny: LanguageModel) -> None:
    worn = adapter(tiny)
    tiny.apply([(worn, 1.0)])
    said = rows(tiny, *SAID, ("who?", "the one with the hat"), ("when?", "at noon, or a bit later"))
    exact = Differentiator(tiny, [(worn, 1.0)]).gradients(said)
    grams = []
    for seed in range(6):
        sketched = Differentiator(tiny, [(worn, 1.0)], width=16, seed=seed).gradients(said)
        grams.append(sum(part @ part.T for part in sketched.values()))
    whole = sum(part @ part.T for part in exact.values())
    error = np.linalg.norm(np.mean(grams, axis=0) - whole) / np.linalg.norm(whole)
    assert error < 0.4


def test_a_width_beyond_any_side_makes_no_sketch(tiny: LanguageModel) -> None:
    worn = adapter(tiny)
    tiny.apply([(worn, 1.0)])
    wide, whole = (
        Differentiator(tiny, [(worn, 1.0)], width=width).gradients(rows(tiny, *SAID))
        for width in (1 << 40, 1 << 12)
    )
    for name in NAMES:
        np.testing.assert_array_equal(wide[name], whole[name])


def test_the_model_is_left_as_it_was(tiny: LanguageModel) -> None:
    before = {name: p.clone() for name, p in tiny.model.named_parameters()}
    Differentiator(tiny, ()).gradients(rows(tiny, SAID[0]))
    assert all(torch.equal(p, before[name]) for name, p in tiny.model.named_parameters())
    assert all(p.grad is None and not p.requires_grad for p in tiny.model.parameters())
    names = {name.rpartition(".")[2] for name, module in tiny.model.named_modules() if module._forward_hooks}
    assert not names


def test_a_row_without_a_counted_token_is_refused(tiny: LanguageModel) -> None:
    with pytest.raises(ValueError, match="no token"):
        Differentiator(tiny, ()).gradients([([1, 2, 3], [False, False, False])])


def test_an_unknown_module_is_refused(tiny: LanguageModel) -> None:
    worn = replace(adapter(tiny), modules={"model.layers.9.nothing": adapter(tiny).modules[NAMES[0]]})
    with pytest.raises(UnknownModule):
        Differentiator(tiny, [(worn, 1.0)])
