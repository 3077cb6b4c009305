"""The state of a training run in one file, replaced by one rename: resuming from it gives the bits of an unbroken run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from memory.whole import whole_file


@dataclass
class Checkpoint:
    """`notes` is JSON: schedule, curriculum, seconds spent, a fingerprint of the job. `best`: the factors that did best on
    what is held out, where the job asks for them."""

    flat: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    notes: dict[str, Any]
    best: torch.Tensor | None = None

    def save(self, file: Path) -> None:
        tensors = {"flat": self.flat.cpu(), "first": self.first.cpu(), "second": self.second.cpu()}
        if self.best is not None:
            tensors["best"] = self.best.cpu()
        with whole_file(file) as part:
            save_file(tensors, part, metadata={"notes": json.dumps(self.notes)})

    @classmethod
    def load(cls, file: Path) -> Checkpoint | None:
        """The checkpoint, or None where there is none that can be read."""
        if not file.is_file():
            return None
        try:
            with safe_open(file, framework="pt") as opened:
                notes = json.loads(opened.metadata()["notes"])
                flat, first, second = (opened.get_tensor(name) for name in ("flat", "first", "second"))
                best = opened.get_tensor("best") if "best" in opened.keys() else None  # noqa: SIM118 (no mapping)
                return cls(flat, first, second, notes, best)
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
