from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.errors import UnfitVectors
from agents.runtime.lm import LanguageModel
from agents.runtime.residuals import capture
from agents.runtime.steering import Written, costs, steered
from agents.sampling import Sampling

WIDTH = 32


def vector(seed: int, size: float = 30.0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
    return size * drawn / np.linalg.norm(drawn)


def ids_of(model: LanguageModel, text: str) -> list[int]:
    return model.chat_ids([{"role": "user", "content": text}])


def residual(model: LanguageModel, ids: list[int], layer: int) -> torch.Tensor:
    with torch.inference_mode(), capture(model.model, [layer]) as seen:
        model.model(input_ids=torch.tensor([ids]), use_cache=False)
    return seen[layer][0]


def test_the_model_gives_the_same_bits_afterwards(tiny: LanguageModel) -> None:
    ids = ids_of(tiny, "Where do you live?")
    before = tiny.logits(ids)
    with steered(tiny, {0: vector(1), 2: vector(2)}, "all"):
        assert not np.array_equal(tiny.logits(ids), before)
    assert np.array_equal(tiny.logits(ids), before)
    assert all(not block._forward_hooks for block in tiny.blocks)


def test_also_after_an_exception_and_after_an_unfinished_stream(tiny: LanguageModel) -> None:
    ids = ids_of(tiny, "Hello")
    before = tiny.logits(ids)
    with pytest.raises(RuntimeError, match="midway"), steered(tiny, {1: vector(1)}):
        raise RuntimeError("midway")

    def speak() -> object:
        with steered(tiny, {1: vector(1)}):
            yield from tiny.stream(ids, Sampling(max_new_tokens=20, temperature=1.0, min_p=0.0))

    pieces = speak()
    next(pieces)  # type: ignore[call-overload]
    pieces.close()  # type: ignore[attr-defined]
    assert np.array_equal(tiny.logits(ids), before)


def test_all_positions_get_the_vector_and_a_reply_only_where_it_is_written(tiny: LanguageModel) -> None:
    ids = ids_of(tiny, "abc")
    plain = residual(tiny, ids, 1)
    with steered(tiny, {1: vector(3)}, "all"):
        everywhere = residual(tiny, ids, 1) - plain
    with steered(tiny, {1: vector(3)}, "reply"):
        at_the_end = residual(tiny, ids, 1) - plain
    expected = torch.from_numpy(vector(3))
    torch.testing.assert_close(everywhere, expected.expand(len(ids), WIDTH), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(at_the_end[-1], expected, atol=1e-4, rtol=1e-4)
    assert not at_the_end[:-1].any()


@pytest.mark.parametrize("positions", ["reply", "all"])
def test_stream_batch_and_a_loop_without_cache_write_the_same(tiny: LanguageModel, positions: str) -> None:
    rows = [ids_of(tiny, text) for text in ("a", "some longer words", "mid size")]
    vectors = {0: vector(4), 1: vector(5)}
    with steered(tiny, vectors, positions):  # type: ignore[arg-type]
        batch = tiny.continue_ids(rows, 6)
        streamed = "".join(tiny.stream(rows[1], Sampling(max_new_tokens=6, temperature=0)))
    assert streamed == tiny.decode(batch[1])
    assert batch != tiny.continue_ids(rows, 6)
    for row, made in zip(rows, batch, strict=True):
        written = list(row)
        for token in made:  # each position that writes is steered, once it is written it stays so
            mask = torch.tensor([[0] * (len(row) - 1) + [1] * (len(written) - len(row) + 1)])
            with (
                steered(tiny, vectors, positions) as steering,
                steering.at(  # type: ignore[arg-type]
                    mask if positions == "reply" else torch.ones_like(mask)
                ),
            ):
                assert int(tiny.logits(written)[-1].argmax()) == token
            written.append(token)


def test_nested_vectors_add_up(tiny: LanguageModel) -> None:
    ids = ids_of(tiny, "abc")
    with steered(tiny, {1: vector(1) + vector(2)}, "all"):
        at_once = tiny.logits(ids)
    with steered(tiny, {1: vector(1)}, "all"), steered(tiny, {1: vector(2)}, "all"):
        np.testing.assert_allclose(tiny.logits(ids), at_once, atol=1e-3)


@pytest.mark.parametrize(
    ("vectors", "why"),
    [
        ({3: vector(1)}, "no layer 3; the model has layers 0 to 2"),
        ({-1: vector(1)}, "no layer -1"),
        ({1: vector(1)[:5]}, r"shape \(5,\), not \(32,\)"),
        ({0: vector(1), 1: vector(1) * np.nan}, "not finite"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(
    tiny: LanguageModel, vectors: dict[int, np.ndarray], why: str
) -> None:
    with pytest.raises(UnfitVectors, match=why), steered(tiny, vectors):
        pass
    assert all(not block._forward_hooks for block in tiny.blocks)


@pytest.mark.parametrize("positions", ["reply", "all"])
def test_costs_are_those_of_one_row_after_the_other(tiny: LanguageModel, positions: str) -> None:
    vectors = {1: vector(6, size=5.0)}
    texts = [
        Written(tuple(ids_of(tiny, "ab")), (70, 71)),
        Written(tuple(ids_of(tiny, "a lot more")), (80, 81, 82)),
    ]
    found = costs(tiny, texts, vectors, positions, batch_size=2)  # type: ignore[arg-type]
    for text, cost in zip(texts, found, strict=True):
        ids = [*text.prompt, *text.reply]
        n = len(text.prompt)
        plain = torch.log_softmax(torch.from_numpy(tiny.logits(ids)), -1)[n - 1 : -1]
        mask = torch.tensor([[int(t >= n - 1 or positions == "all") for t in range(len(ids))]])
        with steered(tiny, vectors) as steering, steering.at(mask):
            turned = torch.log_softmax(torch.from_numpy(tiny.logits(ids)), -1)[n - 1 : -1]
        expected = plain[range(len(text.reply)), list(text.reply)]
        np.testing.assert_allclose(cost.logprobs, expected.numpy(), atol=1e-4)
        np.testing.assert_allclose(cost.kl, (turned.exp() * (turned - plain)).sum(-1).numpy(), atol=1e-4)
        assert (cost.kl > 0).all()


def test_without_vectors_nothing_diverges(tiny: LanguageModel) -> None:
    (cost,) = costs(tiny, [Written(tuple(ids_of(tiny, "ab")), (70, 71))], {})
    assert not cost.kl.any()
