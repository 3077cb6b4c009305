"""Claims about the picture of a recipe's vectors: it is well formed, asks nothing of the outside, and marks no label up."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from consolidation import recipe as recipes
from consolidation.charts import heat_map, line_chart, svg_file
from consolidation.exam import Drift
from consolidation.publish import Check
from consolidation.recipe import Recipe
from consolidation.vector_exam import Effect, Examined, Four
from consolidation.vectors_picture import HTML, SVG, compared, drawings, picture, section
from tests.made_recipes import make_vector

BASE = "b" * 64
SHAPES = {f"model.layers.{block}.{name}": (8, 8) for block in (0, 1) for name in ("up", "down")}


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    made = Recipe(BASE)
    for number in range(4):
        vector = make_vector(BASE, number, SHAPES)
        vector.save(tmp_path / f"adapters/{number}")
        label = "<b>tea & cake</b>" if number == 3 else "3 facts"
        night = None if number == 3 else f"{number}" * 32
        made = recipes.add(made, vector, path=f"adapters/{number}", run_id=night, label=label)
    return recipes.scale(made, "1" * 32, -0.5)


def exams_of(recipe: Recipe) -> list[Examined]:
    drift = Drift(0.3, 0.1, 5, 5)
    check = Check("ppl_change", 0.3, 0.05, is_passed=False, is_at_least=False)
    recall = Effect("recall", 10, Four(0.1, 0.9, 0.8, 0.2))
    effects = [recall, Effect("words_per_reply", 30, Four(80.0, 20.0, 25.0, 70.0)), None, None]
    return [
        Examined(entry, effect, recall if effect else None, drift, (check,) if effect else ())
        for entry, effect in zip(recipe.entries, effects, strict=True)
    ]


def test_every_two_vectors_are_drawn_whole_and_block_by_block(tmp_path: Path, recipe: Recipe) -> None:
    found = compared(tmp_path, recipe)
    assert found.names == (
        "1 · 3 facts, 00000000",
        "2 · 3 facts, 11111111",
        "3 · 3 facts, 22222222",
        "4 · <b>tea & cake</b>",
    )
    titles = [title for title, _ in drawings(found)]
    assert titles == [
        "Cosines",
        "Sign conflicts among the largest 20 % of the numbers; 0.50 is chance",
        "Cosines by block, the strongest pairs",
        "Sign conflicts by block, the same pairs",
    ]
    cosines, conflicts = (drawing for _, drawing in drawings(found)[:2])
    assert cosines.count("<rect") == 16
    assert conflicts.count("<rect") == 12
    one, other = found.found.pairs()[0]
    assert f">{found.found.whole.cosine(one, other):.2f}</text>" in cosines


def test_a_picture_is_a_file_by_itself(tmp_path: Path, recipe: Recipe) -> None:
    found = compared(tmp_path, recipe)
    drawn = picture(found, exams_of(recipe), "Recipe", SVG)
    root = ElementTree.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in drawn
    text = "".join(root.itertext())
    assert "4 · <b>tea & cake</b>" in text
    assert "1 without it" in text
    page = picture(found, exams_of(recipe), "Recipe", HTML)
    assert "&lt;b&gt;tea &amp; cake&lt;/b&gt;" in page
    assert "words per reply of 30" in page
    assert "ppl_change 0.300 is over 0.050" in page
    for made in (drawn.replace("http://www.w3.org/2000/svg", ""), page):
        assert "<b>" not in made
        assert not re.search(r"(?:src|href)\s*=|url\(|@import|https?://", made)
    assert "By itself" not in picture(found, (), "Recipe", HTML)


def test_a_page_shows_the_newest_and_says_how_many_are_left_aside(tmp_path: Path, recipe: Recipe) -> None:
    found = compared(tmp_path, recipe, most=2)
    assert (found.n_older, found.names[0]) == (2, "3 · 3 facts, 22222222")
    assert "The 2 older vectors are left aside." in section(found)
    assert section(compared(tmp_path, recipe, most=1)) == ""
    assert drawings(compared(tmp_path, Recipe(BASE))) == []


def test_a_field_is_as_strong_as_its_distance_from_the_middle() -> None:
    drawn = heat_map(("a", "long name"), ((0.5, 1.0), (-0.001, None)), middle=0.5, reach=-0.5)
    fields = re.findall(
        r'class="(\w+)" x="\d+" y="\d+" width="42" height="22" fill-opacity="([\d.]+)"', drawn
    )
    assert fields == [("heat", "0.00"), ("against", "0.60"), ("heat", "0.60")]
    assert "-0.00" not in drawn
    assert drawn.count("rotate") == 2


def test_lines_below_zero_stay_inside_and_only_drawings_are_stacked() -> None:
    drawn = line_chart({"a": [(0, -0.4), (1, 0.2)]}, "cosine", bottom=-0.4)
    (points,) = re.findall(r'points="([^"]+)"', drawn)
    assert [float(point.split(",")[1]) for point in points.split()] == [192.0, 12.0]
    with pytest.raises(ValueError, match="no drawing"):
        svg_file([("words", "<p>words</p>")])
