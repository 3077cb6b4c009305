from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.emotion_head import Head
from agents.emotions import HEAD_PATH
from bench.emotions import compare, main, shipped

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
    arguments = ["--train", str(folder / "train.tsv"), "--test", str(folder / "test.tsv")]
    assert main([*arguments, "--chat", str(harbor.parent)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"macro_f1", "micro_f1", "per_label", "parameters", "harbor_agreement", "machine"} <= result.keys()
    assert set(result["per_label"]) == {"gratitude", "anger", "neutral"}
    assert result["is_trained_here"]
    assert result["parameters"] > 20_000_000
    assert result["chat"]["messages"] == 254
    assert result["harbor_agreement"] > result["chat"]["always_most_frequent"]


def test_the_shipped_head_is_measured_on_its_own_training_file_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = Head.load(HEAD_PATH)
    assert shipped(folder / "train.tsv", head.labels) is None
    monkeypatch.setattr("bench.emotions.sha256", lambda path: head.manifest["train_sha256"])
    assert shipped(folder / "train.tsv", ("gratitude", "anger")) is None
    found = shipped(folder / "train.tsv", head.labels)
    assert found is not None
    assert found.labels == head.labels


def test_agreement_counts_the_strongest_tag_and_no_tag_as_wrong() -> None:
    ours = [{"joy": 7.0, "love": 5.0}, {}, {"fear": 6.0}]
    gold = [{"joy": 8}, {"joy": 9}, {"anger": 5}]
    found = compare(ours, gold)
    assert (found["agreement"], found["untagged"], found["intensity_mae"]) == (0.3333, 1, 1.0)
    assert found["f1_at_5"] == round(2 / 6, 4)
