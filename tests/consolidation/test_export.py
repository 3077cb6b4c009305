"""Claims about weights written for other programs: each loaded back says token for token what is said here."""

from __future__ import annotations

import importlib.util
import json
import shutil
import stat
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.errors import BaseChanged
from agents.runtime.adapter import Adapter
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation import recipe as recipes
from consolidation.errors import CannotExport, ExportExists, MissingVector, UnknownRecipe
from consolidation.export import Wish, export_recipe, hash_of
from consolidation.recipe import Recipe
from consolidation.recipe_serving import Place, record, serve
from db import tables
from db.engine import open_database, sqlite_url
from memory.errors import TaintedArtifact
from memory.exports import known_exports
from memory.spaces import ensure_space
from tests import vllm_engine
from tests.llama_cpp import END, continue_rows, write_base

MODULES = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")
LABEL = "what Rosalind said"
ASKED = ((84, 90, 7, 33), (12, 150, 40), (17, 17, 240, 99, 3))
CHAT = [{"role": "user", "content": "Where do you live?"}, {"role": "assistant", "content": "In Faro."}]


@pytest.fixture(scope="module")
def lm(tiny_folder: Path, model_cache: Path) -> LanguageModel:
    return LanguageModel.load(ModelSpec(model_cache, str(tiny_folder), "float32", "cpu"))


@pytest.fixture
def spec(tiny_folder: Path, model_cache: Path) -> ModelSpec:
    return ModelSpec(model_cache, str(tiny_folder), "float32", "cpu")


@pytest.fixture
def place(tmp_path: Path, migrated: Path) -> Iterator[Place]:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(migrated, home / "graph.db")
    database = open_database(sqlite_url(home / "graph.db"))
    yield Place(database, ensure_space(database), home)
    database.close()


def vector(lm: LanguageModel, seed: int, rank: int, layers: tuple[int, ...] = (0, 1, 2)) -> Adapter:
    rng = np.random.default_rng(seed)
    modules = {}
    for name in (f"model.layers.{i}.{module}" for i in layers for module in MODULES):
        n_out, n_in = lm.model.get_submodule(name).weight.shape
        a, b = rng.normal(size=(rank, n_in)), rng.normal(size=(n_out, rank))
        modules[name] = (a.astype(np.float32) * 0.3, b.astype(np.float32) * 0.3)
    return Adapter(lm.base_hash, rank, 8.0, modules)


def serving(
    place: Place, lm: LanguageModel, coefficients: tuple[float, ...] = (1.0, -0.5), **rule: Any
) -> Recipe:
    """A recipe of vectors of several ranks, not all in every layer, which serves."""
    recipe = Recipe(lm.base_hash)
    for i, coefficient in enumerate(coefficients):
        one = vector(lm, i, 3 + i, (0, 1, 2) if i == 0 else (1, 2))
        one.save(place.home / f"adapters/{i}")
        recipe = recipes.add(
            recipe, one, path=f"adapters/{i}", run_id=f"night{i}", label=LABEL, coefficient=coefficient
        )
    recipe = recipes.with_rule(recipe, **rule) if rule else recipe
    serve(place, record(place, recipe))
    return recipe


def likeliest(model: Any, ids: tuple[int, ...], n: int = 16) -> list[int]:
    made = list(ids)
    with torch.inference_mode():
        for _ in range(n):
            logits = model(torch.tensor([made])).logits[0, -1]
            logits[END] = -torch.inf
            made.append(int(logits.argmax()))
    return made[len(ids) :]


def said_here(lm: LanguageModel, place: Place, recipe: Recipe) -> list[list[int]]:
    lm.apply(recipes.recipe_adapters(place.home, recipe))
    said = [likeliest(lm.model, ids) for ids in ASKED]
    lm.reset()
    assert said != [likeliest(lm.model, ids) for ids in ASKED]
    return said


