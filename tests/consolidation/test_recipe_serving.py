"""Claims about what comes to serve: nothing that is missing, damaged, tainted or of another base; and every move is on record."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from sqlalchemy import update

from agents.errors import BaseChanged, BrokenAdapter, UnknownModule
from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec
from consolidation import recipe as recipes
from consolidation.errors import BadVector, MissingVector, NothingPublished, RecipeStays
from consolidation.publish import roll_back
from consolidation.recipe import Recipe, current_recipe, deltas
from consolidation.recipe_serving import (
    Place,
    Reading,
    alone,
    check,
    check_published,
    erased_from,
    rebuild,
    record,
    serve,
    take_in,
)
from consolidation.vectors import DenseVector, load_vector
from db import tables
from db.errors import LeaseHeld
from memory import ledger
from memory.artifacts import move_pointer, pointer
from memory.errors import TaintedArtifact
from tests.consolidation.conftest import ticking
from tests.made_recipes import SHAPES, base_of, make_base, make_vector, publish_night


@pytest.fixture
def spec(place: Place) -> ModelSpec:
    return make_base(place.home)


@pytest.fixture
def nights(place: Place, spec: ModelSpec) -> list[Recipe]:
    return [publish_night(place, make_vector(base_of(spec), n), f"aaaa{n}") for n in (1, 2)]


def serving(place: Place) -> Recipe | None:
    return current_recipe(place.database, place.space_id, place.home)


def moves(place: Place) -> list[str]:
    rows = ledger.entries(place.database, place.space_id, 100)
    return [row.payload["reason"] for row in rows if row.kind == "pointer"]


def test_a_recipe_by_hand_serves_with_a_ledger_entry_and_rolls_back_to_its_night(
    place: Place, nights: list[Recipe]
) -> None:
    changed = recipes.revert(nights[1], "aaaa1")
    serve(place, record(place, changed))
    assert serving(place) == changed
    assert moves(place)[0] == "recipe"
    now = pointer(place.database, place.space_id)
    assert now is not None
    assert now.run_id == "aaaa2"
    for night in (*nights[::-1], None):
        roll_back(place.database, place.space_id, clock=ticking)
        assert serving(place) == night
    with pytest.raises(NothingPublished):
        roll_back(place.database, place.space_id, clock=ticking)
    assert ledger.verify(place.database, place.space_id) == []


def test_a_recipe_without_any_night_rolls_back_to_the_base(place: Place, spec: ModelSpec) -> None:
    vector = make_vector(base_of(spec), 1)
    vector.save(place.home.parent / "shorter")
    entry = take_in(place, place.home.parent / "shorter", spec, "shorter")
    serve(place, record(place, recipes.changed(Recipe(base_of(spec)), [entry])))
    assert roll_back(place.database, place.space_id, clock=ticking).recipe_id is None


def test_the_plain_base_and_an_earlier_night_can_serve(place: Place, nights: list[Recipe]) -> None:
    serve(place, None)
    assert serving(place) is None
    serve(place, place.history().find("aaaa1"))
    now = pointer(place.database, place.space_id)
    assert now is not None
    assert (serving(place), now.run_id) == (nights[0], "aaaa1")
    n_moves = len(moves(place))
    serve(place, place.history().find("aaaa1"))
    assert len(moves(place)) == n_moves


def test_the_same_recipe_is_on_record_once(place: Place, nights: list[Recipe]) -> None:
    changed = recipes.scale(nights[1], "aaaa1", 0.5)
    assert record(place, changed).artifact_id == record(place, changed).artifact_id
    (place.home / changed.path).unlink()
    assert record(place, changed).recipe == changed


def test_another_base_is_refused_with_both_hashes(
    place: Place, nights: list[Recipe], spec: ModelSpec
) -> None:
    other = make_base(place.home / "elsewhere", ones=True)
    with pytest.raises(BaseChanged) as caught:
        check(place, nights[1], other)
    assert (caught.value.adapter_hash, caught.value.model_hash) == (base_of(spec), base_of(other))


def test_a_missing_vector_is_named_and_comes_back_from_its_nights_folder(
    place: Place, nights: list[Recipe], spec: ModelSpec
) -> None:
    lost = nights[1].entries
    for entry in lost:
        shutil.rmtree(place.home / entry.path)
    with pytest.raises(MissingVector, match=f"night aaaa1 is missing: {lost[0].path}"):
        check(place, nights[1], spec)
    shutil.rmtree(place.home / "runs" / "aaaa2")
    assert rebuild(place, nights[1]) == ([lost[0].path], [lost[1].path])
    assert Adapter.load(place.home / lost[0].path).sha256 == lost[0].adapter_sha256


def test_another_vector_in_a_nights_folder_is_not_taken(place: Place, nights: list[Recipe]) -> None:
    entry = nights[0].entries[0]
    shutil.rmtree(place.home / entry.path)
    make_vector(nights[0].base_hash, 9).save(place.home / "runs" / "aaaa1" / "train" / "adapter")
    assert rebuild(place, nights[0]) == ([], [entry.path])


def taint(place: Place, run_id: str) -> None:
    """As an erasure does: the night's adapter, and every recipe that holds it; nothing serves."""
    with place.database.transaction() as session:
        rows = session.query(tables.Artifact).all()
        bad = {row.sha256 for row in rows if row.kind == "adapter" and row.run_id == run_id}
        held = {
            version.artifact_id
            for version in place.history().versions.values()
            if version.recipe and any(entry.adapter_sha256 in bad for entry in version.recipe.entries)
        }
        tainted = tables.Artifact.id.in_(held) | tables.Artifact.sha256.in_(bad)
        session.execute(update(tables.Artifact).where(tainted).values(tainted_at=place.clock()))
        move_pointer(
            session,
            place.space_id,
            run_id=None,
            recipe_id=None,
            readout_id=None,
            reason="erasure",
            clock=ticking,
        )


