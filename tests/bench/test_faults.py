from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults import SHARES, build, kill_all, measure

GRAPH = ("import", "backup", "restore")  # what needs no weights


def test_kills_of_what_needs_no_weights_leave_a_clean_home(tmp_path: Path) -> None:
    yard = build(tmp_path, has_nights=False)
    yard.durations = {"import": 1.0, "backup": 0.5, "restore": 1.0}
    found = kill_all(yard, 3, 1, GRAPH)
    assert (found["kills"], found["clean"], found["lost"]) == (3, 3, 0), found["findings"]


@pytest.mark.slow
def test_kills_of_everything_leave_a_clean_home(tmp_path: Path) -> None:
    yard = build(tmp_path)
    measure(yard, tuple(SHARES))
    found = kill_all(yard, 20, 3, tuple(SHARES))
    assert (found["kills"], found["clean"], found["lost"], found["half_published"]) == (20, 20, 0, 0), found[
        "findings"
    ]