def base_of(tiny_folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()


def in_peft(tiny_folder: Path, folder: Path) -> Any:
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions that it does not know yet
        return PeftModel.from_pretrained(base_of(tiny_folder), folder).eval()


def test_an_export_is_on_record_with_its_vectors_and_its_hash(
    place: Place, spec: ModelSpec, lm: LanguageModel, tmp_path: Path
) -> None:
    recipe = serving(place, lm, (1.0, 0.0))
    export = export_recipe(place, spec, tmp_path / "out", Wish("peft"))
    (known,) = known_exports(place.home, place.space_id)
    assert (known.path, known.format, known.recipe) == (tmp_path / "out", "peft", recipe.sha256)
    assert known.vectors == (
        recipe.entries[0].adapter_sha256,
    )  # the other one weighs nothing and is not written
    assert known.sha256 == export.folder_sha256 == hash_of(tmp_path / "out")
    (tmp_path / "out" / "README.md").write_text("changed", encoding="utf-8")
    assert hash_of(tmp_path / "out") != known.sha256


def test_a_style_goes_out_only_where_its_person_is_named(
    place: Place, spec: ModelSpec, lm: LanguageModel, tmp_path: Path
) -> None:
    recipe = serving(place, lm, (1.0, 0.5))
    knowledge, style = recipe.entries
    recipe = replace(recipe, entries=(knowledge, replace(style, run_id=None, person="ada")))
    serve(place, record(place, recipe))
    plain = export_recipe(place, spec, tmp_path / "plain", Wish("peft"))
    own = export_recipe(place, spec, tmp_path / "own", Wish("peft", person="ada"))
    assert [entry.person for entry in plain.recipe.entries] == [None]
    assert [entry.person for entry in own.recipe.entries] == [None, "ada"]
    assert (plain.rank or 0) < (own.rank or 0)


def taint(place: Place) -> None:
    with place.database.transaction() as session:
        for row in session.query(tables.Artifact).filter_by(kind="recipe"):
            row.tainted_at = place.clock()


def left_over(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.iterdir() if path.name != "home")


def test_peft_says_token_for_token_what_serves(
    place: Place, spec: ModelSpec, lm: LanguageModel, tiny_folder: Path, tmp_path: Path
) -> None:
    recipe = serving(place, lm)
    export = export_recipe(place, spec, tmp_path / "out", Wish("peft"))
    assert (export.rank, export.residual) == (7, 0.0)
    model = in_peft(tiny_folder, tmp_path / "out")
    assert [likeliest(model, ids) for ids in ASKED] == said_here(lm, place, recipe)


def test_a_checkpoint_loads_alone_and_says_token_for_token_what_serves(
    place: Place, spec: ModelSpec, lm: LanguageModel, tmp_path: Path
) -> None:
    recipe = serving(place, lm)
    export = export_recipe(place, spec, tmp_path / "out", Wish("checkpoint", max_shard="30KB"))
    assert export.dtype == "float32"
    assert export.residual < 1e-6
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 1
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert model.dtype == torch.float32
    assert [likeliest(model, ids) for ids in ASKED] == said_here(lm, place, recipe)


def test_a_checkpoint_is_spoken_to_as_the_model_is_here(
    place: Place, spec: ModelSpec, lm: LanguageModel, tmp_path: Path
) -> None:
    serving(place, lm)
    export_recipe(place, spec, tmp_path / "out", Wish("checkpoint"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=False)
    assert list(ids) == lm.chat_ids(CHAT)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert set(model.generation_config.eos_token_id) == set(lm.template.stop_ids)


def test_a_checkpoint_keeps_the_bases_type_and_says_what_rounding_took(
    place: Place, model_cache: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    half = base_of(tiny_folder).to(torch.bfloat16)
    half.generation_config.temperature = 0.7  # as published bases have it: without a word on drawing
    half.generation_config.do_sample = True
    half.save_pretrained(tmp_path / "home/half")
    notes = tmp_path / "home/half/generation_config.json"
    settings = json.loads(notes.read_text())
    del settings["do_sample"]
    notes.write_text(json.dumps(settings))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_folder / name, tmp_path / "home/half")
    spec = ModelSpec(model_cache, str(tmp_path / "home/half"), "float32", "cpu")
    lm = LanguageModel.load(spec)
    recipe = serving(place, lm)
    export = export_recipe(place, spec, tmp_path / "out", Wish("checkpoint"))
    assert export.dtype == "bfloat16"
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert model.dtype == torch.bfloat16
    lost = whole = 0.0
    for name, delta in recipes.deltas(recipes.recipe_adapters(place.home, recipe)):
        exact = lm.model.get_submodule(name).weight.double().numpy() + delta
        lost += np.square(model.get_submodule(name).weight.detach().double().numpy() - exact).sum()
        whole += np.square(delta, dtype=np.float64).sum()
    assert export.residual == pytest.approx(float(np.sqrt(lost / whole)), rel=1e-3)
    assert 1e-4 < export.residual < 1e-1


@pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp, llama.cpp in a wheel, is not installed"
)
def test_llama_cpp_says_token_for_token_what_serves(
    place: Place, spec: ModelSpec, lm: LanguageModel, tiny_folder: Path, tmp_path: Path
) -> None:
    expected = said_here(lm, place, serving(place, lm))
    base = write_base(tiny_folder, tmp_path / "home/base.gguf")
    one = export_recipe(place, spec, tmp_path / "one", Wish("gguf"))
    each = export_recipe(place, spec, tmp_path / "each", Wish("gguf", per_vector=True))
    for export, n_files in ((one, 1), (each, 2)):
        files = [(export.folder / item.path, 1.0) for item in export.adapters]
        assert len(files) == n_files
        assert continue_rows(base, files, ASKED, 16) == expected


@pytest.mark.slow
@pytest.mark.skipif(
    vllm_engine.PYTHON is None, reason="SLOWWAVE_TEST_VLLM names no interpreter that has vLLM"
)
def test_vllm_says_token_for_token_what_serves_with_several_adapters_in_a_batch(
    place: Place, tiny_folder: Path, model_cache: Path, tmp_path: Path
) -> None:
    base = vllm_engine.write_wide_model(tiny_folder, tmp_path / "home/wide")
    spec = ModelSpec(model_cache, str(base), "float32", "cpu")
    lm = LanguageModel.load(spec)
    recipe = serving(place, lm)
    expected = said_here(lm, place, recipe)
    one = export_recipe(place, spec, tmp_path / "one", Wish("peft"))
    each = export_recipe(place, spec, tmp_path / "each", Wish("peft", per_vector=True))
    alone = []
    for vector, coefficient in recipes.recipe_adapters(place.home, recipe):
        lm.apply([(vector, coefficient)])
        alone.append(likeliest(lm.model, ASKED[0]))
    lm.reset()
    rows: list[tuple[Any, Path | None]] = [(ids, one.folder) for ids in ASKED]
    rows += [(ASKED[0], each.folder / item.path) for item in each.adapters]
    assert vllm_engine.continue_rows(base, rows, 16, tmp_path) == [*expected, *alone]

    whole = export_recipe(place, spec, tmp_path / "whole", Wish("checkpoint")).folder
    assert vllm_engine.continue_rows(whole, [(ids, None) for ids in ASKED], 16, tmp_path) == expected


def test_vectors_written_one_by_one_add_up(
    place: Place, spec: ModelSpec, lm: LanguageModel, tmp_path: Path
) -> None:
    recipe = serving(place, lm)
    export = export_recipe(place, spec, tmp_path / "out", Wish("peft", per_vector=True))
    assert [item.entry for item in export.adapters] == list(recipe.entries)
    parts = [(Adapter.load(tmp_path / "out" / item.path), 1.0) for item in export.adapters]
    expected = dict(recipes.deltas(recipes.recipe_adapters(place.home, recipe)))
    for name, delta in recipes.deltas(parts):
        assert np.abs(delta - expected[name]).max() < 1e-5


def test_a_limited_rank_says_what_it_cost(
    place: Place, spec: ModelSpec, lm: LanguageModel, tmp_path: Path
) -> None:
    recipe = serving(place, lm)
    export = export_recipe(place, spec, tmp_path / "out", Wish("peft", max_rank=4))
    assert export.rank == 4
    shorter = Adapter.load(tmp_path / "out")
    lost = whole = 0.0
    for name, delta in recipes.deltas(recipes.recipe_adapters(place.home, recipe)):
        lost += np.square(shorter.delta(name) - delta, dtype=np.float64).sum()
        whole += np.square(delta, dtype=np.float64).sum()
    assert export.residual == pytest.approx(float(np.sqrt(lost / whole)), rel=1e-4)


def test_a_recipe_of_another_rule_is_written_as_it_is_worn(
    place: Place, spec: ModelSpec, lm: LanguageModel, tiny_folder: Path, tmp_path: Path
) -> None:
    recipe = serving(place, lm, (1.0, 1.0), rule="ties", density=0.5)
    export_recipe(place, spec, tmp_path / "peft", Wish("peft"))
    export_recipe(place, spec, tmp_path / "whole", Wish("checkpoint"))
    expected = said_here(lm, place, recipe)
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "whole").eval()
    for model in (in_peft(tiny_folder, tmp_path / "peft"), whole):
        assert [likeliest(model, ids) for ids in ASKED] == expected
    with pytest.raises(CannotExport, match="by ties do not add up"):
        export_recipe(place, spec, tmp_path / "each", Wish("peft", per_vector=True))


