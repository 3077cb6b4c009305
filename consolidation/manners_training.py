"""Train the embedded model's manners: `python -m consolidation.manners_training [--minutes 30] [--seed 0] [--out FOLDER]`.

Rows of `consolidation.manners`, drawn once, go through the night's own trainer, with KL to the base on its own general text. The
factors are rounded to 16 bits and written as an adapter that is shipped; its notes say what it was made from.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from agents.runtime.adapter import Adapter
from consolidation.manners import FOLDER, Rehearsal
from consolidation.stage import TrainSettings
from consolidation.trainer.__main__ import train
from consolidation.trainer.job import JobFolder, Row, TrainJob, read_json
from memory.wordings import Wordings

ROWS = 9000
_SETTINGS = TrainSettings(
    lr=1e-3,
    steps=4000,
    facts_per_step=14,
    negatives_per_step=12,
    replay_per_step=0,
    style_per_step=0,
    kl_per_step=3,
)


def make_job(cache_dir: Path, seed: int, minutes: float, n_rows: int) -> tuple[TrainJob, list[Row]]:
    """What the trainer is given."""
    made = Rehearsal(Wordings.load(), seed).rows(n_rows)
    rows = [Row(f"{row.kind}:{place}", row.kind, row.messages) for place, row in enumerate(made)]
    settings = replace(_SETTINGS, max_minutes=minutes)
    return TrainJob("embedded", str(cache_dir), settings=settings, seed=seed, checkpoint_s=60), rows


def rounded(adapter: Adapter) -> Adapter:
    """The same factors as 16-bit floats hold them."""
    modules = {
        name: (a.astype(np.float16).astype(np.float32), b.astype(np.float16).astype(np.float32))
        for name, (a, b) in adapter.modules.items()
    }
    return replace(adapter, modules=modules)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m consolidation.manners_training", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the dequantised model")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = JobFolder(Path(temporary) / "job")
        job, rows = make_job(options.cache, options.seed, options.minutes, options.rows)
        folder.write(job, rows)
        train(folder, lambda: False, time.monotonic())
        result = read_json(folder.result) or {}
        sha256 = hashlib.sha256(folder.rows_file.read_bytes()).hexdigest()
        trained = Adapter.load(folder.adapter)
    notes = {
        "rows": len(rows),
        "rows_sha256": sha256,
        "seed": options.seed,
        "settings": trained.meta["settings"],
        **{
            name: result[name] for name in ("steps", "seconds", "final_loss", "share_learned", "tokens_per_s")
        },
    }
    adapter = rounded(replace(trained, meta=notes))
    adapter.save(options.out, is_half=True)
    print(f"{result['steps']} steps, loss {result['final_loss']:.3f}, {adapter.sha256[:12]} in {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
