"""`recipe` on the command line: a history that reads like git's, changes that serve and can be taken back, and bisect.

The nights are made by hand. The model repeats the letter a; small vectors leave that, and the large one of the third
night does not.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from consolidation.errors import GateBroken
from consolidation.recipe_serving import Place, alone
from service.settings import load_settings
from service.wiring import Services
from tests.made_recipes import base_of, linear_shapes, make_vector, publish_night, put_question

SAID = "a" * 48
SMALL, LARGE = 0.02, 0.5
STEP = {"recipe", "parent", "night", "at", "tags", "serves", "tainted", "broken", "n", "changes"}


@pytest.fixture(scope="session")
def nights_home(tmp_path_factory: pytest.TempPathFactory, talkative: Path) -> Path:
    """A home with four nights. To be copied, not changed."""
    home = tmp_path_factory.mktemp("nights")
    settings = load_settings(str(home))
    with Services(settings) as services:
        place = Place(services.database, services.space_id, home)
        spec = services.model_spec()
        base = base_of(type(spec)(home / "cache", str(talkative)))
        for number in (1, 2, 3, 4):
            scale = LARGE if number == 3 else SMALL
            vector = make_vector(base, number, linear_shapes(talkative), scale=scale)
            publish_night(place, vector, f"aaaa{number}")
        put_question(place, "aaaa1", "Where does Ada live?", SAID)
        put_question(place, "aaaa1", "What is her name?", SAID[:24])
    return home


@pytest.fixture
def recipe(empty: Any, nights_home: Path, talkative: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`slowwave recipe` on a copy of that home."""
    monkeypatch.setenv("SLOWWAVE_NIGHT__BASE_MODEL", str(talkative))
    shutil.copytree(nights_home, empty.home)

    def run(*arguments: object) -> Any:
        return empty("recipe", *arguments)

    run.home = empty.home  # type: ignore[attr-defined]
    run.program = empty  # type: ignore[attr-defined]
    return run


def entries(recipe: Any) -> list[tuple[str | None, float]]:
    shown = recipe("show", "--json").json
    return [(entry["night"], entry["coefficient"]) for entry in shown["entries"]]


def test_the_log_reads_like_gits(recipe: Any) -> None:
    steps = recipe("log", "--json").json
    assert all(set(step) == STEP for step in steps)
    assert [step["night"] for step in steps] == ["aaaa4", "aaaa3", "aaaa2", "aaaa1"]
    assert [step["serves"] for step in steps] == [True, False, False, False]
    assert [step["parent"] for step in steps] == [*(step["recipe"] for step in steps[1:]), None]
    recipe("tag", "before-summer", "aaaa2")
    told = recipe("log").out
    assert told.startswith(f"recipe {steps[0]['recipe']} (serving)\nDate:   ")
    assert f"recipe {steps[2]['recipe']} (tag: before-summer)" in told
    assert "    added 3 facts of night aaaa1 (vector " in told
    lines = recipe("log", "--oneline", "-n", "2").out.splitlines()
    assert [line[:12] for line in lines] == [step["recipe"][:12] for step in steps[:2]]
    assert [step["night"] for step in recipe("log", "aaaa2", "--json").json] == ["aaaa2", "aaaa1"]


def test_one_recipe_and_the_difference_of_two(recipe: Any) -> None:
    shown = recipe("show", "--weights", "--json").json
    first = shown["entries"][0]
    assert (first["night"], first["label"], first["rank"], first["broken"]) == ("aaaa1", "3 facts", 2, None)
    assert shown["entries"][2]["norm"] > 50 * first["norm"] > 0
    assert shown["weights"] == recipe("show", "--weights", "--json").json["weights"]
    assert "weights " in recipe("show", "--weights").out
    told = recipe("diff", "serving^^", "--weights", "--json").json
    assert [(one["change"], one["night"]) for one in told["changes"]] == [
        ("added", "aaaa3"),
        ("added", "aaaa4"),
    ]
    assert told["distance"]["relative"] > 1
    assert "took out 3 facts of night aaaa4" in recipe("diff", "serving", "aaaa3").out
    assert "the same vectors" in recipe("diff", "aaaa4").out
    assert len(recipe("diff", "base", "--json").json["changes"]) == 4
    assert recipe("show", "base", "--json").json["entries"] == []
    assert "3 recipes go by aaaa" not in recipe("show", "aaaa").refusal
    assert "4 recipes go by aaaa" in recipe("show", "aaaa").refusal


