"""Work in a thread of its own whose pieces somebody listens to, such as a reply that is drawn or a bar that fills.

What goes wrong before the work is `ready` is raised to whoever asked; what goes wrong later is its last piece. A
listener who closes the stream ends the work at its next piece.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from service.users import Users

T = TypeVar("T")


class ListenerGone(Exception):
    """Nobody waits for the rest; raised in the work, and never leaves its thread."""


class Line(Generic[T]):
    """The end of a stream that the work holds."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[T | Exception | None] = queue.Queue()
        self._gone, self._ready = threading.Event(), threading.Event()
        self._failed: Exception | None = None

    def ready(self) -> None:
        """The answer may begin: what goes wrong from here on is told as a piece of it."""
        self._ready.set()

    def put(self, piece: T) -> None:
        """Raises ListenerGone where nobody takes it."""
        self._ready.set()
        if self._gone.is_set():
            raise ListenerGone
        self._pieces.put(piece)

    def tell(self, piece: T) -> None:
        """The same for work that goes on whether somebody listens or not."""
        self._ready.set()
        self._pieces.put(piece)

    def run(self, work: Callable[[Line[T]], None]) -> None:
        try:
            work(self)
        except ListenerGone:
            pass
        except Exception as error:  # told to the listener, who maps it
            if self._ready.is_set():
                self._pieces.put(error)
            else:
                self._failed = error
        finally:
            self._pieces.put(None)
            self._ready.set()

    def begun(self) -> Iterator[T | Exception]:
        """Wait until the work is ready. Raises what it failed with before."""
        self._ready.wait()
        if self._failed is not None:
            raise self._failed
        return self._listen()

    def _listen(self) -> Iterator[T | Exception]:
        try:
            while (piece := self._pieces.get()) is not None:
                yield piece
        finally:
            self._gone.set()


def streamed(work: Callable[[Line[T]], None], name: str, users: Users) -> Iterator[T | Exception]:
    """The pieces that `work` puts, in their order, and at last the error that ended it, if any.

    `users` are those of what it works with: it is one of them until it ends, whoever has stopped listening.
    """
    line: Line[T] = Line()

    def run() -> None:
        try:
            line.run(work)
        finally:
            users.leave()

    users.enter()
    threading.Thread(target=run, name=name, daemon=True).start()
    return line.begun()
