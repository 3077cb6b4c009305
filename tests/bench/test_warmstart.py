"""Claims about bench.warmstart: what it counts, and a run of it on the tiny model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from bench.warmstart import (
    ARMS,
    Run,
    against_cold,
    full_bed,
    lora_bed,
    make_optimizer,
    make_task,
    measure,
    read_pairs,
    summary,
    throw_signs,
    train,
)

PAIRS = [(f"say {letter}", letter.upper()) for letter in "abcdefghijkl"]


def load(folder: Path, cache: Path) -> LanguageModel:
    return LanguageModel.load(ModelSpec(cache, str(folder), "float32", "cpu"))


def run(*losses: float) -> Run:
    return Run(list(losses), 1.0, 0.0)


def test_steps_are_counted_to_the_first_loss_that_is_low_enough() -> None:
    assert run(3, 2, 1, 2).steps_to(2) == 1
    assert run(3, 2, 1, 2).steps_to(0.5) is None
    assert run(1, 2).steps_to(1) == 0


def test_a_seed_that_never_gets_there_counts_as_one_step_more_and_is_told() -> None:
    assert summary([3, None, 5], 8) == {
        "mean": pytest.approx(17 / 3, abs=0.01), "sd": pytest.approx(3.0551, abs=1e-4), "least": 3, "most": 9, "never": 1
    }  # fmt: skip
    assert summary([4], 8)["sd"] is None


def test_arms_are_compared_seed_by_seed() -> None:
    runs = {"cold": [run(4, 3, 1), run(6, 5, 1)], "warm": [run(4, 1, 1), run(6, 5, 3)]}
    told = against_cold(runs, 1)["warm"]
    assert told["steps"] == {"mean": 0.0, "se": 1.0}
    assert told["loss_half_way"]["mean"] == -1
    assert told["loss_at_end"]["mean"] == 1


def test_shipped_tasks_have_pairs_enough_and_no_question_twice(tmp_path: Path) -> None:
    for task in ("capitals", "past", "opposites"):
        pairs = read_pairs(task)
        assert len(pairs) >= 56
        assert len({question for question, _ in pairs}) == len(pairs)
    (tmp_path / "own.json").write_text(json.dumps([["a", "b"]]), encoding="utf-8")
    assert read_pairs(str(tmp_path / "own.json")) == [("a", "b")]


def test_random_signs_keep_the_sizes_of_moments() -> None:
    weights = {"w": torch.zeros(6, 40)}
    one, other = (make_optimizer("apollo", weights, 0) for _ in range(2))
    for optimizer in (one, other):
        optimizer.prime({"w": torch.ones(6, 40)})
    throw_signs(other, 3)
    assert torch.equal(one.moments["w"].first.abs(), other.moments["w"].first.abs())
    assert not torch.equal(one.moments["w"].first, other.moments["w"].first)
    assert torch.equal(one.moments["w"].second, other.moments["w"].second)


@pytest.mark.parametrize("kind", ["apollo", "adam"])
def test_an_arm_begins_where_the_others_do_and_a_run_is_the_same_twice(
    tiny_folder: Path, model_cache: Path, kind: str
) -> None:
    bed = lora_bed(load(tiny_folder, model_cache))
    task = make_task(bed, PAIRS, 4, 2)
    losses = {arm: train(bed, task, arm, kind, 1e-2, 4).losses for arm in (*ARMS, "cold")}
    assert len({of_arm[0] for of_arm in losses.values()}) == 1
    assert losses["cold"] == train(bed, task, "cold", kind, 1e-2, 4).losses
    assert losses["cold"][1:] != losses["warm"][1:]


def test_held_out_pairs_are_in_no_batch_and_no_context(tiny_folder: Path, model_cache: Path) -> None:
    task = make_task(lora_bed(load(tiny_folder, model_cache)), PAIRS, 4, 6)
    held_out = {text.ids for text in task.held_out}
    seen = [text.ids for batch in (*task.batches, *task.in_context, *task.own) for text in batch]
    assert held_out
    assert not held_out & set(seen)


@pytest.mark.parametrize("parameters", ["lora", "full"])
def test_a_run_gives_the_keys_of_its_row(tiny_folder: Path, model_cache: Path, parameters: str) -> None:
    language_model = load(tiny_folder, model_cache)
    bed = (full_bed if parameters == "full" else lora_bed)(language_model)
    head = language_model.model.get_output_embeddings().weight.detach()
    spec = argparse.Namespace(
        seed=0, seeds=2, steps=1, optimizer="mini", rates=(1e-3,), arms=("cold", "warm")
    )
    numbers = measure(bed, head, PAIRS, spec)
    assert len(numbers["steps_warm"]) == len(numbers["steps_cold"]) == 2
    assert set(numbers["curves"]) == {"cold", "warm"}
    assert all(len(curve["mean"]) == 2 for curve in numbers["curves"].values())
    json.dumps(numbers)
