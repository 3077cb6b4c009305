"""Tensors in safetensors files, a stretch of rows at a time: read as float32 whatever they are stored in, written one
by one. What is in memory is what was asked for, so that a model of any size can be gone through. No torch in here.

The format: eight bytes with the header's length, a JSON header with each tensor's type, shape and place, the numbers
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from consolidation.errors import BrokenTensors
from memory.whole import whole_file

FloatArray = npt.NDArray[np.float32]
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_LONGEST_HEADER = 100_000_000  # bytes, as in the reference reader


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where one tensor's numbers are. Only floating-point types can be read."""

    file: Path
    name: str
    type: str  # F32, BF16, ...
    shape: tuple[int, ...]
    start: int  # byte in the file

    @property
    def is_readable(self) -> bool:
        return self.type in _TYPES

    def read(self) -> FloatArray:
        """All of it, float32, in its shape. Raises BrokenTensors."""
        return self._numbers(0, math.prod(self.shape)).reshape(self.shape)

    def rows(self, first: int, last: int) -> FloatArray:
        """Rows [first, last) of a matrix, float32. Raises BrokenTensors."""
        width = math.prod(self.shape[1:])
        return self._numbers(first * width, last * width).reshape(last - first, *self.shape[1:])

    def _numbers(self, first: int, last: int) -> FloatArray:
        if not self.is_readable:
            raise BrokenTensors(self.file.name, f"{self.name} is of type {self.type}")
        kind = np.dtype(_TYPES[self.type])
        try:
            with self.file.open("rb") as stream:
                stream.seek(self.start + first * kind.itemsize)
                raw = np.fromfile(stream, kind, last - first)
        except OSError as error:
            raise BrokenTensors(self.file.name, f"{type(error).__name__} while reading it") from error
        if raw.size != last - first:
            raise BrokenTensors(self.file.name, "it ends too early")
        if self.type == "BF16":  # the upper half of a float32
            return (raw.astype(np.uint32) << 16).view(np.float32)
        return raw.astype(np.float32, copy=False)


def list_tensors(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """Every tensor of the files, by name. Raises BrokenTensors, also for a name that two files have."""
    found: dict[str, StoredTensor] = {}
    for file in files:
        for tensor in _headed(file):
            if tensor.name in found:
                raise BrokenTensors(file.name, f"{tensor.name} is in {found[tensor.name].file.name} as well")
            found[tensor.name] = tensor
    return found


def _headed(file: Path) -> list[StoredTensor]:
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > _LONGEST_HEADER:
                raise ValueError("a header of that length")
            header = json.loads(stream.read(length))
        return [
            StoredTensor(file, name, str(at["dtype"]), tuple(at["shape"]), 8 + length + at["data_offsets"][0])
            for name, at in header.items()
            if name != "__metadata__"
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise BrokenTensors(file.name, f"{type(error).__name__} while reading its header") from error


def write_tensors(
    file: Path,
    shapes: Mapping[str, Sequence[int]],
    tensors: Iterable[tuple[str, FloatArray]],
    metadata: Mapping[str, str],
) -> None:
    """Write a float32 file whose tensors come one at a time, in the order of `shapes`; whole or not at all."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    place = 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with whole_file(file) as part, part.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for (name, shape), (given, numbers) in zip(shapes.items(), tensors, strict=True):
            if (given, numbers.shape) != (name, tuple(shape)):
                raise ValueError(f"{given} {numbers.shape} came where {name} {tuple(shape)} was announced")
            np.ascontiguousarray(numbers, dtype="<f4").tofile(stream)
