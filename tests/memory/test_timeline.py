from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory import values
from memory.registry import Registry
from memory.timeline import Assertion, resolve

REGISTRY = Registry.load()
DAY_0 = datetime(2025, 3, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return DAY_0 + timedelta(days=number)


def said(value: str, on: int, **rest: Any) -> Assertion:
    """A claim made on that day; valid from then unless told otherwise."""
    moment = (day(on) + timedelta(hours=9), rest.pop("position", 0))
    given_values: dict[str, Any] = {
        "id": f"{value} {on} {moment[1]}",
        "subject_id": "ana",
        "predicate": "lives_in",
        "valid_from": day(on),
        "asserted_by": "ana",
        "conversations": frozenset({"c"}),
        "evidence": (f"e{on}.{moment[1]}",),
    }
    return Assertion(
        **{"object": value, "said": moment, "last_said": moment, "day": day(on)} | given_values | rest
    )


def intervals(*claims: Assertion) -> dict[str, tuple[int | None, int | None]]:
    """Live values with the days they held, [from, to)."""

    def number(moment: datetime | None) -> int | None:
        return None if moment is None else (moment - DAY_0).days

    live = [run for run in resolve(claims, REGISTRY) if not run.is_retracted]
    return {run.object: (number(run.valid_from), number(run.valid_to)) for run in live}


def test_a_later_value_ends_the_earlier_one_where_it_begins() -> None:
    assert intervals(said("Porto", 1), said("Lisbon", 9, valid_from=day(7), change="update")) == {
        "Porto": (1, 7),
        "Lisbon": (7, None),
    }


def test_the_ended_fact_names_what_ended_it() -> None:
    porto, lisbon = resolve([said("Porto", 1), said("Lisbon", 9)], REGISTRY)
    assert porto.superseded_by == lisbon.id
    assert lisbon.superseded_by is None


def test_values_of_a_many_predicate_stay_side_by_side() -> None:
    claims = [said("tea", 1, predicate="likes"), said("coffee", 9, predicate="likes")]
    assert intervals(*claims) == {"tea": (1, None), "coffee": (9, None)}


def test_a_named_correction_withdraws_what_it_names() -> None:
    claims = [
        said("Porto", 1),
        said("Faro", 2, position=1),
        said("Braga", 2, position=2, change="correct", corrects="Porto"),
    ]
    withdrawn = {run.object for run in resolve(claims, REGISTRY) if run.is_retracted}
    assert withdrawn == {"Porto"}


def test_what_corrects_a_value_that_never_held_ends_the_one_before_it() -> None:
    claims = [said("Lisbon", 0), said("Faro", 1, valid_to=day(1)), said("Braga", 2, change="correct")]
    assert intervals(*claims) == {"Lisbon": (0, 1), "Braga": (1, None)}


def test_an_unnamed_correction_withdraws_the_value_said_last_before_it() -> None:
    claims = [said("Porto", 1), said("Faro", 2), said("Braga", 8, change="correct")]
    assert [run.object for run in resolve(claims, REGISTRY) if run.is_retracted] == ["Faro"]


def test_a_correction_of_a_many_predicate_leaves_other_days_alone() -> None:
    claims = [
        said("Rui", 1, predicate="brother"),
        said("Nuno", 8, predicate="brother", change="correct"),
    ]
    assert not any(run.is_retracted for run in resolve(claims, REGISTRY))


def test_a_corrected_value_holds_from_when_the_wrong_one_was_thought_to() -> None:
    assert intervals(said("Faro", 1), said("Braga", 5, change="correct", corrects="faro")) == {
        "Braga": (1, None)
    }


def test_a_corrected_date_is_found_however_it_was_written() -> None:
    claims = [
        said("2025-08-15", 1, predicate="opening_date"),
        said("2025-08-22", 1, position=1, predicate="opening_date", change="correct", corrects="15 August"),
    ]
    assert intervals(*claims) == {"2025-08-22": (1, None)}


def test_a_withdrawn_value_does_not_return_by_being_repeated() -> None:
    claims = [said("Faro", 1), said("Braga", 2, change="correct", corrects="Faro"), said("Faro", 5)]
    assert intervals(*claims) == {"Braga": (1, None)}


def test_an_end_closes_without_a_successor() -> None:
    ending = said("Pip", 9, predicate="dog", change="end", valid_from=None, valid_to=day(8))
    assert intervals(said("Pip", 1, predicate="dog"), ending) == {"Pip": (1, 8)}


def test_an_end_of_an_unknown_beginning_is_kept() -> None:
    assert intervals(said("Pip", 9, predicate="dog", change="end", valid_from=None, valid_to=day(8))) == {
        "Pip": (None, 8)
    }


def test_an_end_on_the_day_of_the_first_mention_ends() -> None:
    ending = said("Pip", 1, position=1, predicate="dog", change="end", valid_from=None, valid_to=day(1))
    assert intervals(said("Pip", 1, predicate="dog"), ending) == {"Pip": (1, 1)}


def test_an_end_before_the_first_mention_overturns_it() -> None:
    ending = said("Porto", 9, change="end", valid_from=None, valid_to=day(-20))
    assert intervals(said("Porto", 1), ending) == {"Porto": (None, -20)}


def test_a_corrected_value_ends_when_the_wrong_one_was_said_to() -> None:
    claims = [said("Faro", 1, valid_to=day(20)), said("Braga", 5, change="correct", corrects="Faro")]
    assert intervals(*claims) == {"Braga": (1, 20)}


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("Matosinhos", "house in Matosinhos", "house in Matosinhos"),
        ("a house in Matosinhos", "Matosinhos", "a house in Matosinhos"),
        ("Gothenburg", "gothenburg", "Gothenburg"),
        ("Göteborg", "Goteborg", "Göteborg"),
        ("Gothenburg", "Gothenborg", "Gothenburg"),
    ],
)
def test_the_same_value_said_twice_is_one_fact_that_keeps_the_fuller_wording(
    first: str, second: str, kept: str
) -> None:
    assert intervals(said(first, 1), said(second, 5)) == {kept: (1, None)}


