from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.constitution import Described, compare, main, same
from memory.embedders.hashing import HashingEmbedder

GOLD = [
    {"kind": "speech", "text": "Writes in lowercase, short lines", "evidence": [22]},
    {"kind": "fear", "text": "Is afraid of leaving", "evidence": [321]},
]


def test_the_last_line_is_the_result(
    tmp_path: Path, harbor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(harbor, tmp_path)
    people = {"Tomas": GOLD, "Ines Carvalho": GOLD[:1]}
    (tmp_path / "constitution.json").write_text(json.dumps(people), encoding="utf-8")
    assert main(["--chat", str(tmp_path), "--show"]) == 0
    *shown, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    assert (result["people"], result["gold"], result["evidenced"]) == (2, 3, 1.0)
    assert 0 < result["covered"] <= 1
    assert any(line.startswith("  ours +") for line in shown)


def test_lines_say_the_same_by_their_words_or_by_less_beside_a_message() -> None:
    embedder = HashingEmbedder(256)
    gold = [Described("holds tea in the garden dear", (10,))]
    near = Described("holds tea in the garden dear", (500,))
    beside = Described("tea is what they like", (12,))
    far = Described("tea is what they like", (90,))
    assert same(gold, [near, far], embedder).tolist() == [[True, False]]
    assert same(gold, [beside], embedder).shape == (1, 1)
    assert same(gold, [], embedder).shape == (1, 0)


def test_the_control_is_what_the_lines_of_the_others_cover() -> None:
    lines = {"A": [Described("sings in the choir", (1,))], "B": [Described("grows tomatoes", (2,))]}
    numbers = compare(lines, lines, HashingEmbedder(256))
    assert (numbers["covered"], numbers["supported"], numbers["control"]) == (1.0, 1.0, 0.0)
