"""A file of recipes to try: what it may say, and one line for what it may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from consolidation.errors import BadSweep
from consolidation.grid import MAX_CELLS, make_grid, read_grid
from consolidation.stage import NightSettings

BASE = NightSettings()


def test_a_grid_is_every_combination_of_its_lists(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text("sort = 'ppl_change'\n[grid]\nseed = [0, 1]\n[grid.train]\nrank = [4, 8]\nlr = 1e-3\n")
    grid = read_grid(path, BASE)
    assert grid.sort == "ppl_change"
    assert [cell.name for cell in grid.cells] == [
        "seed=0 rank=4",
        "seed=0 rank=8",
        "seed=1 rank=4",
        "seed=1 rank=8",
    ]
    last = grid.cells[-1].settings
    assert (last.seed, last.train.rank, last.train.lr, last.train.alpha) == (1, 8, 1e-3, BASE.train.alpha)


def test_json_and_dotted_names_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "grid.json"
    path.write_text(json.dumps({"train.rank": [4, 8], "max_facts": 5}))
    nested = make_grid({"grid": {"max_facts": 5, "train": {"rank": [4, 8]}}}, BASE, "x")
    assert read_grid(path, BASE).key == nested.key


def test_named_recipes_stand_beside_a_grid_and_equal_ones_are_tried_once() -> None:
    content = {
        "grid": {"train": {"rank": [4, 8]}},
        "recipes": [{"name": "small", "train": {"rank": 4}}, {"name": "as it is"}],
    }
    assert [cell.name for cell in make_grid(content, BASE, "x").cells] == ["rank=4", "rank=8", "as it is"]
    assert [cell.name for cell in make_grid([{"name": "a", "seed": 3}], BASE, "x").cells] == ["a"]


def test_a_whole_number_will_do_for_a_number_and_nothing_for_what_may_be_open() -> None:
    (cell,) = make_grid({"train": {"lr": 1, "steps": None}}, BASE, "x").cells
    assert (cell.settings.train.lr, cell.settings.train.steps) == (1.0, None)
    assert isinstance(cell.settings.train.lr, float)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"train": {"rnak": [4]}}, "no setting train.rnak; the nearest is train.rank"),
        ({"grid": {"rank": [4]}}, "no setting rank; the nearest is train.rank"),
        ({"grid": {"sead": [4]}}, "no setting sead; the nearest is seed"),
        ({"train": {"rank": ["eight"]}}, "train.rank is 'eight'; it takes a whole number"),
        ({"train": {"rank": [True]}}, "train.rank is True; it takes a whole number"),
        ({"train": {"rank": 8.5}}, "train.rank is 8.5; it takes a whole number"),
        ({"train": {"lr": float("nan")}}, "train.lr is nan; it takes a number from 0 on"),
        ({"train": {"lr": -1.0}}, "train.lr is -1.0; it takes a number from 0 on"),
        ({"train": {"backend": ["magic"]}}, "train.backend is 'magic'; it takes auto, peft, unsloth"),
        ({"train": {"rank": None}}, "train.rank is None; it takes a whole number"),
        ({"train": {"rank": []}}, "train.rank has an empty list"),
        ({"train": 5}, "there is no setting train"),
        ({"readout_min_examples": [1]}, "changes neither dreams nor training"),
        ({"sort": "beauty", "seed": [1]}, "sort is 'beauty'"),
        ({"seed": list(range(MAX_CELLS + 1))}, "501 cells, more than 500"),
        ({"recipes": [{"seed": 1}]}, "recipe 1 has no name"),
        ({"recipes": [{"name": "a", "seed": [1]}]}, "lists belong into [grid]"),
        ({"recipes": [{"name": "a", "seed": 1}, {"name": "a", "seed": 2}]}, "two recipes are called a"),
        ({"recipes": 3}, "recipes is no list"),
        ({}, "it names no field"),
        ("rank", "it holds no table"),
    ],
    ids=str,
)
def test_what_cannot_be_tried_is_named_in_one_line(content: Any, says: str) -> None:
    with pytest.raises(BadSweep) as told:
        make_grid(content, BASE, "grid.toml")
    assert says in str(told.value)
    assert str(told.value).startswith("grid.toml cannot be swept: ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("name", "text"), [("a.toml", "[grid"), ("a.json", "{"), ("a.toml", "\ufffd = ")])
def test_a_file_that_is_no_file_of_its_kind_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(BadSweep, match="no valid"):
        read_grid(tmp_path / name, BASE)


def test_a_file_of_other_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadSweep, match="no valid TOML"):
        read_grid(tmp_path / "a.toml", BASE)