def test_changes_serve_one_after_another_and_are_taken_back(recipe: Any) -> None:
    before = recipe("show", "--json").json["recipe"]
    told = recipe("scale", "aaaa3", "0.25").out
    assert "weighed 3 facts of night aaaa3" in told
    assert f"`slowwave recipe apply {before[:12]}` takes that back" in told
    assert recipe("negate", "aaaa1", "--json").json["changes"][0]["after"] == -0.2
    assert recipe("revert", "aaaa2", "aaaa4").code == 0
    assert entries(recipe) == [("aaaa1", -0.2), ("aaaa3", 0.25)]
    assert "the recipe is like that already" in recipe("scale", "aaaa3", "0.25").refusal
    assert "no entry of the recipe go" in recipe("revert", "aaaa2").refusal
    assert recipe("rule", "ties", "--density", "0.3").code == 0
    assert recipe("show", "--json").json["rule"] == "ties"
    assert recipe("apply", before[:8]).code == 0
    assert len(entries(recipe)) == 4
    assert recipe.program("roll-back").out == "serving night aaaa3\n"
    assert recipe("apply", "base").code == 0
    assert recipe("log").out.startswith("no recipe serves")
    assert len(recipe("log", "--all", "--json").json) == 8
    assert recipe.program("ledger", "verify").code == 0
    assert recipe.program("verify").code == 0


def test_a_mend_without_facts_to_ask_for_adds_nothing(recipe: Any) -> None:
    before = recipe("show", "--json").json["recipe"]
    told = recipe("mend", "--json").json
    assert (told["recipe"], told["serves"], told["asked"], told["lost"]) == (before, True, 0, 0)
    assert "nothing was added: no night was asked" in recipe("mend").out


def test_a_night_that_is_taken_out_takes_what_was_mended_on_its_rows(
    recipe: Any, talkative: Path, tmp_path: Path
) -> None:
    vector = make_vector(recipe("show", "--json").json["base"], 5, linear_shapes(talkative), scale=SMALL)
    vector.save(tmp_path / "mend")
    assert recipe("add", tmp_path / "mend", "--label", "mend", "--about", "aaaa2").code == 0
    assert recipe("revert", "aaaa1").code == 0
    assert recipe("scale", "aaaa2", "0.5").code == 0
    assert [night for night, _ in entries(recipe)] == ["aaaa2", "aaaa3", "aaaa4", None]
    assert recipe("negate", "aaaa2").code == 0
    assert [night for night, _ in entries(recipe)] == ["aaaa2", "aaaa3", "aaaa4"]
    assert recipe("apply", "serving^").code == 0
    assert recipe("revert", "aaaa2").code == 0
    assert [night for night, _ in entries(recipe)] == ["aaaa3", "aaaa4"]


def test_a_change_can_be_written_without_serving(recipe: Any) -> None:
    told = recipe("revert", "aaaa3", "--no-apply", "--json").json
    assert told["serves"] is False
    assert len(entries(recipe)) == 4
    assert recipe("scale", "aaaa4", "-0.5", "--of", told["recipe"]).code == 0
    assert entries(recipe) == [("aaaa1", 1.0), ("aaaa2", 1.0), ("aaaa4", -0.5)]


def test_a_vector_of_a_folder_is_added_by_its_label(recipe: Any, talkative: Path, tmp_path: Path) -> None:
    base = recipe("show", "--json").json["base"]
    vector = make_vector(base, 9, linear_shapes(talkative), scale=SMALL)
    vector.save(tmp_path / "shorter")
    assert (
        "added shorter replies (vector "
        in recipe("add", tmp_path / "shorter", "--label", "shorter replies").out
    )
    assert "is in the recipe already" in recipe("add", tmp_path / "shorter").refusal
    assert recipe("scale", "shorter replies", "0.5").code == 0
    assert entries(recipe)[-1] == (None, 0.5)
    make_vector("c" * 64, 9).save(tmp_path / "other")
    told = recipe("add", tmp_path / "other").refusal
    assert "belongs to base cccccccccccc" in told
    assert base[:12] in told
    assert recipe.program("verify").code == 0