def test_a_restatement_adds_evidence_and_confidence() -> None:
    (run,) = resolve([said("Porto", 1, confidence=0.6), said("Porto", 5, confidence=0.5)], REGISTRY)
    assert run.evidence == ("e1.0", "e5.0")
    assert run.confidence == pytest.approx(0.8)


def test_a_fuller_wording_does_not_reach_those_who_heard_the_barer_one_elsewhere() -> None:
    claims = [said("Porto", 1), said("flat in Porto", 5, conversations=frozenset({"other"}))]
    assert intervals(*claims) == {"Porto": (1, None), "flat in Porto": (5, None)}


def test_a_stale_restatement_does_not_overturn_the_present() -> None:
    claims = [said("Porto", 1), said("Lisbon", 5, change="update"), said("Porto", 9)]
    assert intervals(*claims) == {"Porto": (1, 5), "Lisbon": (5, None)}


def test_a_return_is_a_new_stretch_of_the_same_value() -> None:
    claims = [said("Porto", 1), said("Lisbon", 5, change="update"), said("Porto", 9, change="update")]
    runs = resolve(claims, REGISTRY)
    assert [(run.object, run.valid_to) for run in runs] == [
        ("Porto", day(5)),
        ("Lisbon", day(9)),
        ("Porto", None),
    ]


def test_what_is_told_of_the_past_goes_to_the_past() -> None:
    claims = [said("Lisbon", 5), said("Porto", 9, valid_from=day(-90))]
    assert intervals(*claims) == {"Porto": (-90, 5), "Lisbon": (5, None)}


def test_an_interlude_told_afterwards_does_not_end_what_held_around_it() -> None:
    claims = [said("Porto", 1), said("Faro", 30, valid_from=day(10), valid_to=day(20))]
    assert intervals(*claims) == {"Porto": (1, None), "Faro": (10, 20)}


def test_what_was_told_as_a_change_and_ended_later_is_no_interlude() -> None:
    claims = [
        said("Porto", 30, valid_from=day(1)),
        said("Lisbon", 30, position=1, valid_from=day(10)),
        said("Lisbon", 30, position=2, change="end", valid_from=None, valid_to=day(20)),
    ]
    assert intervals(*claims) == {"Porto": (1, 10), "Lisbon": (10, 20)}


