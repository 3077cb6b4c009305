"""Errors of whatever reads or writes language.

AgentError
├── UnknownBackend          no back-end of that kind (also a ValueError)
├── BackendUnset            a setting that the back-end needs was not given (also a ValueError)
├── BackendMissing          the back-end's library is not installed; names the extra
├── BackendUnreachable      no answer after all retries: away, timed out, overloaded
│   ├── BackendRefused      the server answered with a refusal: key, model or request
│   ├── QuotaSpent          the server answered that the account has used up what it may
│   └── BudgetSpent         the request would go beyond the user's own limits; nothing was sent
├── BadAnswer               the model answered, but not in the form that was asked for
│   └── CutOff              the answer ended at the limit of tokens, or the question is longer than the model reads
├── BadSchema               an answer was asked for in a form that the grammar does not know (also a ValueError)
├── BadHead                 a trained head that does not fit the embedder or its own manifest
├── BrokenAdapter           an adapter's files are missing, damaged or changed
├── BaseChanged             an adapter was trained on other base weights; carries both hashes
├── UnfitForGguf            an adapter whose base or modules llama.cpp's format has no names for here
├── UnfitReadout            directions to read by that do not fit the model; carries why
├── UnfitVectors            vectors to steer with that do not fit the model; carries why
└── UnknownModule           an adapter names a module that the model has not got (also a LookupError)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class AgentError(Exception):
    """Base of everything `agents` raises on purpose. The message is one line and says what to do."""


class UnknownBackend(AgentError, ValueError):
    def __init__(self, kind: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no back-end called {kind}; use one of {', '.join(known)}")
        self.kind = kind


class BackendUnset(AgentError, ValueError):
    def __init__(self, backend: str, setting: str) -> None:
        super().__init__(f"the {backend} back-end needs {setting}; set it under backend in the settings")
        self.setting = setting


class BackendMissing(AgentError):
    """The message names the extra that brings the library."""

    def __init__(self, backend: str, extra: str) -> None:
        super().__init__(f"the {backend} back-end is not installed; run `pip install 'slowwave[{extra}]'`")
        self.extra = extra


class BackendUnreachable(AgentError):
    """Whoever asked for a judgement treats this as "no verdict", never as a yes.

    `waits` is the word under which what it was asked about waits (`memory.pending.REASONS`).
    """

    waits = "away"

    def __init__(self, backend: str, why: str) -> None:
        super().__init__(f"{backend} is out of reach: {why}; check its address and that it runs")
        self.backend = backend


class BackendRefused(BackendUnreachable):
    waits = "refused"

    def __init__(self, backend: str, why: str) -> None:
        AgentError.__init__(self, f"{backend} refused the request: {why}; check the key and the model's name")
        self.backend = backend


class QuotaSpent(BackendUnreachable):
    waits = "quota"

    def __init__(self, backend: str) -> None:
        AgentError.__init__(
            self,
            f"{backend} says that the account's quota is used up; raise it there, or wait until it is renewed",
        )
        self.backend = backend


class BudgetSpent(BackendUnreachable):
    """`limit` is the setting that stands in the way."""

    waits = "budget"

    def __init__(self, backend: str, limit: str, spent: str, wanted: str) -> None:
        AgentError.__init__(
            self,
            f"{backend} is not asked: {spent} spent, {limit} leaves no room for {wanted} more; "
            "raise it, or wait for the next day or night",
        )
        self.backend = backend
        self.limit = limit


class BadAnswer(AgentError):
    """Carries why, never the answer itself: it may hold somebody's words."""

    waits = "nonsense"

    def __init__(self, backend: str, why: str) -> None:
        super().__init__(f"{backend} gave an answer that cannot be used: {why}; try again or another model")
        self.backend = backend
        self.why = why


class CutOff(BadAnswer):
    waits = "cut_off"


class BadSchema(AgentError, ValueError):
    def __init__(self, why: str) -> None:
        super().__init__(
            f"that form of answer cannot be asked for: {' '.join(why.split())[:160]}; change the schema"
        )


class BadHead(AgentError):
    def __init__(self, name: str, why: str, trainer: str = "agents.emotion_training") -> None:
        super().__init__(f"the head {name} cannot be used: {why}; train it with `python -m {trainer}`")


class BrokenAdapter(AgentError):
    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"the adapter {folder.name} cannot be used: {why}; roll back to an earlier recipe")
        self.folder = folder


class BaseChanged(AgentError):
    def __init__(self, adapter_hash: str, model_hash: str) -> None:
        super().__init__(
            f"the adapter belongs to base {adapter_hash[:12] or 'unknown'}, the model is {model_hash[:12]}; "
            "set base_model back or start a new recipe"
        )
        self.adapter_hash = adapter_hash
        self.model_hash = model_hash


class UnfitForGguf(AgentError):
    def __init__(self, why: str) -> None:
        super().__init__(
            f"the weights cannot be written for llama.cpp: {why}; export a checkpoint and let llama.cpp's "
            "converter read that"
        )


class UnfitVectors(AgentError):
    def __init__(self, why: str) -> None:
        super().__init__(f"the model cannot be steered with these vectors: {why}; make them with this model")


class UnfitReadout(AgentError):
    def __init__(self, why: str) -> None:
        super().__init__(f"the model cannot be read with these directions: {why}; make them with this model")


class UnknownModule(AgentError, LookupError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"the model has no linear module {name}; the adapter belongs to another architecture"
        )
        self.name = name
