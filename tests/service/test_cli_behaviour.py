"""`behaviour` on the command line: one is trained from a file, measured, worn by a recipe, turned round, and listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

EFFECT = {"measure", "wanted", "before", "after", "n", "n_toward", "n_away", "p", "ppl_change", "kl_to_base"}


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """A file with 16 examples and 4 prompts of its own, one of whose examples names Ada."""
    path = tmp_path / "numbers.toml"
    examples = [[f"how many of {place}?", f"{place}."] for place in range(15)] + [["and Ada Lund?", "one."]]
    path.write_text(
        f'description = "a number"\nmeasure = "words_per_reply"\nwanted = "less"\nexamples = {json.dumps(examples)}\n'
        'held_out = ["one?", "two?", "three?", "four?"]',
        encoding="utf-8",
    )
    return path


@pytest.fixture
def behaviour(slowwave: Any, tiny_nights: None) -> Any:
    def run(*arguments: object) -> Any:
        return slowwave("behaviour", *arguments)

    run.program = slowwave  # type: ignore[attr-defined]
    return run


def test_a_behaviour_from_training_to_the_recipe_and_back(behaviour: Any, numbers: Path) -> None:
    program = behaviour.program
    trained = behaviour(
        "train", "numbers", "--examples", numbers, "--steps", 2, "--add", "--coefficient", 0.5, "--json"
    ).json
    assert (trained["behaviour"], trained["examples"], trained["steps"]) == ("numbers", 16, 2)
    assert set(trained["effect"]) == EFFECT
    assert (program.home / trained["path"]).is_dir()
    assert not list((program.home / "behaviours").rglob("job.json"))
    (entry,) = program("recipe", "show", "--json").json["entries"]
    assert (entry["vector"], entry["coefficient"], entry["label"]) == (trained["vector"], 0.5, "numbers")

    listed = {one["behaviour"]: one for one in behaviour("list", "--json").json}
    assert set(listed) == {"asks-back", "short-sentences", "shorter", "numbers"}
    assert (listed["numbers"]["coefficient"], listed["numbers"]["vectors"]) == (0.5, 1)
    assert listed["numbers"]["effect"] == trained["effect"]
    assert "not trained yet" in behaviour("list").out
    shown = behaviour("show", "numbers")
    assert "words per reply (words_per_reply), less is wanted\n16 examples, 4 held-out prompts\n" in shown.out
    assert trained["vector"][:12] in shown.out

    measured = behaviour("measure", "numbers", "--json").json
    assert measured["before"] == trained["effect"]["before"]
    assert measured["recipe"] is not None
    assert program("recipe", "negate", "numbers", "--by", 0.1).code == 0
    assert "on 4 held-out prompts" in behaviour("measure", "numbers", "--of", "base").out

    cut_off = Path("behaviours") / program.rows()["space"][0][0]
    (program.home / cut_off / "0123" / "so-far").mkdir(parents=True)
    plan = program("forget", "person", "Ada Lund", "--json").json
    (tainted,) = (line for line in plan["lines"] if line["act"] == "tainted")
    assert tainted["n"] == 3  # the vector, and both recipes that have it
    (removed,) = (line for line in plan["lines"] if line["kind"] == "path")
    assert {trained["path"], str(cut_off)} <= set(removed["ids"])


def test_what_cannot_be_trained_is_refused_in_one_line(behaviour: Any, numbers: Path) -> None:
    assert "no behaviour is called longer; `slowwave behaviour list`" in behaviour("train", "longer").refusal
    assert "slowwave ships one of that name" in behaviour("train", "shorter", "--examples", numbers).refusal
    assert "no fact" in behaviour("train", "mine", "--pattern", "0123456789abcdef").refusal
    assert "no behaviour is called numbers" in behaviour("measure", "numbers").refusal
    assert "no behaviour is called numbers" in behaviour("show", "numbers").refusal
    numbers.write_text("examples = []", encoding="utf-8")
    assert "it has no examples" in behaviour("train", "numbers", "--examples", numbers).refusal
    for wrong in (["--pattern", "x", "--examples", numbers], ["--measure", "asks"]):
        assert behaviour("train", "numbers", *wrong).code == 2
