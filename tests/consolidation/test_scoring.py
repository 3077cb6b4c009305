"""Claims about marking: what counts as giving a value, and what as refusing."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consolidation.scoring import gives, gives_any, refuses, settles, tokens

RIGHT = [
    ("Maya Okafor lives in Lisbon.", "Lisbon"),
    ("maya lives in LISBON", "lisbon"),
    ("She moved to Malmö last year.", "Malmo"),
    ("It's Lisbon's old town.", "Lisbon"),
    ("From 2009 to 2017.", "2009-2017"),
    ("2009–2017", "2009 to 2017"),
    ("It opens on August 22nd.", "2025-08-22"),
    ("It opens on 22 August.", "2025-08-22"),
    ("It opens on the 22nd of August, 2025.", "2025-08-22"),
    ("22 August 2025", "22 August"),
    ("on 14 November", "14 November"),
    ("November 14", "14 November"),
    ("They have three children.", "3"),
    ("They have 3 children.", "three"),
    ("She is thirty-eight years old.", "38"),
    ("She is thirty eight.", "38"),
    ("two hundred metres", "200 metres"),
    ("3,410 grams", "3410 grams"),
    ("She takes 1.25mg of bisoprolol.", "1.25 mg"),
    ("Call 0705550197", "070 555 01 97"),
    ("The number is +46 70-555 01 97.", "+46 70 555 01 97"),
    ("A crane technician at Kvarnholm Terminal.", "crane technician at Kvarnholm Terminal"),
    ("Jo works as a nurse.", "the nurse"),
    ("He lives in a house in Viana.", "her house in Viana"),
    ("No, Maya now lives in Lisbon.", "Lisbon"),
    ("Not Porto, but Lisbon.", "Lisbon"),
    ("She doesn't live in Porto; she lives in Lisbon.", "Lisbon"),
    ("no", "no"),
    ("He was president from 2009 until 2017.", "2009-2017"),
    ("Born in nineteen sixty-one.", "1961"),
    ("She was born on 4 August 1961.", "1961"),
    ("From January 20, 2009 to January 20, 2017.", "2009-2017"),
    ("In two thousand and nine.", "2009"),
    ("That was twenty twenty-five.", "2025"),
    ("two hundred and five metres", "205 metres"),
    ("He was the forty-fourth president.", "44th president"),
    ("Twelve thousand people.", "12,000 people"),
]
WRONG = [
    ("I know that.", "no"),
    ("Nobody.", "no"),
    ("She lives in Lisbonville.", "Lisbon"),
    ("New York", "York State"),
    ("23 August 2025", "2025-08-22"),
    ("22 August 2024", "2025-08-22"),
    ("22 September", "2025-08-22"),
    ("138", "38"),
    ("thirty", "38"),
    ("from 2009 to 2018", "2009-2017"),
    ("12.25 mg", "1.25 mg"),
    ("0705550198", "070 555 01 97"),
    ("She doesn't live in Lisbon.", "Lisbon"),
    ("Maya no longer lives in Lisbon.", "Lisbon"),
    ("I don't know whether it is Lisbon.", "Lisbon"),
    ("It opened in November.", "no"),
    ("It is not known.", "no"),
    ("Neither Lisbon nor Porto.", "Porto"),
    ("She never lived in Lisbon.", "Lisbon"),
    ("It isn't Lisbon.", "Lisbon"),
    ("from 2009", "2009-2017"),
    ("2010 to 2017", "2009-2017"),
    ("nineteen sixty-two", "1961"),
    ("She was born on 4 August 1962.", "1961"),
    ("She was born on 4 August.", "1961"),
    ("She was born in 1961.", "1961-08-04"),
    ("two hundred and five", "200"),
    ("twenty-five", "20"),
    ("the fourth", "44th"),
    ("", "Lisbon"),
    ("anything", ""),
    ("anything", "..."),
]
REFUSALS = [
    "I don't know where Maya lives.",
    "I do not know that.",
    "Sorry, I have no idea.",
    "I'm not sure who that is.",
    "Nobody told me that.",
    "I can't say what Bram's job is.",
    "That's unknown to me.",
    "I've never heard of Bram Nowak.",
]
ANSWERS = [
    "Maya knows everybody in Lisbon.",
    "Maya lives in Lisbon.",
    "No, Maya now lives in Lisbon.",
    "Her job is not easy: she is a nurse.",
    "",
]


@pytest.mark.parametrize(("answer", "accepted"), RIGHT)
def test_a_value_is_given_however_it_is_written(answer: str, accepted: str) -> None:
    assert gives(answer, accepted)


@pytest.mark.parametrize(("answer", "accepted"), WRONG)
def test_another_value_or_a_denial_gives_nothing(answer: str, accepted: str) -> None:
    assert not gives(answer, accepted)


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_is_seen(answer: str) -> None:
    assert refuses(answer)


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_no_refusal(answer: str) -> None:
    assert not refuses(answer)


@pytest.mark.parametrize(
    ("answer", "is_settled"),
    [
        ("She lives in Lisbon.", True),
        ("Maybe Lisbon, I think.", True),  # doubt about one value is an answer
        ("Lisbon, more or less.", True),
        ("It is Lisbon, whether or not she likes it.", True),
        ("Lisbon or Porto.", False),
        ("Either in Porto or in Lisbon.", False),
        ("Lisbon, or perhaps Porto.", False),
        ("Lisbon or Porto? It is Lisbon.", True),
        ("Lisbon or Porto. I am not sure.", False),
        ("Lisbon, Porto, Faro, Braga and Coimbra.", False),  # a list of everything
        ("She lives in Lisbon and in Porto.", False),
        ("Not in Porto but in Lisbon.", True),  # a rival that is denied is none
        ("Porto.", False),
        ("", False),
        ("moved two or three years ago to Lisbon", True),
        ("Lisbon or Porto", False),
        ("Lisbon or so", True),
        ("Either Lisbon or Faro", False),
        ("Lisbon, Porto or Faro", False),
        ("Lisbon, Braga or Faro", False),
        ("Lisbon, or Lisbon city", True),
        ("She lives in Lisbon with one or two cats", True),
        ("Two or three cats live with her in Lisbon", True),
        ("Lisbon or nearby", True),
        ("Sooner or later she moved to Lisbon", True),
        ("She lives in Lisbon, works as a nurse or carer.", True),
        ("Porto and Lisbon", False),
        ("Lisbon, Porto, Faro", False),
        ("She moved from Porto to Lisbon", True),
        ("She used to live in Porto, now Lisbon", True),
        ("Lisbon, no longer Porto", True),
        ("Lisbon or Porto. It's Porto.", False),
        ("Porto or maybe in Lisbon", False),
        ("Porto, or possibly Lisbon", False),
        ("Is it Porto? No, Lisbon.", True),
        ("She lived in Porto before; she lives in Lisbon now.", True),
        ("Lisbon rather than Porto", True),
        ("She left Porto for Lisbon", True),
        ("In Porto or in Lisbon", False),
        ("She lives in Lisbon (or Porto)", False),
        ("She lives in Lisbon; Porto or Faro is where he lives.", True),
        ("Whether she lives in Lisbon or Porto I can't say", False),
        ("moved to Lisbon for better or worse", True),
        ("One or the other: Lisbon", True),
    ],
)
def test_a_value_beside_its_rivals_is_not_settled(answer: str, is_settled: bool) -> None:
    assert settles(answer, ["Lisbon"], ["Porto", "Faro"]) is is_settled


@pytest.mark.parametrize(
    "answer", ["Lisbon or Porto", "Either Porto or Lisbon", "Lisbon, Porto or Faro", "Porto, Lisbon, or Faro"]
)
def test_an_or_is_seen_without_knowing_the_rival(answer: str) -> None:
    assert not settles(answer, ["Lisbon"])


def test_an_or_between_two_names_of_one_thing_is_none() -> None:
    assert settles("Lisbon or Lisboa", ["Lisbon", "Lisboa"])


def test_a_value_that_holds_an_or_is_settled_all_the_same() -> None:
    assert settles("She goes trick or treating.", ["trick or treating"])


def test_without_rivals_a_list_settles_whatever_is_in_it() -> None:
    assert settles("She likes chess, olives and rain.", ["olives"])


def test_any_one_value_suffices() -> None:
    assert gives_any("She plays the cello.", ["violin", "cello"])
    assert not gives_any("She plays the cello.", [])


@given(st.text(max_size=60), st.text(max_size=30))
def test_marking_takes_any_text(answer: str, accepted: str) -> None:
    assert gives(answer, accepted) in (True, False)
    assert refuses(answer) in (True, False)
    assert settles(answer, [accepted], [answer]) in (True, False)


@given(st.dates(min_value=date(1000, 1, 1), max_value=date(2999, 12, 31)))
def test_every_way_to_write_a_day_is_one_token(day: date) -> None:
    iso = day.isoformat()
    for form in (f"{day:%d %B %Y}", f"{day:%B %d, %Y}", f"{day:%d}th of {day:%b} {day:%Y}"):
        assert tokens(form) == tokens(iso)
