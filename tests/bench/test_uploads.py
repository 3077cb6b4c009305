from __future__ import annotations

import random

from bench.upload_breaks import broken
from bench.upload_seeds import seeds
from bench.uploads import Plan, run


def test_broken_uploads_are_answered_by_success_or_a_problem() -> None:
    found = run(Plan(n_cases=24, seed=5, at_once=2, started_every=12, confirmed=0.0))
    assert found["n_amiss"] == 0, found["amiss"]
    assert found["unforeseen"] == {}
    assert found["files_left"] == 0
    assert sum(found["statuses"].values()) == 24


def test_a_seed_makes_the_same_case_again() -> None:
    made = seeds()
    one, again = (broken(made, random.Random("5:17")) for _ in range(2))
    assert one == again
