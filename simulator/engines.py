"""What a turn is drawn by: the model in this process, or a server that speaks the OpenAI protocol.

Both implement `simulator.ports.Engine`. The local one keeps keys and values from turn to turn and gives entropies; the
server one sends the whole prompt each time, and only where the settings name a server: people's words leave the machine
then, less what the privacy settings leave out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agents.backends.masking import masked_messages
from agents.errors import CutOff
from simulator.ports import Piece

if TYPE_CHECKING:
    from agents.backends.openai import OpenAIChat
    from agents.runtime.lm import LanguageModel
    from agents.sampling import Sampling

LEAST_ROOM = 64  # tokens for a reply
_LINE = re.compile(r"^\[[^\[\]\n]{1,40}\] ?(.*)$", re.MULTILINE)


class LocalEngine:
    """Draws with a loaded model. `tags` are those of the conversation: no repetition reaches across one.

    What DRY must not repeat is what was said in the conversation; what the persona knows may be said as it stands.
    """

    def __init__(self, model: LanguageModel, *, recipe: str | None = None, tags: Sequence[str] = ()) -> None:
        from agents.runtime.prefix_cache import PrefixCache

        self.name = f"local:{model.base_hash[:12]}" + (f"+{recipe[:12]}" if recipe else "")
        self.cache = PrefixCache(model)
        self._model = model
        self._tags = tuple(tags)
        self._prompt: list[int] = []
        self._written: list[tuple[int, str]] = []  # after it: tokens and the text that each made certain

    def stream(
        self, messages: Sequence[dict[str, str]], sampling: Sampling, *, said: str = ""
    ) -> Iterator[Piece]:
        """See `Engine`. Raises CutOff where the prompt fills the model's window."""
        prompt = self._model.chat_ids(list(messages))
        written = self._resumed(prompt, said)
        ids = [*prompt, *(token for token, _ in written)]
        how = self._fitting(sampling, len(ids))
        sampler = self._model.sampler(ids, how, self._history(messages, said))
        self._prompt, self._written = prompt, written
        drawing = self._model.draw(ids, sampler, cache=self.cache, n_prompt=len(prompt))
        with closing(drawing):
            for drawn in drawing:
                if drawn.token is not None:
                    self._written.append((drawn.token, drawn.text))
                yield Piece(drawn.text, drawn.token, drawn.entropy)

    def candidates(
        self, messages: Sequence[dict[str, str]], samplings: Sequence[Sampling], *, said: str = ""
    ) -> list[str]:
        """One continuation for each sampling, drawn together: for the best of several."""
        prompt = self._model.chat_ids(list(messages))
        ids = [*prompt, *(token for token, _ in self._resumed(prompt, said))]
        fitting = [self._fitting(sampling, len(ids)) for sampling in samplings]
        made = self._model.branch([ids] * len(fitting), fitting, self.cache)
        self.cache.release()
        return [self._model.decode(tokens) for tokens in made]

    def fits(self, messages: Sequence[dict[str, str]]) -> bool:
        return len(self._model.chat_ids(list(messages))) + LEAST_ROOM <= self._model.window

    def close(self) -> None:
        self.cache.clear()
        self._prompt, self._written = [], []

    def _fitting(self, sampling: Sampling, n_ids: int) -> Sampling:
        room = self._model.window - n_ids
        if room <= 0:
            raise CutOff(self.name, f"the prompt has {n_ids} tokens, the model reads {self._model.window}")
        return replace(
            sampling,
            max_new_tokens=min(sampling.max_new_tokens, room),
            dry_breakers=(*sampling.dry_breakers, *self._tags),
        )

    def _resumed(self, prompt: list[int], said: str) -> list[tuple[int, str]]:
        """`said` as the tokens that it was drawn as, where it was drawn last: another split would be another text."""
        if prompt == self._prompt:
            text = ""
            for end, (_, piece) in enumerate(self._written, start=1):
                text += piece
                if text.lstrip() == said and text:
                    return self._written[:end]
        tokens = self._model.template.encode(said) if said else []
        return [(token, said if at == len(tokens) else "") for at, token in enumerate(tokens, start=1)]

    def _history(self, messages: Sequence[dict[str, str]], said: str) -> list[int]:
        lines = [match[1] for match in _LINE.finditer(messages[-1]["content"])]
        return self._model.template.encode("\n".join([*(line for line in lines if line), said]))


class ServerEngine:
    """Draws with a model behind `chat`'s server. `left_out`: kinds of what is sensitive that it is not shown.

    All of a prompt is people's words, the lines of a constitution too, so all of it is masked. A begun reply is sent as
    the last message; servers that know how to (vLLM, llama.cpp) go on with it, and one that says it again is heard from
    where it goes on. How text is drawn is sent as far as the server takes it.
    """

    def __init__(self, chat: OpenAIChat, left_out: Collection[str] = ()) -> None:
        self.name = chat.name
        self._chat = chat
        self._left_out = frozenset(left_out)

    def stream(
        self, messages: Sequence[dict[str, str]], sampling: Sampling, *, said: str = ""
    ) -> Iterator[Piece]:
        """See `Engine`. Raises BackendUnreachable and its kin, also after pieces where the server stops mid-way."""
        asked = list(messages)
        fields = drawing_fields(sampling)
        if said:
            asked.append({"role": "assistant", "content": said})
            fields |= {"continue_final_message": True, "add_generation_prompt": False}
        shown = masked_messages(asked, self._left_out, but=())
        pieces = self._chat.stream(
            shown,
            max_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            fields=fields,
        )
        with closing(pieces):
            yield from map(Piece, going_on(pieces, shown[-1]["content"] if said else ""))

    def fits(self, messages: Sequence[dict[str, str]]) -> bool:
        """The server knows, and says so."""
        return True

    def close(self) -> None:
        self._chat.close()


def drawing_fields(sampling: Sampling) -> dict[str, Any]:
    """What of the sampling differs from drawing freely, in the names of vLLM and llama.cpp."""
    fields: dict[str, Any] = {"seed": sampling.seed}
    if sampling.top_p < 1:
        fields["top_p"] = sampling.top_p
    if sampling.top_k > 0:
        fields["top_k"] = sampling.top_k
    if sampling.min_p > 0:
        fields["min_p"] = sampling.min_p
    if sampling.repetition_penalty != 1:
        fields["repetition_penalty"] = sampling.repetition_penalty
    if sampling.dry_multiplier > 0:
        fields["dry_multiplier"] = sampling.dry_multiplier
        fields["dry_base"] = sampling.dry_base
        fields["dry_allowed_length"] = sampling.dry_allowed_length
        fields["dry_sequence_breakers"] = list(sampling.dry_breakers)
    return fields


def going_on(pieces: Iterator[str], said: str) -> Iterator[str]:
    """The pieces without `said` at their beginning, where somebody says it again before they go on.

    Who ends while saying it again has not gone on.
    """
    held = ""
    is_open = bool(said)
    for piece in pieces:
        if not is_open:
            yield piece
            continue
        held += piece
        if said.startswith(held):
            continue
        is_open = False
        yield held.removeprefix(said)
