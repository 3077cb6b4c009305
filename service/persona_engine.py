"""From the settings of personas to what speaks for them: the model in this process, or the server that they name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from service.backend import open_budget
from service.errors import BadSettings
from service.settings import PersonaSettings, Settings

if TYPE_CHECKING:
    from agents.runtime.spec import ModelSpec
    from memory.ports import Clock
    from simulator.ports import Engine

ENGINES = ("local", "openai", "scripted")
PRECISIONS = ("full", "int8")


def check(persona: PersonaSettings) -> None:
    """Raises BadSettings for what no persona can speak with."""
    for name, value, known in (
        ("engine", persona.engine, ENGINES),
        ("writes_in", persona.writes_in, PRECISIONS),
    ):
        if value not in known:
            raise BadSettings(f"persona.{name} is {value!r}; it is one of {', '.join(known)}")
    if persona.retries < 0 or not persona.timeout_s > 0:
        raise BadSettings("persona.timeout_s must be more than 0, and persona.retries cannot be less than 0")
    if persona.engine == "openai" and not (persona.model and persona.base_url):
        raise BadSettings("persona.engine is openai, which needs persona.model and persona.base_url")
    if persona.engine == "scripted" and not persona.script:
        raise BadSettings(
            "persona.engine is scripted, which needs persona.script, a file with a reply on each line"
        )


def server_of(settings: Settings, clock: Clock) -> Callable[[], Engine] | None:
    """What makes the engine that the settings name in the place of the model in this process; None for that model.

    Requests count towards the limits of `[backend]`, and are shown nothing of the kinds that `[privacy]` leaves out.
    """
    persona = settings.persona
    check(persona)
    if persona.engine == "scripted":
        return lambda: _scripted(persona.script)
    if persona.engine != "openai":
        return None

    def connect() -> Engine:
        from agents.backends.meter import Meter
        from agents.backends.openai import OpenAIChat
        from simulator.engines import ServerEngine

        chat = OpenAIChat(
            persona.model,
            persona.base_url,
            os.environ.get(persona.api_key_env, "") if persona.api_key_env else None,
            timeout_s=persona.timeout_s,
            retries=persona.retries,
            meter=Meter(settings.backend.at_once, open_budget(settings.backend, settings.home, clock)),
        )
        return ServerEngine(chat, settings.privacy.leave_out)

    return connect


def _scripted(script: str) -> Engine:
    from simulator.scripted import ScriptedEngine

    try:
        lines = Path(script).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"persona.script is {script}, which cannot be read") from error
    replies = [line.strip() for line in lines if line.strip()]
    if not replies:
        raise BadSettings(f"persona.script is {script}, which holds no reply")
    return ScriptedEngine(replies)


def speaking_spec(spec: ModelSpec, persona: PersonaSettings) -> ModelSpec:
    """The local model as personas write with it."""
    return replace(spec, writes_in=persona.writes_in)
