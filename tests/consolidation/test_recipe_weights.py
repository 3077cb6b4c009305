"""Claims about the weights of a recipe: the same bytes on every rebuild, in every process; and sizes that agree with float64."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelFolder
from consolidation import recipe as recipes
from consolidation.recipe import Entry, Recipe
from consolidation.recipe_weights import distance, norm, rebuilt, rebuilt_sha256, size
from consolidation.trainer.job import JobFolder
from consolidation.vectors import extract_checkpoint
from memory.erasure.files import to_remove
from tests.made_recipes import SHAPES, make_vector

BASE = "b" * 64
ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Three vectors, one of them turned round."""
    made = Recipe(BASE)
    for number in range(3):
        vector = make_vector(BASE, number)
        vector.save(tmp_path / f"adapters/{number}")
        made = recipes.add(made, vector, path=f"adapters/{number}", run_id=f"night{number}", label="3 facts")
    made = recipes.scale(made, "night1", -0.3)
    recipes.save(tmp_path, made)
    return made


RULES = [("sum", None, None), ("ties", 0.3, None), ("dare", 0.5, 7)]


@pytest.mark.parametrize(("rule", "density", "seed"), RULES)
def test_two_rebuilds_have_the_same_bytes(
    tmp_path: Path, recipe: Recipe, rule: str, density: float | None, seed: int | None
) -> None:
    recipe = recipes.with_rule(recipe, rule, density, seed)
    recipes.save(tmp_path, recipe)
    again = recipes.load_recipe(tmp_path, recipe.sha256)
    one, two = dict(rebuilt(tmp_path, recipe)), dict(rebuilt(tmp_path, again))
    assert list(one) == ["one", "two"]
    assert {name: delta.tobytes() for name, delta in one.items()} == {
        name: delta.tobytes() for name, delta in two.items()
    }
    assert rebuilt_sha256(tmp_path, recipe) == rebuilt_sha256(tmp_path, again)


def test_another_process_on_another_number_of_threads_makes_the_same_bytes(
    tmp_path: Path, recipe: Recipe
) -> None:
    code = (
        "import sys; from pathlib import Path; from consolidation.recipe import load_recipe\n"
        "from consolidation.recipe_weights import rebuilt_sha256\n"
        "print(rebuilt_sha256(Path(sys.argv[1]), load_recipe(Path(sys.argv[1]), sys.argv[2])))"
    )
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(tmp_path), recipe.sha256]
    told = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == rebuilt_sha256(tmp_path, recipe)


@pytest.mark.parametrize(("rule", "density", "seed"), RULES[1:])
def test_what_a_model_puts_on_is_what_the_rule_makes(
    tmp_path: Path, recipe: Recipe, rule: str, density: float | None, seed: int | None
) -> None:
    recipe = recipes.with_rule(recipe, rule, density, seed)
    ((worn, coefficient),) = recipes.recipe_adapters(tmp_path, recipe)
    assert coefficient == 1.0
    for name, delta in rebuilt(tmp_path, recipe):
        assert worn.delta(name).tobytes() == delta.tobytes()


def test_the_rule_is_part_of_the_hash_and_the_sum_needs_no_density(recipe: Recipe) -> None:
    ties = recipes.with_rule(recipe, "ties", 0.3)
    assert ties.parent == recipe.sha256
    assert len({recipe.sha256, ties.sha256, recipes.with_rule(recipe, "ties", 0.4).sha256}) == 3
    assert recipes.with_rule(recipe, "sum", 0.3, 4) == recipe
    with pytest.raises(ValueError, match="no rule"):
        recipes.with_rule(recipe, "mean")


def test_an_empty_recipe_is_the_base_by_every_rule(tmp_path: Path) -> None:
    empty = Recipe(BASE, rule="ties", density=0.3)
    assert list(rebuilt(tmp_path, empty)) == recipes.recipe_adapters(tmp_path, empty) == []


def test_sizes_and_distances_agree_with_float64(tmp_path: Path, recipe: Recipe) -> None:
    vector = make_vector(BASE, 1)
    exact = {
        name: vector.alpha / vector.rank * b.astype(np.float64) @ a.astype(np.float64)
        for name, (a, b) in vector.modules.items()
    }
    whole = np.sqrt(sum(np.square(delta).sum() for delta in exact.values()))
    assert norm(vector) == pytest.approx(whole, rel=1e-6)
    turned = recipes.scale(recipe, "night1", 0.7)
    apart, before = distance(rebuilt(tmp_path, turned), rebuilt(tmp_path, recipe))
    assert apart == pytest.approx(whole, rel=1e-5)
    assert before == pytest.approx(size(rebuilt(tmp_path, recipe)))


def test_modules_of_one_side_alone_count_whole() -> None:
    ones = np.ones((2, 2), np.float32)
    assert distance(iter([("a", ones)]), iter([("b", ones), ("c", ones)])) == pytest.approx((12**0.5, 8**0.5))
    assert distance(iter(()), iter(())) == (0.0, 0.0)


def test_a_dense_vector_is_put_on_bit_for_bit(tmp_path: Path) -> None:
    """A vector of a whole checkpoint, beside one in factors, by the sum and by another rule."""
    base, tuned = (write_matrices(tmp_path / name, seed) for seed, name in enumerate(("base", "tuned")))
    dense = extract_checkpoint(ModelFolder(base, BASE), tuned, tmp_path / "adapters/dense")
    vector = make_vector(BASE, 1)
    vector.save(tmp_path / "adapters/1")
    entries = (
        Entry(dense.sha256, "adapters/dense", 0.5, None, "whole"),
        Entry(vector.sha256, "adapters/1", 1.0, None, "factors"),
    )
    recipe = Recipe(BASE, entries)
    for name, delta in rebuilt(tmp_path, recipe):
        assert delta.tobytes() == (np.float32(0.5) * dense.delta(name) + vector.delta(name)).tobytes()
    for made in (recipe, recipes.with_rule(recipe, "ties", 0.5)):
        worn = recipes.worn_folders(tmp_path, made, tmp_path / made.rule)
        loaded = [(Adapter.load(Path(folder)), coefficient) for folder, coefficient in worn]
        assert dict(recipes.deltas(loaded)).keys() == {"one", "two"}
        for (name, delta), (_, again) in zip(recipes.deltas(loaded), rebuilt(tmp_path, made), strict=True):
            assert delta.tobytes() == again.tobytes(), name


def write_matrices(folder: Path, seed: int) -> Path:
    folder.mkdir()
    dice = np.random.default_rng(seed)
    tensors = {f"{name}.weight": dice.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_folders_of_a_plain_sum_are_the_vectors_own(tmp_path: Path, recipe: Recipe) -> None:
    worn = recipes.worn_folders(tmp_path, recipe, tmp_path / "spare")
    assert worn == tuple((str(tmp_path / entry.path), entry.coefficient) for entry in recipe.entries)
    assert not (tmp_path / "spare").exists()


def test_an_erasure_takes_what_was_written_for_a_training_on_top_of_a_merged_recipe(
    tmp_path: Path, recipe: Recipe
) -> None:
    so_far = JobFolder(tmp_path / "runs" / "aaaa9" / "train").so_far
    ((folder, _),) = recipes.worn_folders(tmp_path, recipes.with_rule(recipe, "ties", 0.3), so_far)
    assert Path(folder).is_relative_to(so_far)
    assert so_far in to_remove(tmp_path, "space", (), (), ())
