"""Claims about the benchmark of the certificate: its sets are judged as an erasure judges them, and no night saw its facts."""

from __future__ import annotations

import random

import numpy as np

from bench.certificate import VALUES, Judged, acquaintances, probes_each, rates, stated, strangers
from bench.lessons import invent_lessons
from memory.registry import Registry
from memory.wordings import Wordings

REGISTRY = Registry.load()


def scores(n: int, *, gain: float = 0.0, seed: int = 0) -> Judged:
    base = np.random.default_rng(seed).normal(size=(n, 25))
    after = base + np.random.default_rng(seed + 1).normal(size=base.shape)
    after[:, 0] += gain
    return Judged(base, after)


def test_chance_is_seldom_told_and_what_was_learnt_always() -> None:
    never = rates([scores(200, seed=seed) for seed in range(3)], 60, random.Random(1))
    learnt = rates([scores(40, gain=9.0)], 20, random.Random(1))
    for size in (2, 5, 10, 20):
        assert never[size]["told"] <= never[size]["fails"] < 0.2
        assert learnt[size] == {"told": 1.0, "fails": 1.0, "draws": 20}


def test_sets_are_no_larger_than_the_facts() -> None:
    assert list(rates([scores(7)], 5, random.Random(0))) == [1, 2, 5]


def test_nobody_was_told_what_is_asked() -> None:
    known = [stated(one) for one in invent_lessons(12, 0, Wordings.load(), REGISTRY)]
    taken = {(fact.subject_id, fact.predicate) for fact in known}
    asked = acquaintances(20, known, 3)
    assert len(asked) == 20
    assert {fact.subject_id for fact in asked} <= {fact.subject_id for fact in known}
    assert not taken & {(fact.subject_id, fact.predicate) for fact in asked}
    assert all(fact.object in VALUES[fact.predicate] for fact in asked)
    unknown = strangers(8, REGISTRY, 0)
    probes = probes_each(unknown, known, REGISTRY)
    assert [probe.values[0].endswith(fact.object) for probe, fact in zip(probes, unknown, strict=True)] == [
        True
    ] * 8
