"""`fused.c`, compiled where it runs: the passes between a step's matrix products, each one pass instead of several.

A compiler makes it in a third of a second at the start of a training, into a folder that is gone again, for this very
processor. Where there is none, or the numbers are not bfloat16 on a processor, torch's operations do the same: `blocks` and
`spread` hold both. docs/adr/0071 says why.
"""

from __future__ import annotations

import ctypes
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from consolidation.trainer.compiler import find_compiler

SOURCE = Path(__file__).with_name("fused.c")
# sums may be taken in any order, so that they are vectors; NaN and infinity stay what they are
_FLAGS = (
    "-O3",
    "-march=native",
    *(("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()),
    "-std=c11",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fassociative-math",
    "-fopenmp-simd",
    "-shared",
    "-fPIC",
)
_MOST_S = 60
_ADDRESS, _SIZE, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
_ARGUMENTS: dict[str, tuple[type, ...]] = {
    "norm_forward": (*(_ADDRESS, _SIZE) * 2, _ADDRESS, _FLOAT, _ADDRESS, _SIZE, _ADDRESS, _SIZE, _SIZE),
    "norm_backward": (*(_ADDRESS, _SIZE) * 2, _ADDRESS, _ADDRESS, _ADDRESS, *(_SIZE,) * 3),
    "swiglu_forward": (*(_ADDRESS, _SIZE) * 2, _SIZE, _SIZE),
    "swiglu_backward": (*(_ADDRESS, _SIZE) * 3, _SIZE, _SIZE),
    "softmax_forward": (_ADDRESS, _FLOAT, _SIZE, _SIZE),
    "softmax_backward": (_ADDRESS, _ADDRESS, _SIZE, _SIZE),
    "spread_turned": (*(_ADDRESS,) * 5, *(_SIZE,) * 4),
    "gather_turned": (*(_ADDRESS,) * 4, _FLOAT, _ADDRESS, *(_SIZE,) * 5),
    "gather": (*(_ADDRESS,) * 3, *(_SIZE,) * 4),
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """`fused`: the passes, None where they could not be made; `obstacle`: then why, one line."""

    fused: Fused | None
    obstacle: str = ""


class Fused:
    """Matrices are bfloat16 on the processor with columns side by side; calls hold no lock, one thread each."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        for name, arguments in _ARGUMENTS.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, None

    def norm_forward(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        eps: float,
        out: torch.Tensor,
        rstd: torch.Tensor,
        add: torch.Tensor | None = None,
    ) -> None:
        """RMSNorm of x (M, D) into `out`, 1 / rms (M, 1) float32 into `rstd`; with `add`, x += add first."""
        added = _rows(add) if add is not None else (None, 0)
        self._library.norm_forward(
            *_rows(x), *added, weight.data_ptr(), eps, *_rows(out), rstd.data_ptr(), *x.shape
        )

    def norm_backward(
        self, gy: torch.Tensor, x: torch.Tensor, rstd: torch.Tensor, weight: torch.Tensor, g: torch.Tensor
    ) -> None:
        """g += dL/dx from dL/dy."""
        self._library.norm_backward(
            *_rows(gy), *_rows(x), rstd.data_ptr(), weight.data_ptr(), *_rows(g), *x.shape
        )

    def swiglu_forward(self, gu: torch.Tensor, a: torch.Tensor) -> None:
        """silu(gate) * up into `a` (M, F), from both side by side (M, 2 F)."""
        self._library.swiglu_forward(*_rows(gu), *_rows(a), *a.shape)

    def swiglu_backward(self, ga: torch.Tensor, gu: torch.Tensor, ggu: torch.Tensor) -> None:
        """dL/d(gate, up) (M, 2 F) into `ggu`."""
        self._library.swiglu_backward(*_rows(ga), *_rows(gu), *_rows(ggu), *ga.shape)

    def softmax_forward(self, p: torch.Tensor, scale: float) -> None:
        """Scores (N, R, T) times `scale` to causal probabilities, in place; row r of R stands at position r % T."""
        self._library.softmax_forward(p.data_ptr(), scale, p.shape[0] * p.shape[1], p.shape[2])

    def softmax_backward(self, g: torch.Tensor, p: torch.Tensor) -> None:
        """dL/dp to dL/d(scaled scores), in place."""
        self._library.softmax_backward(g.data_ptr(), p.data_ptr(), p.shape[0] * p.shape[1], p.shape[2])

    def spread_turned(
        self, x: torch.Tensor, into: torch.Tensor, angles: Angles, out: torch.Tensor, n: int, n_turned: int
    ) -> None:
        """Lines `into` of x (M, n * head), the first `n_turned` of each token's n turned by its angles, into `out`."""
        cos, sin = angles
        self._library.spread_turned(
            *(part.data_ptr() for part in (x, into, cos, sin, out)), len(into), n, n_turned, cos.shape[1]
        )

    def gather_turned(
        self,
        lines: torch.Tensor,
        home: torch.Tensor,
        angles: Angles,
        scale: float,
        out: torch.Tensor,
        n: int,
        n_turned: int,
    ) -> None:
        """The opposite for gradients, into `out` (M, n * head): turned heads back and times `scale`."""
        cos, sin = angles
        self._library.gather_turned(
            *(part.data_ptr() for part in (lines, home, cos, sin)),
            scale,
            *_rows(out),
            len(cos),
            n,
            n_turned,
            cos.shape[1],
        )

    def gather(self, lines: torch.Tensor, home: torch.Tensor, out: torch.Tensor) -> None:
        """Lines `home` beside each other into `out` (M, n * head)."""
        head = lines.shape[1]
        self._library.gather(
            lines.data_ptr(), home.data_ptr(), *_rows(out), len(out), len(home) // len(out), head
        )


Angles = tuple[torch.Tensor, torch.Tensor]  # cos and signed sin of each token, (M, head)


def compiled_for(dtype: torch.dtype, device: torch.device) -> Compiled:
    """The passes where they fit these numbers; where they do not, there are none and nothing is in the way."""
    if dtype is not torch.bfloat16 or device.type != "cpu":
        return Compiled(None)
    return compiled()


@cache
def compiled() -> Compiled:
    """Compiled once in this process."""
    compiler = find_compiler()
    if compiler is None:
        return Compiled(None, "no C compiler was found; with one (`apt install gcc`) training is quicker")
    with tempfile.TemporaryDirectory(prefix="slowwave-") as folder:
        target = Path(folder) / "fused.so"
        try:
            subprocess.run(
                [compiler, *_FLAGS, str(SOURCE), "-o", str(target), "-lm"],
                check=True,
                capture_output=True,
                timeout=_MOST_S,
            )
            return Compiled(Fused(ctypes.CDLL(str(target))))
        except (OSError, subprocess.SubprocessError, AttributeError) as error:
            return Compiled(None, f"{compiler} did not make the fused passes: {type(error).__name__}")


def _rows(x: torch.Tensor) -> tuple[int, int]:
    """Address and stride of the rows."""
    return x.data_ptr(), x.stride(0)
