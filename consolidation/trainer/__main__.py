"""The training child: `python -m consolidation.trainer JOB_DIR`.

Exit codes: 0 done (result.json is there), 143 stopped on request with a checkpoint, 28 no room on the disk, 1 failed (error.json
says why in one line). It takes a lock on its folder, ends with its parent, and may be killed at any instruction: started again it goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from safetensors import SafetensorError

from agents.errors import AgentError
from agents.runtime.adapter import Adapter
from agents.runtime.lm import LanguageModel
from consolidation.errors import NightError, NothingToTrain, TrainingStopped
from consolidation.trainer.backends import choose_backend, load_base, make_engine
from consolidation.trainer.engine import Text
from consolidation.trainer.job import (
    EXIT_FULL,
    EXIT_STOPPED,
    JobFolder,
    TrainJob,
    read_json,
    write_atomically,
)
from consolidation.trainer.loop import Loop
from consolidation.trainer.replay import cache_file, load_replay, some, write_replay
from consolidation.trainer.texts import make_texts
from db.engine import is_disk_full
from memory.errors import GraphError


class _Stop:
    """Asked to stop by SIGTERM, or the parent is gone."""

    def __init__(self) -> None:
        self._asked = False
        self._parent = os.getppid()
        self._before = signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True

    def forget(self) -> None:
        """Leave SIGTERM as it was found."""
        signal.signal(signal.SIGTERM, self._before)

    def __call__(self) -> bool:
        return self._asked or os.getppid() != self._parent


def main(argv: list[str]) -> int:
    if len(argv) != 2:
        print("usage: python -m consolidation.trainer JOB_DIR", file=sys.stderr)
        return 2
    started = time.monotonic()
    stop = _Stop()
    try:
        return _attend(JobFolder(Path(argv[1])), stop, started)
    finally:
        stop.forget()


def _attend(folder: JobFolder, stop: _Stop, started: float) -> int:
    """Train unless it is done; the exit code."""
    with _locked(folder.lock):
        if read_json(folder.result) is not None:
            return 0
        folder.error.unlink(missing_ok=True)
        try:
            train(folder, stop, started)
        except TrainingStopped:
            return EXIT_STOPPED
        except (NightError, AgentError, GraphError, OSError, SafetensorError) as error:
            if is_disk_full(error):
                return EXIT_FULL
            write_atomically(folder.error, json.dumps({"error": " ".join(str(error).split())}))
            print(error, file=sys.stderr)
            return 1
    return 0


def train(folder: JobFolder, stop: Callable[[], bool], started: float) -> None:
    """From job.json to adapter/ and result.json."""
    job = folder.read_job()
    rows = folder.read_rows()
    if not rows:
        raise NothingToTrain
    backend, reason = choose_backend(job.settings)
    language_model = load_base(job, backend)
    texts = make_texts(rows, language_model.template)
    replay = _replay(job, language_model, stop)
    language_model.apply([(Adapter.load(Path(path)), coefficient) for path, coefficient in job.adapters])
    engine = make_engine(language_model, job.settings)
    _check(stop)
    texts = [*texts, *replay]
    engine.prepare(texts)
    _check(stop)
    prepared_s = time.monotonic() - started
    outcome = Loop(job, folder, engine, texts, stop, prepared_s).run()
    meta = {**job.meta, "steps": outcome.steps, "seed": job.seed, "settings": asdict(job.settings)}
    adapter = engine.factors.to_adapter(language_model.base_hash, meta)
    adapter.save(folder.adapter)
    result = {
        **asdict(outcome),
        "prepared_s": prepared_s,
        "tokens_per_s": outcome.n_tokens / max(outcome.seconds, 1e-9),
        "backend": backend,
        "backend_reason": reason,
        "engine": engine.name,
        "device": str(language_model.device),
        "dtype": str(language_model.dtype).removeprefix("torch."),
        "base_hash": language_model.base_hash,
        "sha256": adapter.sha256,
        "n_texts": len(texts),
    }
    write_atomically(folder.result, json.dumps(result, indent=2))
    folder.checkpoint.unlink(missing_ok=True)


def _replay(job: TrainJob, language_model: LanguageModel, stop: Callable[[], bool]) -> list[Text]:
    """The base's own texts, from the cache or drawn now; none where the recipe gives them no place."""
    if not job.settings.kl_per_step:
        return []
    engine = make_engine(language_model, job.settings)
    file = cache_file(language_model, engine.name, Path(job.cache_dir))
    texts = load_replay(file, language_model.device)
    if texts is None:
        _check(stop)
        texts = write_replay(language_model, engine, file)
    return some(texts, f"general {job.seed} {len(job.adapters)}", job.settings.kl_texts)


def _check(stop: Callable[[], bool]) -> None:
    if stop():
        raise TrainingStopped(0)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for a child of an earlier attempt that is still on its way out."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
