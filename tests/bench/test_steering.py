from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from bench.steering import OPENINGS, Seen, is_effective, main, read_texts
from simulator.dosing import openings

SAID = (
    ("thank you so much, friend", 0),
    ("this makes me furious today", 1),
    ("the train leaves again at", 2),
)


@pytest.fixture
def train(tmp_path: Path) -> Path:
    (tmp_path / "labels.txt").write_text("gratitude\nanger\nneutral\n", encoding="utf-8")
    rows = [f"{SAID[i % 3][0]} {i}\t{SAID[i % 3][1]}\tid{i}" for i in range(60)]
    rows += ["thank you, you fool, for that\t0,1\tid", "oh\t0\tshort"]
    (tmp_path / "train.tsv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path / "train.tsv"


def test_texts_have_one_label_each_and_are_long_enough(train: Path) -> None:
    found = read_texts(train, 2, 15, seed=0)
    assert {label: len(rows) for label, rows in found.rows.items()} == {
        "gratitude": 15,
        "anger": 15,
        "neutral": 20,
    }
    assert all(found.texts[row].startswith("thank you so much") for row in found.rows["gratitude"])
    assert found.texts == read_texts(train, 2, 15, seed=0).texts


def test_an_effect_is_above_plain_and_controls_and_fluent() -> None:
    seen = Seen({"joy": 0.3}, ppl_ratio=1.2, repetition=0, kl=1)
    assert is_effective(seen, "joy", 0.2, [0.1, 0.4])
    assert not is_effective(seen, "joy", 0.2, [0.3, 0.4])
    assert not is_effective(seen, "joy", 0.3, [0.1])
    assert not is_effective(Seen({"joy": 0.3}, 1.31, 0, 1), "joy", 0.2, [0.1])


def test_the_openings_of_figure_and_search_are_different() -> None:
    assert not set(openings()) & set(openings(OPENINGS))
    assert len(openings()) == len(openings(OPENINGS)) == 24


def test_the_last_line_is_the_result(
    train: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--train", train, "--model", tiny_folder, "--concepts", 2, "--per-concept", 20]
    arguments += ["--layers", "1,2", "--texts", 1, "--controls", 2, "--out", tmp_path / "rows.json"]
    assert main([str(argument) for argument in arguments]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    wanted = {"effective_share", "monotone_share", "ppl_ratio_median", "random_control_share"}
    assert wanted | {"commit", "seed", "seconds", "machine"} <= result.keys()
    assert (result["concepts"], result["layers"]) == (2, [1, 2])
    for row in result["per_concept"].values():
        assert row["monotone"] == all(later >= earlier for earlier, later in pairwise(row["judged"]))
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == 2
