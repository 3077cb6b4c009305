"""Claims about the merge: tonight's vector is added to a copy of what serves, and checked on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from agents.errors import BaseChanged, BrokenAdapter
from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec, resolve
from consolidation import merge
from consolidation import recipe as recipes
from consolidation.errors import StageFailed
from consolidation.stage import NightContext, NightSettings, no_progress
from memory.artifacts import list_artifacts, move_pointer, record_artifact


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The weights of a base; the merge looks at their hash alone."""
    folder = tmp_path / "base"
    folder.mkdir()
    save_file({"weight": np.ones((2, 2), dtype=np.float32)}, folder / "model.safetensors")
    return folder


def trained(chat: Any, base: Path, name: str, seed: int, **given: Any) -> NightContext:
    """A night whose training left an adapter."""
    rng = np.random.default_rng(seed)
    factors = (
        rng.normal(size=(4, 24)).astype(np.float32),
        rng.normal(size=(16, 4)).astype(np.float32) * given.get("size", 1),
    )
    base_hash = given.get("base_hash") or resolve(ModelSpec(chat.home / "cache", str(base))).base_hash
    adapter = Adapter(base_hash, 4, 8.0, {"one": factors})
    adapter.save(chat.home / f"adapters/{name}")
    context: NightContext = chat.context(
        settings=NightSettings(base_model=str(base)),
        outputs={"train": {"adapter": f"adapters/{name}"}, "dream": {"n_facts": 3}},
    )
    with chat.database.transaction() as session:
        context.output("train")["adapter_id"] = record_artifact(
            session,
            chat.space_id,
            run_id=context.run_id,
            kind="adapter",
            path=f"adapters/{name}",
            sha256=adapter.sha256,
            meta={},
        )
    return context


def serve(chat: Any, context: NightContext, recipe_id: str) -> None:
    with chat.database.transaction() as session:
        move_pointer(session, chat.space_id, run_id=context.run_id, recipe_id=recipe_id, readout_id=None)


def test_the_first_night_makes_a_recipe_of_one_vector(chat: Any, base: Path) -> None:
    context = trained(chat, base, "first", 1)
    output = merge.run(context, no_progress).output
    recipe = recipes.load_recipe(chat.home, output["recipe"])
    assert [(entry.path, entry.run_id, entry.label) for entry in recipe.entries] == [
        ("adapters/first", context.run_id, "3 facts")
    ]
    assert output["recipe_sha256"] == recipe.sha256
    assert output["residual"] < 1e-6


def test_nothing_serves_before_it_is_published(chat: Any, base: Path) -> None:
    merge.run(trained(chat, base, "first", 1), no_progress)
    assert recipes.current_recipe(chat.database, chat.space_id, chat.home) is None


def test_the_second_night_adds_to_what_serves(chat: Any, base: Path) -> None:
    first = trained(chat, base, "first", 1)
    serve(chat, first, merge.run(first, no_progress).output["recipe_id"])
    second = trained(chat, base, "second", 2)
    output = merge.run(second, no_progress).output
    merged = recipes.load_recipe(chat.home, output["recipe"])
    serving = recipes.current_recipe(chat.database, chat.space_id, chat.home)
    assert serving is not None
    assert merged.entries[:-1] == serving.entries
    assert merged.entries[-1].run_id == second.run_id


def test_a_second_run_records_nothing_new(chat: Any, base: Path) -> None:
    context = trained(chat, base, "first", 1)
    first = merge.run(context, no_progress).output
    assert merge.run(context, no_progress).output == first
    assert len(list_artifacts(chat.database, chat.space_id, kind="recipe")) == 1


def test_an_adapter_that_was_changed_after_training_is_refused(chat: Any, base: Path) -> None:
    context = trained(chat, base, "first", 1)
    other = Adapter.load(chat.home / "adapters/first")
    other.modules["one"][0][0] += 1
    Adapter(other.base_hash, other.rank, other.alpha, other.modules).save(chat.home / "adapters/first")
    with pytest.raises(StageFailed, match="not the one that was trained"):
        merge.run(context, no_progress)


def test_an_adapter_of_another_base_is_refused_with_both_hashes(chat: Any, base: Path) -> None:
    with pytest.raises(BaseChanged):
        merge.run(trained(chat, base, "first", 1, base_hash="f" * 64), no_progress)


def test_a_vector_without_usable_numbers_is_refused(chat: Any, base: Path) -> None:
    with pytest.raises(StageFailed, match="no usable numbers"):
        merge.run(trained(chat, base, "first", 1, size=np.nan), no_progress)


def test_missing_files_are_named(chat: Any, base: Path) -> None:
    context = trained(chat, base, "first", 1)
    (chat.home / "adapters/first/adapter_config.json").unlink()
    with pytest.raises(BrokenAdapter):
        merge.run(context, no_progress)


def test_a_night_without_training_keeps_what_serves(chat: Any, base: Path) -> None:
    first = trained(chat, base, "first", 1)
    serve(chat, first, merge.run(first, no_progress).output["recipe_id"])
    idle = chat.context(settings=NightSettings(base_model=str(base)))
    output = merge.run(idle, no_progress).output
    serving = recipes.current_recipe(chat.database, chat.space_id, chat.home)
    assert serving is not None
    assert output["recipe"] == serving.path
    assert output["recipe_id"] is None
