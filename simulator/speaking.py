"""A reply, drawn part by part: each sentence or message is shown to the guards before anybody sees it.

What a guard objects to is thrown away and drawn again from where it began; the engine keeps what stands. A part begins
with the blank or line break before it, so that what stands ends where a token ends. A line break is a new message of
the same speaker, which the model writes under the speaker's own tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from agents.errors import AgentError
from simulator.lengths import Length
from simulator.ports import Engine, Guard, Objection, Piece
from simulator.tags import TagFilter

if TYPE_CHECKING:
    from agents.sampling import Sampling

MAX_DRAWS = 4  # of one part
PROMPT_NOTES = ("What you know:", "What you have said before:")  # nobody says them
_END = re.compile(r"(?:[.!?…]+[\"')\]]*(?=\s+\S)|(?=\n\S))")
_CLOSED = re.compile(r"[.!?…\"')\]\U0001f300-\U0001faff\u2600-\u27bf]\s*$")
_PRIME = 7919  # between the seeds of draws


@dataclass(slots=True)
class Spoken:
    """What became of one reply. `objections`: guard and reason, in their order."""

    text: str = ""
    n_draws: int = 0
    n_tokens: int = 0
    objections: list[Objection] = field(default_factory=list)
    is_corrected: bool = False  # a guard's words stand in it
    n_cut: int = 0  # characters at its end, of a part that the engine broke off: nothing is claimed by them
    entropies: list[float | None] = field(
        default_factory=list
    )  # of the tokens that stand; a guard's have none


class _Part(NamedTuple):
    """With the pieces it came in, and how many of these until nothing more was shown (a tag that ends the reply); `failure` is
    what ended the engine before the part was whole."""

    text: str
    pieces: Sequence[Piece]
    n_shown: int
    failure: AgentError | None = None


@dataclass(frozen=True, slots=True)
class Speaker:
    """How one reply is spoken. `last_resort` is said where every draw of its beginning was objected to."""

    engine: Engine
    guards: Sequence[Guard]
    tag: str
    others: Sequence[str] = ()  # tags of the others in the conversation
    names: Sequence[
        str
    ] = ()  # of everybody in it: who begins a line with "Name:" writes a script, and is not heard
    last_resort: Callable[[], str] = lambda: ""
    owed: str = ""  # said where nothing stands, whatever a guard would say instead
    begun: str = ""  # what the persona had written before, of which a reply is the rest
    may_be_silent: bool = False  # where the guards object to their own words as well
    manner: Callable[[str], str] = str  # in which a guard's words are written

    def speak(
        self, messages: Sequence[dict[str, str]], sampling: Sampling, length: Length, spoken: Spoken
    ) -> Iterator[str]:
        """The parts that stand, as they come; `spoken` grows with them.

        Where the engine fails on the way, what it had begun is a part like the others before the error goes on.
        """
        n_objected = 0
        while True:
            objection, counted = None, None
            for part, pieces, n_shown, failure in self._parts(messages, sampling, length, spoken):
                if part.startswith("\n") and spoken.text.count("\n") + 1 >= length.messages:
                    return
                objection = self._objection(spoken.text, part, pieces)
                if objection is not None:
                    spoken.objections.append(objection)
                    if failure is not None:
                        raise failure
                    break
                n_objected = 0
                spoken.text += part
                spoken.n_cut = len(part) if failure is not None else 0
                standing = [piece for piece in pieces[:n_shown] if piece is not counted]
                spoken.entropies += [piece.entropy for piece in standing]
                counted = pieces[-1] if pieces else None
                yield part
                if failure is not None:
                    raise failure
                if len(spoken.text) >= length.chars:
                    return
            if objection is None:
                if spoken.text:
                    return
                objection = Objection("speaking", "nothing was said")
                spoken.objections.append(objection)
            n_objected += 1
            if objection.instead is not None or n_objected == MAX_DRAWS:
                yield from self._instead(objection, spoken)
                return

    def _instead(self, objection: Objection, spoken: Spoken) -> Iterator[str]:
        words = objection.instead or ""
        if not spoken.text:
            words = self.owed or words or self.last_resort()
        words = self.manner(words)
        part = f" {words}" if spoken.text else words
        if not words or (self.may_be_silent and self._objection(spoken.text, part, [Piece(part)])):
            return
        spoken.is_corrected = True
        spoken.text += part
        yield part

    def _objection(self, said: str, part: str, pieces: Sequence[Piece]) -> Objection | None:
        if self.begun:  # a sentence that was begun is judged whole
            said, part = (joined(self.begun, said), part) if said else ("", joined(self.begun, part))
        return next((found for guard in self.guards if (found := guard.objection(said, part, pieces))), None)

    def _parts(
        self, messages: Sequence[dict[str, str]], sampling: Sampling, length: Length, spoken: Spoken
    ) -> Iterator[_Part]:
        """Parts of one draw; a piece that ends one part and begins another counts to the second."""
        how = replace(
            sampling,
            seed=(sampling.seed + _PRIME * spoken.n_draws) % 2**31,
            max_new_tokens=max(1, min(sampling.max_new_tokens, length.max_tokens) - _tokens(spoken.text)),
        )
        spoken.n_draws += 1
        notes = (*PROMPT_NOTES, *(f"{name}:" for name in self.names))
        tags = TagFilter(self.tag, self.others, notes=notes, is_begun=bool(spoken.text or self.begun))
        part, pieces, n_shown, n_tokens = "", [], 0, 0
        is_first = bool(spoken.text)
        failure = None
        with closing(self.engine.stream(messages, how, said=self._raw(spoken.text))) as stream:  # type: ignore[type-var]
            try:
                for piece in stream:
                    n_tokens += 1
                    spoken.n_tokens += 1
                    shown = tags.feed(piece.text)
                    if is_first and shown:  # an engine that begins anew, or a tokenizer that drops the blank
                        part, is_first = " " if shown[0].isalnum() else "", False
                    part += shown
                    pieces.append(piece)
                    n_shown = len(pieces) if shown else n_shown
                    while end := _part_end(part):
                        own = pieces[:-1] or pieces
                        yield _Part(part[:end], own, len(own))
                        part, pieces, n_shown = part[end:], pieces[-1:], 1
                    if tags.is_done:
                        break
            except AgentError as error:
                failure = error
        if rest := tags.finish():
            part, n_shown = part + rest, len(pieces)
        is_cut = n_tokens >= how.max_new_tokens and not _CLOSED.search(part)
        if part.strip() and (failure is not None or not (is_cut and spoken.text)):
            yield _Part(part.rstrip(), pieces, n_shown, failure)
        elif failure is not None:
            raise failure

    def _raw(self, text: str) -> str:
        """What stands as the model wrote it: each message but the first under the speaker's own tag."""
        return text.replace("\n", f"\n{self.tag} ")


def joined(begun: str, text: str) -> str:
    """What was begun and what follows it, with a blank where one is missing."""
    is_apart = not begun or not text or begun[-1:].isspace() or not (text[0].isalnum() or text[0] in "\"'([")
    return begun + text if is_apart else f"{begun} {text}"


def _part_end(text: str) -> int:
    """Where the first part of the text ends, 0 where it may go on."""
    found = next((match for match in _END.finditer(text) if text[: match.end()].strip()), None)
    return found.end() if found else 0


def _tokens(text: str) -> int:
    """About how many tokens that is, from below."""
    return len(text) // 5
