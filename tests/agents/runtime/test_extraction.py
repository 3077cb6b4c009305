from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from agents.runtime.extraction import batches_of, pooled_residuals
from agents.runtime.lm import FloatArray, LanguageModel
from agents.runtime.residuals import capture
from agents.runtime.token_rules import LAST, MEAN

TEXTS = ["short", "a rather longer text than the others are", "", "mid size", "short", "x" * 300, "ö 日本"]


def loop(model: LanguageModel, texts: Sequence[str], layers: Sequence[int], rule: str) -> FloatArray:
    """One text at a time through the whole model, the plain way."""
    header = model.template.user_header()
    found = np.zeros((len(texts), len(layers), model.hidden_size), np.float32)
    for i, text in enumerate(texts):
        ids = torch.tensor([header + model.template.encode(text)])
        with torch.no_grad(), capture(model.model, layers) as seen:
            model.model(input_ids=ids)
        for k, layer in enumerate(layers):
            own = seen[layer][0, len(header) :].float()
            if len(own):
                found[i, k] = (own.mean(0) if rule == MEAN else own[-1]).numpy()
    return found


@pytest.mark.parametrize("rule", [MEAN, LAST])
@pytest.mark.parametrize("batch_tokens", [1, 24, 4096])
def test_batches_give_what_one_text_at_a_time_gives(
    tiny: LanguageModel, rule: str, batch_tokens: int
) -> None:
    found, _ = tiny.residual_statistics(TEXTS, [2, 0], batch_tokens, rule)
    np.testing.assert_allclose(found, loop(tiny, TEXTS, [2, 0], rule), atol=2e-5)


def test_a_headerless_row_is_read_from_its_first_token(tiny: LanguageModel) -> None:
    header, ids = tiny.template.user_header(), tiny.template.encode("some text")
    found = pooled_residuals(tiny.model, [], [header + ids, ids], [1])
    with torch.no_grad(), capture(tiny.model, [1]) as seen:
        tiny.model(input_ids=torch.tensor([header + ids]))
        np.testing.assert_allclose(found.acts_NLD[0, 0], seen[1][0].mean(0).numpy(), atol=2e-5)


def test_several_threads_read_one_model_at_once(tiny: LanguageModel) -> None:
    expected = tiny.mean_residuals(TEXTS, [1])
    found: list[FloatArray] = []
    threads = [
        threading.Thread(target=lambda: found.append(tiny.mean_residuals(TEXTS, [1]))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for one in found:
        np.testing.assert_allclose(one, expected, atol=2e-5)
    assert all(not block._forward_hooks for block in tiny.blocks)


def test_hooks_are_gone_after_a_pass_that_failed(tiny: LanguageModel) -> None:
    with pytest.raises(IndexError):
        pooled_residuals(tiny.model, [], [[10**9]], [0])
    assert all(not block._forward_hooks for block in tiny.blocks)


def test_no_text_and_texts_without_tokens_read_as_zero(tiny: LanguageModel) -> None:
    assert tiny.mean_residuals([], [0]).shape == (0, 1, tiny.hidden_size)
    acts, norms = tiny.residual_statistics(["", ""], [0, 1])
    assert not acts.any()
    assert not norms.any()


def test_an_unknown_token_rule_names_those_that_there_are(tiny: LanguageModel) -> None:
    with pytest.raises(ValueError, match="last content token"):
        tiny.residual_statistics(["text"], [0], token_rule="first")


def test_batches_keep_to_their_budget_and_hold_every_row_with_a_token_once() -> None:
    lengths = [5, 0, 90, 5, 7, 30, 31, 200]
    batches = batches_of(lengths, 64)
    assert sorted(i for batch in batches for i in batch) == [0, 2, 3, 4, 5, 6, 7]
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 64


def test_the_embedded_model_in_bfloat16_gives_what_the_plain_loop_gives_to_two_percent(
    embedded: LanguageModel,
) -> None:
    """bfloat16 keeps eight bits, and sums in another order round elsewhere; float32 agrees to 2e-5 above."""
    texts = ["I am so happy for you!", "Why would anybody do such a thing?", "The train leaves at nine."]
    layers = [12, 18]
    expected = loop(embedded, texts, layers, MEAN)
    apart = np.linalg.norm(embedded.mean_residuals(texts, layers) - expected, axis=-1)
    assert (apart / np.linalg.norm(expected, axis=-1)).max() < 0.02
