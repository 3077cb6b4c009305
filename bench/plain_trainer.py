"""The textbook way: transformers' Trainer with peft on every linear module, loss on all tokens, for a given time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from agents.runtime.decoding import pad_right
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation.exam import neutral_texts
from consolidation.trainer.engine import Text
from consolidation.trainer.job import JobFolder
from consolidation.trainer.texts import make_texts

LR, BATCH, RANK, ALPHA = 2e-4, 4, 16, 32


class _Rows(Dataset[Text]):
    def __init__(self, texts: Sequence[Text]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, place: int) -> Text:
        return self._texts[place]


class _Until(TrainerCallback):  # type: ignore[misc]
    """Ends the training after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._started = seconds, time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = time.perf_counter() - self._started > self._seconds


def _collate(texts: Sequence[Text]) -> dict[str, torch.Tensor]:
    ids, mask = pad_right([text.ids for text in texts], 0)
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def train_plainly(
    cache: Path, folders: Sequence[JobFolder], seconds: float, seed: int
) -> tuple[LanguageModel, dict[str, Any]]:
    """The rows of those jobs through the Trainer; the model with the adapter merged in, and what it cost."""
    threads = torch.get_num_threads()
    language_model = LanguageModel.load(ModelSpec(cache_dir=cache, dtype="float32"))
    torch.set_num_threads(threads)
    before = language_model.perplexity(neutral_texts())
    rows = [row for folder in folders for row in folder.read_rows() if row.kind != "replay"]
    texts = make_texts(rows, language_model.template)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    wrapped = get_peft_model(language_model.model, config)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            learning_rate=LR,
            num_train_epochs=1000,
            lr_scheduler_type="constant",
            remove_unused_columns=False,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=seed,
            use_cpu=not torch.cuda.is_available(),
        )
        trainer = Trainer(
            model=wrapped, args=arguments, train_dataset=_Rows(texts), data_collator=_collate,
            callbacks=[_Until(seconds)],
        )  # fmt: skip
        started = time.perf_counter()
        done = trainer.train()
        spent = time.perf_counter() - started
    wrapped.merge_and_unload()
    wrapped.eval()
    after = language_model.perplexity(neutral_texts())
    tokens = done.global_step * BATCH * sum(len(text.ids) for text in texts) / len(texts)
    numbers = {
        "ppl_change": round(after / before - 1, 4),
        "tokens_per_s": round(tokens / spent, 1),
        "steps": done.global_step,
    }
    return language_model, numbers
