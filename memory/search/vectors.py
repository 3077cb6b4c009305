"""The dense side of an index: unit rows of float32 in one flat file, searched exactly by one matrix product.

Only the first `n` rows that the sidecar's transaction has committed count; what a killed writer left behind them is
overwritten by the next.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from memory.ports import FloatMatrix


class VectorFile:
    def __init__(self, path: Path, width: int) -> None:
        self.path = path
        self.width = width
        path.touch(exist_ok=True)

    def holds(self, n: int) -> bool:
        """Whether the file has at least n rows."""
        return self.path.stat().st_size >= n * self.width * 4

    def write(self, numbers: list[int], vectors: FloatMatrix) -> None:
        """Set rows; numbers past the end lengthen the file."""
        if not numbers:
            return
        with self.path.open("r+b") as file:
            for number, vector in zip(numbers, vectors, strict=True):
                file.seek(number * self.width * 4)
                file.write(np.ascontiguousarray(vector, np.float32).tobytes())

    def read(self, n: int) -> FloatMatrix:
        """The first n rows (N, width), mapped and not copied."""
        if n == 0:
            return np.zeros((0, self.width), np.float32)
        return np.memmap(self.path, np.float32, "r", shape=(n, self.width))
