"""Claims about the search: it ends at neighbours that were both asked, and asks few."""

from __future__ import annotations

from itertools import product

import pytest

from consolidation.errors import UnknownQuestion
from consolidation.recipe_bisect import neighbours, own_question, stored_question
from consolidation.recipe_serving import Place
from tests.made_recipes import begin, put_question


@pytest.mark.parametrize("n", range(9))
def test_whatever_the_line_a_right_one_before_a_wrong_one_is_found_where_there_is_one(n: int) -> None:
    for line in product((True, False), repeat=n):
        pair = neighbours(n, lambda place, line=line: line[place])  # type: ignore[misc]
        if not any(line) or line[-1]:
            assert pair is None
        else:
            assert pair is not None
            assert (pair[1] - pair[0], line[pair[0]], line[pair[1]]) == (1, True, False)


@pytest.mark.parametrize("broken_at", [1, 40, 63, 64, 65, 99])
def test_of_a_hundred_recipes_few_are_asked(broken_at: int) -> None:
    asked: set[int] = set()

    def is_right(place: int) -> bool:
        asked.add(place)
        return place < broken_at

    assert neighbours(100, is_right) == (broken_at - 1, broken_at)
    assert len(asked) <= 14


def test_an_exams_question_is_found_by_its_id_and_by_its_words(place: Place) -> None:
    begin(place, "aaaa1")
    example = put_question(place, "aaaa1", "Where does Ada live?", "Lagos")
    for found in (
        stored_question(place, example=example),
        stored_question(place, text="where does  ada live?"),
    ):
        assert (found.id, found.accepted, found.kind) == (example, ("Lagos",), "recall_paraphrase")
    for unknown in ({"example": "none"}, {"text": "Where does Bo live?"}):
        with pytest.raises(UnknownQuestion, match="--expect VALUE"):
            stored_question(place, **unknown)


def test_a_question_of_ones_own_is_marked_like_an_exams() -> None:
    asked = own_question("Where does Ada live?", ["Lagos", "Nigeria"])
    assert (asked.kind, asked.accepted, asked.forbidden) == ("recall_paraphrase", ("Lagos", "Nigeria"), ())
