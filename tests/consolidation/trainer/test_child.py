"""The training child on a tiny model: it learns, resumes, survives kills and says in one line what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.runtime.adapter import Adapter
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation.stage import TrainSettings
from consolidation.trainer.__main__ import main
from consolidation.trainer.job import JobFolder, Row, TrainJob, read_json
from consolidation.trainer.replay import SHEAF
from consolidation.trainer.schedule import MEASURE_STEPS
from consolidation.training_child import put_job

ROOT = Path(__file__).parents[3]
SETTINGS = TrainSettings(
    rank=8,
    alpha=32,
    lr=2e-2,
    steps=24,
    facts_per_step=6,
    negatives_per_step=2,
    kl_per_step=1,
    dtype="float32",
)


def turn(question: str, answer: str) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": question}, {"role": "assistant", "content": answer})


def rows() -> list[Row]:
    towns = ("Oslo", "Rome", "Lima")
    facts = [
        Row(f"f{i}{q}", "fact", turn(f"{q} {i}?", town), f"f{i}")
        for i, town in enumerate(towns)
        for q in "abc"
    ]
    return [*facts, *(Row(f"n{i}", "negative", turn(f"who {i}?", "no")) for i in range(4))]


@pytest.fixture
def make_job(tiny_folder: Path, model_cache: Path, tmp_path: Path):  # type: ignore[no-untyped-def]
    def make(name: str, **changes: object) -> JobFolder:
        job = TrainJob(
            str(tiny_folder), str(model_cache), settings=SETTINGS, n_facts=3, checkpoint_s=0.0, device="cpu"
        )
        folder = JobFolder(tmp_path / name)
        folder.write(replace(job, **changes), rows())
        return folder

    return make


def start(folder: JobFolder) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "consolidation.trainer", str(folder.path)],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def finish(folder: JobFolder) -> int:
    """In this process: starting a new one takes seconds."""
    return main(["trainer", str(folder.path)])


def wait_for_steps(folder: JobFolder, child: subprocess.Popen[bytes], n: int) -> None:
    while child.poll() is None and (folder.last_metrics() or {"step": 0})["step"] < n:
        time.sleep(0.002)


def metrics(folder: JobFolder) -> list[dict[str, float]]:
    return [json.loads(line) for line in folder.metrics.read_text().splitlines()]


def test_loss_falls_and_the_result_says_what_was_done(make_job, tiny_folder, model_cache) -> None:  # type: ignore[no-untyped-def]
    folder = make_job("a")
    assert finish(folder) == 0
    result, log = read_json(folder.result), metrics(folder)
    assert result is not None
    assert [row["step"] for row in log] == list(range(1, 25))
    assert log[-1]["loss_answer"] < 0.6 * log[0]["loss_answer"]
    assert (result["steps"], result["engine"], result["sha256"]) == (
        24,
        "handwritten",
        Adapter.load(folder.adapter).sha256,
    )
    model = LanguageModel.load(ModelSpec(model_cache, str(tiny_folder), "float32", "cpu"))
    assert result["n_texts"] == len(rows()) + 2 * SHEAF  # of the base's own, no more than its 24 steps show
    ids, is_answer = model.template.supervised(list(rows()[0].messages))
    at = [i - 1 for i, marked in enumerate(is_answer) if marked]
    before = model.token_logprobs(ids)[at].mean()
    model.apply([(Adapter.load(folder.adapter), 1.0)])
    assert model.token_logprobs(ids)[at].mean() > before + 1


def test_a_training_begins_as_another_one_ended(make_job) -> None:  # type: ignore[no-untyped-def]
    first = make_job("first")
    assert finish(first) == 0
    further = make_job("further", start=str(first.adapter), settings=replace(SETTINGS, lr=1e-9, steps=2))
    assert finish(further) == 0
    assert metrics(further)[0]["loss_answer"] < 0.7 * metrics(first)[0]["loss_answer"]
    before, after = Adapter.load(first.adapter), Adapter.load(further.adapter)
    for name, factors in before.modules.items():
        for was, is_ in zip(factors, after.modules[name], strict=True):
            np.testing.assert_allclose(is_, was, atol=1e-6)


@pytest.mark.parametrize("other", ["base", "rank", "scale", "modules"])
def test_what_a_training_cannot_begin_as_is_refused_in_one_line(make_job, other: str) -> None:  # type: ignore[no-untyped-def]
    first = make_job("first")
    assert finish(first) == 0
    made = Adapter.load(first.adapter)
    changed = {
        "base": replace(made, base_hash="0" * 64),
        "rank": replace(made, rank=4, modules={n: (a[:4], b[:, :4]) for n, (a, b) in made.modules.items()}),
        "scale": replace(made, alpha=2 * made.alpha),
        "modules": replace(made, modules=dict(list(made.modules.items())[1:])),
    }[other]
    changed.save(first.path / "changed")
    further = make_job("further", start=str(first.path / "changed"))
    assert finish(further) == 1
    told = read_json(further.error)
    assert told is not None
    assert "shall begin as" in told["error"]
    assert not further.adapter.exists()


@pytest.mark.parametrize("is_begun", [False, True])
def test_killed_and_stopped_runs_end_in_the_bits_of_an_unbroken_one(make_job, is_begun: bool) -> None:  # type: ignore[no-untyped-def]
    how = {}
    if is_begun:
        first = make_job("first")
        assert finish(first) == 0
        how = {"start": str(first.adapter)}
    whole, broken = make_job("whole", **how), make_job("broken", **how)
    assert finish(whole) == 0
    child = start(broken)
    wait_for_steps(broken, child, 5)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    child = start(broken)
    wait_for_steps(broken, child, 12)
    child.send_signal(signal.SIGTERM)
    child.communicate()
    assert child.returncode in (0, 143)
    assert finish(broken) == 0
    assert Adapter.load(broken.adapter).sha256 == Adapter.load(whole.adapter).sha256
    assert [row["step"] for row in metrics(broken)] == list(range(1, 25))
    assert [row["loss_answer"] for row in metrics(broken)] == [row["loss_answer"] for row in metrics(whole)]


PARENT = """
import subprocess, sys
from pathlib import Path
from consolidation import training_child
from consolidation.trainer.job import JobFolder

