"""Claims about searching by the rarest three bytes: it finds what looking through every text finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memory.entities.graph import _SEARCHES, Entity, Graph, Observation
from memory.entities.trigrams import MOST, Trigrams

LETTERS = st.text(alphabet="abé ñ\U0001f600\ud800", max_size=12)


@given(st.lists(LETTERS, max_size=12), LETTERS)
def test_it_finds_what_looking_through_finds(texts: list[str], wanted: str) -> None:
    held = [f"{text}\0" for text in texts]
    found = Trigrams(held).find(wanted)
    every = [number for number, text in enumerate(held) if wanted in text]
    assert found == every if len(wanted.encode("utf-8", "surrogatepass")) > 2 else found is None


def test_what_is_everywhere_is_left_to_looking_through() -> None:
    trigrams = Trigrams([f"the {number}\0" for number in range(MOST + 1)])
    assert trigrams.find("the ") is None
    assert trigrams.find("the 17\0") == [17]
    assert trigrams.find("nowhere") == []


def test_a_graph_answers_the_same_however_often_it_is_asked_and_after_a_change() -> None:
    dice = np.random.default_rng(0)
    words = ["Ana", "anaïs", "boat", "the sea", "oar"]
    graph = Graph()
    for number in range(50):
        said = tuple(
            Observation(f"{number}.{place}", str(text), None)
            for place, text in enumerate(dice.choice(words, 3))
        )
        graph.add(Entity(str(number), f"Entity {number}", "thing", said))

    def expected(wanted: str) -> list[str]:
        return [entity.id for entity in graph.entities if wanted.lower() in entity.searched]

    for wanted in (*words, "entity 1", "", "a", "oat\0thing", "NOTHING", "ïs") * (_SEARCHES + 1):
        shown = [entity.id for entity in graph.containing(wanted).entities]
        assert shown == ([] if "\0" in wanted else expected(wanted))
    graph.add(Entity("50", "Newcomer", "boat"))
    graph.drop({"3"})
    for _ in range(2 * _SEARCHES):
        assert [entity.id for entity in graph.containing("BOAT").entities] == expected("boat")
