"""One library of `bench.merge` in a process of its own: `python -m bench.merge_libraries LIBRARY FOLDER DENSITY`.

Reads FOLDER/adapter*, merges by TIES, leaves the checked modules' merged deltas in FOLDER/LIBRARY and prints `seconds` and
`peak_mb`. Runs under an interpreter that has the library, and no more of slowwave than an adapter needs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.runtime.adapter import Adapter
from bench.peak import peak_mb

Keep = Callable[[str, str, np.ndarray], None]  # kind (ties | sum), module, merged delta


def ours(adapters: Sequence[Adapter], density: float, checked: Collection[str], keep: Keep) -> float:
    from consolidation.merging import Rule, combine

    weighed = [(adapter, 1.0) for adapter in adapters]
    seconds = 0.0
    merging = combine(weighed, Rule("ties", density))
    while True:
        started = time.perf_counter()
        found = next(merging, None)
        seconds += time.perf_counter() - started
        if found is None:
            break
        if found[0] in checked:
            keep("ties", *found)
    few = [(_only(adapter, checked), 1.0) for adapter in adapters]
    for name, delta in combine(few, Rule("sum")):
        keep("sum", name, delta)
    return seconds


def _only(adapter: Adapter, names: Collection[str]) -> Adapter:
    modules = {name: adapter.modules[name] for name in names}
    return Adapter(adapter.base_hash, adapter.rank, adapter.alpha, modules)


def peft(adapters: Sequence[Adapter], density: float, checked: Collection[str], keep: Keep) -> float:
    import torch
    from peft import LoraConfig, get_peft_model

    sizes = {name: (b.shape[0], a.shape[1]) for name, (a, b) in adapters[0].modules.items()}
    config = LoraConfig(
        r=adapters[0].rank,
        lora_alpha=int(adapters[0].alpha),
        target_modules=sorted({name.rsplit(".", 1)[1] for name in sizes}),
        init_lora_weights=False,
    )
    wrapped = get_peft_model(_nested(sizes), config, adapter_name="0")
    for number in range(1, len(adapters)):
        wrapped.add_adapter(str(number), config)
    layers = {name: wrapped.base_model.model.get_submodule(name) for name in sizes}
    with torch.no_grad():
        for name, layer in layers.items():
            for number, adapter in enumerate(adapters):
                a, b = adapter.modules[name]
                layer.lora_A[str(number)].weight.copy_(torch.from_numpy(a))
                layer.lora_B[str(number)].weight.copy_(torch.from_numpy(b))
    names, weights = [str(number) for number in range(len(adapters))], [1.0] * len(adapters)
    started = time.perf_counter()
    wrapped.base_model.add_weighted_adapter(names, weights, "ties", combination_type="ties", density=density)
    seconds = time.perf_counter() - started
    wrapped.base_model.add_weighted_adapter(names, weights, "sum", combination_type="linear")
    for name in checked:
        for kind in ("ties", "sum"):
            keep(kind, name, layers[name].get_delta_weight(kind).detach().float().numpy())
    return seconds


def _nested(sizes: dict[str, tuple[int, int]]) -> Any:
    """A model with linear modules of these names and sizes, in bfloat16."""
    import torch
    from torch import nn

    model = nn.Module()
    for name, (n_out, n_in) in sizes.items():
        *path, last = name.split(".")
        parent = model
        for step in path:
            if not hasattr(parent, step):
                parent.add_module(step, nn.Module())
            parent = getattr(parent, step)
        parent.add_module(last, nn.Linear(n_in, n_out, bias=False, dtype=torch.bfloat16))
    return model


def mergekit(adapters: Sequence[Adapter], density: float, checked: Collection[str], keep: Keep) -> float:
    import torch
    from mergekit.merge_methods import registry
    from mergekit.merge_methods.base import TensorGroup

    method = registry.get("ties")
    vectors = range(1, len(adapters) + 1)
    parameters = {
        "weight": dict.fromkeys(vectors, 1.0),
        "density": dict.fromkeys(vectors, density),
        "normalize": True,
        "rescale": False,
        "int8_mask": False,
        "lambda": 1.0,
    }
    seconds = 0.0
    for name, base, tuned in _checkpoints(adapters):
        group = TensorGroup.from_tensors([base, *tuned], base_index=0)
        del tuned
        started = time.perf_counter()
        with torch.inference_mode():
            merged = method.merge_group(group, **parameters)
        seconds += time.perf_counter() - started
        if name in checked:
            keep("ties", name, (merged - base).numpy())
    return seconds


def _checkpoints(adapters: Sequence[Adapter]) -> Iterator[tuple[str, Any, list[Any]]]:
    """Module by module: its name, a base's weight, and the weights that each adapter makes of it."""
    import torch

    torch.manual_seed(0)
    for name, (a, b) in adapters[0].modules.items():
        base = torch.randn(b.shape[0], a.shape[1]) * 0.02
        tuned = []
        for adapter in adapters:
            a, b = adapter.modules[name]
            product = torch.from_numpy(b) @ torch.from_numpy(a)
            tuned.append(product.mul_(adapter.alpha / adapter.rank).add_(base))
        yield name, base, tuned


def main() -> None:
    library, place, density = sys.argv[1:]
    folder = Path(place)
    checked = json.loads((folder / "checked.json").read_text(encoding="utf-8"))
    adapters = [Adapter.load(path) for path in sorted(folder.glob("adapter*"))]
    (folder / library).mkdir()

    def keep(kind: str, name: str, delta: np.ndarray) -> None:
        np.save(folder / library / f"{kind}.{name}.npy", delta)

    merge = {"ours": ours, "peft": peft, "mergekit": mergekit}[library]
    seconds = merge(adapters, float(density), checked, keep)
    print(json.dumps({"seconds": round(seconds, 4), "peak_mb": round(peak_mb(), 1)}))


if __name__ == "__main__":
    main()
