"""The language model in this process as a chat model: no server, no key.

Loading happens at the first question, torch with it. Greedy where the temperature is 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agents.errors import BackendMissing, BackendUnset

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel


class LocalChat:
    """`model`: "embedded", a folder, a .gguf file or a hub id already fetched. `cache_dir` keeps converted weights.

    A model that is loaded already can be given instead, and is then shared, not copied.
    """

    def __init__(
        self,
        model: str = "embedded",
        cache_dir: Path | str | None = None,
        *,
        seed: int = 0,
        language_model: LanguageModel | None = None,
    ) -> None:
        if language_model is None and cache_dir is None:
            raise BackendUnset("local", "cache_dir")
        self.name = f"local:{model}"
        self._source = model
        self._cache_dir = Path(cache_dir) if cache_dir is not None else None
        self._seed = seed
        self._loaded = language_model

    def complete(
        self,
        messages: Sequence[dict[str, str]],
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        json: bool = False,
    ) -> str:
        """`json` is asked for in words only: a small model may fail to comply, which the reader must expect."""
        asked = [*messages, {"role": "user", "content": "Answer with JSON only."}] if json else list(messages)
        if temperature <= 0:
            return self._model().answer([asked], max_new_tokens=max_tokens)[0]
        return "".join(self.stream(asked, max_tokens=max_tokens, temperature=temperature))

    def stream(
        self, messages: Sequence[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0
    ) -> Iterator[str]:
        model = self._model()
        from agents.runtime.sampling import Sampling

        sampling = Sampling(max_new_tokens=max_tokens, temperature=temperature, seed=self._seed)
        yield from model.stream(model.chat_ids(list(messages)), sampling)

    def _model(self) -> LanguageModel:
        if self._loaded is None:
            try:
                from agents.runtime.lm import LanguageModel
                from agents.runtime.spec import ModelSpec
            except ImportError as exc:
                raise BackendMissing("local", "train") from exc
            assert self._cache_dir is not None  # checked when this was made
            self._loaded = LanguageModel.load(ModelSpec(cache_dir=self._cache_dir, source=self._source))
        return self._loaded
