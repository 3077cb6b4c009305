"""Claims about the history of recipes: every step is named, every name leads to one recipe, and nobody's words are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consolidation import recipe as recipes
from consolidation.errors import BadName, BrokenRecipe, RecipeStays, UnknownRecipe
from consolidation.recipe import FIRST_FORMAT, Entry, Recipe
from consolidation.recipe_history import History, changes, check_label, check_tag, tag, untag
from consolidation.recipe_serving import Place, record, serve
from memory import erasure, ledger
from memory.artifacts import record_artifact
from memory.erasure import Target
from memory.registry import Registry
from tests.consolidation.conftest import ticking
from tests.made_recipes import make_vector, publish_night

BASE = "b" * 64


@pytest.fixture
def nights(place: Place) -> list[Recipe]:
    """Three published nights, aaaa1 to aaaa3."""
    return [publish_night(place, make_vector(BASE, number), f"aaaa{number}") for number in (1, 2, 3)]


def said(history: History) -> list[list[tuple[str, str | None]]]:
    line = history.line(history.find())
    return [
        [(one.change, one.entry and one.entry.run_id) for one in history.step(version).changes]
        for version in line
    ]


def test_the_line_names_what_each_night_added(place: Place, nights: list[Recipe]) -> None:
    history = place.history()
    assert [version.sha256 for version in history.line(history.find())] == [
        one.sha256 for one in nights[::-1]
    ]
    assert said(history) == [[("added", "aaaa3")], [("added", "aaaa2")], [("added", "aaaa1")]]
    assert [version.run_id for version in history.versions.values()] == ["aaaa1", "aaaa2", "aaaa3"]


def test_changes_by_hand_stand_in_the_line(place: Place, nights: list[Recipe]) -> None:
    weaker = recipes.scale(nights[-1], "aaaa2", 0.5)
    for recipe in (weaker, recipes.revert(weaker, "aaaa1")):
        serve(place, record(place, recipe))
    assert said(place.history())[:2] == [[("removed", "aaaa1")], [("scaled", "aaaa2")]]
    assert place.history().line(place.history().find())[0].run_id is None


def test_every_name_of_a_recipe_leads_to_it(place: Place, nights: list[Recipe]) -> None:
    tag(place.database, place.space_id, place.home, "first", "aaaa1", clock=ticking)
    history = place.history()
    first, last = nights[0].sha256, nights[2].sha256
    for name in (first, first[:6], "aaaa1", "first", "serving^^", f"{last}^^", "aaaa2^"):
        found = history.find(name)
        assert found is not None, name
        assert found.sha256 == first, name
    assert history.find("base") is None
    assert history.find("first^") is None


def test_a_name_of_none_or_of_several_is_refused(place: Place, nights: list[Recipe]) -> None:
    history = place.history()
    for name in ("aaaa", "zzzz", "", "aaa", "zzzz^"):
        with pytest.raises(UnknownRecipe):
            history.find(name)


def test_recipes_of_another_space_are_unknown(place: Place, nights: list[Recipe]) -> None:
    from memory.spaces import ensure_space

    other = ensure_space(place.database, "another", clock=ticking)
    history = replace(place, space_id=other).history()
    assert history.versions == {}
    assert history.find() is None


def old_file(place: Place, recipe: Recipe, run_id: str) -> Recipe:
    """The recipe as it was written before there were parents."""
    old = replace(recipe, format=FIRST_FORMAT, parent=None)
    recipes.save(place.home, old)
    with place.database.transaction() as session:
        record_artifact(
            session,
            place.space_id,
            run_id=run_id,
            kind="recipe",
            path=old.path,
            sha256=old.sha256,
            meta={},
            clock=ticking,
        )
    return old


def test_files_of_the_first_format_are_read_as_they_are_and_find_their_parents(place: Place) -> None:
    entries = tuple(Entry(str(n) * 64, f"adapters/{n}", 1.0, f"aaaa{n}", "3 facts") for n in (1, 2))
    one, two = (old_file(place, Recipe(BASE, entries[:n]), f"aaaa{n}") for n in (1, 2))
    fields = json.loads((place.home / two.path).read_text())
    assert set(fields) == {"format", "base_hash", "rule", "entries"}
    assert recipes.load_recipe(place.home, two.sha256) == two
    history = place.history()
    assert [version.sha256 for version in history.line(history.find("aaaa2"))] == [two.sha256, one.sha256]
    newer = recipes.scale(two, "aaaa1", 0.5)
    assert (newer.format, newer.parent) == (recipes.FORMAT, two.sha256)


def test_a_missing_or_damaged_file_is_named_and_does_not_hide_the_rest(
    place: Place, nights: list[Recipe]
) -> None:
    (place.home / nights[0].path).unlink()
    (place.home / nights[1].path).write_text("{}")
    history = place.history()
    line = history.line(history.find())
    assert [version.why for version in line] == [None, "its file is damaged"]
    assert history.step(line[0]).changes == ()
    assert history.versions[nights[0].sha256].why == "its file is missing"
    with pytest.raises(BrokenRecipe, match="its file is missing"):
        history.recipe("aaaa1", BASE)


def test_a_difference_turns_one_recipe_into_the_other_and_back(nights: list[Recipe]) -> None:
    last = nights[-1]
    other = recipes.scale(recipes.revert(last, "aaaa1"), "aaaa3", -1)
    there = [(one.change, one.before, one.after) for one in changes(last, other)]
    back = [(one.change, one.before, one.after) for one in changes(other, last)]
    assert there == [("removed", 1.0, None), ("scaled", 1.0, -1.0)]
    assert back == [("scaled", -1.0, 1.0), ("added", None, 1.0)]
    assert list(changes(last, last)) == []
    assert [one.change for one in changes(last, replace(last, entries=last.entries[::-1]))] == ["moved"]
    ties = recipes.with_rule(last, "ties", 0.2)
    assert [(one.before, one.after) for one in changes(last, ties)] == [("sum", "ties, density 0.2")]
    assert [one.change for one in changes(last, replace(last, base_hash="c" * 64))] == ["base"]


def test_a_vector_that_is_in_twice_is_taken_out_once() -> None:
    entry = Entry("1" * 64, "adapters/1", 1.0, None, "shorter")
    twice = Recipe(BASE, (entry, entry))
    assert [one.change for one in changes(twice, Recipe(BASE, (entry,)))] == ["removed"]


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_coefficient(weight: float) -> None:
    recipe = Recipe(BASE, (Entry("1" * 64, "adapters/1", 1.0, None, "shorter"),))
    with pytest.raises(RecipeStays):
        recipes.scale(recipe, "shorter", weight)


def test_a_tag_moves_and_is_taken_back(place: Place, nights: list[Recipe]) -> None:
    where = place.database, place.space_id, place.home
    assert tag(*where, "summer", "aaaa1", clock=ticking).tags == ("summer",)
    assert tag(*where, "summer", "serving", clock=ticking).run_id == "aaaa3"
    assert [version.tags for version in place.history().versions.values()] == [(), (), ("summer",)]
    assert untag(*where, "summer", clock=ticking).tags == ()
    with pytest.raises(BadName):
        untag(*where, "summer", clock=ticking)
    assert ledger.verify(place.database, place.space_id) == []


@pytest.mark.parametrize("name", ["serving", "base", "abcd12", "two words", "", "x" * 41, "a^", "-x"])
def test_what_could_be_taken_for_something_else_is_no_tag(name: str) -> None:
    with pytest.raises(BadName):
        check_tag(name)


def test_the_plain_base_has_no_tag(place: Place) -> None:
    with pytest.raises(BadName, match="its name is base"):
        tag(place.database, place.space_id, place.home, "bare", "base", clock=ticking)


def test_labels_are_plain() -> None:
    assert check_label("shorter replies") == "shorter replies"
    with pytest.raises(BadName, match="give --label"):
        check_label("a/b")


def test_a_tag_that_names_somebody_goes_with_them(chat: Any) -> None:
    place = Place(chat.database, chat.space_id, chat.home, ticking)
    publish_night(place, make_vector(BASE, 1), "aaaa1")
    tag(place.database, place.space_id, place.home, "before-Mona-left", "aaaa1", clock=ticking)
    assert not any("Mona" in str(row.payload) for row in ledger.entries(place.database, place.space_id))
    mona = next(one.speaker_id for one in chat.episodes if one.speaker == "Mona Berg")
    erasure.erase(place.database, place.space_id, Path(place.home), Target("person", mona), Registry.load())
    ((name,),) = [version.tags for version in place.history().versions.values()]
    assert "Mona" not in name
