from __future__ import annotations

import random

import pytest

from agents.span_examples import BadExample, Example, Material, draw, read_material, render
from agents.span_head import ME, PREDICATES, THEM, YOU

PLAIN = Material(
    (), {"city": ("Brno", "Lyon"), "f": ("Jitka",)}, ("well,",), ("haha",), ("how was your day?",)
)


def read(line: str, material: Material = PLAIN) -> Example:
    return render(line, material, random.Random(0), is_plain=True)


def said(example: Example) -> list[str]:
    return [example.text[mark.start : mark.end] for mark in example.marks]


def test_every_shipped_line_holds_together_in_each_of_three_wordings() -> None:
    material = read_material()
    for line in material.lines:
        for seed in range(3):
            example = render(line, material, random.Random(seed), is_plain=True)
            assert {mark.predicate for mark in example.marks} <= set(PREDICATES), line


def test_at_least_two_of_five_shipped_lines_state_no_fact() -> None:
    lines = read_material().lines
    assert sum("{" not in line for line in lines) >= 0.4 * len(lines)


def test_a_mark_is_taken_out_of_the_text_and_kept_with_its_place() -> None:
    example = read("my sister {sister:Jitka} moved to {lives_in@Jitka>update:Brno} last week")
    assert example.text == "my sister Jitka moved to Brno last week"
    assert said(example) == ["Jitka", "Brno"]
    assert [(m.predicate, m.change, m.subject) for m in example.marks] == [
        ("sister", "state", ME),
        ("lives_in", "update", (False, 10)),
    ]


def test_a_subject_is_the_nearest_before_its_object_else_stands_in_the_message_before() -> None:
    assert read("she left and she is a {job@she:nurse}").marks[0].subject == (False, 13)
    assert read("and Ana? || a {job@Ana:nurse}").marks[0].subject == (True, 4)
    assert read("a {job@you:nurse}").marks[0].subject == YOU
    assert read("a {job@them:nurse}").marks[0].subject == THEM


def test_the_message_before_is_anothers_or_ones_own() -> None:
    assert (read("where? || Brno").before, read("where? || Brno").is_same) == ("where?", False)
    assert read("big news |+ i moved").is_same


def test_the_same_slot_is_the_same_word_and_a_numbered_one_another() -> None:
    words = read("$city $city $city2").text.split()
    assert words[0] == words[1] != words[2]


@pytest.mark.parametrize(
    "line", ["a {job@her:nurse}", "in $nowhere", "a {job:nurse", "a {job>sometimes:nurse}", "[one|two"]
)
def test_a_line_that_does_not_hold_together_is_refused(line: str) -> None:
    with pytest.raises(BadExample):
        read(line)


def test_noise_leaves_marks_on_the_same_words() -> None:
    rng = random.Random(3)
    for _ in range(200):
        example = render("my sister {sister:Jitka} is a {job@sister:nurse}, you know", PLAIN, rng)
        assert said(example)[0] == "Jitka"
        assert example.text[example.marks[1].subject[1] :].startswith("sister")  # type: ignore[index]


def test_drawing_twice_with_one_seed_gives_the_same_examples() -> None:
    lines = ["i live in {lives_in:$city}[|, still| now]", "hello $f"]
    assert list(draw(lines, PLAIN, 7)) == list(draw(lines, PLAIN, 7))
