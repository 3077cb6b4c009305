"""llama.cpp with a control vector, as a test asks it: the wheel's Python API has none, so its C API is called.

The file is read by the engine's own loader. Structures passed by value are wider than the engine's: it reads its part.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

LOADER = "_Z26common_control_vector_loadRKSt6vectorI31common_control_vector_load_infoSaIS0_EE"
_ENGINE = """
import ctypes as c, json, sys
from importlib.util import find_spec
from pathlib import Path
ask = json.loads(sys.stdin.read())
engine = c.CDLL(str(next(Path(find_spec("xllamacpp").origin).parent.glob("xllamacpp*.so"))))

class Wide(c.Structure):
    _fields_ = [("raw", c.c_char * 1024)]
class Batch(c.Structure):
    _fields_ = [("raw", c.c_char * 128)]
class Text(c.Structure):  # std::string, not short; of the older library, of which `at` is all there is
    _fields_ = [("at", c.c_void_p)]
class NewText(c.Structure):
    _fields_ = [("at", c.c_void_p), ("size", c.c_size_t), ("capacity", c.c_size_t), ("rest", c.c_size_t)]
if not hasattr(engine, "_Z11string_joinRKSt6vectorISsSaISsEERKSs"):
    Text = NewText
class Info(c.Structure):
    _fields_ = [("strength", c.c_float), ("name", Text)]
class Vector(c.Structure):
    _fields_ = [("begin", c.c_void_p), ("end", c.c_void_p), ("room", c.c_void_p)]
class Data(c.Structure):
    _fields_ = [("width", c.c_int), ("numbers", Vector)]

def function(name, result, *arguments):
    found = getattr(engine, name)
    found.restype, found.argtypes = result, arguments
    return found

quiet = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)(lambda *_: None)
engine.llama_log_set(quiet, None)
engine.llama_backend_init()
model_defaults = function("llama_model_default_params", Wide)
context_defaults = function("llama_context_default_params", Wide)
load = function("llama_model_load_from_file", c.c_void_p, c.c_char_p, Wide)
start = function("llama_init_from_model", c.c_void_p, c.c_void_p, Wide)
batch_of = function("llama_batch_get_one", Batch, c.POINTER(c.c_int32), c.c_int32)
decode = function("llama_decode", c.c_int32, c.c_void_p, Batch)
logits_at = function("llama_get_logits_ith", c.POINTER(c.c_float), c.c_void_p, c.c_int32)
put_on = function("llama_set_adapter_cvec", c.c_int32, c.c_void_p, c.c_void_p, c.c_size_t, c.c_int32, c.c_int32, c.c_int32)
read = function(LOADER, Data, c.POINTER(Vector))

model = load(ask["base"].encode(), model_defaults())
for strength in ask["strengths"]:
    context = start(model, context_defaults())
    name = ask["vector"].encode()
    held = c.create_string_buffer(c.string_at((c.c_size_t * 3)(len(name), len(name), -1), 24) + name)
    info = Info(strength, Text(c.addressof(held) + 24, *(len(name), len(name), 0)[: len(Text._fields_) - 1]))
    at = c.addressof(info)
    data = read(c.byref(Vector(at, at + c.sizeof(info), at + c.sizeof(info))))
    n = (data.numbers.end - data.numbers.begin) // 4
    assert put_on(context, data.numbers.begin, n, data.width, 1, ask["layers"]) == 0
    ids = (c.c_int32 * len(ask["ids"]))(*ask["ids"])
    assert decode(context, batch_of(ids, len(ids))) == 0
    print(json.dumps({"width": data.width, "n": n, "logits": logits_at(context, -1)[: ask["words"]]}))
sys.stdout.flush()
import os
os._exit(0)
""".replace("LOADER", repr(LOADER), 1)


def logits_with(
    base: Path, vector: Path, strengths: Sequence[float], ids: Sequence[int], *, layers: int, words: int
) -> list[np.ndarray]:
    """For each strength the logits (V,) after `ids`, with the control vector on all of the model's blocks."""
    ask = {"base": str(base), "vector": str(vector), "strengths": list(strengths), "ids": list(ids)}
    done = subprocess.run(
        [sys.executable, "-c", _ENGINE],
        input=json.dumps({**ask, "layers": layers, "words": words}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [np.array(line["logits"], np.float32) for line in lines]
