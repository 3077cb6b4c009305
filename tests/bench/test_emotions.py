from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.emotions import compare, export_of, main

ROWS = (
    ("thank you so much, friend {i}", 0),
    ("this makes me furious {i}", 1),
    ("the train leaves at {i}", 2),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "labels.txt").write_text("gratitude\nanger\nneutral\n", encoding="utf-8")
    for name, n in (("train", 90), ("test", 30)):
        rows = [f"{ROWS[i % 3][0].format(i=i)}\t{ROWS[i % 3][1]}\tid{i}" for i in range(n)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path


def test_the_last_line_is_the_result(folder: Path, harbor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--train",
        str(folder / "train.tsv"),
        "--test",
        str(folder / "test.tsv"),
        "--chat",
        str(harbor.parent),
    ]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {
        "macro_f1",
        "micro_f1",
        "per_label",
        "parameters",
        "harbor_agreement",
        "seed",
        "machine",
    } <= result.keys()
    assert set(result["per_label"]) == {"gratitude", "anger", "neutral"}
    assert result["chat"]["messages"] == 254


def test_agreement_counts_the_strongest_tag_and_no_tag_as_wrong() -> None:
    ours = [{"joy": 7.0, "love": 5.0}, {}, {"fear": 6.0}]
    gold = [{"joy": 8}, {"joy": 9}, {"anger": 5}]
    found = compare(ours, gold)
    assert (found["agreement"], found["untagged"], found["intensity_mae"]) == (0.3333, 1, 1.0)
    assert found["f1_at_5"] == round(2 / 6, 4)


def test_the_export_is_the_file_without_a_gold_name(tmp_path: Path, harbor: Path) -> None:
    for name in ("emotions.json", "README.md"):
        shutil.copy(harbor.parent / name, tmp_path)
    (tmp_path / "result.json").write_text("{}", encoding="utf-8")
    assert export_of(tmp_path).name == "result.json"
