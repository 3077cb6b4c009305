"""Files vectors into lists in a process of its own, while the full build that feeds it reads the tables.

The process makes empty lists from a sample. Then it is told, one number a line, up to which row the vectors are
written; at the end of its input it saves the lists.

    python -m memory.search.filer BUILD_FOLDER WIDTH N_UNITS
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np

from memory.ports import FloatMatrix
from memory.search.columns import EPISODE, FACT
from memory.search.nearest import save_lists, train

LISTS, SAMPLE = "lists-0.faiss", "sample.npy"
_ROWS = 8192  # filed at a time


class Filer:
    """The other end: started with a sample of the vectors, told what is ready, waited for."""

    def __init__(self, folder: Path, sample: FloatMatrix, n_units: int) -> None:
        self.folder = folder
        np.save(folder / SAMPLE, sample)
        arguments = [str(folder), str(sample.shape[1]), str(n_units)]
        root = Path(__file__).parent.parent.parent
        self._process = subprocess.Popen(
            [sys.executable, "-m", "memory.search.filer", *arguments],
            stdin=subprocess.PIPE,
            text=True,
            cwd=root,
        )
        self._told = 0

    def ready(self, n: int) -> None:
        """Rows up to `n` have their vectors."""
        assert self._process.stdin is not None
        if n - self._told >= _ROWS and self._process.poll() is None:
            self._process.stdin.write(f"{n}\n")
            self._process.stdin.flush()
            self._told = n

    def finish(self, n: int) -> bool:
        """Wait until all `n` rows are in; whether the lists were saved."""
        try:
            self._process.communicate(f"{n}\n")
        except OSError:
            self._process.wait()
        (self.folder / SAMPLE).unlink(missing_ok=True)
        return self._process.returncode == 0 and (self.folder / LISTS).exists()

    def stop(self) -> None:
        """Leave it without lists."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def main() -> None:
    folder, width, n_units = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    faiss.omp_set_num_threads(max(1, (os.cpu_count() or 2) - 1))  # the build has the other
    lists = train(np.load(folder / SAMPLE), n_units)
    (folder / SAMPLE).unlink()
    done = 0
    for line in sys.stdin:
        n = int(line)
        kind = np.memmap(folder / "kind.col", "u1", "r")[done:n]
        vector = np.memmap(folder / "vector.col", "<f2", "r").reshape(-1, width)
        numbers = done + np.flatnonzero((kind == EPISODE) | (kind == FACT))
        for start in range(0, len(numbers), _ROWS):
            part = numbers[start : start + _ROWS]
            lists.add_with_ids(vector[part].astype(np.float32), part)
        done = n
    save_lists(lists, folder / LISTS)


if __name__ == "__main__":
    main()
