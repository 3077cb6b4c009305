"""Claims about the benchmark of merging: it measures who is there, and says why where somebody is not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.merge import SHAPES, errors, main, one_of_each_size, random_adapter


def test_the_last_line_holds_each_library_or_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--shape", "tiny", "--adapters", "3", "--only", "ours,mergekit", "--mergekit", "no/such/python"])
    numbers = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert numbers["ours"]["relative_error"] < 1e-6 > numbers["ours"]["sum_relative_error"]
    assert numbers["ours"]["seconds"] > 0 < numbers["ours"]["peak_mb"]
    assert (numbers["peft"], numbers["mergekit"]) == (None, None)
    assert numbers["why"] == {
        "peft": "not asked for",
        "mergekit": "no/such/python: No such file or directory",
    }
    assert {"commit", "seed", "seconds", "machine"} <= numbers.keys()


def test_the_error_of_a_wrong_merge_is_seen() -> None:
    modules = SHAPES["tiny"].modules(1)
    adapters = [random_adapter(modules, seed) for seed in range(2)]
    name = one_of_each_size(modules)[0]
    wrong = np.zeros(modules[name])
    ties_off, ties, sum_off, total = errors(adapters, name, wrong, wrong)
    assert ties_off == pytest.approx(ties) != 0
    assert sum_off == pytest.approx(total) != 0


def test_every_size_is_checked_once() -> None:
    modules = SHAPES["7b"].modules(1)
    assert sorted(modules[name] for name in one_of_each_size(modules)) == sorted(set(modules.values()))
    assert max(modules.values(), key=lambda size: size[0] * size[1]) == (11008, 4096)