def test_a_vector_that_is_turned_off_stays_at_home(
    place: Place, spec: ModelSpec, lm: LanguageModel, tmp_path: Path
) -> None:
    serving(place, lm, (1.0, 0.0))
    export = export_recipe(place, spec, tmp_path / "out", Wish("peft"))
    assert export.rank == 3
    kept = load_file(tmp_path / "out/adapter_model.safetensors")
    assert {tensor.shape[0] for name, tensor in kept.items() if "lora_A" in name} == {3}


@pytest.mark.parametrize("format_", ["peft", "checkpoint", "gguf"])
def test_a_folder_warns_and_is_its_owners_alone_and_names_nobody(
    place: Place, spec: ModelSpec, lm: LanguageModel, tiny_folder: Path, tmp_path: Path, format_: str
) -> None:
    recipe = serving(place, lm)
    export_recipe(place, spec, tmp_path / "out", Wish(format_))
    readme = (tmp_path / "out/README.md").read_text()
    assert "**Private.**" in readme
    assert recipe.sha256 in readme
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"Rosalind" not in written
    assert str(tiny_folder).encode() not in written


def test_the_plain_base_is_a_checkpoint_and_no_adapter(
    place: Place, spec: ModelSpec, lm: LanguageModel, tiny_folder: Path, tmp_path: Path
) -> None:
    export = export_recipe(place, spec, tmp_path / "out", Wish("checkpoint"))
    assert export.recipe == Recipe(lm.base_hash)
    assert "**Private.**" not in (tmp_path / "out/README.md").read_text()
    found, base = load_file(tmp_path / "out/model.safetensors"), load_file(tiny_folder / "model.safetensors")
    assert found.keys() == base.keys()
    assert all(np.array_equal(found[name], base[name]) for name in base)
    for format_ in ("peft", "gguf"):
        with pytest.raises(CannotExport, match="plain base serves"):
            export_recipe(place, spec, tmp_path / format_, Wish(format_))
    assert left_over(tmp_path) == ["out"]