def test_a_checkpoint_is_added_less_the_base(recipe: Any, talkative: Path, tmp_path: Path) -> None:
    shutil.copytree(talkative, tmp_path / "tuned")
    tensors = load_file(tmp_path / "tuned/model.safetensors")
    up = "model.layers.1.mlp.up_proj.weight"
    changed = {up: tensors[up] + np.float32(0.001), "model.norm.weight": tensors["model.norm.weight"] * 2}
    save_file(tensors | changed, tmp_path / "tuned/model.safetensors", {"format": "pt"})
    told = recipe("add", tmp_path / "tuned", "--trust-base", "--rank", "1", "--json").json
    assert told["changes"][0]["label"] == "tuned"
    assert 0 < told["residual"] < 1  # the norm's change
    added = recipe("show", "--json").json["entries"][-1]
    assert (added["rank"], added["modules"]) == (1, 1)


def test_bad_input_is_one_line_and_changes_nothing(recipe: Any) -> None:
    rows = recipe.program.rows()
    shutil.rmtree(recipe.home / "runs" / "aaaa4")
    for folder in (recipe.home / "adapters").iterdir():
        shutil.rmtree(folder)
    assert "the task vector of night aaaa1 is missing: adapters/" in recipe("apply", "aaaa3").refusal
    assert "is missing" in recipe("scale", "aaaa1", "0.5").refusal
    assert {entry["broken"] for entry in recipe("show", "--json").json["entries"]} == {"missing"}
    lost = recipe("rebuild")
    assert lost.code == 1
    assert lost.out.count("brought back: adapters/") == 3
    assert "1 vectors cannot be made again" in lost.err
    assert recipe("rebuild", "aaaa3").out == "every vector is there\n"
    assert "is no number" in recipe("scale", "aaaa1", "nan").err or recipe("scale", "aaaa1", "nan").code == 1
    assert recipe("revert").code == recipe("bisect").code == recipe("tag", "--delete").code == 2
    assert "no erasure has taken a recipe away" in recipe("revert", "--erased").refusal
    assert recipe.program.rows() == rows


def test_a_working_night_keeps_hands_off(recipe: Any, talkative: Path) -> None:
    with Services(load_settings()) as services:
        place = Place(services.database, services.space_id, services.settings.home)
        with alone(place):
            assert recipe("scale", "aaaa1", "0.5").code == 1
            assert recipe("apply", "aaaa1").code == 1
            assert recipe("log", "--json").code == 0


def test_tags_are_listed_and_taken_back(recipe: Any) -> None:
    assert recipe("tag").out == "no recipe has a tag\n"
    assert recipe("tag", "spring", "aaaa1", "--json").json["night"] == "aaaa1"
    assert [one["tag"] for one in recipe("tag", "--json").json] == ["spring"]
    assert recipe("apply", "spring").code == 0
    assert entries(recipe) == [("aaaa1", 1.0)]
    assert "tag of nothing" in recipe("tag", "spring", "--delete").out
    assert "cannot be a tag" in recipe("tag", "serving").refusal


def test_bisect_names_the_night_that_broke_a_question(recipe: Any) -> None:
    found = recipe("bisect", "--question", "Where does Ada live?", "--json").json
    assert (found["broken"], found["good"]["night"], found["bad"]["night"]) == (True, "aaaa2", "aaaa3")
    assert found["good"]["answer"] == SAID
    assert [one["change"] for one in found["changes"]] == ["added"]
    assert len(found["asked"]) <= 4
    shutil.rmtree(recipe.home / json.loads(recipe("show", "aaaa2", "--json").out)["entries"][1]["path"])
    assert "is missing" in recipe("bisect", "--question", "Where does Ada live?").refusal


def test_bisect_says_where_nothing_is_broken_or_never_was_right(recipe: Any) -> None:
    told = recipe("bisect", "--question", "Where?", "--expect", SAID, "--of", "aaaa2").out
    assert "nothing is broken" in told
    assert (
        "no recipe of the history answers it"
        in recipe("bisect", "--question", "Where?", "--expect", "Lagos").out
    )
    assert "no exam of this space has that question" in recipe("bisect", "none").refusal


