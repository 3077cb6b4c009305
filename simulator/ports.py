"""What a turn is spoken with: an engine that draws text, and guards that may object to a part of it.

A reply is drawn in parts (a sentence, or a message of several). Each part is shown to the guards before anybody
sees it; one that is objected to is drawn again from where it began (`simulator.speaking`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agents.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that became certain with one token. `entropy`: of the model's distribution for it, before penalties,
    temperature and filters, in nats.

    Without a token where a server sent text only.
    """

    text: str
    token: int | None = None
    entropy: float | None = None


class Engine(Protocol):
    """Draws the continuation of a prompt. `name` says which model and weights, for the record of a turn."""

    name: str

    def stream(
        self, messages: Sequence[dict[str, str]], sampling: Sampling, *, said: str = ""
    ) -> Iterator[Piece]:
        """What follows the messages and `said`, the part of the reply that stands already.

        Closing the iterator ends the drawing. Raises agents.errors' BackendUnreachable and its kin, also mid-way.
        """
        ...

    def fits(self, messages: Sequence[dict[str, str]]) -> bool:
        """Whether the prompt leaves room for a reply, as far as that is known before it is drawn."""
        ...

    def close(self) -> None:
        """Let go of caches and connections."""
        ...


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a part is not said. `instead`: what may be said in its place; "" ends the reply there, None draws again."""

    guard: str
    reason: str  # without anybody's words
    instead: str | None = None


class Guard(Protocol):
    """Looks at what is about to be said. Keeps what it needs of earlier turns; `heard` tells it each of them."""

    @property
    def name(self) -> str: ...

    def objection(self, said: str, part: str, pieces: Sequence[Piece]) -> Objection | None:
        """Of `part`, which follows `said` in the same reply and was drawn as `pieces`; None lets it pass."""
        ...

    def heard(self, speaker: str, text: str) -> None:
        """A turn is over: `speaker` (a name) said `text`, the persona's own turns included."""
        ...
