from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import reading


def test_the_last_line_says_what_reading_costs(
    tiny_folder: Path, model_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--rows", "1,2", "--tokens", "4", "--rounds", "2", "--concepts", "3", "--layers", "2"]
    reading.main([*given, "--model", str(tiny_folder), "--cache", str(model_cache)])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"rows", "layers", "commit", "seed", "seconds", "machine"} <= set(found)
    for measured in found["rows"].values():
        assert measured["alike"]
        assert 0 < measured["hook_share"] < 1