def test_news_of_an_earlier_change_overturns_a_passing_mention() -> None:
    claims = [
        said("Porto", 10, asserted_by="ben"),
        said("Lisbon", 12, valid_from=day(5), change="update"),
    ]
    assert intervals(*claims) == {"Porto": (None, 5), "Lisbon": (5, None)}


def test_two_people_in_passing_on_one_day_are_contested() -> None:
    runs = resolve([said("Porto", 1), said("Lisbon", 1, position=1, asserted_by="ben")], REGISTRY)
    assert [(run.is_contested, run.valid_to) for run in runs] == [(True, None), (True, None)]


def test_a_later_change_settles_what_was_contested() -> None:
    claims = [
        said("Porto", 1),
        said("Lisbon", 1, position=1, asserted_by="ben"),
        said("Faro", 8, change="update"),
    ]
    runs = resolve(claims, REGISTRY)
    assert [run.object for run in runs if run.valid_to is None] == ["Faro"]


def test_two_people_about_what_never_changes_are_contested_at_any_distance() -> None:
    claims = [
        said("Bergen", 1, predicate="hometown"),
        said("Oslo", 60, predicate="hometown", asserted_by="ben"),
    ]
    assert all(run.is_contested for run in resolve(claims, REGISTRY))


def test_the_same_person_changing_their_word_is_no_contest() -> None:
    runs = resolve([said("Porto", 1), said("Lisbon", 1, position=1)], REGISTRY)
    assert [run.is_contested for run in runs] == [False, False]
    assert [run.object for run in runs if run.valid_to is None] == ["Lisbon"]


def test_a_husband_was_the_fiance_before() -> None:
    claims = [
        said("Rui", 1, predicate="fiance"),
        said("Rui", 9, predicate="husband", change="update"),
        said("Rui", 12, predicate="fiance", position=3),
    ]
    runs = resolve(claims, REGISTRY)
    assert [(run.members[0], run.valid_to) for run in runs] == [("Rui 1 0", day(9)), ("Rui 9 0", None)]


@pytest.mark.parametrize("value", ["single", "Single", "divorced"])
def test_being_single_ends_the_partnership(value: str) -> None:
    claims = [
        said("Maren", 1, predicate="partner"),
        said(value, 9, predicate="relationship_status", change="update"),
    ]
    assert intervals(*claims) == {"Maren": (1, 9), value: (9, None)}


def test_a_new_partner_ends_being_single() -> None:
    claims = [said("single", 1, predicate="relationship_status"), said("Liv", 9, predicate="partner")]
    assert intervals(*claims) == {"single": (1, 9), "Liv": (9, None)}


def test_being_married_does_not_end_the_marriage() -> None:
    claims = [said("Rui", 1, predicate="husband"), said("married", 9, predicate="relationship_status")]
    assert intervals(*claims) == {"Rui": (1, None), "married": (9, None)}


def test_retiring_ends_job_and_workplace() -> None:
    claims = [
        said("nurse", 1, predicate="job"),
        said("Santa Maria", 1, position=1, predicate="workplace"),
        said("2025-03-10", 10, predicate="retired_on", change="update"),
    ]
    assert intervals(*claims)["nurse"] == (1, 10)
    assert intervals(*claims)["Santa Maria"] == (1, 10)


def test_a_statement_that_was_taken_back_holds_nothing() -> None:
    assert intervals(said("Porto", 1, is_retracted=True)) == {}


def test_what_was_taken_back_ends_and_corrects_nothing() -> None:
    taken_back = said("Lisbon", 5, change="correct", corrects="Porto", is_retracted=True)
    assert intervals(said("Porto", 1), taken_back) == {"Porto": (1, None)}


def test_statements_taken_back_together_are_one_run() -> None:
    first = said("Porto", 1, is_retracted=True)
    again = said("Porto", 5, is_retracted=True, retracted_with=first.id)
    (run,) = resolve([first, again], REGISTRY)
    assert (run.members, run.evidence) == ((first.id, again.id), ("e1.0", "e5.0"))