def test_what_an_erasure_left_of_a_recipe_can_serve_and_the_rest_cannot(
    place: Place, nights: list[Recipe], spec: ModelSpec
) -> None:
    with pytest.raises(RecipeStays):
        erased_from(place)
    taint(place, "aaaa1")
    assert erased_from(place) == nights[1]
    with pytest.raises(TaintedArtifact):
        check(place, nights[1], spec)
    with pytest.raises(TaintedArtifact):
        serve(place, place.history().find("aaaa2"))
    tainted = {nights[0].entries[0].adapter_sha256}
    left = recipes.without(nights[1], tainted)
    assert [entry.run_id for entry in left.entries] == ["aaaa2"]
    check(place, left, spec)
    serve(place, record(place, left))
    assert serving(place) == left
    copy = place.home.parent / "copy"
    make_vector(base_of(spec), 1).save(copy)
    with pytest.raises(TaintedArtifact):
        take_in(place, copy, spec, "again")


def test_a_recipe_that_its_gate_refused_is_not_for_serving(place: Place, nights: list[Recipe]) -> None:
    publish_night(place, make_vector(nights[0].base_hash, 3), "bbbb3", is_published=False)
    with pytest.raises(RecipeStays, match="bbbb3 did not pass its gate"):
        check_published(place, place.history().find("bbbb3"))
    check_published(place, place.history().find("aaaa2"))
    check_published(place, None)


def test_who_changes_what_serves_keeps_nights_away(place: Place) -> None:
    with alone(place), pytest.raises(LeaseHeld), alone(place):
        pass  # the second is refused before its block begins


def test_a_vector_from_elsewhere_is_copied_and_put_on_record_once(place: Place, spec: ModelSpec) -> None:
    folder = place.home.parent / "shorter"
    vector = make_vector(base_of(spec), 5)
    vector.save(folder)
    entry = take_in(place, folder, spec, "shorter replies")
    assert take_in(place, folder, spec, "shorter replies") == entry
    assert (entry.adapter_sha256, entry.run_id, entry.label) == (vector.sha256, None, "shorter replies")
    assert Adapter.load(place.home / entry.path).sha256 == vector.sha256
    rows = [row for row in ledger.entries(place.database, place.space_id) if row.kind == "artifact"]
    assert [row.payload["kind"] for row in rows] == ["adapter"]


def test_a_nights_own_vector_keeps_its_night(place: Place, nights: list[Recipe], spec: ModelSpec) -> None:
    folder = place.home / nights[0].entries[0].path
    assert take_in(place, folder, spec, "again").run_id == "aaaa1"


def unfit(vector: Adapter, how: str) -> Adapter:
    modules = dict(vector.modules)
    if how == "module":
        modules["three"] = modules["one"]
    elif how == "shape":
        modules["one"] = modules["two"]
    else:
        modules["one"] = (np.full_like(modules["one"][0], np.nan), modules["one"][1])
    return replace(vector, modules=modules)


