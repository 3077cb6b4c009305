"""Claims about a checkpoint: it gives back to the bit what was saved, with the best factors where a job keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from consolidation.trainer.checkpoint import Checkpoint


@pytest.mark.parametrize("best", [None, torch.tensor([4.0, 5.0])])
def test_what_was_saved_comes_back_to_the_bit(tmp_path: Path, best: torch.Tensor | None) -> None:
    file = tmp_path / "checkpoint.safetensors"
    made = Checkpoint(
        torch.tensor([1.0, 0.1]), torch.tensor([2.0, 0.2]), torch.tensor([3.0, 0.3]), {"step": 7}, best
    )
    made.save(file)
    back = Checkpoint.load(file)
    assert back is not None
    assert back.notes == {"step": 7}
    for name in ("flat", "first", "second"):
        assert torch.equal(getattr(back, name), getattr(made, name))
    assert (back.best is None) == (best is None)
    assert best is None or torch.equal(back.best, best)  # type: ignore[arg-type]


def test_a_torn_checkpoint_is_none(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(b"torn")
    assert Checkpoint.load(file) is None
    assert Checkpoint.load(tmp_path / "nothing") is None
