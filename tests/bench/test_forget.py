"""Claims about bench.forget: its arguments, and what it means by the others. The nights are for a run by hand."""

from __future__ import annotations

import pytest

from bench.forget import _options, _others


def test_the_night_that_is_taken_out_is_no_other() -> None:
    assert _others([1.0, 0.0, 0.5], 1) == 0.75
    assert _others([1.0], 0) == 0.0


@pytest.mark.parametrize("arguments", [["--revert", "0"], ["--nights", "3"], ["--facts", "0"]])
def test_a_night_that_is_not_there_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        _options(arguments)
    assert "--revert names one of the nights" in capsys.readouterr().err


def test_ten_nights_of_five_facts_are_the_measure() -> None:
    options = _options([])
    assert (options.nights, options.facts, options.revert, options.exam) == (10, 5, 4, "generated")
