"""The hand-written blocks against transformers' modules under autograd with peft's LoRA."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation.trainer.engine import Text
from consolidation.trainer.handwritten import HandwrittenEngine, fits
from consolidation.trainer.injected import InjectedEngine
from consolidation.trainer.texts import make_texts
from tests.consolidation.trainer.rows import make_rows


def load(folder: Path, cache: Path) -> LanguageModel:
    return LanguageModel.load(ModelSpec(cache_dir=cache, source=str(folder), dtype="float32", device="cpu"))


def with_teacher(engine: HandwrittenEngine, texts: list[Text]) -> list[Text]:
    torch.manual_seed(1)
    states = engine.final_hidden([texts[5].ids])[0][3:]
    moved = (states + 0.5 * torch.randn(states.shape)).contiguous()
    return [*texts, Text("kl:0", "kl", None, texts[5].ids, tuple(range(3, len(texts[5].ids))), moved)]


@pytest.fixture
def engine(tiny_folder: Path, model_cache: Path) -> HandwrittenEngine:
    language_model = load(tiny_folder, model_cache)
    engine = HandwrittenEngine(language_model, 4, 8, 0.4)
    engine.factors.initialise(3)
    torch.manual_seed(2)
    engine.factors.flat += 0.05 * torch.randn(engine.factors.flat.shape)
    return engine


def texts_of(folder: Path, cache: Path) -> list[Text]:
    return make_texts(make_rows(), load(folder, cache).template)


def test_final_states_are_those_of_transformers(
    engine: HandwrittenEngine, tiny_folder: Path, model_cache: Path
) -> None:
    model = load(tiny_folder, model_cache)
    texts = texts_of(tiny_folder, model_cache)
    for text, states in zip(texts, engine.final_hidden([text.ids for text in texts]), strict=True):
        with torch.no_grad():
            expected = model.model.get_decoder()(input_ids=torch.tensor([text.ids])).last_hidden_state[0]
        torch.testing.assert_close(states, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("workers", [1, 3])
def test_losses_and_gradients_are_those_of_autograd(
    engine: HandwrittenEngine, tiny_folder: Path, model_cache: Path, workers: int
) -> None:
    engine.workers = workers
    texts = with_teacher(engine, texts_of(tiny_folder, model_cache))
    reference = InjectedEngine(load(tiny_folder, model_cache), 4, 8, 0.4)
    adapter = engine.factors.to_adapter("", {})
    for group in reference.factors.groups:
        a, b = (torch.from_numpy(factor) for factor in adapter.modules[group.names[0]])
        group.a(reference.factors.flat).copy_(a)
        group.bs(reference.factors.flat)[0].copy_(b)
    for one in (engine, reference):
        one.prepare(texts)
    ours, theirs = engine.step(texts, 0.7), reference.step(texts, 0.7)
    assert ours.losses == pytest.approx(theirs.losses, rel=1e-4, abs=1e-6)
    ours_by_name = engine.factors.named(engine.gradient)
    for name, factors in reference.factors.named(reference.gradient).items():
        for mine, expected in zip(ours_by_name[name], factors, strict=True):
            torch.testing.assert_close(mine, expected, atol=1e-6, rtol=1e-4)


def test_a_step_gives_the_same_bits_twice(
    engine: HandwrittenEngine, tiny_folder: Path, model_cache: Path
) -> None:
    texts = texts_of(tiny_folder, model_cache)
    engine.prepare(texts)
    first = (engine.step(texts, 1.0).losses, engine.gradient.clone())
    assert engine.step(texts, 1.0).losses == first[0]
    assert torch.equal(engine.gradient, first[1])


def test_only_blocks_from_the_first_trained_one_have_factors(engine: HandwrittenEngine) -> None:
    layers = {int(name.split(".")[2]) for group in engine.factors.groups for name in group.names}
    assert layers == {1, 2}


def test_other_architectures_get_the_injected_engine(tiny_folder: Path, model_cache: Path) -> None:
    model = load(tiny_folder, model_cache).model
    assert fits(model)
    model.config.attention_bias = True
    assert not fits(model)


def test_the_adapter_of_an_engine_worn_by_the_model_gives_the_trained_loss(
    engine: HandwrittenEngine, tiny_folder: Path, model_cache: Path
) -> None:
    language_model = load(tiny_folder, model_cache)
    texts = texts_of(tiny_folder, model_cache)
    engine.prepare(texts)
    losses = engine.step(texts, 1.0).losses
    language_model.apply([(engine.factors.to_adapter(language_model.base_hash, {}), 1.0)])
    for text, loss in zip(texts, losses, strict=True):
        logprobs = language_model.token_logprobs(text.ids)
        assert -logprobs[list(text.positions)].mean() == pytest.approx(loss, rel=1e-4)
