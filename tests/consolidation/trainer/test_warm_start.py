"""Claims about moments that demonstrations in the context give, on the tiny model; and about training whole matrices."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation.errors import NothingToTrain
from consolidation.trainer.apollo import Apollo, ApolloSettings, factor_matrices
from consolidation.trainer.engine import Text
from consolidation.trainer.full import FullEngine
from consolidation.trainer.handwritten import HandwrittenEngine
from consolidation.trainer.job import Row
from consolidation.trainer.texts import make_texts
from consolidation.trainer.warm_start import MAX_CONTEXT, WarmStart, in_context_texts, prime

SPEC = WarmStart(n_demonstrations=3, n_batches=2, batch_size=4, seed=1)


def row(question: str, answer: str) -> Row:
    messages = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Row(question, "fact", messages)


ROWS = [row("say " + "abcdefghij"[i], "ABCDEFGHIJ"[i] * 2) for i in range(10)]


@pytest.fixture
def language_model(tiny_folder: Path, model_cache: Path) -> LanguageModel:
    spec = ModelSpec(cache_dir=model_cache, source=str(tiny_folder), dtype="float32", device="cpu")
    return LanguageModel.load(spec)


@pytest.fixture
def engine(language_model: LanguageModel) -> HandwrittenEngine:
    engine = HandwrittenEngine(language_model, 4, 8, 0.4)
    engine.factors.initialise(3)
    return engine


def flat(batches: list[list[Text]]) -> list[Text]:
    return [text for batch in batches for text in batch]


def words_before(text: Text, language_model: LanguageModel) -> str:
    return language_model.decode(list(text.ids))


def test_the_teacher_is_the_model_that_read_demonstrations_first(
    engine: HandwrittenEngine, language_model: LanguageModel
) -> None:
    spec = WarmStart(n_demonstrations=1, n_batches=1, batch_size=4)
    two = [row("good day", "fine"), row("say more", "no")]
    (text,) = flat(in_context_texts(two, language_model.template, engine, spec))
    shown = next(one for one in two if one.id in words_before(text, language_model))
    other = next(one for one in two if one is not shown)
    messages = [dict(message) for one in (other, shown) for message in one.messages]
    whole, _ = language_model.template.supervised(messages)
    with torch.no_grad():
        states = language_model.model.get_decoder()(input_ids=torch.tensor([whole])).last_hidden_state[0]
    expected = states[[p + len(whole) - len(text.ids) for p in text.positions]]
    assert text.teacher is not None
    torch.testing.assert_close(text.teacher, expected, atol=1e-5, rtol=1e-5)
    assert [text.ids[p + 1] for p in text.positions][:-1] == language_model.template.encode(
        shown.messages[1]["content"]
    )


def test_a_batch_is_drawn_by_its_seed_and_shows_no_row_its_own_answer(
    engine: HandwrittenEngine, language_model: LanguageModel
) -> None:
    first, again = (in_context_texts(ROWS, language_model.template, engine, SPEC) for _ in range(2))
    other = in_context_texts(ROWS, language_model.template, engine, WarmStart(3, 2, 4, seed=2))
    assert [[text.ids for text in batch] for batch in first] == [[t.ids for t in batch] for batch in again]
    assert [text.ids for text in flat(first)] != [text.ids for text in flat(other)]
    assert [len(batch) for batch in first] == [4, 4]
    assert len({text.id for text in flat(first)}) == 8
    twins = [row("same", "thing")] * 5
    with pytest.raises(NothingToTrain):
        in_context_texts(twins, language_model.template, engine, SPEC)


def test_one_row_has_nothing_to_be_shown(engine: HandwrittenEngine, language_model: LanguageModel) -> None:
    for rows in ([], ROWS[:1]):
        with pytest.raises(NothingToTrain):
            in_context_texts(rows, language_model.template, engine, SPEC)


def test_a_context_that_is_too_long_loses_its_first_demonstrations(
    engine: HandwrittenEngine, language_model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    original = engine.final_hidden
    monkeypatch.setattr(engine, "final_hidden", lambda rows: (seen.extend(map(len, rows)), original(rows))[1])
    long = [row(f"{i} " + "x" * (MAX_CONTEXT // 4), "yes") for i in range(6)]
    assert flat(in_context_texts(long, language_model.template, engine, WarmStart(5, 2, 4)))
    assert all(MAX_CONTEXT // 2 < n <= MAX_CONTEXT for n in seen)


def test_priming_is_the_gradient_of_the_divergence_and_moves_nothing(
    engine: HandwrittenEngine, language_model: LanguageModel
) -> None:
    batches = in_context_texts(ROWS, language_model.template, engine, SPEC)
    engine.prepare(flat(batches))
    start = engine.factors.flat.clone()
    apollo = Apollo(factor_matrices(engine.factors, engine.factors.flat), ApolloSettings(rank=4), 0)
    gradients = factor_matrices(engine.factors, engine.gradient)
    loss = prime(apollo, engine, gradients, batches)
    assert torch.equal(engine.factors.flat, start)
    assert loss > 0
    for name, moments in apollo.moments.items():
        assert moments.count == (0 if name.endswith(".A") else 2)
    name = next(name for name in gradients if name.endswith(".B"))
    by_hand = torch.zeros_like(apollo.moments[name].first)
    for batch in batches:
        engine.step(batch, 1.0)
        by_hand = 0.9 * by_hand + 0.1 * gradients[name].t()
    torch.testing.assert_close(apollo.moments[name].first, by_hand, rtol=1e-4, atol=1e-8)


def test_steps_from_primed_moments_lead_towards_what_the_context_does(
    engine: HandwrittenEngine, language_model: LanguageModel
) -> None:
    batches = in_context_texts(ROWS, language_model.template, engine, SPEC)
    engine.prepare(flat(batches))
    apollo = Apollo(factor_matrices(engine.factors, engine.factors.flat), ApolloSettings(rank=2), 0)
    gradients = factor_matrices(engine.factors, engine.gradient)
    before = prime(apollo, engine, gradients, batches)
    for _ in range(20):
        engine.step(flat(batches), 1.0)
        apollo.update(
            gradients, 0.003
        )  # at 0.01 the first steps overshoot, and how far is the machine's rounding
    after = sum(engine.step(flat(batches), 1.0).losses) / len(flat(batches))
    assert after < 0.8 * before


def test_gradients_of_whole_matrices_are_those_that_loras_factors_get(
    engine: HandwrittenEngine, language_model: LanguageModel, tiny_folder: Path, model_cache: Path
) -> None:
    spec = ModelSpec(cache_dir=model_cache, source=str(tiny_folder), dtype="float32", device="cpu")
    full = FullEngine(LanguageModel.load(spec), 0.4)
    texts = make_texts(ROWS, language_model.template)
    engine.prepare(texts)
    ours, theirs = full.step(texts, 1.0), engine.step(texts, 1.0)
    assert ours.losses == pytest.approx(theirs.losses, rel=1e-4)
    factors = engine.factors.named(engine.factors.flat)
    assert set(full.weights) == set(factors)
    for name, (_, b) in engine.factors.named(engine.gradient).items():
        expected = engine.factors.scale * full.gradients[name] @ factors[name][0].t()
        torch.testing.assert_close(b, expected, atol=1e-6, rtol=1e-3)


def test_whole_matrices_are_trained_and_all_else_stays(language_model: LanguageModel) -> None:
    full = FullEngine(language_model, 0.7)
    texts = make_texts(ROWS, language_model.template)
    others = {
        name: value.clone()
        for name, value in language_model.model.state_dict().items()
        if name.removesuffix(".weight") not in full.weights
    }
    apollo = Apollo(full.weights, ApolloSettings(rank=2), 0)
    losses = []
    for _ in range(12):
        losses.append(sum(full.step(texts, 1.0).losses))
        apollo.update(full.gradients, 0.01)
    assert losses[-1] < 0.8 * losses[0]
    now = language_model.model.state_dict()
    assert all(torch.equal(now[name], value) for name, value in others.items())
    weight = next(iter(full.weights.values()))
    assert weight.grad is next(iter(full.gradients.values()))


def test_whole_matrices_are_not_trained_in_bfloat16(tiny_folder: Path, model_cache: Path) -> None:
    spec = ModelSpec(cache_dir=model_cache, source=str(tiny_folder), dtype="bfloat16", device="cpu")
    with pytest.raises(ValueError, match="float32"):
        FullEngine(LanguageModel.load(spec), 0.4)


def test_both_engines_agree_on_what_the_context_does(
    engine: HandwrittenEngine, language_model: LanguageModel, tiny_folder: Path, model_cache: Path
) -> None:
    spec = ModelSpec(cache_dir=model_cache, source=str(tiny_folder), dtype="float32", device="cpu")
    full = FullEngine(LanguageModel.load(spec), 0.4)
    ours, theirs = (
        flat(in_context_texts(ROWS, language_model.template, one, SPEC)) for one in (engine, full)
    )
    for one, other in zip(ours, theirs, strict=True):
        assert one.ids == other.ids
        assert one.teacher is not None
        assert other.teacher is not None
        assert F.cosine_similarity(one.teacher, other.teacher).min() > 0.9999
