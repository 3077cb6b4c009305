"""Which messages made a persona say this: what an entrance gives back, as docs/json.md has it. People come by name."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from consolidation.stage import Progress, no_progress

if TYPE_CHECKING:
    from service.wiring import Services
    from simulator.attribution import Cause, Method


@dataclass(frozen=True, slots=True)
class Question:
    """A turn of a persona by its id, a beginning of it or `last`; or any reply `text` with what was said before it.

    `known_to` (a name) bounds what may explain such a text; a turn is bounded by what its persona could know by then.
    """

    turn: str | None = None
    text: str | None = None
    context: tuple[str, ...] = ()
    known_to: str | None = None
    method: Method = "activation"
    k: int = 5


@dataclass(frozen=True, slots=True)
class Watch:
    """How far the two parts are: bringing the index up to date, and ranking."""

    index: Progress = no_progress
    ranking: Progress = no_progress


def why_said(services: Services, question: Question, watch: Watch | None = None) -> dict[str, Any]:
    """The messages that best explain it, best first.

    Raises UnknownTurn, UnknownPerson, BrokenIndex, and what loading the model and its recipe does.
    """
    from simulator.attribution import Said, find_turn, why

    watch = watch or Watch()
    if question.turn is not None:
        said = find_turn(services.database, services.space_id, question.turn)
    else:
        known_to = services.person(question.known_to).id if question.known_to else None
        said = Said(question.text or "", question.context, known_to)
    recipe, tools = _tools(services, question.method, said.known_to, watch)
    started = time.perf_counter()
    causes = why(tools, said, question.method, question.k, watch.ranking)
    return {
        "turn": said.turn,
        "said": said.text,
        "known_to": said.known_to,
        "method": question.method,
        "recipe": recipe,
        "ms": round(1000 * (time.perf_counter() - started), 1),
        "messages": [_cause_json(cause) for cause in causes],
    }


def turns(services: Services, n: int) -> list[dict[str, Any]]:
    """The newest turns of personas, the newest first."""
    from simulator.attribution import persona_turns

    found = persona_turns(services.database, services.space_id)[-n:]
    return [
        {"id": turn.id, "time": turn.time.isoformat(), "speaker": turn.speaker, "text": turn.text}
        for turn in reversed(found)
    ]


def _tools(services: Services, method: Method, speaker: str | None, watch: Watch) -> tuple[str | None, Any]:
    """The recipe whose weights are asked, as that person wears it, and what the method needs: no model where it looks at
    words alone."""
    from simulator.attribution import Tools

    database, space_id, home = services.database, services.space_id, services.settings.home
    if method in ("bm25", "dense"):
        services.index.refresh()
        return None, Tools(database, space_id, home, services.index)
    from agents.runtime.lm import LanguageModel
    from consolidation.attribution import bring_up_to_date
    from consolidation.recipe import current_recipe, recipe_adapters

    spec = services.model_spec()
    model = LanguageModel.load(spec)
    bring_up_to_date(database, space_id, home, spec, watch.index, model=model)
    recipe = current_recipe(database, space_id, home) if method == "gradient" else None
    worn = recipe_adapters(home, recipe.for_person(speaker)) if recipe else ()
    tools = Tools(database, space_id, home, model=model, worn=worn)
    return (recipe.sha256 if recipe else None), tools


def _cause_json(cause: Cause) -> dict[str, Any]:
    episode = cause.episode
    return {
        "id": episode.id,
        "time": episode.time.isoformat(),
        "speaker": episode.speaker,
        "text": episode.text,
        "score": round(cause.score, 6),
    }
