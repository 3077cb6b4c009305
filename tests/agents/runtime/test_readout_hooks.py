"""Readings in the forward pass, against residuals captured apart and read by plain arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from agents.errors import UnfitReadout
from agents.runtime.decoding import complete, likeliest, pad_left, pad_right
from agents.runtime.lm import LanguageModel
from agents.runtime.readout_hooks import Projections, ReadoutManager
from agents.runtime.residuals import capture
from agents.runtime.token_rules import LAST

LAYERS = (0, 2)
ROWS = [[5, 9, 30, 41, 7], [11, 12], [100, 3, 64, 70, 80, 90, 20]]
NAMES = ("a", "b", "c")
WIDTH = 32


@pytest.fixture(scope="module")
def projections() -> Projections:
    random = np.random.default_rng(3)

    def numbers(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    vectors = {layer: numbers(3, WIDTH) for layer in LAYERS}
    for matrix in vectors.values():
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return Projections(("joy", "fear", "awe"), vectors, numbers(2, 3), 0.5 + np.abs(numbers(2, 3)))


@pytest.fixture
def manager(tiny: LanguageModel, projections: Projections) -> Iterator[ReadoutManager]:
    with ReadoutManager(tiny.model, projections) as opened:
        yield opened


def expected(tiny: LanguageModel, projections: Projections, ids: list[int], first: int = 0) -> np.ndarray:
    """(T, K): every token from `first` on, read one row at a time without any hook of the manager."""
    with torch.inference_mode(), capture(tiny.model, LAYERS) as seen:
        tiny.model(input_ids=torch.tensor([ids]), use_cache=False)
    by_layer = [
        (seen[layer][0].numpy() @ projections.vectors[layer].T - projections.neutral_mean_LK[i])
        / projections.neutral_std_LK[i]
        for i, layer in enumerate(LAYERS)
    ]
    return np.mean(by_layer, axis=0)[first:]


@pytest.mark.parametrize("pad", [pad_left, pad_right])
def test_padding_on_either_side_changes_no_reading(
    tiny: LanguageModel, manager: ReadoutManager, projections: Projections, pad: Any
) -> None:
    ids, mask = pad(ROWS, 0)
    position = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode(), manager.collect(NAMES) as found:
        tiny.model(input_ids=ids, attention_mask=mask, position_ids=position)
    for name, row in zip(NAMES, ROWS, strict=True):
        alone = expected(tiny, projections, row).mean(axis=0)
        np.testing.assert_allclose(found[name].prompt, alone, rtol=1e-3, atol=1e-4)
        assert found[name].reply() is None


def test_skipped_tokens_count_neither_alone_nor_beside_padding(
    tiny: LanguageModel, manager: ReadoutManager, projections: Projections
) -> None:
    ids, mask = pad_left(ROWS, 0)
    position = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode(), manager.collect(NAMES, skip=(2, 2, 3)) as found:
        tiny.model(input_ids=ids, attention_mask=mask, position_ids=position)
    for name, row, skipped in ((NAMES[0], ROWS[0], 2), (NAMES[2], ROWS[2], 3)):
        alone = expected(tiny, projections, row, skipped).mean(axis=0)
        np.testing.assert_allclose(found[name].prompt, alone, rtol=1e-3, atol=1e-4)
    assert found["b"].prompt is None


def test_by_the_rule_of_last_tokens_a_prompt_reads_as_its_last_token_wherever_padding_stands(
    tiny: LanguageModel, projections: Projections
) -> None:
    by_last = replace(projections, token_rule=LAST)
    for pad in (pad_left, pad_right):
        ids, mask = pad(ROWS, 0)
        position = (mask.cumsum(-1) - 1).clamp(min=0)
        manager = ReadoutManager(tiny.model, by_last)
        with manager, torch.inference_mode(), manager.collect(NAMES, skip=(2, 2, 3)) as found:
            tiny.model(input_ids=ids, attention_mask=mask, position_ids=position)
        for name, row in (("a", ROWS[0]), ("c", ROWS[2])):
            alone = expected(tiny, projections, row)[-1]
            np.testing.assert_allclose(found[name].prompt, alone, rtol=1e-3, atol=1e-4)
        assert found["b"].prompt is None


def test_every_generated_token_is_read_for_its_own_request(
    tiny: LanguageModel, manager: ReadoutManager, projections: Projections
) -> None:
    free = complete(tiny.model, ROWS, max_new_tokens=12, stop_ids=frozenset(), pad_id=0)
    stops = frozenset({free[0][2], free[1][5]})  # two rows end early and leave the batch
    with manager.collect(NAMES, stop_ids=stops) as found:
        made = complete(tiny.model, ROWS, max_new_tokens=12, stop_ids=stops, pad_id=0, selected=found.select)
    assert len({len(row) for row in made}) > 1
    for name, row, new in zip(NAMES, ROWS, made, strict=True):
        whole = expected(tiny, projections, row + new)
        n_fed = min(len(new), 11)  # the last token drawn is never fed
        np.testing.assert_allclose(found[name].prompt, whole[: len(row)].mean(axis=0), rtol=1e-3, atol=1e-4)
        assert found[name].tokens.shape == (n_fed, 3)
        np.testing.assert_allclose(
            found[name].tokens, whole[len(row) : len(row) + n_fed], rtol=1e-3, atol=1e-3
        )


def test_transformers_own_generate_is_read_and_what_it_pads_is_not(
    tiny: LanguageModel, manager: ReadoutManager, projections: Projections
) -> None:
    ids, mask = pad_left(ROWS, 0)
    plain = complete(tiny.model, ROWS, max_new_tokens=8, stop_ids=frozenset(), pad_id=0)
    stop = plain[1][2]
    options = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": stop, "pad_token_id": 0}
    with manager.collect(NAMES, stop_ids=frozenset({stop})) as found:
        tiny.model.generate(input_ids=ids, attention_mask=mask, **options)
    for name, row, new in zip(NAMES, ROWS, plain, strict=True):
        n_fed = new.index(stop) if stop in new else 7
        whole = expected(tiny, projections, row + new)
        assert len(found[name].tokens) == n_fed
        np.testing.assert_allclose(
            found[name].tokens, whole[len(row) : len(row) + n_fed], rtol=1e-3, atol=1e-3
        )


def test_a_prompt_in_pieces_reads_like_a_prompt_at_once(
    tiny: LanguageModel, manager: ReadoutManager, projections: Projections
) -> None:
    from transformers import DynamicCache

    row = ROWS[2]
    by_last = ReadoutManager(tiny.model, replace(projections, token_rule=LAST))
    alone = expected(tiny, projections, row, 2)
    for reader, whole in ((manager, alone.mean(axis=0)), (by_last, alone[-1])):
        cache = DynamicCache(config=tiny.model.config)
        with torch.inference_mode(), reader.collect(("a",), skip=(2,)) as found:
            for piece, until in ((row[:4], 4), (row[4:], 7)):
                mask = torch.ones((1, until), dtype=torch.long)
                tiny.model(input_ids=torch.tensor([piece]), attention_mask=mask, past_key_values=cache)
        np.testing.assert_allclose(found["a"].prompt, whole, rtol=1e-3, atol=1e-4)
    by_last.close()


def test_closing_leaves_the_model_as_it_was_and_reading_never_changed_it(
    tiny: LanguageModel, projections: Projections
) -> None:
    def hooks() -> list[tuple[int, int]]:
        return [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in tiny.model.modules()]

    before, ids = hooks(), torch.tensor([ROWS[0]])
    with torch.inference_mode():
        plain = tiny.model(input_ids=ids).logits
        with ReadoutManager(tiny.model, projections) as manager, manager.collect(("a",)):
            read = tiny.model(input_ids=ids).logits
    manager.close()
    assert torch.equal(plain, read)
    assert hooks() == before
    with pytest.raises(RuntimeError, match="closed"), manager.collect(("a",)):
        pass


def test_threads_read_their_own_requests(
    tiny: LanguageModel, manager: ReadoutManager, projections: Projections
) -> None:
    def read(row: list[int]) -> np.ndarray:
        with manager.collect(("mine",)) as found:
            complete(tiny.model, [row], max_new_tokens=6, stop_ids=frozenset(), pad_id=0, pick=likeliest)
        assert found["mine"].prompt is not None
        return found["mine"].prompt

    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(read, ROWS * 3))
    for row, prompt in zip(ROWS * 3, together, strict=True):
        np.testing.assert_allclose(
            prompt, expected(tiny, projections, row).mean(axis=0), rtol=1e-3, atol=1e-4
        )


def test_passes_outside_a_block_are_not_read(tiny: LanguageModel, manager: ReadoutManager) -> None:
    with manager.collect(("a",)) as found:
        pass
    tiny.logits(ROWS[0])
    assert (found["a"].prompt, len(found["a"].tokens)) == (None, 0)


def test_another_number_of_rows_and_a_mask_of_another_shape_are_refused(
    tiny: LanguageModel, manager: ReadoutManager
) -> None:
    ids = torch.tensor([ROWS[0]])
    with pytest.raises(ValueError, match="1 rows for 2 requests"), manager.collect(("a", "b")):
        tiny.model(input_ids=ids)
    with pytest.raises(ValueError, match="a name of its own"), manager.collect(("a", "a")):
        pass
    four = torch.zeros((1, 1, 5, 5))
    with pytest.raises(ValueError, match=r"shape \(B, T\)"), manager.collect(("a",)):
        tiny.model(input_ids=ids, attention_mask=four)
    with manager.collect(("a",)), pytest.raises(RuntimeError, match="collects already"):
        manager.collect(("b",)).__enter__()


@pytest.mark.parametrize(
    ("layer", "width", "why"), [(3, WIDTH, "layers 0 to 2"), (1, 16, "3 directions of 16 numbers")]
)
def test_directions_that_do_not_fit_the_model_are_refused(
    tiny: LanguageModel, layer: int, width: int, why: str
) -> None:
    ones = np.ones((1, 3), np.float32)
    wrong = Projections(("joy", "fear", "awe"), {layer: np.ones((3, width), np.float32)}, ones, ones)
    with pytest.raises(UnfitReadout, match=why):
        ReadoutManager(tiny.model, wrong)
