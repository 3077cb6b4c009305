"""Which predicate a question means: nearness in meaning to the wordings in which each predicate is asked.

Vectors of the shipped wordings are kept in the home's cache, so that only the first question of a home and an encoder pays;
those of predicates that a space made for itself are kept beside its index. The exam's held-out wordings are never read here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from memory.ports import Embedder, FloatMatrix
from memory.whole import whole_file
from memory.wordings import Wordings, fill

NAME = "wordings.npz"
_MAKING = Lock()


class PredicateMatcher:
    def __init__(self, embedder: Embedder, index: Path, stand_in: str) -> None:
        """`index`: the folder of the space's index, in the home's folder of indexes."""
        self._embedder, self._name = embedder, stand_in
        self._shipped, self._own = index.parent.parent / "cache" / NAME, index / NAME
        self._wordings = Wordings.load()
        self._vectors = self._kept()

    def prepare(self, predicates: Iterable[str]) -> None:
        """Encode the wordings of those that are new, and keep them."""
        wanted = set(predicates)
        if wanted <= set(self._vectors):
            return
        with _MAKING:  # of several first questions one pays, and the others find what it made
            self._vectors = {**self._kept(), **self._vectors}
            new, shipped = sorted(wanted - set(self._vectors)), set(self._wordings.names())
            self._make([predicate for predicate in new if predicate in shipped], self._shipped)
            self._make([predicate for predicate in new if predicate not in shipped], self._own)

    def _make(self, new: Sequence[str], cache: Path) -> None:
        if not new:
            return
        texts = {predicate: self._texts(predicate) for predicate in new}
        vectors = self._embedder.encode([text for predicate in new for text in texts[predicate]])
        made, start = self._load(cache), 0
        for predicate in new:
            made[predicate] = vectors[start : start + len(texts[predicate])]
            start += len(texts[predicate])
        self._vectors |= made
        self._save(cache, made)

    def _kept(self) -> dict[str, FloatMatrix]:
        return self._load(self._shipped) | self._load(self._own)

    def nearness(self, question: FloatMatrix) -> dict[str, float]:
        """Cosine of the question's vector with the nearest wording of each prepared predicate."""
        return {name: float((rows @ question).max()) for name, rows in self._vectors.items()}

    def _texts(self, predicate: str) -> Sequence[str]:
        asked = self._wordings.questions(predicate)
        return [fill(template, subject=self._name, predicate=predicate) for template in asked]

    def _key(self) -> str:
        return hashlib.sha256(f"{self._embedder.name}\0{self._name}\0{_wordings_hash()}".encode()).hexdigest()

    def _load(self, cache: Path) -> dict[str, FloatMatrix]:
        try:
            found = dict(_read(cache, cache.stat().st_mtime_ns))
        except (OSError, ValueError, EOFError, KeyError):
            return {}
        if str(found.pop("__key__", "")) != self._key():
            return {}
        return found

    def _save(self, cache: Path, vectors: dict[str, FloatMatrix]) -> None:
        with whole_file(cache) as part, part.open("wb") as file:
            np.savez(file, __key__=np.array(self._key()), **vectors)  # type: ignore[arg-type]


@lru_cache(maxsize=8)
def _read(path: Path, _changed_ns: int) -> dict[str, FloatMatrix]:
    """The file's arrays; read once for each time it was written."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


@lru_cache(maxsize=1)
def _wordings_hash() -> str:
    return hashlib.sha256(Path(__file__).parent.parent.joinpath("wordings.toml").read_bytes()).hexdigest()
