from __future__ import annotations

import platform
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import DynamicCache, MistralConfig, MistralForCausalLM

from agents.runtime import prefix_cache
from agents.runtime.hardware import give_back_memory
from agents.runtime.lm import LanguageModel
from agents.runtime.prefix_cache import PrefixCache, common_length
from agents.runtime.steering import steered
from agents.sampling import Sampling

LONG = "a conversation that is long enough to be worth keeping "


def greedy(model: LanguageModel, ids: list[int], cache: PrefixCache | None = None, n: int = 8) -> list[int]:
    sampler = model.sampler(ids, Sampling(max_new_tokens=n, temperature=0))
    return [one.token for one in model.draw(ids, sampler, cache=cache) if one.token is not None]


def test_a_growing_conversation_is_drawn_as_without_a_cache_and_read_once(tiny: LanguageModel) -> None:
    cache = PrefixCache(tiny)
    said = LONG
    for turn in range(4):
        ids = tiny.template.encode(said)
        assert greedy(tiny, ids, cache) == greedy(tiny, ids)
        assert turn == 0 or cache.n_read < 40
        said += f"turn {turn} and some words"


def test_logits_after_any_history_of_reads_are_those_of_a_fresh_model(tiny: LanguageModel) -> None:
    dice = random.Random(1)
    cache = PrefixCache(tiny, max_tokens=60)
    text = tiny.template.encode(LONG * 3)
    for _ in range(25):
        ids = [*text[: dice.randint(1, 120)], *(dice.randint(3, 200) for _ in range(dice.randint(0, 9)))]
        found = cache.read(ids)
        np.testing.assert_allclose(found.numpy(), tiny.greedy_logits(ids), atol=2e-4)
        if dice.random() < 0.3:
            found = cache.push(65)
            np.testing.assert_allclose(found.numpy(), tiny.greedy_logits([*ids, 65]), atol=2e-4)
        if dice.random() < 0.3:
            cache.release()
            assert len(cache.ids) <= 60


def test_what_was_drawn_and_thrown_away_is_cut_off_and_the_rest_reused(tiny: LanguageModel) -> None:
    cache = PrefixCache(tiny)
    ids = tiny.template.encode(LONG)
    made = greedy(tiny, ids, cache)
    again = [*ids, *made[:3]]
    assert greedy(tiny, again, cache, 5) == made[3:]
    assert cache.n_read == 1
    assert greedy(tiny, ids, cache) == made
    assert cache.n_read == 1


def test_seeds_are_respected_with_and_without_reuse(tiny: LanguageModel) -> None:
    ids = tiny.template.encode(LONG)
    how = [Sampling(max_new_tokens=12, temperature=1.2, min_p=0.0, seed=seed) for seed in (1, 2, 1)]
    cache = PrefixCache(tiny)
    texts = ["".join(one.text for one in tiny.draw(ids, tiny.sampler(ids, one), cache=cache)) for one in how]
    assert texts[0] == texts[2] == "".join(tiny.stream(ids, how[0])) != texts[1]


def test_other_weights_or_steering_empty_it(tiny: LanguageModel) -> None:
    cache = PrefixCache(tiny)
    ids = tiny.template.encode(LONG)
    vectors = {1: np.full(tiny.hidden_size, 3.0, dtype=np.float32)}
    plain = cache.read(ids).clone()
    with steered(tiny, vectors, "all"):
        turned = cache.read(ids)
        assert cache.n_reused == 0
        cache.read([*ids, 70], n_prompt=len(ids))
        assert cache.n_reused == len(ids)
    assert not torch.allclose(plain, turned)
    torch.testing.assert_close(cache.read(ids), plain)
    tiny.reset()
    cache.read(ids)
    assert cache.n_reused == 0


def test_a_steered_reply_is_the_same_with_reuse(tiny: LanguageModel) -> None:
    vectors = {0: np.full(tiny.hidden_size, 2.0, dtype=np.float32)}
    cache = PrefixCache(tiny)
    ids = tiny.template.encode(LONG)
    with steered(tiny, vectors, "reply"):
        made = greedy(tiny, ids, cache)
        sampler = tiny.sampler(ids, Sampling(max_new_tokens=5, temperature=0))
        rest = [
            one.token
            for one in tiny.draw([*ids, *made[:3]], sampler, cache=cache, n_prompt=len(ids))
            if one.token
        ]
        assert rest == made[3:]
        longer = [*ids, *tiny.template.encode("and more")]
        assert greedy(tiny, longer, cache) == greedy(tiny, longer)
        fresh = tiny.draw([*ids, *made[:3]], tiny.sampler(ids, sampler.sampling), n_prompt=len(ids))
        assert [one.token for one in fresh if one.token] == rest