def test_verify_compares_every_two_vectors_without_a_model(recipe: Any, tmp_path: Path) -> None:
    assert recipe("scale", "aaaa1", "-0.5").code == 0
    found = recipe("verify", "--no-exam", "--picture", tmp_path / "vectors.svg", "--json").json
    assert found["recipe"] == recipe("show", "--json").json["recipe"]
    assert [one["night"] for one in found["vectors"]] == ["aaaa1", "aaaa2", "aaaa3", "aaaa4"]
    assert {one["exam"] for one in found["vectors"]} == {None}
    assert found["together"] is None
    assert sorted(pair["places"] for pair in found["pairs"]) == [
        [1, 2],
        [1, 3],
        [1, 4],
        [2, 3],
        [2, 4],
        [3, 4],
    ]
    strongest = found["pairs"][0]
    assert set(strongest) == {"places", "cosine", "conflicts", "n_both", "blocks", "kinds"}
    assert set(strongest["blocks"]) == {"0", "1", "2"}
    assert abs(strongest["cosine"]) < 0.5
    assert found["picture"] == str(tmp_path / "vectors.svg")
    kept = recipe("show", "--json").json["verified"]
    assert (kept["path"], kept["examined"], kept["keep_gate"]) == (found["file"], False, None)
    assert kept["closest"] == {name: strongest[name] for name in ("places", "cosine")}
    assert recipe("show", "aaaa2", "--json").json["verified"] is None
    assert (tmp_path / "vectors.svg").read_text(encoding="utf-8").startswith("<svg ")
    told = recipe("verify", "aaaa2", "--no-exam").out
    assert "1 and 2" in told
    assert "50 % is chance" in told
    assert "gate" not in told


def test_verify_wears_each_vector_by_itself(recipe: Any, tmp_path: Path) -> None:
    told = recipe("verify", "aaaa3", "--picture", tmp_path / "vectors.html").out
    words = " ".join(told.split())
    assert "1 recall of 2 50 % 50 % 0 % 0 % " in words
    assert "3 not known 50, 0, 0, 50 of 2 " in words
    assert words.count("breaks kl_to_base") == 1
    assert "all together: perplexity " in words
    assert recipe("verify", "aaaa3", "--no-exam").code == 0
    kept = recipe("show", "aaaa3", "--json").json["verified"]
    assert (kept["vectors"], kept["keep_gate"], kept["examined"]) == (3, 2, True)  # the last one with an exam
    assert (
        f"verified {kept['at'][:10]}: 2 of 3 vectors keep the gate alone; all" in recipe("show", "aaaa3").out
    )
    assert (
        json.loads((recipe.home / kept["path"]).read_text(encoding="utf-8"))["together"] == kept["together"]
    )
    assert recipe.program("verify").code == recipe.program("ledger", "verify").code == 0
    assert "<h2>By itself</h2>" in (tmp_path / "vectors.html").read_text(encoding="utf-8")


def test_verify_refuses_what_it_cannot_do_in_one_line(recipe: Any, tmp_path: Path) -> None:
    assert recipe("verify", "base").out == "the plain base has no vectors\n"
    assert recipe("verify", "--picture", tmp_path / "vectors.png").code == 2
    assert recipe("verify", "--picture", tmp_path / "none" / "vectors.svg").code == 2
    assert "no recipe goes by none" in recipe("verify", "none").refusal
    shutil.rmtree(recipe.home / recipe("show", "--json").json["entries"][1]["path"])
    assert "of night aaaa2 is missing" in recipe("verify", "--no-exam").refusal


def test_a_coefficient_that_breaks_the_gate_is_refused_with_the_largest_that_does_not(recipe: Any) -> None:
    assert recipe("apply", "aaaa2").code == 0
    refusal = recipe("scale", "aaaa1", "400", "--examine").refusal
    said = re.fullmatch(
        r"the gate refused: .*kl_to_base .*; the largest coefficient on the way to 400 that keeps it is ([\d.]+); nothing.*",
        refusal,
    )
    assert said is not None, refusal
    assert entries(recipe) == [("aaaa1", 1.0), ("aaaa2", 1.0)]
    done = recipe("scale", "aaaa1", "400", "--largest", "--json").json
    assert done["exam"]["passed"] is True
    assert 1 <= entries(recipe)[0][1] < 400
    assert f"{entries(recipe)[0][1]:g}" == said[1]


def test_the_refusal_of_a_coefficient_names_the_largest_that_keeps_the_gate() -> None:
    failed = "kl_to_base 5.534 is over 0.250"
    assert "the largest coefficient on the way to -1 that keeps it is -0.25;" in str(
        GateBroken(failed, -1, -0.25)
    )
    assert "no coefficient on the way to -1 keeps it" in str(GateBroken(failed, -1))
    assert "leave --examine out" in str(GateBroken(failed))