def test_the_statement_of_the_lowest_rank_carries_the_run() -> None:
    stored = said("Porto", 5)
    (run,) = resolve([said("Porto", 1, rank=2), stored], REGISTRY)
    assert run.members == (stored.id, "Porto 1 0")


def test_without_the_one_between_two_stretches_of_a_value_are_one() -> None:
    first, last = said("Porto", 1), said("Porto", 9, change="update")
    assert len(resolve([first, said("Lisbon", 5, change="update"), last], REGISTRY)) == 3
    assert intervals(first, last) == {"Porto": (1, None)}


def test_a_correction_in_the_middle_takes_the_place_of_what_it_corrects() -> None:
    claims = [
        said("Porto", 1),
        said("Lisbon", 5, change="update"),
        said("Faro", 9, change="update"),
        said("Leiria", 20, change="correct", corrects="Lisbon"),
    ]
    assert intervals(*claims) == {"Porto": (1, 5), "Leiria": (5, 9), "Faro": (9, None)}


def test_an_end_that_was_said_returns_when_what_came_before_it_is_gone() -> None:
    porto = said("Porto", 1, valid_to=day(30))
    assert intervals(porto, said("Lisbon", 9, change="update")) == {"Porto": (1, 9), "Lisbon": (9, None)}
    assert intervals(porto) == {"Porto": (1, 30)}


# Properties

LENGTHS = (None, None, None, 0, 1, 2)
PLACES = ("Porto", "house in Porto", "Lisbon", "Faro", "porto")


@st.composite
def claims(
    draw: st.DrawFn, predicates: tuple[str, ...] = ("lives_in",), *, lengths: tuple[int | None, ...] = (None,)
) -> list[Assertion]:
    made = []
    for position in range(draw(st.integers(1, 7))):
        on = draw(st.integers(0, 5))
        change = draw(st.sampled_from(("state", "state", "update", "correct", "end")))
        start = day(on - draw(st.sampled_from((0, 0, 0, 1, 3))))
        length = draw(st.sampled_from(lengths))
        end = None if length is None else start + timedelta(days=length)
        if change == "end":
            start, end = draw(st.sampled_from([(None, start), (start, start)]))  # type: ignore[assignment]
        made.append(
            said(
                draw(st.sampled_from(PLACES)),
                on,
                position=position,
                id=f"f{position}",
                predicate=draw(st.sampled_from(predicates)),
                change=change,
                valid_from=start,
                valid_to=end,
                corrects=draw(st.sampled_from((None, *PLACES))) if change == "correct" else None,
                asserted_by=draw(st.sampled_from(("ana", "ben"))),
                conversations=frozenset({draw(st.sampled_from(("c", "c", "d")))}),
                confidence=draw(st.sampled_from((0.5, 0.9))),
            )
        )
    return made


@settings(max_examples=150, deadline=None)
@given(claims(lengths=LENGTHS), st.randoms(use_true_random=False))
def test_the_order_of_insertion_does_not_matter(given_claims: list[Assertion], random: Any) -> None:
    shuffled = list(given_claims)
    random.shuffle(shuffled)
    assert resolve(shuffled, REGISTRY) == resolve(given_claims, REGISTRY)


@settings(max_examples=150, deadline=None)
@given(claims(("lives_in", "job"), lengths=LENGTHS))
def test_current_values_of_a_one_predicate_do_not_overlap_unless_contested(
    given_claims: list[Assertion],
) -> None:
    rows = {row.id: row for row in given_claims}
    live = [run for run in resolve(given_claims, REGISTRY) if not run.is_retracted]
    for a, b in combinations([run for run in live if run.valid_to is None], 2):
        if rows[a.id].predicate == rows[b.id].predicate and not values.is_same(a.object, b.object):
            assert a.is_contested
            assert b.is_contested


@settings(max_examples=150, deadline=None)
@given(claims(("lives_in", "likes", "husband", "fiance"), lengths=LENGTHS))
def test_every_claim_is_in_one_run_and_no_run_ends_before_it_starts(given_claims: list[Assertion]) -> None:
    runs = resolve(given_claims, REGISTRY)
    assert sorted(member for run in runs for member in run.members) == sorted(row.id for row in given_claims)
    assert all(run.valid_from <= run.valid_to for run in runs if run.valid_from and run.valid_to)