@pytest.mark.parametrize(
    ("how", "error", "why"),
    [
        ("module", UnknownModule, "three"),
        ("shape", RecipeStays, "one is 24 by 16, the model's 16 by 24"),
        ("number", BrokenAdapter, "one holds numbers that are not finite"),
    ],
)
def test_a_vector_that_does_not_fit_is_refused_by_what_is_wrong(
    place: Place, spec: ModelSpec, how: str, error: Any, why: str
) -> None:
    folder = place.home.parent / "vector"
    unfit(make_vector(base_of(spec), 1), how).save(folder)
    with pytest.raises(error, match=why):
        take_in(place, folder, spec, "vector")
    assert not (place.home / "adapters").exists()


def test_a_folder_that_names_no_base_needs_a_word_for_it(place: Place, spec: ModelSpec) -> None:
    folder = place.home.parent / "peft"
    make_vector("", 1).save(folder)
    (folder / "slowwave.json").unlink()
    with pytest.raises(RecipeStays, match="--trust-base"):
        take_in(place, folder, spec, "peft")
    entry = take_in(place, folder, spec, "peft", Reading(is_of_this_base=True))
    assert Adapter.load(place.home / entry.path).base_hash == base_of(spec)
    make_vector("c" * 64, 2).save(folder)
    with pytest.raises(BaseChanged):
        take_in(place, folder, spec, "peft", Reading(is_of_this_base=True))


def checkpoint(place: Place, **changed: np.ndarray) -> Path:
    """The base of these tests, with other numbers where they are given."""
    folder = place.home.parent / "tuned"
    folder.mkdir()
    matrices = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    save_file(
        {f"{name}.weight": array for name, array in (matrices | changed).items()},
        folder / "model.safetensors",
    )
    return folder


def test_a_checkpoint_comes_in_less_its_base_whole_or_brought_to_a_rank(
    place: Place, spec: ModelSpec
) -> None:
    change = make_vector(base_of(spec), 3).delta("one")
    folder = checkpoint(place, one=change)
    with pytest.raises(RecipeStays, match="--trust-base"):
        take_in(place, folder, spec, "tuned")
    whole = take_in(place, folder, spec, "tuned", Reading(is_of_this_base=True))
    kept = load_vector(place.home / whole.path)
    assert isinstance(kept, DenseVector)
    assert sorted(kept.modules) == ["one"]
    np.testing.assert_array_equal(kept.delta("one"), change)
    few = take_in(place, folder, spec, "tuned", Reading(is_of_this_base=True, rank=2))
    cut = load_vector(place.home / few.path)
    assert isinstance(cut, Adapter)
    assert cut.meta["residual"] < 1e-5
    np.testing.assert_allclose(cut.delta("one"), change, atol=1e-5)
    assert sorted(path.name for path in (place.home / "adapters").iterdir()) == sorted(
        entry.adapter_sha256[:12] for entry in (whole, few)
    )


def test_a_checkpoint_of_something_else_leaves_nothing(place: Place, spec: ModelSpec) -> None:
    folder = checkpoint(place, one=np.full(SHAPES["one"], np.nan, np.float32))
    with pytest.raises(BadVector, match=r"one.weight holds numbers that are not finite"):
        take_in(place, folder, spec, "tuned", Reading(is_of_this_base=True))
    make_vector(base_of(spec), 1).save(folder)
    with pytest.raises(RecipeStays, match="--rank is for a whole checkpoint"):
        take_in(place, folder, spec, "tuned", Reading(rank=4))
    assert not list((place.home / "adapters").glob("*"))


def test_ranks_and_modules_that_differ_are_one_sum(
    place: Place, nights: list[Recipe], spec: ModelSpec
) -> None:
    part = make_vector(base_of(spec), 4, {"two": SHAPES["two"]}, rank=5)
    recipe = publish_night(place, part, "aaaa3")
    worn = check(place, recipe, spec)
    assert [adapter.rank for adapter, _ in worn] == [2, 2, 5]
    made = dict(deltas(worn))
    assert sorted(made) == ["one", "two"]
    expected = sum(adapter.delta("two").astype(np.float64) for adapter, _ in worn)
    np.testing.assert_allclose(made["two"], expected, atol=1e-5)
