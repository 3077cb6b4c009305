from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.runtime.hardware import bound_prepared_operations
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import EMBEDDED_COMMAND, ModelSpec, embedded_gguf
from agents.sampling import Sampling
from memory.errors import ModelMissing


def ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_batched_answers_equal_answers_one_by_one(tiny: LanguageModel) -> None:
    conversations = [ask("a" * n) for n in (1, 17, 4, 9, 30, 2, 5)]
    together = tiny.answer(conversations, max_new_tokens=6)
    assert together == [tiny.answer([one], max_new_tokens=6)[0] for one in conversations]


def test_answers_equal_those_of_transformers_own_generate(tiny: LanguageModel) -> None:
    ids = tiny.chat_ids(ask("Where do you live?"))
    made = tiny.model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=8,
        do_sample=False,
    )[0, len(ids) :].tolist()
    expected = made[: made.index(2)] if 2 in made else made
    assert tiny.continue_ids([ids], 8)[0] == expected


def test_the_greedy_stream_says_what_the_answer_says(tiny: LanguageModel) -> None:
    ids = tiny.chat_ids(ask("Hello"))
    streamed = "".join(tiny.stream(ids, Sampling(max_new_tokens=12, temperature=0)))
    assert streamed.strip() == tiny.answer([ask("Hello")], max_new_tokens=12)[0]


def test_a_stream_repeats_under_its_seed_and_stops_when_asked(tiny: LanguageModel) -> None:
    ids = tiny.chat_ids(ask("Hello"))
    sampling = Sampling(max_new_tokens=30, temperature=1.0, min_p=0.0, seed=3)
    assert list(tiny.stream(ids, sampling)) == list(tiny.stream(ids, sampling))
    assert list(tiny.stream(ids, sampling, lambda text: True)) == []


def test_token_logprobs_are_the_softmax_of_the_logits(tiny: LanguageModel) -> None:
    ids = tiny.chat_ids(ask("Where?"))
    logits = torch.from_numpy(tiny.logits(ids))
    expected = torch.log_softmax(logits[:-1], -1)[range(len(ids) - 1), ids[1:]].numpy()
    np.testing.assert_allclose(tiny.token_logprobs(ids), expected, atol=1e-5)
    np.testing.assert_allclose(tiny.greedy_logits(ids), logits[-1].numpy(), atol=1e-5)


def test_rows_are_scored_from_the_place_that_is_asked_for(tiny: LanguageModel) -> None:
    rows = [tiny.template.encode("abc" * n) for n in (3, 1, 5)]
    found = tiny.rows_logprobs(rows, batch_size=2, since=[4, 1, 9])
    for row, start, scored in zip(rows, (4, 1, 9), found, strict=True):
        np.testing.assert_allclose(scored, tiny.token_logprobs(row)[start - 1 :], atol=1e-5)


def test_perplexity_does_not_depend_on_the_batches(tiny: LanguageModel) -> None:
    texts = ["one two three", "a much longer text than the first one", "x y"]
    rows = np.concatenate([tiny.token_logprobs(tiny.template.encode(text)) for text in texts])
    assert tiny.perplexity(texts, batch_size=2) == pytest.approx(float(np.exp(-rows.mean())), rel=1e-5)


def test_mean_residuals_are_the_hidden_states_of_transformers_over_the_texts_own_tokens(
    tiny: LanguageModel,
) -> None:
    texts = ["short", "a rather longer text", "mid size"]
    means, norms = tiny.residual_statistics(texts, [0, 1], batch_tokens=24)
    header = tiny.template.user_header()
    lengths = []
    for i, text in enumerate(texts):
        ids = torch.tensor([header + tiny.template.encode(text)])
        with torch.no_grad():
            states = tiny.model(input_ids=ids, output_hidden_states=True).hidden_states
        for k in (0, 1):
            own = states[k + 1][0, len(header) :]
            np.testing.assert_allclose(means[i, k], own.mean(0).numpy(), atol=1e-5)
        lengths.append(states[1][0, len(header) :].norm(dim=-1))
    assert norms[0] == pytest.approx(float(torch.cat(lengths).mean()), rel=1e-4)


def test_reading_residuals_leaves_no_hooks(tiny: LanguageModel) -> None:
    tiny.mean_residuals(["text"], [1])
    assert all(not block._forward_hooks for block in tiny.blocks)


def test_supervised_ids_are_the_chat_ids_and_mark_the_answer_with_its_end(tiny: LanguageModel) -> None:
    messages = [*ask("Where?"), {"role": "assistant", "content": "In Lisbon."}]
    ids, is_answer = tiny.template.supervised(messages)
    assert ids == tiny.chat_ids(messages, add_generation_prompt=False)
    answer = [i for i, marked in zip(ids, is_answer, strict=True) if marked]
    assert answer == [*tiny.template.encode("In Lisbon."), 2]
    assert ids[: is_answer.index(True)] == tiny.chat_ids(messages[:1])


def test_no_system_prompt_is_added(tiny: LanguageModel) -> None:
    assert (
        tiny.tokenizer.decode(tiny.chat_ids(ask("Hi")))
        == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_missing_embedded_model_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.runtime.spec.EMBEDDED_PACKAGE", "no_such_package_at_all")
    with pytest.raises(ModelMissing) as caught:
        embedded_gguf()
    assert caught.value.command == EMBEDDED_COMMAND


@pytest.mark.parametrize("source", ["nobody/no-such-model", "/no/such/file.gguf"])
def test_a_model_that_is_not_there_is_missing(source: str, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        LanguageModel.load(ModelSpec(cache_dir=tmp_path, source=source))


def test_the_hash_of_a_base_changes_with_its_weights(tiny_folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_folder, copy)
    first = LanguageModel.load(ModelSpec(cache_dir=tmp_path, source=str(copy))).base_hash
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(bytes(content))
    assert LanguageModel.load(ModelSpec(cache_dir=tmp_path, source=str(copy))).base_hash != first


def test_the_embedded_model_knows_the_capital_of_france(embedded: LanguageModel) -> None:
    assert "Paris" in embedded.answer([ask("What is the capital of France?")], max_new_tokens=12)[0]


def test_the_embedded_model_prefers_english_to_noise(embedded: LanguageModel) -> None:
    english = "Bread is made from flour and water, and it rises when yeast is added to the dough."
    assert embedded.perplexity([english]) < 40 < embedded.perplexity(["xq zv lk wpo trr mnb vcx zzas qpl"])


def test_what_the_environment_says_of_prepared_operations_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    bound_prepared_operations()
    assert os.environ["LRU_CACHE_CAPACITY"] == "7"
    assert int(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) < 1024
