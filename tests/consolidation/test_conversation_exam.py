"""Claims about asking a night's facts in conversation: which facts, of which weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.errors import BaseChanged
from agents.runtime.spec import ModelSpec, resolve
from consolidation import dream
from consolidation.conversation_exam import ask_conversations, slots_of_run
from consolidation.errors import NoExam
from consolidation.recipe import Recipe
from consolidation.stage import NightContext, no_progress
from memory.registry import Registry

REGISTRY = Registry.load()


@pytest.fixture
def night(chat: Any) -> NightContext:
    chat.store(("Mona Berg", "lives_in", "Bergen", 0), ("Karl Aas", "lives_in", "Oslo", 1))
    context: NightContext = chat.context()
    dream.run(context, no_progress)
    return context


def asked(night: NightContext, folder: Path, recipe: Recipe | None = None) -> dict[str, Any]:
    spec = ModelSpec(night.home / "cache", str(folder))
    return ask_conversations(
        night.database,
        night.space_id,
        night.home,
        night.run_id,
        recipe,
        spec,
        REGISTRY,
        clock=night.clock,
    )


def test_what_a_night_trained_is_asked_as_it_holds_now(chat: Any, night: NightContext) -> None:
    chat.store(("Mona Berg", "dog", "Pelle", 2))  # after the night
    chat.store(("Karl Aas", "lives_in", "Tromso", 5), change="update", valid_from=chat.episodes[5].time)
    slots = slots_of_run(night.database, night.space_id, night.run_id, REGISTRY, night.clock)
    assert [(slot.subject, slot.said) for slot in slots] == [("Mona Berg", "Bergen")]


def test_every_test_is_counted(night: NightContext, tiny_folder: Path) -> None:
    found = asked(night, tiny_folder)
    assert found["run"] == night.run_id
    assert found["recipe"] is None
    numbers = found["conversations"]
    assert numbers["single"]["n"] == numbers["six_turns"]["n"] == 2
    assert numbers["correction"]["made_up"]["n"] == 2
    assert np.isclose(numbers["single"]["right"], 0.0)  # a random model knows nothing


def test_a_night_that_trained_nothing_that_holds_is_refused(chat: Any, tiny_folder: Path) -> None:
    with pytest.raises(NoExam, match="nothing that it trained holds any more"):
        asked(chat.context(), tiny_folder)


def test_another_base_is_refused_before_anything_is_loaded(night: NightContext, tiny_folder: Path) -> None:
    recipe = Recipe("0" * 64, ())
    with pytest.raises(BaseChanged) as refusal:
        asked(night, tiny_folder, recipe)
    assert refusal.value.model_hash == resolve(ModelSpec(night.home / "cache", str(tiny_folder))).base_hash