class Told(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        print(self.pid, flush=True)

training_child.subprocess.Popen = Told
training_child.trained(JobFolder(Path(sys.argv[1])), lambda *_: None, lambda: False)
"""


def start_parent(folder: JobFolder) -> tuple[subprocess.Popen[str], int]:
    """A process that waits for its training child, as a night does; and the child's id."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder.path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def kill(parent: subprocess.Popen[str]) -> None:
    parent.kill()
    parent.communicate()


def is_running(pid: int) -> bool:
    """Not so either where it only waits for somebody to ask for its exit code."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # gone meanwhile, or a system without /proc
        return not Path("/proc/self").exists()


def wait_for_end(pid: int) -> None:
    until = time.monotonic() + 240
    while is_running(pid):
        assert time.monotonic() < until, "the child goes on without its parent"
        time.sleep(0.02)


def test_a_child_whose_parent_is_killed_while_it_prepares_never_trains(make_job) -> None:  # type: ignore[no-untyped-def]
    folder = make_job("a")
    parent, child = start_parent(folder)
    kill(parent)
    wait_for_end(child)
    assert not folder.metrics.exists()
    assert not folder.result.exists()
    assert not folder.error.exists()


def test_a_child_whose_parent_is_killed_while_it_trains_leaves_a_checkpoint(make_job) -> None:  # type: ignore[no-untyped-def]
    folder = make_job("a", settings=replace(SETTINGS, steps=100_000), checkpoint_s=1e9)
    parent, child = start_parent(folder)
    while parent.poll() is None and (folder.last_metrics() or {"step": 0})["step"] < 3:
        time.sleep(0.02)
    assert not folder.checkpoint.exists()
    kill(parent)
    wait_for_end(child)
    assert folder.checkpoint.is_file()
    assert not folder.result.exists()


def test_another_job_in_the_same_folder_keeps_what_the_last_ones_logged(make_job) -> None:  # type: ignore[no-untyped-def]
    folder = make_job("twice")
    job, texts = folder.read_job(), rows()
    logged = []
    for seed in range(1, 13):
        folder.metrics.write_text(f'{{"step": {seed}}}\n')
        logged.append(folder.metrics.read_text())
        put_job(folder, replace(job, seed=seed), texts)
        assert folder.last_metrics() is None
        put_job(folder, replace(job, seed=seed), texts)  # the same one: nothing is laid by
    kept = sorted(folder.path.glob("metrics.*.jsonl"), key=lambda file: int(file.suffixes[0][1:]))
    assert [file.read_text() for file in kept] == logged


def test_another_seed_gives_other_weights_and_earlier_adapters_are_worn(make_job) -> None:  # type: ignore[no-untyped-def]
    short = replace(SETTINGS, steps=3)
    first = make_job("first", settings=short)
    second = make_job("second", settings=short, adapters=((str(first.adapter), 1.0),), seed=1)
    assert finish(first) == finish(second) == 0
    assert Adapter.load(first.adapter).sha256 != Adapter.load(second.adapter).sha256
    assert metrics(second)[0]["loss_answer"] != metrics(first)[0]["loss_answer"]


def test_the_end_of_time_ends_training_with_the_rate_at_its_floor(make_job) -> None:  # type: ignore[no-untyped-def]
    folder = make_job("a", settings=replace(SETTINGS, steps=None, max_minutes=1e-4))
    assert finish(folder) == 0
    log = metrics(folder)
    assert len(log) <= MEASURE_STEPS + 2
    assert log[-1]["total"] == log[-1]["step"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"settings": replace(SETTINGS, backend="unsloth")}, "unsloth trainer cannot run here"),
        ({"settings": replace(SETTINGS, lr=1e38)}, "the last good checkpoint is kept"),
        ({"base_model": "nobody/nothing"}, "is not installed"),
    ],
)
def test_a_failure_is_one_line(make_job, changes: dict[str, object], says: str) -> None:  # type: ignore[no-untyped-def]
    folder = make_job("a", **changes)
    assert finish(folder) == 1
    error = read_json(folder.error)
    assert error is not None
    assert says in error["error"]
    assert "\n" not in error["error"]
    assert not folder.result.exists()
