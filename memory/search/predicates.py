"""Which predicate a question means: nearness in meaning to the wordings in which each predicate is asked.

Vectors of the wordings are kept in a file beside the index, so that only the first question of an encoder pays.
The exam's held-out wordings are never read here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from memory.ports import Embedder, FloatMatrix
from memory.wordings import Wordings, fill

_MAKING = Lock()


class PredicateMatcher:
    def __init__(self, embedder: Embedder, cache: Path, stand_in: str) -> None:
        self._embedder, self._cache, self._name = embedder, cache, stand_in
        self._wordings = Wordings.load()
        self._vectors: dict[str, FloatMatrix] = self._load()

    def prepare(self, predicates: Iterable[str]) -> None:
        """Encode the wordings of those that are new, and keep them."""
        wanted = set(predicates)
        if wanted <= set(self._vectors):
            return
        with _MAKING:  # of several first questions one pays, and the others find what it made
            self._vectors = {**self._load(), **self._vectors}
            self._make(sorted(wanted - set(self._vectors)))

    def _make(self, new: Sequence[str]) -> None:
        if not new:
            return
        texts = {predicate: self._texts(predicate) for predicate in new}
        vectors = self._embedder.encode([text for predicate in new for text in texts[predicate]])
        start = 0
        for predicate in new:
            self._vectors[predicate] = vectors[start : start + len(texts[predicate])]
            start += len(texts[predicate])
        self._save()

    def nearness(self, question: FloatMatrix) -> dict[str, float]:
        """Cosine of the question's vector with the nearest wording of each prepared predicate."""
        return {name: float((rows @ question).max()) for name, rows in self._vectors.items()}

    def _texts(self, predicate: str) -> Sequence[str]:
        asked = self._wordings.questions(predicate)
        return [fill(template, subject=self._name, predicate=predicate) for template in asked]

    def _key(self) -> str:
        return hashlib.sha256(f"{self._embedder.name}\0{self._name}\0{_wordings_hash()}".encode()).hexdigest()

    def _load(self) -> dict[str, FloatMatrix]:
        try:
            found = dict(_read(self._cache, self._cache.stat().st_mtime_ns))
        except (OSError, ValueError, EOFError, KeyError):
            return {}
        if str(found.pop("__key__", "")) != self._key():
            return {}
        return found

    def _save(self) -> None:
        temporary = self._cache.with_suffix(".tmp.npz")
        np.savez(temporary, __key__=np.array(self._key()), **self._vectors)  # type: ignore[arg-type]
        temporary.replace(self._cache)


@lru_cache(maxsize=8)
def _read(path: Path, _changed_ns: int) -> dict[str, FloatMatrix]:
    """The file's arrays; read once for each time it was written."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


@lru_cache(maxsize=1)
def _wordings_hash() -> str:
    return hashlib.sha256(Path(__file__).parent.parent.joinpath("wordings.toml").read_bytes()).hexdigest()
