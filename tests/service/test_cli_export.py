"""`slowwave recipe export` as a person runs it, on a recipe of one vector over the tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from agents.runtime.adapter import Adapter
from agents.runtime.spec import resolve
from consolidation import recipe as recipes
from consolidation.recipe import Recipe
from consolidation.recipe_serving import Place, record, serve
from service.settings import load_settings
from service.wiring import Services

SHAPE = {
    "format",
    "folder",
    "recipe",
    "base",
    "vectors",
    "rank",
    "dtype",
    "residual",
    "adapters",
    "files",
    "bytes",
    "sha256",
}


@pytest.fixture
def taught(empty: Any, tiny_nights: None) -> Any:
    """A home whose recipe has one vector."""
    rng = np.random.default_rng(5)
    with Services(load_settings(str(empty.home))) as services:
        place = Place(services.database, services.space_id, empty.home, services.clock)
        a, b = rng.normal(size=(3, 32)), rng.normal(size=(32, 3))
        modules = {"model.layers.1.self_attn.q_proj": (a.astype(np.float32), b.astype(np.float32))}
        adapter = Adapter(resolve(services.model_spec()).base_hash, 3, 6.0, modules)
        adapter.save(empty.home / "adapters/one")
        recipe = recipes.add(
            Recipe(adapter.base_hash), adapter, path="adapters/one", run_id="n1", label="one"
        )
        serve(place, record(place, recipe))
    return empty


@pytest.mark.parametrize(
    ("asked", "files", "rank", "dtype"),
    [
        (("--each",), {"README.md", "chat_template.jinja", "001-{}/adapter_model.safetensors"}, 3, None),
        (("--format", "gguf"), {"README.md", "chat_template.jinja", "adapter.gguf"}, 3, None),
        (("--format", "checkpoint"), {"README.md", "config.json", "tokenizer.json"}, None, "float32"),
    ],
)
def test_each_format_is_written_and_told(
    taught: Any, tmp_path: Path, asked: tuple[str, ...], files: set[str], rank: int | None, dtype: str | None
) -> None:
    found = taught("recipe", "export", "--out", tmp_path / "out", *asked, "--json").json
    assert set(found) == SHAPE
    assert (found["rank"], found["dtype"], found["vectors"]) == (rank, dtype, 1)
    assert found["folder"] == str(tmp_path / "out")
    vector = next(iter(item["vector"] for item in found["adapters"]), None) or ""
    assert {name.format(vector[:12]) for name in files} <= set(found["files"])
    assert found["bytes"] == sum(
        path.stat().st_size for path in (tmp_path / "out").rglob("*.*") if path.is_file()
    )


def test_a_person_is_told_what_it_holds_and_what_was_cut_off(taught: Any, tmp_path: Path) -> None:
    done = taught("recipe", "export", "--out", tmp_path / "out", "--max-rank", "2")
    assert done.code == 0
    assert "as peft, rank 2" in done.out
    assert "of the change to the weights was cut off" in done.out
    assert "it holds what people said" in done.out


def test_the_plain_base_goes_by_its_name(taught: Any, tmp_path: Path, talkative: Path) -> None:
    found = taught(
        "recipe", "export", "base", "--format", "checkpoint", "--out", tmp_path / "b", "--json"
    ).json
    assert (found["recipe"], found["vectors"]) == (None, 0)
    base, written = load_file(talkative / "model.safetensors"), load_file(tmp_path / "b/model.safetensors")
    assert all(np.array_equal(base[name], written[name]) for name in written)


def test_what_cannot_be_written_is_refused_in_one_line(taught: Any, tmp_path: Path) -> None:
    taught("recipe", "export", "--out", tmp_path / "out")
    assert "is there already" in taught("recipe", "export", "--out", tmp_path / "out").refusal
    assert "plain base serves" in taught("recipe", "export", "base", "--out", tmp_path / "b").refusal
    assert "no recipe goes by nobody" in taught("recipe", "export", "nobody", "--out", tmp_path / "c").refusal
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "asked", [("--format", "checkpoint", "--each"), ("--dtype", "float32"), ("--format", "onnx")]
)
def test_options_that_do_not_go_together_are_usage(
    taught: Any, tmp_path: Path, asked: tuple[str, ...]
) -> None:
    assert taught("recipe", "export", "--out", tmp_path / "out", *asked).code == 2
    assert not (tmp_path / "out").exists()
