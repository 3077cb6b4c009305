"""`probe` on the command line: labels by a model, a probe that works and one that does not, and what is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

VOWELS, OTHERS = "aeiou", "bcdfg"


@pytest.fixture
def probe(slowwave: Any, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`slowwave probe` with a random model, which tells characters apart and knows nothing."""
    monkeypatch.setenv("SLOWWAVE_NIGHT__BASE_MODEL", str(tiny_folder))

    def run(*arguments: object) -> Any:
        return slowwave("probe", *arguments)

    run.program = slowwave  # type: ignore[attr-defined]
    return run


@pytest.fixture
def vowels(tmp_path: Path) -> Path:
    """Labels from 1 to 5: how many of eight letters are vowels."""
    dice = random.Random(0)
    rows = []
    for i in range(150):
        label = i % 5 + 1
        letters = dice.choices(VOWELS, k=2 * (label - 1)) + dice.choices(OTHERS, k=2 * (5 - label))
        dice.shuffle(letters)
        rows.append({"text": "".join(letters), "label": label})
    return write(tmp_path / "vowels.jsonl", rows)


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    """Statements whose truth nothing in them tells."""
    dice = random.Random(0)
    rows = [{"statement": f"number {i} is odd", "label": dice.randrange(2)} for i in range(80)]
    return write(tmp_path / "claims.jsonl", rows)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_a_probe_of_labels_from_training_to_reading(probe: Any, vowels: Path) -> None:
    made = probe("train", "vowels", "--data", vowels, "--layers", "1,2", "--json").json
    assert made["usable"], made["reason"]
    assert (made["kind"], made["method"], made["layers"][0] in (1, 2)) == (
        "labels",
        "mass-mean-covariance",
        True,
    )
    assert made["token_rule"] == "mean of content tokens"
    assert made["rank"]["at_least"] > 0
    assert sorted(path.name for path in (probe.program.home / made["path"]).iterdir()) == [
        "manifest.json",
        "vectors.safetensors",
    ]

    read = probe("score", "vowels", "aeioua", "bcdfgb", "--json").json["texts"]
    assert read[0]["probability"] > 0.9 > 0.1 > read[1]["probability"]
    assert "aeioua" in probe("score", "vowels", "aeioua").out

    tested = probe("test", "vowels", "--data", vowels, "--json").json
    assert tested["sets"][0]["accuracy"] > 0.9
    (listed,) = probe("list", "--json").json
    assert (listed["name"], listed["probe"], listed["usable"]) == ("vowels", made["probe"], True)
    assert "usable" in probe("list").out
    assert probe("show", made["probe"][:8], "--json").json["reason"] == made["reason"]
    assert "rank correlation" in probe("show", "vowels").out


def test_a_probe_that_did_not_prove_itself_is_kept_and_read_by_nobody(probe: Any, claims: Path) -> None:
    made = probe("train", "truth", "--data", claims, "--layers", "1", "--method", "mass-mean")
    assert made.code == 0
    assert "not usable: it is right on" in made.out
    assert probe("show", "truth", "--json").json["usable"] is False
    assert "not usable and reads nothing" in probe("score", "truth", "Oslo is in Norway.").refusal
    assert "not usable" in probe("list").out


def test_a_model_labels_messages_by_their_ids_and_asks_once(
    probe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.json"
    labels = [{"n": n, "label": n + 1} for n in range(5)]
    script.write_text(json.dumps([json.dumps({"labels": labels})]))
    monkeypatch.setenv("SLOWWAVE_BACKEND__KIND", "scripted")
    monkeypatch.setenv("SLOWWAVE_BACKEND__MODEL", str(script))
    out = tmp_path / "warm.jsonl"
    found = probe("label", "--question", "How warm is it?", "--output", out, "--json").json
    assert (found["labelled"], found["by"]) == (5, "model/scripted")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert all(set(row) == {"episode", "label", "by"} for row in rows)
    again = probe("label", "--question", "How warm is it?", "--output", out, "--json").json
    assert (again["labelled"], again["labelled_before"]) == (0, 5)
    assert (
        "5 texts" in probe("train", "warm", "--data", out).refusal
        or "labelled 5" in probe("train", "warm", "--data", out).refusal
    )


def test_labels_need_a_model(probe: Any, tmp_path: Path) -> None:
    assert "set backend.kind" in probe("label", "--question", "q", "--output", tmp_path / "o.jsonl").refusal


def test_another_model_is_refused_with_both_hashes(
    probe: Any, vowels: Path, talkative: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = probe("train", "vowels", "--data", vowels, "--layers", "1", "--json").json
    monkeypatch.setenv("SLOWWAVE_NIGHT__BASE_MODEL", str(talkative))
    refused = probe("score", "vowels", "aeiou").refusal
    assert f"made with model {made['model_hash'][:12]}, not " in refused


def test_what_cannot_be_trained_is_refused_in_one_line(probe: Any, vowels: Path, tmp_path: Path) -> None:
    constant = write(tmp_path / "constant.jsonl", [{"text": f"a{n}", "label": 4} for n in range(40)])
    few = write(tmp_path / "few.jsonl", [{"text": f"a{n}", "label": 1 + 4 * (n % 2)} for n in range(8)])
    assert "every label in constant.jsonl is 4" in probe("train", "v", "--data", constant).refusal
    assert "4 texts are labelled 5 and 4 are labelled 1" in probe("train", "v", "--data", few).refusal
    assert "no layer 9" in probe("train", "v", "--data", vowels, "--layers", "9").refusal
    assert (
        "every text of vowels is trained on"
        in probe("train", "v", "--data", vowels, "--test", vowels).refusal
    )
    assert "small letters" in probe("train", "No Name", "--data", vowels).refusal
    assert "no probe goes by v" in probe("show", "v").refusal
    assert probe("train", "v", "--data", vowels, "--method", "guess").code == 2
    assert probe("train", "v", "--data", vowels, "--layers", "x").code == 2


def test_an_erasure_takes_the_probes_that_were_made_of_its_messages(probe: Any, vowels: Path) -> None:
    (probe.program.home / "chat.jsonl").unlink()  # what was imported is no matter of slowwave's
    probe("train", "vowels", "--data", vowels, "--layers", "1")
    assert probe("list", "--json").json
    assert probe.program("forget", "person", "Bo Rask", "--yes").code == 0
    assert probe("list", "--json").json == []
    assert not list((probe.program.home / "probes").glob("*/vectors.safetensors"))
