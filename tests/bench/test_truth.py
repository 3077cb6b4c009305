"""The benchmark of truth probes: every pair of sets is there, and what belongs together is not parted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agents.runtime.token_rules import LAST
from bench.truth import groups_of, main, read_sets, run, topics_of
from consolidation.probe_sets import LabelledSet
from consolidation.probe_training import Readings

HARBOURS = ("Rotterdam", "Genoa", "Busan", "Santos")


def write(path: Path, *, negated: bool = False, n: int = 60) -> Path:
    verb = "does not lie" if negated else "lies"
    rows = [
        f'"{HARBOURS[i % 4]} {verb} by water number {i}.",{int((i % 2 == 0) != negated)},{HARBOURS[i % 4]}{i // 4}'
        for i in range(n)
    ]
    path.write_text("\n".join(["statement,label,harbour", *rows]))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("harbours", "neg_harbours", "coasts"):
        write(tmp_path / f"{name}.csv", negated=name.startswith("neg_"))
    return tmp_path


def planted(one: LabelledSet, seed: int) -> Readings:
    """Truth along dimension 0, negation along dimension 1."""
    acts = np.random.default_rng(seed).normal(size=(len(one.texts), 2, 8)).astype(np.float32)
    acts[:, 1, 0] += [3.0 if text.label else -3.0 for text in one.texts]
    acts[:, :, 1] += np.array([[3.0 if text.is_negated else -3.0] for text in one.texts])
    return Readings(one.name, one.kind, one.texts, acts, np.ones(2, np.float32), (3, 5))


def test_every_pair_is_in_the_matrix_and_nothing_is_left_out(folder: Path) -> None:
    sets = read_sets(folder, limit=60, seed=0)
    line = run({one.name: planted(one, n) for n, one in enumerate(sets)}, seed=0)
    names = ["coasts", "harbours", "neg_harbours"]
    for key in ("matrix", "centred_matrix", "corrected_matrix", "logistic_matrix"):
        assert sorted(line[key]) == names
        assert all(sorted(row) == names for row in line[key].values())
        assert min(min(row.values()) for row in line[key].values()) > 0.9
        assert set(line[f"{key}_layers"].values()) == {5}
    assert sorted(line["two_d_matrix"]) == ["all but coasts", "harbours+neg_harbours"]
    assert all(sorted(row) == names for row in line["two_d_matrix"].values())
    assert "matrix/coasts" in line["usable"]
    assert line["means"]["matrix"]["cross_cells"] == 6
    assert line["majority"] == dict.fromkeys(names, 0.5)


def test_what_is_about_the_same_thing_is_one_group(tmp_path: Path) -> None:
    by_column = groups_of(write(tmp_path / "a.csv"))
    assert by_column["Genoa lies by water number 5."] == "Genoa1"
    quoted = tmp_path / "b.csv"
    quoted.write_text(
        "statement,label\nThe word 'mar' means 'sea'.,1\nThe word 'mar' means 'hill'.,0\nLarge ships float.,1\n"
    )
    assert list(groups_of(quoted).values()) == ["mar", "mar", "Large ships"]


def test_large_sets_are_drawn_from_with_the_seed(folder: Path) -> None:
    once, again, other = (read_sets(folder, limit=20, seed=seed) for seed in (1, 1, 2))
    assert [len(one.texts) for one in once] == [20, 20, 20]
    assert once == again != other


def test_a_file_and_its_negations_are_one_topic() -> None:
    assert topics_of(["coasts", "harbours", "neg_harbours"]) == {
        "coasts": ["coasts"],
        "harbours": ["harbours", "neg_harbours"],
    }


def test_the_line_is_printed_for_a_model_without_truth(
    folder: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--data",
        str(folder),
        "--model",
        str(tiny_folder),
        "--cache",
        str(tmp_path / "c"),
        "--layers",
        "1",
    ]
    assert main(arguments) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"matrix", "two_d_matrix", "usable", "commit", "seed", "seconds", "machine"} <= set(line)
    assert (line["layers_tried"], line["token_rule"]) == ([1], LAST)


def test_a_folder_without_sets_and_a_layer_that_is_not_there_are_refused(
    folder: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, why in (
        (["--data", str(tmp_path / "none")], "holds no CSV file"),
        (["--data", str(folder), "--model", str(tiny_folder), "--layers", "7"], "no layer 7"),
    ):
        with pytest.raises(SystemExit):
            main([*arguments, "--cache", str(tmp_path / "c")])
        assert why in capsys.readouterr().err
