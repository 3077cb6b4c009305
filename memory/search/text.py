"""The full-text side of an index: tantivy, BM25 over stemmed words without accents.

Three texts are searched: the unit itself, the unit with its neighbours (`window`), and the whole session, under the
number of its first unit. Sessions have an index of their own, so that their lengths do not shift the averages of the
units. No text is stored in it, only its words; what came since its last commit stands in `recent_texts`.
https://github.com/quickwit-oss/tantivy
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tantivy
from tantivy import Occur, Query

from memory.search.columns import Floats, Ints
from memory.search.documents import Doc, Field, Scope, Which, which_of
from memory.search.recent_texts import Entry, RecentTexts, Statistics

_HEAP_BYTES = 15_000_000  # the least that a writer takes
_BUILD_HEAP_BYTES = 150_000_000
_ANALYZER = "folded"
_LONGEST = 255  # bytes of a word; what is longer is no word


class TextSink(Protocol):
    """Takes documents; each in place of the one of its number."""

    def put(self, which: Which, doc: Doc) -> None: ...

    def remove(self, which: Which, number: int) -> None: ...


class Collected:
    """Documents that are decided on when all are known."""

    def __init__(self) -> None:
        self._docs: dict[tuple[Which, int], Doc | None] = {}

    def put(self, which: Which, doc: Doc) -> None:
        self._docs[which, doc.number] = doc

    def remove(self, which: Which, number: int) -> None:
        self._docs[which, number] = None

    @property
    def entries(self) -> list[Entry]:
        return [(which, number, doc) for (which, number), doc in self._docs.items()]


class Texts:
    """What can be searched at one moment; it stays as it is, whatever is put later. Safe for threads."""

    def __init__(self, engine: Engine, recent: Iterable[Entry] = ()) -> None:
        self._engine = engine
        self._searchers = {which: index.searcher() for which, index in engine.indexes.items()}
        self._statistics: dict[Field, Statistics] = {}
        self.recent = RecentTexts().put(recent, engine.stems)

    @classmethod
    def open(cls, folder: Path, recent: Iterable[Entry] = ()) -> Texts:
        """Raises ValueError or OSError for files that are missing or damaged."""
        return cls(Engine(folder), recent)

    def with_recent(self, entries: Iterable[Entry]) -> Texts:
        """With these put as well, in memory."""
        made = object.__new__(Texts)
        made._engine, made._searchers, made._statistics = self._engine, self._searchers, self._statistics
        made.recent = self.recent.put(entries, self._engine.stems)
        return made

    def committed(self, entries: Iterable[Entry]) -> Texts:
        """With these and all recent ones in the engine's files."""
        every = {(which, number): doc for which, number, doc in entries}
        with self._engine.writing() as writer:
            for (which, number), doc in {**self.recent.entries, **every}.items():
                writer.remove(which, number)
                if doc is not None:
                    writer.put(which, doc)
        return Texts(self._engine)

    def count(self) -> tuple[int, int]:
        """Documents of units and of sessions."""
        return len(self.numbers("unit")), len(self.numbers("session"))

    def stems(self, words: Iterable[str]) -> list[str]:
        """What is looked for, each once."""
        return list(dict.fromkeys(stem for word in words for stem in self._engine.stems(word)))

    def search(self, field: Field, stems: Sequence[str], limit: int, scope: Scope) -> tuple[Ints, Floats]:
        """Numbers and BM25 scores of the best texts that have any of these words, best first."""
        if not stems:
            return np.zeros(0, np.int64), np.zeros(0)
        if not len(self.recent):
            return self._in_engine(field, dict.fromkeys(stems, 1.0), limit, scope)
        own = self._of_engine(field, stems)
        total = own + self.recent.statistics(field)
        with_it = {stem: self._searcher(field).doc_freq(field, stem) for stem in stems}
        rarity = {stem: total.rarity(n + self.recent.n_with(field, stem)) for stem, n in with_it.items()}
        weights = {stem: rarity[stem] / own.rarity(n) for stem, n in with_it.items() if n}
        hidden = self.recent.hides(which_of(field))
        numbers, scores = self._in_engine(field, weights, limit + len(hidden), scope)
        shown = ~np.isin(numbers, hidden)
        new, their_scores = self.recent.search(field, rarity, total.average, scope)
        numbers, scores = np.concatenate([numbers[shown], new]), np.concatenate([scores[shown], their_scores])
        best = np.lexsort((numbers, -scores))[:limit]
        return numbers[best], scores[best]

    def _in_engine(
        self, field: Field, weights: Mapping[str, float], limit: int, scope: Scope
    ) -> tuple[Ints, Floats]:
        if not weights:
            return np.zeros(0, np.int64), np.zeros(0)
        schema, searcher = self._engine.indexes[which_of(field)].schema, self._searcher(field)
        any_word = [(Occur.Should, _weighted(schema, field, *each)) for each in weights.items()]
        query = Query.boolean_query(any_word)
        limits = _limits(schema, scope, is_session=field == "session")
        if limits:
            query = Query.boolean_query([(Occur.Must, query), *limits])
        hits = searcher.search(query, limit, count=False).hits
        numbers = searcher.fast_field_values("number", [address for _, address in hits])
        return np.array(numbers, np.int64), np.array([score for score, _ in hits], np.float64)

    def numbers(self, field: Field) -> Ints:
        """Numbers of every document, for a check; a number that stands twice comes twice."""
        searcher, which = self._searcher(field), which_of(field)
        recent = self.recent.numbers(which)
        if not searcher.num_docs:
            return recent
        hits = searcher.search(Query.all_query(), searcher.num_docs, count=False).hits
        held = np.array(searcher.fast_field_values("number", [address for _, address in hits]), np.int64)
        return np.concatenate([held[~np.isin(held, self.recent.hides(which))], recent])

    def _searcher(self, field: Field) -> tantivy.Searcher:
        return self._searchers[which_of(field)]

    def _of_engine(self, field: Field, stems: Sequence[str]) -> Statistics:
        """The engine's own counts: it tells them where it explains a score, so some word that it has is asked for."""
        if field not in self._statistics:
            searcher = self._searcher(field)
            known = [stem for stem in stems if searcher.doc_freq(field, stem)]
            known = known or [word for word, _ in searcher.terms_with_prefix(field, "", limit=1)]
            self._statistics[field] = self._explained(field, known[0]) if known else Statistics()
        return self._statistics[field]

    def _explained(self, field: Field, stem: str) -> Statistics:
        searcher = self._searcher(field)
        query = Query.term_query(self._engine.indexes[which_of(field)].schema, field, stem)
        hits = searcher.search(query, 1, count=False).hits
        if not hits:
            return Statistics()
        said = _said(json.loads(query.explain(searcher, hits[0][1]).to_json()))
        n = int(said["N"])
        return Statistics(n, n * said["avgdl"])


