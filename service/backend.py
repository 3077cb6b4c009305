"""From the settings of the back-end to the model that reads and judges, its budget, its memory and the extractor."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory.ports import ChatModel, Clock, Embedder, Extractor
from memory.registry import Registry
from service.errors import BadSettings
from service.settings import BackendSettings

if TYPE_CHECKING:
    from agents.spending import Budget

EXTRACTORS = ("auto", "rules", "model", "both")
_NOT_NEGATIVE = (
    "retries",
    "cache_mb",
    "max_tokens_per_day",
    "max_cost_per_day",
    "max_tokens_per_run",
    "max_cost_per_run",
    "price_per_million_in",
    "price_per_million_out",
)


def check(backend: BackendSettings) -> None:
    """Raises BadSettings for what no back-end can work with."""
    for name in _NOT_NEGATIVE:
        if not getattr(backend, name) >= 0:
            raise BadSettings(f"backend.{name} is {getattr(backend, name)}; it cannot be less than 0")
    if backend.at_once < 1 or not backend.timeout_s > 0:
        raise BadSettings("backend.at_once and backend.timeout_s must be more than 0")
    if backend.extractor not in EXTRACTORS:
        known = ", ".join(EXTRACTORS)
        raise BadSettings(f"backend.extractor is {backend.extractor!r}; it is one of {known}")
    limits_cost = backend.max_cost_per_day or backend.max_cost_per_run
    if limits_cost and not (backend.price_per_million_in or backend.price_per_million_out):
        raise BadSettings(
            "a limit on cost needs backend.price_per_million_in and backend.price_per_million_out"
        )


def open_budget(backend: BackendSettings, home: Path, clock: Clock) -> Budget:
    from agents.spending import Budget, Limits, Prices, Spending

    return Budget(
        Spending(home),
        Limits(
            backend.max_tokens_per_day,
            backend.max_cost_per_day,
            backend.max_tokens_per_run,
            backend.max_cost_per_run,
        ),
        Prices(backend.price_per_million_in, backend.price_per_million_out),
        clock,
    )


def open_chat_model(
    backend: BackendSettings, home: Path, cache_dir: Path, budget: Callable[[], Budget]
) -> ChatModel | None:
    """The configured language model, or None where rules do the work. A local one is not paid for and has no budget.

    Raises BadSettings, BackendUnset, BackendMissing.
    """
    check(backend)
    if backend.kind == "none":
        return None
    from agents.answers import Answers
    from agents.backends import make_chat_model
    from agents.backends.meter import Meter
    from agents.backends.remembering import RememberingChat

    options = _options(backend, cache_dir)
    if backend.kind != "local":
        options["meter"] = Meter(backend.at_once, budget())
    model = make_chat_model(backend.kind, **options)
    if not backend.cache or not backend.cache_mb:
        return model
    return RememberingChat(model, Answers(home, backend.cache_mb << 20))


def _options(backend: BackendSettings, cache_dir: Path) -> dict[str, Any]:
    """The arguments of the back-end's class; what was left empty is left to the class."""
    named = {"model": backend.model} if backend.model else {}
    if backend.kind == "local":
        return {**named, "cache_dir": cache_dir}
    if backend.kind == "scripted":
        return {"answers": _script(backend.model)}
    options: dict[str, Any] = {**named, "timeout_s": backend.timeout_s, "retries": backend.retries}
    if backend.base_url:
        options["base_url"] = backend.base_url
    if backend.api_key_env:
        options["api_key"] = os.environ.get(backend.api_key_env, "")
    return options


def _script(path: str) -> list[str]:
    """The answers of a scripted back-end: a JSON list of texts, given in this order."""
    try:
        answers = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadSettings(
            f"backend.model is {path!r}; a scripted back-end takes a JSON file there"
        ) from error
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise BadSettings(f"{path} is no script; write a JSON list of answers, each a text")
    return answers


def open_extractor(
    backend: BackendSettings,
    chat_model: Callable[[], ChatModel | None],
    encoder: Callable[[], Embedder],
    registry: Registry,
) -> Extractor:
    """Rules (with the trained reader beside them), the language model, or both. "auto" is both, but rules where there is
    no model or only the embedded one, which reads worse. Raises BadSettings where a model is wanted and none is set."""
    check(backend)
    wanted = backend.extractor
    if wanted == "auto":
        is_small = backend.kind == "local" and backend.model in ("", "embedded")
        wanted = "rules" if backend.kind == "none" or is_small else "both"
    if wanted == "rules":
        return _local(encoder(), registry)
    model = chat_model()
    if model is None:
        raise BadSettings(f"backend.extractor is {wanted}, which needs a model; set backend.kind")
    from agents.extractors.both import UnionExtractor
    from agents.extractors.model import ModelExtractor

    extractor = ModelExtractor(model, registry, at_once=1 if backend.kind == "local" else backend.at_once)
    return (
        extractor if wanted == "model" else UnionExtractor(_local(encoder(), registry), extractor, registry)
    )


def _local(encoder: Embedder, registry: Registry) -> Extractor:
    from agents.extractors.local import local_extractor

    return local_extractor(encoder, registry)
