from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from memory.search import recent_texts
from memory.search.documents import Doc, Scope
from memory.search.recent_texts import Entry
from memory.search.text import Engine, Texts

WORDS = ("gulls", "harbour", "rhubarb", "barometer", "kite", "heron", "soup", "allotment")


def doc(number: int, text: str, *, kind: int = 0, heard: tuple[int, ...] = (1,)) -> Doc:
    return Doc(number, kind, float(number), heard, (("unit", text), ("window", text)))


def entries(numbers: range, seed: int = 0) -> list[Entry]:
    draw = random.Random(seed)
    said = {number: " ".join(draw.choices(WORDS, k=draw.randint(1, 60))) for number in numbers}
    return [("unit", number, doc(number, text)) for number, text in said.items()]


def engine_with(folder: Path, docs: list[Entry]) -> Texts:
    with Engine(folder, is_new=True).writing(is_build=True) as writer:
        for which, _, each in docs:
            assert each is not None
            writer.put(which, each)
    return Texts.open(folder)


def found(texts: Texts, words: str, scope: Scope | None = None) -> dict[int, float]:
    numbers, scores = texts.search("unit", texts.stems(words.split()), 100, scope or Scope())
    return dict(zip(numbers.tolist(), scores.tolist(), strict=True))


def test_a_recent_document_scores_as_in_the_engine(tmp_path: Path) -> None:
    every = entries(range(60))
    whole = found(engine_with(tmp_path / "whole", every), "herons by the harbour")
    recent = Texts(Engine(tmp_path / "none", is_new=True), every)
    assert found(recent, "herons by the harbour") == pytest.approx(whole, rel=1e-5)


def test_engine_and_recent_texts_rank_as_one(tmp_path: Path) -> None:
    every = entries(range(80))
    whole = found(engine_with(tmp_path / "whole", every), "kites and soup")
    parted = engine_with(tmp_path / "parted", every[:60]).with_recent(every[60:])
    assert found(parted, "kites and soup") == pytest.approx(whole, rel=0.03)


def test_a_recent_document_takes_the_place_of_the_engines(tmp_path: Path) -> None:
    texts = engine_with(tmp_path, entries(range(3)))
    later = texts.with_recent([("unit", 1, doc(1, "a lighthouse")), ("unit", 2, None)])
    assert list(found(later, "lighthouse")) == [1]
    assert sorted(later.numbers("unit")) == [0, 1]
    assert 2 in found(texts, " ".join(WORDS))
    assert 2 not in found(later, " ".join(WORDS))


def test_what_was_put_twice_counts_once(tmp_path: Path) -> None:
    texts = Texts(Engine(tmp_path, is_new=True), entries(range(5)))
    again = texts.with_recent(entries(range(5)))
    assert found(again, "gulls harbour") == found(texts, "gulls harbour")


def test_limits_hold_for_recent_texts(tmp_path: Path) -> None:
    said = [
        doc(5, "gulls", kind=0, heard=(1,)),
        doc(6, "gulls", kind=1, heard=(2,)),
        doc(7, "gulls", heard=(2,)),
    ]
    texts = Texts(Engine(tmp_path, is_new=True), [("unit", each.number, each) for each in said])
    assert set(found(texts, "gulls", Scope(kinds=frozenset({1})))) == {6}
    assert set(found(texts, "gulls", Scope(until=6.5))) == {5, 6}
    assert set(found(texts, "gulls", Scope(audience=(2, 9)))) == {6, 7}


def test_committed_texts_are_the_engines(tmp_path: Path) -> None:
    texts = engine_with(tmp_path, entries(range(20))).with_recent(entries(range(15, 25), seed=1))
    made = texts.committed([("unit", 3, None)])
    assert not len(made.recent)
    assert sorted(made.numbers("unit")) == [number for number in range(25) if number != 3]
    assert set(found(made, "gulls")) == set(found(texts, "gulls")) - {3}


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "texts-0.jsonl"
    said = "line\u2028break \udc80 é"
    end = recent_texts.write(path, 0, [("unit", 1, doc(1, said))])
    recent_texts.write(path, end, [("unit", 9, doc(9, "of a writer that was killed"))])
    whole = recent_texts.write(path, end, [("session", 4, None)])
    (which, number, read), gone = recent_texts.read(path, whole)
    assert (which, number, gone) == ("unit", 1, ("session", 4, None))
    assert read is not None
    assert list(read.texts) == [("unit", said), ("window", said)]
    with pytest.raises(ValueError, match="too short"):
        recent_texts.read(path, whole + 1)


def test_lengths_are_kept_as_the_engine_keeps_them() -> None:
    assert recent_texts.LENGTHS[:41] == tuple(range(41))
    assert recent_texts.LENGTHS[41:50] == (42, 44, 46, 48, 50, 52, 54, 56, 60)
    assert np.all(np.diff(recent_texts.LENGTHS) > 0)
