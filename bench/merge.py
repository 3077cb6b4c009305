"""TIES over several LoRA adapters, beside peft's and mergekit's: time, peak memory and error against float64.

`python -m bench.merge --shape default|7b [--adapters 8] [--blocks N] [--mergekit PYTHON] [--seed 0]`. The adapters
are random, on every linear module of N blocks of the shape (the default model has 30, of the 7B model one is taken unless
N says otherwise, since its blocks are alike). Each library runs in a process of its own, `peak_mb` is that process's.
What each is timed for:

- ours: `consolidation.merging.combine`, from the adapters in memory to each module's merged delta.
- peft: `add_weighted_adapter(combination_type="ties")`, from the adapters in a model of bfloat16 to one more adapter.
- mergekit: its method `ties` on the tensors of one module after the other. It merges checkpoints; that these (base +
  delta, float32) were made and read is not counted. `--mergekit` names an interpreter that has it, where this one has not.

`relative_error`: Frobenius norm of the difference to TIES in float64 over that of the latter, over one module of each
size. `sum_relative_error`: the same of the plain sum (peft: `linear`). A library that cannot run is null, and `why` says why.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.runtime.adapter import Adapter
from bench.report import ROOT, print_result

LIBRARIES = ("ours", "peft", "mergekit")
RANK, ALPHA = 16, 32.0
DENSITY = 0.2  # what the paper keeps
_ROWS = 512  # of a module whose float64 numbers are held at once, but for one vector's


@dataclass(frozen=True, slots=True)
class Shape:
    hidden: int
    intermediate: int
    keys: int  # width of keys and values
    blocks: int  # unless --blocks says otherwise

    def modules(self, n_blocks: int) -> dict[str, tuple[int, int]]:
        """Name -> (out, in) of every linear module."""
        sizes = {
            "self_attn.q_proj": (self.hidden, self.hidden),
            "self_attn.k_proj": (self.keys, self.hidden),
            "self_attn.v_proj": (self.keys, self.hidden),
            "self_attn.o_proj": (self.hidden, self.hidden),
            "mlp.gate_proj": (self.intermediate, self.hidden),
            "mlp.up_proj": (self.intermediate, self.hidden),
            "mlp.down_proj": (self.hidden, self.intermediate),
        }
        return {
            f"model.layers.{block}.{name}": size for block in range(n_blocks) for name, size in sizes.items()
        }


SHAPES = {
    "default": Shape(576, 1536, 192, 30),
    "7b": Shape(4096, 11008, 4096, 1),
    "tiny": Shape(48, 96, 16, 1),
}


def random_adapter(modules: dict[str, tuple[int, int]], seed: int) -> Adapter:
    """Factors of the size that training leaves: A as it is initialised, B a tenth of that."""
    rng = np.random.default_rng(seed)
    factors = {}
    for name, (n_out, n_in) in modules.items():
        a = rng.standard_normal((RANK, n_in), dtype=np.float32) / np.float32(n_in**0.5)
        b = rng.standard_normal((n_out, RANK), dtype=np.float32) / np.float32(10 * RANK**0.5)
        factors[name] = (a, b)
    return Adapter("b" * 64, RANK, ALPHA, factors)


def one_of_each_size(modules: dict[str, tuple[int, int]]) -> list[str]:
    return list({size: name for name, size in reversed(modules.items())}.values())


def exact_deltas(adapters: Sequence[Adapter], name: str, rows: slice = slice(None)) -> list[np.ndarray]:
    """Float64, from the factors as they are stored."""
    return [
        adapter.alpha
        / adapter.rank
        * (adapter.modules[name][1][rows].astype(np.float64) @ adapter.modules[name][0].astype(np.float64))
        for adapter in adapters
    ]


def errors(adapters: Sequence[Adapter], name: str, ties: np.ndarray, total: np.ndarray | None) -> np.ndarray:
    """Squared norms: TIES's error and TIES, the sum's error and the sum; all in float64, sorted and cut in full."""
    limits = []
    for adapter in adapters:
        magnitudes = np.abs(exact_deltas([adapter], name)[0]).reshape(-1)
        place = magnitudes.size - max(1, int(DENSITY * magnitudes.size))
        magnitudes.partition(place)
        limits.append(magnitudes[place])
    found = np.zeros(4)
    for first in range(0, len(ties), _ROWS):
        rows = slice(first, first + _ROWS)
        deltas = exact_deltas(adapters, name, rows)
        trimmed = np.stack([d * (np.abs(d) >= limit) for d, limit in zip(deltas, limits, strict=True)])
        sign = np.sign(trimmed.sum(axis=0))
        agree = (np.sign(trimmed) == sign) & (trimmed != 0)
        expected = (trimmed * agree).sum(axis=0) / np.maximum(agree.sum(axis=0), 1)
        found[:2] += np.square(ties[rows] - expected).sum(), np.square(expected).sum()
        if total is not None:
            summed = sum(deltas)
            found[2:] += np.square(total[rows] - summed).sum(), np.square(summed).sum()
    return found


def measure(library: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """What the library's process says of itself; `why` where it could not."""
    interpreter = str(arguments.mergekit) if library == "mergekit" and arguments.mergekit else sys.executable
    command = [interpreter, "-m", "bench.merge_libraries", library, str(folder), str(DENSITY)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=arguments.limit)
    except subprocess.TimeoutExpired:
        return {"why": f"not done after {arguments.limit:.0f} s"}
    except OSError as error:
        return {"why": f"{interpreter}: {error.strerror}"}
    if done.returncode:
        return {"why": (done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"])[-1]}
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def compared(adapters: Sequence[Adapter], checked: Sequence[str], folder: Path) -> dict[str, float]:
    """Errors of the modules that a library left in its folder."""
    found = np.zeros(4)
    for name in checked:
        ties = np.load(folder / f"ties.{name}.npy", mmap_mode="r")
        sums = folder / f"sum.{name}.npy"
        found += errors(adapters, name, ties, np.load(sums, mmap_mode="r") if sums.is_file() else None)
    shares = {"relative_error": float(np.sqrt(found[0] / found[1]))}
    if found[3]:
        shares["sum_relative_error"] = float(np.sqrt(found[2] / found[3]))
    return shares


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=tuple(SHAPES), default="default")
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--blocks", type=int, help="how many blocks of the shape (default: 30, of 7b 1)")
    parser.add_argument("--mergekit", type=Path, help="an interpreter that has mergekit")
    parser.add_argument("--only", default=",".join(LIBRARIES), help="libraries, with commas between")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds that a library may take")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    started = time.perf_counter()
    shape = SHAPES[arguments.shape]
    modules = shape.modules(arguments.blocks or shape.blocks)
    checked = one_of_each_size(modules)
    numbers: dict[str, Any] = {}
    why: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        adapters = [
            random_adapter(modules, arguments.seed * 1000 + number) for number in range(arguments.adapters)
        ]
        for number, adapter in enumerate(adapters):
            adapter.save(folder / f"adapter{number}")
        (folder / "checked.json").write_text(json.dumps(checked), encoding="utf-8")
        for library in LIBRARIES:
            numbers[library] = None
            if library not in arguments.only.split(","):
                why[library] = "not asked for"
                continue
            print(f"{library} ...", file=sys.stderr, flush=True)
            said = measure(library, folder, arguments)
            if "why" in said:
                why[library] = said["why"]
            else:
                numbers[library] = {**said, **compared(adapters, checked, folder / library)}
    print_result(
        {
            "shape": arguments.shape,
            "adapters": arguments.adapters,
            "rank": RANK,
            "density": DENSITY,
            "modules": len(modules),
            "parameters": sum(n_out * n_in for n_out, n_in in modules.values()),
            "largest_module": max(modules.values(), key=lambda size: size[0] * size[1]),
            **numbers,
            "why": why,
            "speedup": _speedup(numbers),
        },
        seed=arguments.seed,
        started=started,
    )


def _speedup(numbers: dict[str, Any]) -> dict[str, float]:
    """How many times our time the others take."""
    ours = numbers["ours"]
    others = {name: numbers[name] for name in LIBRARIES[1:] if numbers[name]}
    return (
        {name: round(other["seconds"] / ours["seconds"], 2) for name, other in others.items()} if ours else {}
    )


if __name__ == "__main__":
    main()
