"""Builds the graph of vectors in a process of its own, while the full build that feeds it reads the tables.

Adding to the graph holds Python's lock for much of the time, so a thread would slow the build down. The process is
told, one number a line, up to which row the vectors are written; at the end of its input it saves the graph.

    python -m memory.search.grapher BUILD_FOLDER WIDTH
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from memory.ports import FloatMatrix
from memory.search.columns import EPISODE, FACT
from memory.search.nearest import add_codes, codes, empty_graph

GRAPH, SCALE = "graph-0.usearch", "scale-0.npy"
_ROWS = 8192  # added at a time


class Grapher:
    """The other end: started with the scale of the codes, told what is ready, waited for."""

    def __init__(self, folder: Path, width: int, scale: FloatMatrix) -> None:
        self.folder = folder
        np.save(folder / SCALE, scale)
        command = [sys.executable, "-m", "memory.search.grapher", str(folder), str(width)]
        root = Path(__file__).parent.parent.parent
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, cwd=root)
        self._told = 0

    def ready(self, n: int) -> None:
        """Rows up to `n` have their vectors."""
        assert self._process.stdin is not None
        if n - self._told >= _ROWS and self._process.poll() is None:
            self._process.stdin.write(f"{n}\n")
            self._process.stdin.flush()
            self._told = n

    def finish(self, n: int) -> bool:
        """Wait until all `n` rows are in; whether the graph was saved."""
        try:
            self._process.communicate(f"{n}\n")
        except OSError:
            self._process.wait()
        return self._process.returncode == 0 and (self.folder / GRAPH).exists()

    def stop(self) -> None:
        """Leave it without a graph."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def main() -> None:
    folder, width = Path(sys.argv[1]), int(sys.argv[2])
    scale = np.load(folder / SCALE)
    graph = empty_graph(width)
    threads = max(1, (os.cpu_count() or 2) - 1)  # the build has the other
    done = 0
    for line in sys.stdin:
        n = int(line)
        kind = np.memmap(folder / "kind.col", "u1", "r")[done:n]
        vector = np.memmap(folder / "vector.col", "<f2", "r").reshape(-1, width)
        numbers = done + np.flatnonzero((kind == EPISODE) | (kind == FACT))
        for start in range(0, len(numbers), _ROWS):
            part = numbers[start : start + _ROWS]
            add_codes(graph, part, codes(vector[part].astype(np.float32), scale), threads)
        done = n
    graph.save(str(folder / GRAPH))


if __name__ == "__main__":
    main()
