from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agents.entailment import CONTRADICTION, ENTAILMENT, NEUTRAL
from bench.contradiction import fit_band, main, precision_at
from bench.contradiction_pairs import FactPair, Said, fact_pairs, rule_says
from memory.registry import Registry

ROWS = (
    ("<A> I bought a red car <B> nice", "speaker A bought a car", "Entailment"),
    ("<A> I bought a red car <B> nice", "speaker A never bought a car", "Contradiction"),
    ("<A> I bought a red car <B> nice", "speaker B likes cheese", "Neutral"),
)
FACTS = [
    {"id": "a", "subject": "Ola", "predicate": "lives_in", "object": "Odense"},
    {"id": "b", "subject": "Ola", "predicate": "lives_in", "object": "Aarhus", "supersedes": "a"},
    {"id": "c", "subject": "Per", "predicate": "lives_in", "object": "Ghent", "object_aliases": ["Gent"]},
    {"id": "d", "subject": "Per", "predicate": "age", "object": 41, "corrected_from": "42"},
    {"id": "e", "subject": "Per", "predicate": "likes", "object": "olives"},
    {"id": "f", "subject": "Per", "predicate": "likes", "object": "chess"},
]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def test_the_last_line_is_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, times in (("train", 10), ("test", 2)):
        lines = ["\t".join(row) for row in ROWS] * times
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "facts.json").write_text(json.dumps(FACTS), encoding="utf-8")
    files = ["--train", str(tmp_path / "train.tsv"), "--test", str(tmp_path / "test.tsv")]
    assert main([*files, "--chat", str(tmp_path)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {
        "macro_f1",
        "majority_f1",
        "cosine_band_f1",
        "per_label",
        "commit",
        "seed",
        "machine",
    } <= result.keys()
    assert result["majority_f1"] == 0.1667
    assert result["chat"]["rules_and_head"]["recall"] >= 0.9
    assert result["head"] == "shipped"


def test_pairs_follow_what_the_facts_say(registry: Registry) -> None:
    found = {
        (pair.kind, pair.first.object, pair.second.object): pair.contradicts
        for pair in fact_pairs(FACTS, registry)
    }
    assert found[("replaced", "Odense", "Aarhus")]
    assert found[("corrected", "42", "41")]
    assert found[("strange value", "Odense", "Ghent")]
    assert not found[("alias", "Ghent", "Gent")]
    assert not found[("one of several", "olives", "chess")]
    assert not found[("somebody else", "Odense", "Ghent")]


def test_rules_settle_only_what_they_know(registry: Registry) -> None:
    def says(first: Said, second: Said) -> bool | None:
        return rule_says(FactPair(first, second, True, "", 0), registry)

    assert says(Said("Ola", "lives_in", "Odense"), Said("Ola", "lives_in", "Aarhus")) is True
    assert says(Said("Ola", "lives_in", "Odense"), Said("ola", "lives_in", "flat in Odense")) is False
    assert says(Said("Ola", "likes", "olives"), Said("Ola", "likes", "chess")) is False
    assert says(Said("Ola", "lives_in", "Odense"), Said("Per", "lives_in", "Aarhus")) is False
    assert says(Said("Ola", "shoe_size", "41"), Said("Ola", "shoe_size", "42")) is None
    assert says(Said("Ola", "lives_in", "Odense"), Said("Ola", "job", "cook")) is False
    assert says(Said("Ola", "lives_in", "Odense"), Said("Ola", "shoe_size", "42")) is None
    assert says(Said("Ola", "partner", "Per"), Said("Ola", "relationship_status", "single")) is True


def test_precision_is_told_where_the_recall_is_reached() -> None:
    confidences = np.array([0.9, 0.8, 0.8, 0.5, 0.1])
    is_true = np.array([True, True, False, False, True])
    assert precision_at(confidences, is_true, 0.6) == {
        "precision": 0.6667,
        "recall": 0.6667,
        "threshold": 0.8,
    }
    assert precision_at(confidences, is_true, 0.9)["precision"] == 0.6


def test_a_band_that_separates_the_labels_is_found() -> None:
    cosines = np.linspace(0, 1, 90, dtype=np.float32)
    labels = np.repeat([NEUTRAL, CONTRADICTION, ENTAILMENT], 30)
    band = fit_band(cosines, labels)
    assert (band.label(cosines) == labels).mean() > 0.95
    assert band.nearness(np.array([0.5], np.float32))[0] > 0 > band.nearness(np.array([0.9], np.float32))[0]
