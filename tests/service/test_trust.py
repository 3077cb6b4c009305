"""`memory.trust_weights`: what the weights have mastered is left out of the persona's prompt, and comes back at once."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest


@pytest.fixture
def mastered(slept: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The home of `slept`, as if its weights had answered every question of the exam right."""
    with closing(sqlite3.connect(slept.home / "graph.db")) as store, store:
        rows = store.execute("SELECT id, accepted FROM example WHERE split = 'exam'").fetchall()
        for example_id, accepted in rows:
            values = json.loads(accepted)
            answer = " and ".join(values) if values else "I don't know."
            store.execute(
                "UPDATE exam_answer SET answer = ?, is_right = 1 WHERE example_id = ?", (answer, example_id)
            )
    monkeypatch.setenv("SLOWWAVE_MEMORY__TRUST_WEIGHTS", "true")
    slept("consent", "Ada", "--by", "Ada Lund")
    return slept


def turn(slowwave: Any, *options: str) -> dict[str, Any]:
    said = ("chat", "Ada", "--as", "Bo", "--once", "Where do you live?", "--seed", "3", "--json")
    spoken: dict[str, Any] = slowwave(*said, *options).json
    return spoken


def lagos(spoken: dict[str, Any]) -> str:
    return next(str(fact["id"]) for fact in spoken["facts"] if fact["object"] == "Lagos")


def test_a_mastered_fact_is_left_to_the_weights_and_still_named(mastered: Any) -> None:
    spoken = turn(mastered)
    assert lagos(spoken) in spoken["left_to_weights"]


def test_without_the_weights_or_the_setting_it_stands_in_the_prompt(
    mastered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert turn(mastered, "--no-weights")["left_to_weights"] == []
    monkeypatch.delenv("SLOWWAVE_MEMORY__TRUST_WEIGHTS")
    assert turn(mastered)["left_to_weights"] == []


def test_after_a_roll_back_it_stands_in_the_prompt_again(mastered: Any) -> None:
    mastered("roll-back")
    spoken = turn(mastered)
    assert lagos(spoken)
    assert spoken["left_to_weights"] == []
