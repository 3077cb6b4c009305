"""Claims about recipes: content-addressed, summed exactly, and refusing what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agents.errors import BaseChanged, BrokenAdapter
from agents.runtime.adapter import Adapter
from consolidation import recipe as recipes
from consolidation.errors import BrokenRecipe, MissingVector, UnknownEntry
from consolidation.recipe import Recipe

BASE = "b" * 64


def adapter(
    seed: int, *, base: str = BASE, rank: int = 4, names: tuple[str, ...] = ("one", "two")
) -> Adapter:
    rng = np.random.default_rng(seed)

    def factor(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return Adapter(base, rank, 8.0, {name: (factor(rank, 24), factor(16, rank)) for name in names})


def stored(home: Path, *vectors: Adapter) -> Recipe:
    recipe = Recipe(BASE)
    for number, vector in enumerate(vectors):
        vector.save(home / f"adapters/{number}")
        recipe = recipes.add(
            recipe, vector, path=f"adapters/{number}", run_id=f"night{number}", label="3 facts"
        )
    return recipe


def test_a_saved_recipe_loads_as_itself_by_hash_and_by_path(tmp_path: Path) -> None:
    recipe = stored(tmp_path, adapter(1), adapter(2))
    path = recipes.save(tmp_path, recipe)
    assert path.stem == recipe.sha256
    assert recipes.load_recipe(tmp_path, recipe.sha256) == recipe
    assert recipes.load_recipe(tmp_path, recipe.path) == recipe


def test_saving_again_changes_no_byte(tmp_path: Path) -> None:
    recipe = stored(tmp_path, adapter(1))
    before = recipes.save(tmp_path, recipe).read_bytes()
    assert recipes.save(tmp_path, recipe).read_bytes() == before
    assert [path.name for path in (tmp_path / "recipes").iterdir()] == [f"{recipe.sha256}.json"]


def test_the_hash_depends_on_every_field(tmp_path: Path) -> None:
    recipe = stored(tmp_path, adapter(1), adapter(2))
    others = {
        recipes.scale(recipe, "night0", 0.5).sha256,
        recipes.revert(recipe, "night1").sha256,
        Recipe("c" * 64, recipe.entries).sha256,
        Recipe(BASE, recipe.entries[::-1]).sha256,
    }
    assert recipe.sha256 not in others
    assert len(others) == 4


def test_the_sum_is_rebuilt_bit_for_bit(tmp_path: Path) -> None:
    recipe = recipes.scale(stored(tmp_path, adapter(1), adapter(2, rank=7), adapter(3)), "night1", -0.3)
    recipes.save(tmp_path, recipe)
    first = dict(recipes.deltas(recipes.recipe_adapters(tmp_path, recipe)))
    again = dict(
        recipes.deltas(
            recipes.recipe_adapters(tmp_path, recipes.load_recipe(tmp_path, recipe.sha256)),
        )
    )
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)


def test_the_sum_agrees_with_float64() -> None:
    vectors = [(adapter(1), 1.0), (adapter(2, rank=7, names=("two", "three")), -0.5)]
    for name, delta in recipes.deltas(vectors):
        exact = sum(
            coefficient
            * vector.alpha
            / vector.rank
            * vector.modules[name][1].astype(np.float64)
            @ vector.modules[name][0].astype(np.float64)
            for vector, coefficient in vectors
            if name in vector.modules
        )
        assert np.abs(delta - exact).max() < 1e-4 * np.abs(exact).max()


def test_the_factored_sum_equals_the_dense_one() -> None:
    assert recipes.residual([(adapter(1), 1.0), (adapter(2, rank=7), -0.5)]) < 1e-6
    assert recipes.residual([]) == 0.0


def test_unusable_numbers_show_in_the_residual() -> None:
    broken = adapter(1)
    broken.modules["one"][0][0, 0] = np.nan
    assert not recipes.residual([(broken, 1.0)]) <= 1.0


def test_reverting_what_was_added_gives_the_entries_before(tmp_path: Path) -> None:
    before = stored(tmp_path, adapter(1))
    after = recipes.add(before, adapter(2), path="adapters/9", run_id="night9", label="x")
    for name in ("night9", adapter(2).sha256[:8], after.entries[-1]):
        back = recipes.revert(after, name)
        assert back.entries == before.entries
        assert back.parent == after.sha256


def test_a_vector_is_added_once(tmp_path: Path) -> None:
    recipe = stored(tmp_path, adapter(1))
    assert recipes.add(recipe, adapter(1), path="adapters/0", run_id="night0", label="3 facts") == recipe


def test_no_entry_or_two_of_that_name_are_refused(tmp_path: Path) -> None:
    recipe = stored(tmp_path, adapter(1))
    twice = Recipe(BASE, recipe.entries * 2)
    for unclear, name in ((recipe, "nowhere"), (twice, "night0")):
        with pytest.raises(UnknownEntry):
            recipes.revert(unclear, name)


def test_a_vector_of_another_base_is_refused() -> None:
    with pytest.raises(BaseChanged):
        recipes.add(Recipe(BASE), adapter(1, base="c" * 64), path="x", run_id=None, label="x")


def test_a_missing_vector_is_named(tmp_path: Path) -> None:
    recipe = recipes.add(Recipe(BASE), adapter(1), path="adapters/gone", run_id="night7", label="x")
    with pytest.raises(MissingVector, match="night7 is missing: adapters/gone"):
        recipes.recipe_adapters(tmp_path, recipe)


def test_a_swapped_or_damaged_vector_is_refused(tmp_path: Path) -> None:
    recipe = stored(tmp_path, adapter(1))
    adapter(2).save(tmp_path / "adapters/0")
    with pytest.raises(BrokenRecipe, match="not the one"):
        recipes.recipe_adapters(tmp_path, recipe)
    (tmp_path / "adapters/0/adapter_model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(BrokenAdapter):
        recipes.recipe_adapters(tmp_path, recipe)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}'])
def test_a_damaged_recipe_is_refused(tmp_path: Path, text: str) -> None:
    recipe = stored(tmp_path, adapter(1))
    recipes.save(tmp_path, recipe).write_text(text)
    with pytest.raises(BrokenRecipe):
        recipes.load_recipe(tmp_path, recipe.sha256)


def test_an_edited_recipe_is_refused(tmp_path: Path) -> None:
    path = recipes.save(tmp_path, stored(tmp_path, adapter(1)))
    fields = json.loads(path.read_text())
    fields["entries"][0]["coefficient"] = 2.0
    path.write_text(json.dumps(fields))
    with pytest.raises(BrokenRecipe, match="not what its name says"):
        recipes.load_recipe(tmp_path, path.stem)


def test_an_empty_recipe_is_the_base(tmp_path: Path) -> None:
    recipes.save(tmp_path, Recipe(BASE))
    assert recipes.recipe_adapters(tmp_path, recipes.load_recipe(tmp_path, Recipe(BASE).sha256)) == []


def test_a_style_is_worn_while_its_person_speaks_and_by_nobody_else(tmp_path: Path) -> None:
    plain = stored(tmp_path, adapter(1))
    both = recipes.with_style(plain, adapter(2), path="adapters/2", person="ada")
    both = recipes.with_style(both, adapter(3), path="adapters/3", person="bo")
    assert [entry.person for entry in both.for_person("ada").entries] == [None, "ada"]
    assert both.for_person(None).entries == both.for_person("cy").entries == plain.entries
    assert plain.for_person("ada") is plain


def test_a_new_style_takes_the_place_of_that_persons_old_one(tmp_path: Path) -> None:
    recipe = stored(tmp_path, adapter(1))
    for seed, person in ((2, "ada"), (3, "bo"), (4, "ada")):
        recipe = recipes.with_style(recipe, adapter(seed), path=f"adapters/{seed}", person=person)
    assert [(entry.person, entry.path) for entry in recipe.entries] == [
        (None, "adapters/0"),
        ("bo", "adapters/3"),
        ("ada", "adapters/4"),
    ]
    assert recipes.with_style(recipe, adapter(4), path="adapters/4", person="ada") is recipe
    assert recipes.load_recipe(tmp_path, recipes.save(tmp_path, recipe).stem) == recipe


def test_recipes_without_styles_keep_the_text_they_were_hashed_by(tmp_path: Path) -> None:
    assert "person" not in stored(tmp_path, adapter(1)).canonical()
