"""Claims about words: what is written differently and is the same value, and what is not."""

from __future__ import annotations

import pytest

from consolidation.answer_words import tokens

SAME = [
    ("third", "3rd"),
    ("a hundred", "100"),
    ("twenty-one", "21"),
    ("2009 through 2017", "2009-2017"),
    ("between 2009 and 2017", "2009-2017"),
    ("2009-17", "2009-2017"),
    ("2009–17", "2009-2017"),
    ("March 2015", "2015-03"),
    ("3 March 2015", "2015-03-03"),
    ("March 3rd, 2015", "2015-03-03"),
    ("03/03/2015", "3 March 2015"),
    ("22/08/2025", "2025-08-22"),
    ("8/22/2025", "2025-08-22"),
    ("the third of March, 2015", "3 March 2015"),
    ("forty-fourth", "44th"),
    ("two dozen", "24"),
    ("a thousand and one", "1001"),
    ("3 hundred", "300"),
    ("two million", "2,000,000"),
    ("two hundred thousand", "200,000"),
    ("2 hundred thousand", "200000"),
    ("twelve hundred", "1200"),
    ("one hundred twenty-three", "123"),
    ("nineteen oh", "19 oh"),
    ("2015/03/22", "22 March 2015"),
    ("03/2015", "March 2015"),
    ("3-Mar-2015", "3 March 2015"),
    ("twenty fifteen", "2015"),
    ("four hundred and five thousand", "405000"),
    ("Mar. 3, 2015", "3 March 2015"),
    ("twelve", "12"),
    ("half a dozen", "6"),
    ("12th", "twelfth"),
    ("thirtieth", "30th"),
    ("2009 - 2017", "2009-2017"),
    ("2009 — 2017", "2009-2017"),
    ("1999-2003", "1999 to 2003"),
    ("1.5 million", "1.5 million"),
    ("1998-99", "1998 to 1999"),
    ("between one hundred and two hundred", "100-200"),
    ("from March 2009 until May 2017", "from March 2009 to May 2017"),
    ("two thousand five hundred", "2,500"),
]
OTHER = [
    ("2015-03", "2015 to 2003"),
    ("03/04/2015", "3 April 2015"),
    ("03/04/2015", "April 3, 2015"),
    ("2015-13", "March 2015"),
    ("third", "3"),
    ("2009-10", "2009-2010"),
    ("two hundred and five", "200"),
    ("one two three", "123"),
    ("3 and 20", "23"),
]


@pytest.mark.parametrize(("written", "same"), SAME)
def test_equal_values_are_equal_tokens(written: str, same: str) -> None:
    assert tokens(written) == tokens(same)


@pytest.mark.parametrize(("written", "other"), OTHER)
def test_other_values_and_ambiguous_dates_are_other_tokens(written: str, other: str) -> None:
    assert tokens(written) != tokens(other)