def _said(explanation: dict[str, Any]) -> dict[str, float]:
    """What an explanation of the engine says, by the names that its descriptions begin with."""
    name = explanation["description"].partition(",")[0]
    found = {name: float(explanation["value"])}
    for part in explanation.get("details", ()):
        found |= _said(part)
    return found


def _weighted(schema: tantivy.Schema, field: Field, stem: str, weight: float) -> Query:
    query = Query.term_query(schema, field, stem)
    return query if weight == 1.0 else Query.boost_query(query, weight)


class Engine:
    """The files of both of its indexes."""

    def __init__(self, folder: Path, *, is_new: bool = False) -> None:
        """Open, or make. Raises ValueError or OSError for files that are missing or damaged."""
        self.indexes: dict[Which, tantivy.Index] = {
            "unit": _open(folder / "units", ("unit", "window"), is_new=is_new),
            "session": _open(folder / "sessions", ("session",), is_new=is_new),
        }
        self._analyzer = _analyzer()

    def stems(self, text: str) -> list[str]:
        """What the engine keeps of a text, in its order."""
        return self._analyzer.analyze(fold(text))

    @contextmanager
    def writing(self, *, is_build: bool = False) -> Iterator[EngineWriter]:
        """Everything put inside is searchable afterwards, or, after an error, nothing of it."""
        writer = EngineWriter(self.indexes, _BUILD_HEAP_BYTES if is_build else _HEAP_BYTES)
        try:
            yield writer
        except BaseException:
            writer.roll_back()
            raise
        writer.commit()


class EngineWriter:
    """`put` adds: who replaces a document removes it before."""

    def __init__(self, indexes: Mapping[Which, tantivy.Index], heap_bytes: int) -> None:
        self._indexes, self._heap_bytes = indexes, heap_bytes
        self._writers: dict[Which, tantivy.IndexWriter] = {}

    def put(self, which: Which, doc: Doc) -> None:
        made = tantivy.Document()
        made.add_unsigned("number", doc.number)
        made.add_unsigned("kind", doc.kind)
        made.add_integer("time", doc.known_from)
        for heard in doc.audience:
            made.add_unsigned("audience", heard)
        for field, text in doc.texts:
            made.add_text(field, fold(text))
        self._writer(which).add_document(made)

    def remove(self, which: Which, number: int) -> None:
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

    def _writer(self, which: Which) -> tantivy.IndexWriter:
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