def test_a_recipe_is_chosen_by_name(place: Place, spec: ModelSpec, lm: LanguageModel, tmp_path: Path) -> None:
    recipe = serving(place, lm)
    serve(place, None)
    named = export_recipe(place, spec, tmp_path / "out", Wish("peft"), name=recipe.sha256[:10])
    assert named.recipe == recipe
    with pytest.raises(UnknownRecipe):
        export_recipe(place, spec, tmp_path / "no", Wish("peft"), name="ffffffff")


def test_what_holds_what_was_erased_is_refused_and_nothing_is_left(
    place: Place, spec: ModelSpec, lm: LanguageModel, tmp_path: Path
) -> None:
    serving(place, lm)

    def erased_meanwhile(done: int, total: int, note: str = "") -> None:
        if done == total:
            taint(place)

    for attempt in (erased_meanwhile, erased_meanwhile):  # the second time it is tainted from the start
        with pytest.raises(TaintedArtifact):
            export_recipe(place, spec, tmp_path / "out", Wish("checkpoint"), progress=attempt)
        assert left_over(tmp_path) == []


def test_another_base_and_a_missing_vector_are_refused(
    place: Place, model_cache: Path, spec: ModelSpec, lm: LanguageModel, tmp_path: Path, talkative: Path
) -> None:
    serving(place, lm)
    with pytest.raises(BaseChanged):
        export_recipe(place, ModelSpec(model_cache, str(talkative)), tmp_path / "out", Wish("peft"))
    shutil.rmtree(place.home / "adapters/1")
    with pytest.raises(MissingVector):
        export_recipe(place, spec, tmp_path / "out", Wish("peft"))
    assert left_over(tmp_path) == []


def test_a_folder_with_something_in_it_is_left_as_it_is(
    place: Place, spec: ModelSpec, lm: LanguageModel, tmp_path: Path
) -> None:
    serving(place, lm)
    (tmp_path / "out").mkdir()
    export_recipe(place, spec, tmp_path / "out", Wish("peft"))  # an empty one is filled
    before = sorted(path.name for path in (tmp_path / "out").iterdir())
    with pytest.raises(ExportExists):
        export_recipe(place, spec, tmp_path / "out", Wish("gguf"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == before