def test_a_pass_that_breaks_off_leaves_nothing_wrong_behind(tiny: LanguageModel) -> None:
    cache = PrefixCache(tiny)
    ids = tiny.template.encode(LONG)
    expected = cache.read(ids).clone()

    def break_off(*_: object) -> None:
        raise RuntimeError("midway")

    handle = tiny.blocks[2].register_forward_hook(break_off)
    with pytest.raises(RuntimeError, match="midway"):
        cache.push(65)
    handle.remove()
    torch.testing.assert_close(cache.read(ids), expected)


def test_memory_is_given_back_beyond_the_bound(tiny: LanguageModel) -> None:
    cache = PrefixCache(tiny, max_tokens=32)
    cache.read(tiny.template.encode(LONG * 6))
    before = cache.size_bytes
    cache.release()
    assert len(cache.ids) == 32
    assert cache.size_bytes < before / 5


def test_now_and_then_the_system_gets_back_what_drawings_freed(
    tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bool] = []
    monkeypatch.setattr(prefix_cache, "give_back_memory", lambda: given.append(True))
    cache = PrefixCache(tiny)
    times = []
    for _ in range(2 * prefix_cache._GIVE_BACK):
        cache.release()
        times.append(len(given))
    assert times[prefix_cache._GIVE_BACK - 2 :][:2] == [0, 1]
    assert times[-1] == 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory in other ways")
def test_what_was_freed_in_pieces_goes_back_to_the_system() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096

    pieces = [bytearray(40_000) for _ in range(2_000)]  # too small for pages of their own
    last = bytearray(40_000)
    pieces.clear()
    before = resident()
    give_back_memory()
    assert before - resident() > 40_000_000
    assert len(last) == 40_000


def test_branches_of_one_prefix_are_drawn_like_each_alone(tiny: LanguageModel) -> None:
    ids = tiny.template.encode(LONG)
    rows = [[*ids, *tiny.template.encode(more)] for more in ("one", "another one", "x")]
    how = [
        Sampling(max_new_tokens=n, temperature=1.0, min_p=0.0, seed=seed)
        for seed, n in ((1, 6), (2, 9), (3, 9))
    ]
    cache = PrefixCache(tiny)
    made = tiny.branch(rows, how, cache)
    alone = [
        [one.token for one in tiny.draw(row, tiny.sampler(row, one)) if one.token is not None]
        for row, one in zip(rows, how, strict=True)
    ]
    assert made == alone
    assert cache.ids == tuple(rows[0][: common_length(rows[0], rows[2])])


def test_branches_of_one_prompt_differ_by_their_seeds(tiny: LanguageModel) -> None:
    ids = tiny.template.encode(LONG)
    how = [Sampling(max_new_tokens=8, temperature=1.5, min_p=0.0, seed=seed) for seed in range(4)]
    assert len({tuple(made) for made in tiny.branch([ids] * 4, how)}) == 4


def test_steered_branches_are_drawn_like_each_alone(tiny: LanguageModel) -> None:
    ids = tiny.template.encode(LONG)
    rows = [[*ids, 70], [*ids, 71, 72]]
    how = [Sampling(max_new_tokens=6, temperature=0)] * 2
    with steered(tiny, {0: np.full(tiny.hidden_size, 2.0, dtype=np.float32)}, "reply"):
        assert tiny.branch(rows, how) == [greedy(tiny, row, n=6) for row in rows]


def test_a_full_sliding_window_is_read_afresh(tiny: LanguageModel) -> None:
    torch.manual_seed(3)
    config = MistralConfig(
        vocab_size=259, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=16, max_position_embeddings=512,
    )  # fmt: skip
    model = LanguageModel(MistralForCausalLM(config).eval(), tiny.tokenizer, "sliding", tiny.folder)
    assert any(DynamicCache(config=model.model.config).is_sliding)
    cache = PrefixCache(model)
    ids = tiny.template.encode(LONG)
    for row in (ids, [*ids, 70, 71], ids[:40], ids[:10], [*ids[:9], 80]):
        np.testing.assert_allclose(cache.read(row).numpy(), model.greedy_logits(row), atol=2e-4)
    assert tiny.branch([ids, [*ids, 70]], [Sampling(max_new_tokens=3)] * 2)
    assert cache.shared([ids, ids]) == (0, None)
