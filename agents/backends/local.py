"""The language model in this process as a chat model: no server, no key.

Loading happens at the first question, torch with it. Greedy where the temperature is 0. JSON of a schema is written
under its grammar (`agents.runtime.constrained`), so that even a small model's answer parses and fits. One question at
a time, whoever asks: two would only halve each other's speed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.backends.meter import Meter
from agents.errors import BackendMissing, BackendUnset, CutOff
from agents.truncated import closed

if TYPE_CHECKING:
    from agents.runtime.constrained import JsonWriter
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
        meter: Meter | None = None,
    ) -> None:
        if language_model is None and cache_dir is None:
            raise BackendUnset("local", "cache_dir")
        self.name = f"local:{model}"
        self._source = model
        self._cache_dir = Path(cache_dir) if cache_dir is not None else None
        self._seed = seed
        self._loaded = language_model
        self._writer: JsonWriter | None = None
        self._meter = meter or Meter()
        self._turn = threading.RLock()

    @property
    def identity(self) -> dict[str, Any]:
        """All that an answer depends on besides the request: the files of the weights as they lie there now."""
        return {"kind": "local", "model": self._source, "seed": self._seed, "weights": self._weights()}

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
        if temperature > 0:
            return "".join(self.stream(asked, max_tokens=max_tokens, temperature=temperature))
        with self._meter.request(self.name, asked, max_tokens) as bill, self._turn:
            answer = self._model().answer([asked], max_new_tokens=max_tokens)[0]
            bill.settle(None, None, answer=answer)
        return answer

    def complete_json(
        self, messages: Sequence[dict[str, str]], schema: Mapping[str, Any], *, max_tokens: int = 1024
    ) -> str:
        """JSON that fits the schema, always. An answer that the limit cut off is closed after its last whole item of
        a list; raises CutOff where that leaves nothing that fits, or where the question fills the model's window."""
        with self._meter.request(self.name, messages, max_tokens) as bill, self._turn:
            model, writer = self._model(), self._json_writer()
            from agents.sampling import Sampling

            ids = model.chat_ids(list(messages))
            room = min(max_tokens, writer.window - len(ids))
            if room <= 0:
                raise CutOff(
                    self.name, f"the question has {len(ids)} tokens, the model reads {writer.window}"
                )
            written = writer.write(
                ids, schema, Sampling(max_new_tokens=room, temperature=0.0, seed=self._seed)
            )
            bill.settle(written.n_given, written.n_written)
        text = written.text if written.is_whole else closed(written.text, schema)
        if text is None:
            raise CutOff(self.name, f"it was cut off after {room} tokens")
        return text

    def stream(
        self, messages: Sequence[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0
    ) -> Iterator[str]:
        said: list[str] = []
        with self._meter.request(self.name, messages, max_tokens) as bill, self._turn:
            model = self._model()
            from agents.sampling import Sampling

            sampling = Sampling(max_new_tokens=max_tokens, temperature=temperature, seed=self._seed)
            try:
                for piece in model.stream(model.chat_ids(list(messages)), sampling):
                    said.append(piece)
                    yield piece
            finally:
                bill.settle(None, None, answer="".join(said))

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

    def _json_writer(self) -> JsonWriter:
        if self._writer is None:
            from agents.runtime.constrained import JsonWriter

            self._writer = JsonWriter(self._model())
        return self._writer

    def _weights(self) -> list[Any]:
        """Names, sizes and times of change; nothing is loaded for it."""
        if self._loaded is not None and self._cache_dir is None:
            return [self._loaded.base_hash]
        from agents.runtime.spec import locate

        place = locate(self._source)
        files = [place] if place.is_file() else sorted(place.glob("*.safetensors"))
        stats = [(file.name, file.stat()) for file in files]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
