"""What a training child is told, what it tells back, and where in its folder.

JOB_DIR/job.json and train.jsonl are written by the parent before the start. The child writes metrics.jsonl (a row
per step), checkpoint.safetensors, adapter/, and result.json or error.json last; each appears whole or not at all.
Metrics of an earlier job in the same folder are metrics.1.jsonl, metrics.2.jsonl and so on, the oldest first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from consolidation.stage import TrainSettings
from memory.whole import write_text

EXIT_STOPPED = 143  # 128 + SIGTERM: stopped on request, checkpoint written
ATTENDED = "--attended"  # the parent holds the other end of the standard input; the child ends when it closes
EXIT_FULL = 28  # ENOSPC: no room on the disk, not even for saying so


@dataclass(frozen=True, slots=True)
class Row:
    """One training text. `messages` end with an assistant's. Kinds negative, replay, style and validation are special, all
    else teaches; what validates is looked at and never trained."""

    id: str
    kind: str
    messages: tuple[Mapping[str, str], ...]
    fact_id: str | None = None


@dataclass(frozen=True, slots=True)
class TrainJob:
    """Everything that decides the weights, besides the rows. Paths are absolute."""

    base_model: str  # as ModelSpec.source
    cache_dir: str
    adapters: tuple[tuple[str, float], ...] = ()  # folders of earlier nights with coefficients; worn, frozen
    start: str | None = (
        None  # folder of an adapter on this base that the training begins as; None: new factors
    )
    settings: TrainSettings = field(default_factory=TrainSettings)
    seed: int = 0
    n_facts: int = 0
    n_answers: int = 0  # texts about them
    n_refusals: int = 0
    checkpoint_s: float = 20.0
    device: str = "auto"
    meta: dict[str, Any] = field(default_factory=dict)  # goes into the adapter's notes


class JobFolder:
    """The files of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.job_file = path / "job.json"
        self.rows_file = path / "train.jsonl"
        self.metrics = path / "metrics.jsonl"
        self.checkpoint = path / "checkpoint.safetensors"
        self.adapter = path / "adapter"
        self.so_far = path / "so_far"  # what the recipe puts on, where that is not its vectors as they are
        self.result = path / "result.json"
        self.error = path / "error.json"
        self.lock = path / "lock"

    def write(self, job: TrainJob, rows: Sequence[Row]) -> None:
        """Rows first, so that a folder with a job is complete."""
        self.path.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(asdict(row), ensure_ascii=False) for row in rows)
        write_text(self.rows_file, "".join(f"{line}\n" for line in lines))
        write_text(self.job_file, json.dumps(asdict(job), indent=2, sort_keys=True))

    def read_job(self) -> TrainJob:
        fields = json.loads(self.job_file.read_text(encoding="utf-8"))
        fields["settings"] = TrainSettings(**fields["settings"])
        fields["adapters"] = tuple((path, coefficient) for path, coefficient in fields["adapters"])
        return TrainJob(**fields)

    def read_rows(self) -> list[Row]:
        rows = [json.loads(line) for line in self.rows_file.read_text(encoding="utf-8").splitlines()]
        return [Row(row["id"], row["kind"], tuple(row["messages"]), row["fact_id"]) for row in rows]

    def lay_metrics_by(self) -> None:
        """Another job begins here: what the last one logged is kept under the next free number."""
        if self.metrics.is_file():
            numbers = [int(one.suffixes[0][1:]) for one in self.path.glob("metrics.*[0-9].jsonl")]
            self.metrics.rename(self.path / f"metrics.{max(numbers, default=0) + 1}.jsonl")

    def last_metrics(self) -> dict[str, Any] | None:
        """The newest whole row of metrics.jsonl."""
        try:
            lines = self.metrics.read_bytes().split(b"\n")[:-1]
            return json.loads(lines[-1]) if lines else None
        except (OSError, ValueError):
            return None


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file, or None where there is no (whole) one."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
