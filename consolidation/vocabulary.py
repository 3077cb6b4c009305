"""Which words speak of which predicate: the content words of its training wordings, the rarer the more telling."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from functools import lru_cache

from memory.wordings import MONTHS, Wordings, content_words

_ANSWERS = ("statements", "first_person", "now", "still")
_QUESTIONS = (*_ANSWERS, "taught", "you_questions", "reverse")
_MONTHS = content_words(" ".join(MONTHS))  # of a date, which any predicate's text may name
_ONCE = 1.0  # times: a word of so many of a predicate's texts counts half
_NEAREST = 0.5  # share of the best predicate's score from which on a text can be about another one


class Vocabulary:
    """Which words speak of which predicate, from the wordings that train; the exam's are not read here."""

    def __init__(self, wordings: Wordings, more: Collection[str]) -> None:
        every = sorted({*wordings.names(), *more})
        self._asking = {name: _often(wordings, name) for name in every}
        self._answering = {name: _answer_words(wordings, name) for name in every}
        n = len(self._asking)
        counts = Counter(word for words in self._asking.values() for word in words)
        self._weight = {word: math.log((n + 1) / count) for word, count in counts.items()}

    def nearest(self, words: Collection[str]) -> frozenset[str]:
        """The predicates that the words speak of best; none where they speak of nothing in particular."""
        scores = {
            predicate: sum(
                self._weight[word] * often[word] / (often[word] + _ONCE) for word in often.keys() & set(words)
            )
            for predicate, often in self._asking.items()
        }
        best = max(scores.values(), default=0.0)
        least = max(_NEAREST * best, 1e-9)
        return frozenset(predicate for predicate, score in scores.items() if score >= least)

    def answers(self, predicates: Collection[str]) -> frozenset[str]:
        return frozenset().union(*(self._answering.get(predicate, frozenset()) for predicate in predicates))

    def questions(self, predicates: Collection[str]) -> frozenset[str]:
        return frozenset().union(*(self._asking.get(predicate, ()) for predicate in predicates))


@lru_cache(maxsize=512)
def _often(wordings: Wordings, predicate: str) -> Counter[str]:
    """In how many of the predicate's texts each of its words stands; its noun and head in all, and once more."""
    texts = _texts(wordings, predicate, _QUESTIONS)
    often = Counter(word for text in texts for word in content_words(text) - _MONTHS)
    often.update(dict.fromkeys(_own_words(wordings, predicate), len(texts)))
    return often


@lru_cache(maxsize=512)
def _answer_words(wordings: Wordings, predicate: str) -> frozenset[str]:
    texts = _texts(wordings, predicate, _ANSWERS)
    return content_words(" ".join(texts)) | _own_words(wordings, predicate)


def _texts(wordings: Wordings, predicate: str, fields: tuple[str, ...]) -> list[str]:
    return [text for field in fields for text in getattr(wordings, field)(predicate)]


def _own_words(wordings: Wordings, predicate: str) -> frozenset[str]:
    return wordings.head(predicate) | content_words(wordings.noun(predicate))


@lru_cache(maxsize=512)
def exam_words(wordings: Wordings, predicate: str) -> tuple[frozenset[str], ...]:
    return tuple(content_words(wording) for wording in wordings.exam(predicate))
