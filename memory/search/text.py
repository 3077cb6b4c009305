"""The full-text side of an index: tantivy, BM25 over stemmed words without accents.

Three texts are searched: the unit itself, the unit with its neighbours (`window`), and the whole session, under the
number of its first unit. Sessions have an index of their own, so that their lengths do not shift the averages of the
units. No text is stored, only its words. https://github.com/quickwit-oss/tantivy
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tantivy
from tantivy import Occur, Query

from memory.search.columns import Floats, Ints

Field = Literal["unit", "window", "session"]

_HEAP_BYTES = 15_000_000  # the least that a writer takes
_BUILD_HEAP_BYTES = 150_000_000
_ANALYZER = "folded"
_LONGEST = 255  # bytes of a word; what is longer is no word


@dataclass(frozen=True, slots=True)
class Scope:
    """What a search may find. None means no limit."""

    kinds: frozenset[int] | None = None
    until: float | None = None  # seconds since 1970, included
    audience: tuple[int, ...] | None = None  # ids of conversations and speakers


@dataclass(frozen=True, slots=True)
class Doc:
    """One unit's or session's texts. `audience` are ids of its conversations and speakers."""

    number: int
    kind: int
    time: float
    audience: Collection[int]
    texts: Sequence[tuple[Field, str]]


class Texts:
    def __init__(self, folder: Path, *, is_new: bool = False) -> None:
        """Open, or make. Raises ValueError or OSError for files that are missing or damaged."""
        self.folder = folder
        self._units = _open(folder / "units", ("unit", "window"), is_new=is_new)
        self._sessions = _open(folder / "sessions", ("session",), is_new=is_new)
        self._analyzer = _analyzer()

    @contextmanager
    def writing(self, *, is_build: bool = False) -> Iterator[TextWriter]:
        """Everything put inside is searchable afterwards, or, after an error, nothing of it."""
        heap = _BUILD_HEAP_BYTES if is_build else _HEAP_BYTES
        writer = TextWriter(self._units, self._sessions, heap, is_build=is_build)
        try:
            yield writer
        except BaseException:
            writer.roll_back()
            raise
        writer.commit()

    def reload(self) -> None:
        self._units.reload()
        self._sessions.reload()

    def count(self) -> tuple[int, int]:
        """Documents of units and of sessions."""
        return self._units.searcher().num_docs, self._sessions.searcher().num_docs

    def stems(self, words: Iterable[str]) -> list[str]:
        """What is looked for, each once."""
        return list(dict.fromkeys(t for word in words for t in self._analyzer.analyze(fold(word))))

    def search(self, field: Field, stems: Sequence[str], limit: int, scope: Scope) -> tuple[Ints, Floats]:
        """Numbers and BM25 scores of the best texts that have any of these words."""
        if not stems:
            return np.zeros(0, np.int64), np.zeros(0)
        index = self._sessions if field == "session" else self._units
        any_word = [(Occur.Should, Query.term_query(index.schema, field, stem)) for stem in stems]
        query = Query.boolean_query(any_word)
        limits = _limits(index.schema, scope, is_session=field == "session")
        if limits:
            query = Query.boolean_query([(Occur.Must, query), *limits])
        searcher = index.searcher()
        hits = searcher.search(query, limit, count=False).hits
        numbers = searcher.fast_field_values("number", [address for _, address in hits])
        return np.array(numbers, np.int64), np.array([score for score, _ in hits], np.float64)

    def numbers(self, field: Field) -> Ints:
        """Numbers of every document, for a check; a number that stands twice comes twice."""
        searcher = (self._sessions if field == "session" else self._units).searcher()
        if not searcher.num_docs:
            return np.zeros(0, np.int64)
        hits = searcher.search(Query.all_query(), searcher.num_docs, count=False).hits
        return np.array(searcher.fast_field_values("number", [address for _, address in hits]), np.int64)

    def holds(self, number: int, field: Field, text: str) -> bool:
        """Whether the document of that number has every word of the text."""
        index = self._sessions if field == "session" else self._units
        must = [
            (Occur.Must, Query.term_query(index.schema, field, stem))
            for stem in set(self._analyzer.analyze(fold(text)))
        ]
        must.append((Occur.Must, Query.term_query(index.schema, "number", number)))
        return bool(index.searcher().search(Query.boolean_query(must), 1, count=False).hits)


class TextWriter:
    def __init__(
        self, units: tantivy.Index, sessions: tantivy.Index, heap_bytes: int, *, is_build: bool
    ) -> None:
        self._indexes = {"unit": units, "session": sessions}
        self._heap_bytes, self._is_build = heap_bytes, is_build
        self._writers: dict[str, tantivy.IndexWriter] = {}

    def put(self, which: Literal["unit", "session"], doc: Doc) -> None:
        """Set the document of that number."""
        if not self._is_build:
            self.remove(which, doc.number)
        made = tantivy.Document()
        made.add_unsigned("number", doc.number)
        made.add_unsigned("kind", doc.kind)
        made.add_integer("time", int(np.ceil(doc.time)))
        for heard in doc.audience:
            made.add_unsigned("audience", heard)
        for field, text in doc.texts:
            made.add_text(field, fold(text))
        self._writer(which).add_document(made)

    def remove(self, which: Literal["unit", "session"], number: int) -> None:
        # by query: a term made from a Python int is a signed one, and deletes nothing
        query = Query.term_query(self._indexes[which].schema, "number", number)
        self._writer(which).delete_documents_by_query(query)

    def commit(self) -> None:
        for which, writer in self._writers.items():
            writer.commit()
            writer.wait_merging_threads()
            self._indexes[which].reload()

    def roll_back(self) -> None:
        for writer in self._writers.values():
            writer.rollback()
            writer.wait_merging_threads()

    def _writer(self, which: str) -> tantivy.IndexWriter:
        if which not in self._writers:
            self._writers[which] = self._indexes[which].writer(self._heap_bytes, 1)
        return self._writers[which]


def fold(text: str) -> str:
    """The text without accents, Latin or not; marks that tell letters of a script apart stay."""
    if text.isascii():
        return text
    kept = (c for c in unicodedata.normalize("NFKD", text) if unicodedata.combining(c) < 200)
    return unicodedata.normalize("NFC", "".join(kept)).casefold()


def _limits(schema: tantivy.Schema, scope: Scope, *, is_session: bool) -> list[tuple[Occur, Query]]:
    limits = []
    if scope.kinds is not None and not is_session:
        limits.append(Query.term_set_query(schema, "kind", sorted(scope.kinds)))
    if scope.audience is not None:
        limits.append(Query.term_set_query(schema, "audience", list(scope.audience)))
    if scope.until is not None and not is_session:
        until = int(np.floor(scope.until)) + 1
        limits.append(Query.range_query(schema, "time", tantivy.FieldType.Integer, None, until))
    return [(Occur.Must, Query.const_score_query(query, 0.0)) for query in limits]


def _open(folder: Path, fields: Sequence[str], *, is_new: bool) -> tantivy.Index:
    if is_new:
        folder.mkdir(parents=True)
    elif not tantivy.Index.exists(str(folder)):
        raise ValueError("the text of the index is missing")
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("number", indexed=True, fast=True)
    builder.add_unsigned_field("kind", indexed=True)
    builder.add_unsigned_field("audience", indexed=True)
    builder.add_integer_field("time", fast=True)
    for field in fields:
        builder.add_text_field(field, tokenizer_name=_ANALYZER, index_option="freq")
    index = tantivy.Index(builder.build(), path=str(folder))
    index.register_tokenizer(_ANALYZER, _analyzer())
    index.config_reader("manual")
    index.reload()
    return index


def _analyzer() -> tantivy.TextAnalyzer:
    filters = (
        tantivy.Filter.remove_long(_LONGEST),
        tantivy.Filter.lowercase(),
        tantivy.Filter.ascii_fold(),
        tantivy.Filter.stemmer("english"),
    )
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for each in filters:
        builder = builder.filter(each)
    return builder.build()
