"""The conversations of `consolidation.conversations`, asked about what one night trained of the weights of a recipe.

Reads only. What has changed in the graph since is asked as it holds now.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from agents.runtime.spec import ModelSpec
from consolidation.conversations import make_conversations, numbers_of, run_conversations
from consolidation.curriculum import Course
from consolidation.errors import NoExam
from consolidation.recipe import Recipe, check_base, recipe_adapters
from consolidation.slots import Names, Slot, make_slots, now_and_before
from consolidation.stage import Progress, no_progress
from db.engine import Database
from db.tables import Example
from memory.facts import ALL_STATUSES, list_facts
from memory.people import list_people
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.wordings import Wordings


def slots_of_run(
    database: Database, space_id: str, run_id: str, registry: Registry, clock: Clock = utc_now
) -> list[Slot]:
    """What the night's texts were about, replay included, as far as it still holds."""
    query = select(Example.meta).where(Example.run_id == run_id, Example.split == "train")
    with database.reading() as session:
        trained = {fact_id for meta in session.scalars(query) for fact_id in meta.get("facts", ())}
    facts = list_facts(database, space_id, registry, statuses=ALL_STATUSES, clock=clock) if trained else []
    current, past = now_and_before(facts)
    return [slot for slot in make_slots(current, past, registry) if not trained.isdisjoint(slot.fact_ids)]


def ask_conversations(
    database: Database,
    space_id: str,
    home: Path,
    run_id: str,
    recipe: Recipe | None,
    spec: ModelSpec,
    registry: Registry,
    *,
    seed: int = 0,
    clock: Clock = utc_now,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """`{run, recipe, base, conversations: numbers}` of `recipe` on the model of `spec` (None: of the plain base).

    Raises NoExam where nothing that the night trained holds any more, MissingVector and BrokenAdapter where files are,
    and BaseChanged; all before the model is loaded.
    """
    slots = slots_of_run(database, space_id, run_id, registry, clock)
    if not slots:
        raise NoExam(run_id, "nothing that it trained holds any more; `slowwave runs` lists others")
    vectors = recipe_adapters(home, recipe.for_person(None)) if recipe else []
    base_hash = check_base(recipe, spec)
    course = Course(Wordings.load(), Names(list_people(database, space_id)), seed)
    conversations = make_conversations(course, registry, slots)
    progress(0, sum(len(conversation.asks) for conversation in conversations), "loading the model")
    from agents.runtime.lm import LanguageModel

    model = LanguageModel.load(spec, vectors)
    numbers = numbers_of(run_conversations(model, conversations, progress=progress))
    return {
        "run": run_id,
        "recipe": recipe.sha256 if recipe else None,
        "base": base_hash,
        "conversations": numbers,
    }
