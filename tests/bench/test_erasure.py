from __future__ import annotations

import json

import pytest

from bench.erasure import main


def test_the_last_line_holds_times_and_no_problem(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--facts", "300", "--seed", "3"])
    numbers = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (numbers["facts"], numbers["problems"], numbers["residue"]) == (300, 0, 0)
    assert numbers["scan_mb_per_s"] > numbers["re_mb_per_s"] > 0
    assert {"verify_s", "plan_s", "erase_s", "commit", "machine"} <= numbers.keys()
