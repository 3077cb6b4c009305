"""Claims about the primer: nobody's, in no exam's words, and the first vector of a recipe."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec, resolve
from consolidation import primer
from consolidation.curriculum import Row
from consolidation.negatives import invented
from consolidation.primer import COEFFICIENT, LABEL, folder_for, recipe_to_extend, save_primer
from consolidation.primer_training import invented_graph, training_rows
from consolidation.recipe import add, recipe_adapters
from consolidation.recipe_history import History
from consolidation.stage import NightSettings
from memory.wordings import Wordings, fill

BENCH = Path(__file__).parents[2] / "bench" / "lessons.toml"


@pytest.fixture
def of_the_tiny_base(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adapter:
    """A primer for the tiny model, where primers are looked for."""
    monkeypatch.setattr(primer, "FOLDER", tmp_path / "primers")
    dice = np.random.default_rng(3)
    name, shape = "model.layers.0.mlp.down_proj", (32, 48)
    factors = (
        dice.normal(size=(4, shape[1])).astype(np.float32),
        dice.normal(size=(shape[0], 4)).astype(np.float32),
    )
    base_hash = resolve(ModelSpec(tmp_path / "cache", str(tiny_folder))).base_hash
    Adapter(base_hash, 4, 8.0, {name: factors}).save(tmp_path / "trained")
    return Adapter.load(save_primer(tmp_path / "trained"))


def night(chat: Any, base: Path, **given: Any) -> Any:
    return chat.context(settings=NightSettings(base_model=str(base), **given))


def test_a_first_recipe_begins_with_the_primer(
    chat: Any, tiny_folder: Path, of_the_tiny_base: Adapter
) -> None:
    recipe = recipe_to_extend(night(chat, tiny_folder))
    assert recipe is not None
    assert [(entry.label, entry.adapter_sha256, entry.run_id) for entry in recipe.entries] == [
        (LABEL, of_the_tiny_base.sha256, None)
    ]
    ((worn, coefficient),) = recipe_adapters(chat.home, recipe)
    assert coefficient == COEFFICIENT
    assert worn.sha256 == of_the_tiny_base.sha256


def test_asked_twice_it_is_put_on_record_once(
    chat: Any, tiny_folder: Path, of_the_tiny_base: Adapter
) -> None:
    context = night(chat, tiny_folder)
    assert recipe_to_extend(context) == recipe_to_extend(context)
    assert len(History.read(chat.database, chat.space_id, chat.home).versions) == 1


def test_the_recipe_of_the_primer_is_the_parent_of_the_first_nights(
    chat: Any, tiny_folder: Path, of_the_tiny_base: Adapter
) -> None:
    recipe = recipe_to_extend(night(chat, tiny_folder))
    assert recipe is not None
    tonight = Adapter(recipe.base_hash, 4, 4.0, of_the_tiny_base.modules)
    grown = add(recipe, tonight, path="adapters/tonight", run_id="r1", label="3 facts")
    assert recipe.parent is None
    assert grown.parent == recipe.sha256
    assert recipe.sha256 in History.read(chat.database, chat.space_id, chat.home).versions


def test_without_a_primer_or_where_it_is_left_out_the_plain_base_is_extended(
    chat: Any, tiny_folder: Path, of_the_tiny_base: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recipe_to_extend(night(chat, tiny_folder, primer=False)) is None
    monkeypatch.setattr(primer, "FOLDER", tmp_path / "none")
    assert recipe_to_extend(night(chat, tiny_folder)) is None


def test_what_is_filed_is_what_was_trained_to_16_bits(of_the_tiny_base: Adapter, tmp_path: Path) -> None:
    trained = Adapter.load(tmp_path / "trained")
    for name, (a, b) in trained.modules.items():
        filed = of_the_tiny_base.modules[name]
        np.testing.assert_allclose(filed[0], a, rtol=1e-3)
        np.testing.assert_allclose(filed[1], b, rtol=1e-3)
    folder = folder_for(trained.base_hash)
    size = sum(factor.nbytes for factors in trained.modules.values() for factor in factors)
    assert (folder / "adapter_model.safetensors").stat().st_size < 0.6 * size + 1000


def test_the_shipped_primer_is_whole_and_of_the_embedded_base() -> None:
    folders = sorted(path for path in primer.FOLDER.iterdir() if path.is_dir())
    assert folders
    for folder in folders:
        adapter = Adapter.load(folder)
        assert folder_for(adapter.base_hash) == folder
        assert adapter.meta["source"] == "primer"
        assert all(np.isfinite(factor).all() for factors in adapter.modules.values() for factor in factors)


# ---- what it is trained on


@pytest.fixture(scope="module")
def rows() -> list[Any]:
    return training_rows(invented_graph(0))


def test_its_people_share_no_name_with_those_of_exams_and_refusals() -> None:
    bench = tomllib.loads(BENCH.read_text(encoding="utf-8"))
    taken = {
        *(
            name
            for half in ("train", "exam")
            for which in ("first", "last")
            for name in invented(half, which)
        ),  # type: ignore[arg-type]
        *bench["first"],
        *bench["last"],
    }
    called = {word for slot in invented_graph(0).tonight for word in slot.subject.split()}
    assert called.isdisjoint(taken)


def test_it_teaches_every_predicate_that_has_indirect_wordings() -> None:
    wordings = Wordings.load()
    taught = {slot.predicate for slot in invented_graph(0).tonight}
    assert taught == {name for name in wordings.names() if wordings.indirect(name)}


def test_it_asks_nothing_in_a_wording_of_the_exam(rows: list[Any]) -> None:
    wordings = Wordings.load()
    asked = {str(row.messages[0]["content"]).casefold() for row in rows}
    for slot in invented_graph(0).tonight:
        for held_out in wordings.exam(slot.predicate):
            question = fill(held_out, slot.subject, predicate=wordings.noun(slot.predicate))
            assert question.casefold() not in asked


def test_the_same_seed_makes_the_same_texts(rows: list[Row]) -> None:
    assert training_rows(invented_graph(0)) == rows
    assert training_rows(invented_graph(1)) != rows
