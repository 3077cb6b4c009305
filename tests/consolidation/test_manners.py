"""Claims about the rows that teach manners and about the recipe that begins with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec, resolve
from consolidation import founding
from consolidation.curriculum import Row
from consolidation.founding import LABEL, founding_recipe
from consolidation.manners import SHARES, Rehearsal
from consolidation.manners_training import rounded
from consolidation.negatives import invented
from consolidation.recipe import recipe_adapters
from consolidation.scoring import refuses
from memory.wordings import Wordings, words

WORDINGS = Wordings.load()


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return Rehearsal(WORDINGS, 0).rows(3000)


def test_the_same_seed_gives_the_same_rows(rows: list[Row]) -> None:
    assert Rehearsal(WORDINGS, 0).rows(len(rows)) == rows
    assert Rehearsal(WORDINGS, 1).rows(len(rows)) != rows


def test_every_form_has_about_its_share(rows: list[Row]) -> None:
    for form in ("untold", "absent", "stranger"):
        assert sum(row.form == form for row in rows) / len(rows) == pytest.approx(SHARES[form], abs=0.04)


def test_an_answer_stands_among_its_facts_and_a_refusal_says_so(rows: list[Row]) -> None:
    for row in rows:
        if row.form == "grounded":
            told = row.messages[0]["content"].split("Answer in one sentence.")[0]
            assert len(set(words(row.answer)) & set(words(told))) >= 2, row
        if row.kind == "negative":
            assert refuses(row.answer), row.answer


def test_no_row_names_somebody_whom_the_exam_asks_about(rows: list[Row]) -> None:
    held_out = {*invented("exam", "first"), *invented("exam", "last")}
    for row in rows:
        if row.form == "stranger":
            assert held_out.isdisjoint(row.messages[0]["content"].replace("'s", "").split())


def test_no_row_asks_in_a_wording_of_the_exam(rows: list[Row]) -> None:
    held_out = {frozenset(words(text)) for name in WORDINGS.names() for text in WORDINGS.exam(name)}
    asked = (row.messages[-2]["content"].split("sentence. ")[-1] for row in rows)
    assert all(frozenset(words(question)) not in held_out for question in asked)


def test_a_base_without_manners_of_its_own_begins_empty(tiny_folder: Path, tmp_path: Path) -> None:
    assert founding_recipe(tmp_path, str(tiny_folder)).entries == ()


def test_a_base_with_manners_begins_with_them(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base_hash = resolve(ModelSpec(cache_dir=tmp_path / "cache", source=str(tiny_folder))).base_hash
    rng = np.random.default_rng(0)
    factors = (rng.normal(size=(2, 8)).astype(np.float32), rng.normal(size=(6, 2)).astype(np.float32))
    manners = rounded(Adapter(base_hash, 2, 4.0, {"one": factors}))
    manners.save(tmp_path / "shipped", is_half=True)
    monkeypatch.setattr(founding, "FOLDER", tmp_path / "shipped")
    recipe = founding_recipe(tmp_path, str(tiny_folder))
    (entry,) = recipe.entries
    assert (entry.label, entry.run_id, entry.coefficient) == (LABEL, None, 1.0)
    ((worn, _),) = recipe_adapters(tmp_path, recipe)
    assert worn.sha256 == manners.sha256
    assert founding_recipe(tmp_path, str(tiny_folder)).sha256 == recipe.sha256
