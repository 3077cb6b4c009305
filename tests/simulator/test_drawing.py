"""How words are drawn: what is asked comes before what is set, and that before the default."""

from __future__ import annotations

import pytest

from simulator.drawing import KNOBS, parse_sampling, sampling_with
from simulator.errors import BadSampling


def test_what_is_asked_comes_before_what_is_set_and_that_before_the_default() -> None:
    drawn = sampling_with({"temperature": 0.3, "top_k": 40}, {"temperature": 1.2, "top_p": None})
    assert (drawn.temperature, drawn.top_k, drawn.top_p) == (1.2, 40, KNOBS["top_p"].default)


def test_a_stored_setting_of_another_version_is_left_alone() -> None:
    assert sampling_with({"gone": 1.0}, {}) == sampling_with({}, {})


@pytest.mark.parametrize(
    "text",
    [
        "warmth=1",
        "temperature",
        "temperature=hot",
        "temperature=-1",
        "temperature=nan",
        "top_p=0",
        "top_k=1.5",
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_that_says_what_does(text: str) -> None:
    with pytest.raises(BadSampling, match="what can: ") as refused:
        parse_sampling(text)
    assert "\n" not in str(refused.value)


def test_whole_numbers_stay_whole() -> None:
    assert parse_sampling("top_k=40") == ("top_k", 40)
    assert isinstance(sampling_with({"max_new_tokens": 9.0}, {}).max_new_tokens, int)
