"""The training child: `python -m consolidation.trainer JOB_DIR [--attended]`.

Exit codes: 0 done (result.json is there), 143 stopped on request with a checkpoint, 28 no room on the disk, 1 failed (error.json
says why in one line). It takes a lock on its folder and may be killed at any instruction: started again it goes on. Attended, it
ends with whoever holds the other end of its standard input.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import threading
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
from consolidation.errors import NightError, NothingToTrain, StartUnfit, TrainingStopped
from consolidation.trainer.backends import choose_backend, load_base, make_engine
from consolidation.trainer.engine import Text
from consolidation.trainer.job import (
    ATTENDED,
    EXIT_FULL,
    EXIT_STOPPED,
    JobFolder,
    TrainJob,
    read_json,
)
from consolidation.trainer.loop import Loop, planned_steps
from consolidation.trainer.replay import cache_file, general_texts
from consolidation.trainer.texts import make_texts
from db.engine import is_disk_full
from memory.errors import GraphError
from memory.whole import write_text

_GRACE_S = 20.0  # for an orphan, to write its checkpoint


class _Stop:
    """Asked to stop by SIGTERM, or the parent is gone: then the pipe that only it held is closed, whenever that was.

    Before the first step there is nothing to keep, and an orphan ends at once; later it has a while to write its checkpoint.
    """

    def __init__(self) -> None:
        self.has_begun = False  # with the steps
        self._asked = False
        self._before = signal.signal(signal.SIGTERM, self._on_signal)

    def attend(self, pipe: int) -> None:
        """Watch the pipe from now on; nothing is read from it."""
        threading.Thread(target=self._await_end, args=(pipe,), daemon=True).start()

    def _await_end(self, pipe: int) -> None:
        while os.read(pipe, 1):
            pass
        self._asked = True
        if self.has_begun:
            time.sleep(_GRACE_S)
        os._exit(EXIT_STOPPED)

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True

    def forget(self) -> None:
        """Leave SIGTERM as it was found."""
        signal.signal(signal.SIGTERM, self._before)

    def __call__(self) -> bool:
        return self._asked


def main(argv: list[str]) -> int:
    if len(argv) < 2 or argv[2:] not in ([], [ATTENDED]):
        print(f"usage: python -m consolidation.trainer JOB_DIR [{ATTENDED}]", file=sys.stderr)
        return 2
    started = time.monotonic()
    stop = _Stop()
    if argv[2:]:
        stop.attend(sys.stdin.fileno())
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
            write_text(folder.error, json.dumps({"error": " ".join(str(error).split())}))
            print(error, file=sys.stderr)
            return 1
    return 0


def train(folder: JobFolder, stop: _Stop, started: float) -> None:
    """From job.json to adapter/ and result.json."""
    job = folder.read_job()
    rows = folder.read_rows()
    if not rows:
        raise NothingToTrain
    backend, reason = choose_backend(job.settings)
    language_model = load_base(job, backend)
    start = Adapter.load(Path(job.start)) if job.start else None
    if start is not None and start.base_hash != language_model.base_hash:
        raise StartUnfit
    texts = make_texts(rows, language_model.template, job.settings.max_tokens)
    replay = _replay(job, language_model, stop)
    language_model.apply([(Adapter.load(Path(path)), coefficient) for path, coefficient in job.adapters])
    engine = make_engine(language_model, job.settings)
    _check(stop)
    texts = [*texts, *replay]
    engine.prepare(texts)
    _check(stop)
    prepared_s = time.monotonic() - started
    stop.has_begun = True
    outcome = Loop(job, folder, engine, texts, stop, prepared_s, start).run()
    meta = {**job.meta, "steps": outcome.steps, "seed": job.seed, "settings": asdict(job.settings)}
    adapter = engine.factors.to_adapter(language_model.base_hash, meta)
    adapter.save(folder.adapter)
    result = {
        **asdict(outcome),
        "prepared_s": prepared_s,
        "tokens_per_s": outcome.n_tokens / max(outcome.seconds, 1e-9),
        "backend": backend,
        "backend_reason": "; ".join(part for part in (reason, engine.obstacle) if part),
        "engine": engine.name,
        "device": str(language_model.device),
        "dtype": str(language_model.dtype).removeprefix("torch."),
        "base_hash": language_model.base_hash,
        "sha256": adapter.sha256,
        "n_texts": len(texts),
    }
    write_text(folder.result, json.dumps(result, indent=2))
    folder.checkpoint.unlink(missing_ok=True)


def _replay(job: TrainJob, language_model: LanguageModel, stop: Callable[[], bool]) -> list[Text]:
    """The base's own texts, from the cache or drawn now; none where the recipe gives them no place."""
    if not job.settings.kl_per_step:
        return []
    engine = make_engine(language_model, job.settings)
    file = cache_file(language_model, engine.name, Path(job.cache_dir))
    _check(stop)
    seed = f"general {job.seed} {len(job.adapters)}"
    n = min(job.settings.kl_texts, planned_steps(job) * job.settings.kl_per_step)
    return general_texts(language_model, engine, file, seed, n)


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
