"""Models that answer messages, behind one interface (`memory.ports.ChatModel`).

`make_chat_model` is the only way the wiring needs. Nothing is sent to any server unless its back-end was asked
for by name with an address or a key: no back-end reads keys from the environment by itself. Libraries are
imported when a model is made, never before.
"""

from __future__ import annotations

from typing import Any, Protocol

from agents.errors import UnknownBackend
from memory.ports import ChatModel

KINDS = ("openai", "gemini", "local", "scripted")


class Backend(ChatModel, Protocol):
    """A chat model that says what its answers depend on besides the request."""

    @property
    def identity(self) -> dict[str, Any]: ...


def make_chat_model(kind: str, **settings: Any) -> Backend:
    """A model of this kind; `settings` are the arguments of the back-end's class.

    Raises UnknownBackend for a kind that does not exist, BackendMissing where the library is not installed.
    """
    if kind == "openai":
        from agents.backends.openai import OpenAIChat

        return OpenAIChat(**settings)
    if kind == "gemini":
        from agents.backends.gemini import GeminiChat

        return GeminiChat(**settings)
    if kind == "local":
        from agents.backends.local import LocalChat

        return LocalChat(**settings)
    if kind == "scripted":
        from agents.backends.scripted import ScriptedChat

        return ScriptedChat(**settings)
    raise UnknownBackend(kind, KINDS)
