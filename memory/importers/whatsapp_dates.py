"""Which of a WhatsApp date's fields is the day, decided over a whole file.

A field above 12 decides; then the order in which time runs backwards less often; then the order that spans far fewer
days; then the app's style for the United States; at last the day comes first, as in most of the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

Order = Literal["day", "month", "year"]  # which field comes first
_FAR_FEWER = 4  # times


class Fields(NamedTuple):
    """The three numbers of a date as written."""

    a: int
    b: int
    c: int
    is_year_first: bool


@dataclass(frozen=True, slots=True)
class ChosenOrder:
    order: Order
    note: str  # what decided; shown by a preview


def choose_order(dates: Sequence[Fields], *, is_american: bool = False) -> ChosenOrder:
    """The order that fits all dates best. `is_american`: the heads have the form `3/5/25, 6:03 PM`."""
    if any(fields.is_year_first for fields in dates):
        return ChosenOrder("year", "dates read as year, month, day")
    n_day = sum(fields.a > 12 for fields in dates)
    n_month = sum(fields.b > 12 for fields in dates)
    if n_day or n_month:
        order: Order = "day" if n_day >= n_month else "month"
        return ChosenOrder(order, f"dates read {order} first: a field is above 12")
    day, month = _course(dates, "day"), _course(dates, "month")
    if day.n_backward != month.n_backward:
        order = "day" if day.n_backward < month.n_backward else "month"
        return ChosenOrder(order, f"dates read {order} first: the other order runs backwards in time")
    if max(day.n_days, month.n_days) > _FAR_FEWER * min(day.n_days, month.n_days):
        order = "day" if day.n_days < month.n_days else "month"
        return ChosenOrder(order, f"dates read {order} first: the other order spans far more days")
    if is_american:
        return ChosenOrder("month", "dates read month first: written as in the United States")
    return ChosenOrder("day", "dates read day first: nothing in the file decides, this is the default")


@lru_cache(maxsize=65536)
def day_of(fields: Fields, order: Order) -> tuple[int, int, int]:
    """Year, month, day. A date the order cannot mean is read in the other one; a day past its month's end moves back."""
    if fields.is_year_first:
        year, month, day = fields.a, fields.b, fields.c
    else:
        year = fields.c if fields.c > 99 else 2000 + fields.c
        day, month = (fields.a, fields.b) if order != "month" else (fields.b, fields.a)
    if month > 12:
        day, month = month, day
    while True:
        try:
            date(year, month, day)
        except ValueError:
            if day <= 28:
                raise
            day -= 1
        else:
            return year, month, day


@dataclass(frozen=True, slots=True)
class _Course:
    n_backward: int
    n_days: int


def _course(dates: Sequence[Fields], order: Order) -> _Course:
    days = [date(*day_of(fields, order)) for fields in dates]
    if not days:
        return _Course(0, 0)
    return _Course(sum(later < sooner for sooner, later in pairwise(days)), (max(days) - min(days)).days)
