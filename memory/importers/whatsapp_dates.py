"""Which of a WhatsApp date's fields is the day, decided over a whole file.

A field above 12 decides; then the order in which time runs backwards less often; then the order that spans far fewer
days; then the app's style for the United States; at last the day comes first, as in most of the world.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
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


@dataclass(slots=True)
class _Course:
    """How time would run if the dates had this order."""

    order: Order
    n_backward: int = 0
    first: date | None = None
    last: date | None = None
    before: date | None = None

    def add(self, fields: Fields) -> None:
        day = date(*day_of(fields, self.order))
        self.n_backward += self.before is not None and day < self.before
        self.before = day
        self.first = day if self.first is None else min(self.first, day)
        self.last = day if self.last is None else max(self.last, day)

    @property
    def n_days(self) -> int:
        return (self.last - self.first).days if self.first and self.last else 0


@dataclass(slots=True)
class DateSurvey:
    """Sees the dates of a file one by one, in its order, and then says which field is the day."""

    is_american: bool = True  # the heads have the form `3/5/25, 6:03 PM`; to be set by who reads them
    n_dates: int = 0
    n_day: int = 0  # dates that only fit day first
    n_month: int = 0
    is_year_first: bool = False
    _last: Fields | None = None
    _day: _Course = field(default_factory=lambda: _Course("day"))
    _month: _Course = field(default_factory=lambda: _Course("month"))

    def add(self, fields: Fields, n: int = 1) -> None:
        """So many messages in a row are of this date."""
        self.n_dates += n
        if fields.is_year_first:
            self.is_year_first = True
            return
        self.n_day += n * (fields.a > 12)
        self.n_month += n * (fields.b > 12)
        if fields != self._last:
            self._last = fields
            self._day.add(fields)
            self._month.add(fields)

    def chosen(self) -> ChosenOrder:
        """The order that fits all dates best."""
        if self.is_year_first:
            return ChosenOrder("year", "dates read as year, month, day")
        if self.n_day or self.n_month:
            order: Order = "day" if self.n_day >= self.n_month else "month"
            if self.n_day and self.n_month:
                n_others = min(self.n_day, self.n_month)
                return ChosenOrder(
                    order, f"dates read {order} first; {n_others} dates only fit the other order"
                )
            return ChosenOrder(order, f"dates read {order} first: a field is above 12")
        return self._by_course()

    def _by_course(self) -> ChosenOrder:
        day, month = self._day, self._month
        if day.n_backward != month.n_backward:
            order: Order = "day" if day.n_backward < month.n_backward else "month"
            return ChosenOrder(order, f"dates read {order} first: the other order runs backwards in time")
        if max(day.n_days, month.n_days) > _FAR_FEWER * min(day.n_days, month.n_days):
            order = "day" if day.n_days < month.n_days else "month"
            return ChosenOrder(order, f"dates read {order} first: the other order spans far more days")
        if self.is_american and self.n_dates:
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
