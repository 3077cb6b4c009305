"""What was true when: a pure function from what was said in one slot to intervals that do not contradict.

`resolve` reads statements in the order of saying and makes runs: one value over one stretch of time with all the
evidence for it. A later value of a one-at-a-time predicate ends the earlier one, a correction withdraws it, an end
closes it, a restatement adds evidence. Nothing that was derived before is read: the result follows from the set of
statements alone. So the same function serves the live view, a person's limited view, the view of an earlier day and
the night's decisions, and what is taken out leaves no trace.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, timedelta
from functools import lru_cache
from itertools import islice

from memory import families, values
from memory.registry import Registry
from memory.runs import Assertion, Moment, Resolved, Run, Tie, is_before, overturns

__all__ = ["Assertion", "Resolved", "resolve"]

# a passing mention that can be overturned was made no later than what overturns it, whatever the time zone
_OVERTURNABLE = timedelta(days=2)
is_same = lru_cache(maxsize=65536)(values.is_same)
_RANK = {"end": 0, "state": 1, "update": 2, "correct": 3}


def resolve(assertions: Iterable[Assertion], registry: Registry) -> list[Resolved]:
    """Runs of every slot among the assertions; every assertion is a member of exactly one run."""
    slots: dict[tuple[str, str], list[Assertion]] = defaultdict(list)
    for assertion in assertions:
        slots[assertion.subject_id, families.slot(assertion.predicate)].append(assertion)
    resolved: list[Resolved] = []
    for key in sorted(slots):
        slot = _Slot(registry)
        for row in sorted(slots[key], key=_order_of_saying):
            slot.take_in(row)
        slot.gather_retracted()
        slot.close()
        ids = [run.id for run in slot.runs]  # each is looked for among all members
        owners = {member.id: key for run, key in zip(slot.runs, ids, strict=True) for member in run.members}
        resolved += [run.resolved(owners) for run in slot.runs]
    return resolved


def _order_of_saying(row: Assertion) -> tuple[object, ...]:
    return (row.said, *_tie(row))


def _tie(row: Assertion) -> Tie:
    """Which of two statements of the same moment counts as the later one; ids are drawn by chance and come last."""
    return (_RANK[row.change], row.confidence, row.predicate, values.normal(row.object), row.id)


class _Slot:
    """The runs of one slot while assertions come in, in the order of saying."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.runs: list[Run] = []
        self._live: list[Run] = []  # by order: those that were closed, and can be
        self._void: list[Run] = []
        self._is_closed = True
        self._saying: dict[str, set[int]] = defaultdict(set)  # word -> numbers of the runs that say it
        self._named: dict[str, set[int]] = defaultdict(
            set
        )  # what a run can be found by, its rarest word among it

    def take_in(self, row: Assertion) -> None:
        run = _as_run(row)
        if row.change == "correct" and not run.is_retracted:
            self._withdraw(run)
        home = None if run.is_retracted else self._home(run)
        if home is None:
            self._note(run, len(self.runs))
            self.runs.append(run)
            self._place(run)
        else:
            self._fold(home, run)

    def gather_retracted(self) -> None:
        """Statements that one decision took back together are one run again."""
        retracted = {run.first.id: run for run in self.runs if run.first.is_retracted}
        for run in list(retracted.values()):
            home = retracted.get(run.first.retracted_with or "")
            if home is not None and home is not run:
                home.members += run.members
                home.evidence.update(run.evidence)
                self.runs.remove(run)

    # Corrections

    def _withdraw(self, by: Run) -> None:
        target = self._target(by)
        if target is None:
            return
        if target.start is not None and (by.start is None or target.start < by.start):
            by.start = target.start  # the right value held from when the wrong one was thought to
        by.said, by.day = min(by.said, target.said), min(by.day, target.day)
        if by.is_open and by.start is not None and is_before(by.start, target.stated_end):
            by.stated_end = by.end = target.stated_end  # and until when
        # a value that never held, begun and over on one day, leaves no end to the right one
        by.was_over = by.was_over or (target.was_over and by.stated_end is not None)
        self._is_closed = False
        if not target.is_retracted:
            target.is_retracted, target.withdrawn_by = True, by.first

    def _target(self, by: Run) -> Run | None:
        """The value that a correction takes back: the one it names (over the same time, if it holds twice), else
        the nearest one said before it."""
        earlier = [
            run
            for run in sorted(self.runs, key=lambda run: (run.last_said, run.tie))
            if run.first.predicate == by.first.predicate
            and values.normal(run.object) != values.normal(by.object)
        ]
        named = by.first.corrects
        if named:
            kind = self.registry.get(by.first.predicate).object
            matching = [run for run in earlier if values.is_same(run.object, named, kind=kind)]
            same_start = [run for run in matching if run.onset == by.onset]
            if matching:
                return (same_start or matching)[-1]
        earlier = [run for run in earlier if not run.first.is_retracted]
        is_one = self._is_one(by.first.predicate)
        same_day = [
            run
            for run in earlier
            if _utc_day(run.last_said) == _utc_day(by.first.said)
            and (is_one or run.first.asserted_by == by.first.asserted_by)
        ]
        if same_day:
            return same_day[-1]
        return earlier[-1] if earlier and is_one and not named else None

    # Restatements

    def _home(self, new: Run) -> Run | None:
        """The run that `new` restates, if it does: the nearest of those that it fits."""
        same = [run for run in self._alike(new) if self._restates(new, run)]
        if not same:
            return None
        self.close()
        nearest_first = sorted(same, key=lambda run: self._distance(new, run))
        return next((run for run in nearest_first if self._fits(new, run)), None)

    def _alike(self, new: Run) -> Iterable[Run]:
        """The runs that `new` might restate. Where many values hold, one of the two must hold all words of the other."""
        if self._is_one(new.first.predicate):
            return self.runs
        words = set(values.tokens(new.object))
        saying = sorted((self._saying.get(word, set()) for word in words), key=len)
        fuller = set.intersection(*saying) if saying else set()
        barer = {number for word in words | _names(new) for number in self._named.get(word, ())}
        return [self.runs[number] for number in sorted(fuller | barer)]

    def _note(self, run: Run, number: int) -> None:
        """Let a value be found by those that hold it, and by those that it holds."""
        words = set(values.tokens(run.object))
        if words:
            rarest = min(words, key=lambda word: (len(self._saying[word]), word))
            self._named[rarest].add(number)
        for name in _names(run):
            self._named[name].add(number)
        for word in words:
            self._saying[word].add(number)

    def _restates(self, new: Run, run: Run) -> bool:
        predicate = new.first.predicate
        if run.first.predicate != predicate:
            return False
        if values.normal(new.object) == values.normal(run.object):
            return True
        if new.object_id and new.object_id == run.object_id:
            return True
        # the fuller value must not reach people who only heard the barer one
        if new.conversations != run.conversations:
            return False
        if new.object_id and run.object_id and new.object_id != run.object_id:
            return False
        is_strict = not self._is_one(predicate) or new.change in ("update", "correct")
        kind = self.registry.get(predicate).object
        return is_same(new.object, run.object, kind=kind, is_strict=is_strict)

    def _fits(self, new: Run, run: Run) -> bool:
        """Whether `new` speaks of that run's stretch of time, and not of another one of the same value."""
        if run.is_retracted:
            return new.change == "state"
        if new.stated_end is not None and new.stated_end < run.onset and run.start is not None:
            return new.change == "end" and run.is_soft
        if self._is_parted(new, run):
            return False
        if new.change == "end" or is_before(new.onset, run.end):
            return True
        is_in_passing = new.change == "state" and new.start in (None, new.first.day)
        is_firmly_over = run.closer is None or run.closer.change in ("update", "correct")
        return is_in_passing and is_firmly_over

    def _is_parted(self, new: Run, run: Run) -> bool:
        """Whether another value held between the two."""
        return new.onset < run.onset and any(
            new.onset <= other.onset < run.onset and not other.is_soft
            for other in self.runs
            if other is not run and not other.is_retracted and self._conflicts(other, run)
        )

    def _distance(self, new: Run, run: Run) -> tuple[object, ...]:
        is_inside = run.onset <= new.onset and is_before(new.onset, run.end)
        return (run.is_retracted, not is_inside, abs(run.onset - new.onset), run.order)

    def _fold(self, run: Run, new: Run) -> None:
        before = _shape(run)
        self._extend(run, new)
        if _shape(run) != before:
            self._is_closed = False
        if run.object != before[0]:
            self._note(run, self.runs.index(run))

    def _extend(self, run: Run, new: Run) -> None:
        if not run.is_retracted:
            if new.start is not None and is_before(new.start, run.end):
                is_unknown = run.start is None and run.stated_end is None
                run.start = new.start if is_unknown or run.start is None else min(run.start, new.start)
            if new.stated_end is not None and is_before(run.onset, new.stated_end):
                run.stated_end = new.stated_end
            elif new.stated_end is not None and new.change == "end":
                if new.stated_end < run.onset:
                    run.start = None  # it was mentioned in passing when it was over already
                run.stated_end = new.stated_end
            if is_before(new.onset, run.end):
                # what corrects nothing any more still stands firmer than a mention in passing
                change = "update" if new.change == "correct" else new.change
                run.change = max(run.change, change, key=lambda item: _RANK[item])
            fuller = values.fuller(run.object, new.object)
            if fuller != run.object:
                run.object, run.object_id = fuller, new.object_id or run.object_id
        run.hear(new.first)
        run.evidence.update(new.evidence)
        run.conversations |= new.conversations
        run.members += new.members
        run.last_said = max(run.last_said, new.last_said)

    # Intervals

    def close(self) -> None:
        """Let every run end where the next one that excludes it begins; mark those that stay side by side.

        A run that is left without any time ends nothing else.
        """
        if self._is_closed:
            return
        live = [run for run in self.runs if not run.is_retracted and self._can_end(run)]
        live.sort(key=lambda run: run.order)
        void: list[Run] = []
        while True:
            for run in self.runs:
                run.reset()
            for position, a in enumerate(live):
                for b in islice(live, position + 1, None):
                    if self._is_done(a, b):
                        break
                    if a.is_said_to_overlap(b) and self._conflicts(a, b):
                        self._part(a, b, void)
            new_void = [run for run in live if run.is_void and run not in void]
            if not new_void:
                break
            void += new_void
        self._live, self._void, self._is_closed = live, void, True

    def _place(self, new: Run) -> None:
        """Close one more run among those that are closed, where that is all that changes."""
        if not self._is_closed or new.is_retracted or not self._can_end(new):
            return
        new.reset()
        touched = [new]
        for other in self._live:
            a, b = (other, new) if other.order < new.order else (new, other)
            if self._is_done(a, b) or not a.is_said_to_overlap(b) or not self._conflicts(a, b):
                continue
            if new.onset in (other.end, new.end) or other.onset in (other.end, new.end):
                self._is_closed = False  # which of two closes a third is for the whole to say
                return
            self._part(a, b, self._void)
            touched.append(other)
        insort(self._live, new, key=lambda run: run.order)
        self._is_closed = not any(run.is_void and run not in self._void for run in touched)

    def _is_done(self, a: Run, b: Run) -> bool:
        """Whether `a` ended before `b` and everything after it began, and cannot unsay any of them."""
        if a.end is None or b.onset < a.end or b.onset <= a.day + _OVERTURNABLE:
            return False
        predicate = a.first.predicate
        return families.slot(predicate) == predicate and self.registry.get(predicate).volatility != "never"

    def _part(self, a: Run, b: Run, void: list[Run]) -> None:
        if self._is_contested(a, b):
            a.contests.append(b)
            b.contests.append(a)
            return
        first, second = (a, b) if self._precedes(a, b) else (b, a)
        # since when what is only known to have ended held nobody said: it cannot end what began before that was told
        is_undated = second.change == "end" and second.start is None and second.stated_end is not None
        is_interlude = (second.was_over or is_undated) and first.onset < second.onset
        if not is_interlude and second not in void:
            first.cut(second.onset, second)

    def _can_end(self, run: Run) -> bool:
        predicate = run.first.predicate
        return self._is_one(predicate) or families.slot(predicate) != predicate

    def _is_one(self, predicate: str) -> bool:
        return self.registry.get(predicate).cardinality == "one" or families.stage(predicate) is not None

    def _conflicts(self, a: Run, b: Run) -> bool:
        """Whether both cannot hold at once."""
        if a.first.predicate == b.first.predicate:
            if not self._is_one(a.first.predicate):
                return False
            return a.conversations == b.conversations or not self._is_equal(a, b)
        if families.stage(a.first.predicate) and families.stage(b.first.predicate):
            return True
        first, second = (a, b) if a.order <= b.order else (b, a)
        return families.excludes(
            families.Value(first.first.predicate, first.object),
            families.Value(second.first.predicate, second.object),
            is_news=first.onset < second.onset and second.first.change in ("update", "correct"),
        )

    def _is_equal(self, a: Run, b: Run) -> bool:
        if a.object_id and a.object_id == b.object_id:
            return True
        kind = self.registry.get(a.first.predicate).object
        return is_same(a.object, b.object, kind=kind)

    def _is_stage_of_same(self, a: Run, b: Run) -> bool:
        stages = families.stage(a.first.predicate), families.stage(b.first.predicate)
        return None not in stages and stages[0] != stages[1] and self._is_equal(a, b)

    def _is_contested(self, a: Run, b: Run) -> bool:
        """Two people, each in passing, about the same time; or about what can never change."""
        if not (a.is_open and b.is_open) or {a.change, b.change} != {"state"} or self._is_equal(a, b):
            return False
        speakers = a.first.asserted_by, b.first.asserted_by
        if None in speakers or speakers[0] == speakers[1]:
            return False
        is_fixed = (
            a.first.predicate == b.first.predicate
            and self.registry.get(a.first.predicate).volatility == "never"
        )
        return is_fixed or a.first.day == b.first.day or a.onset == b.onset

    def _precedes(self, a: Run, b: Run) -> bool:
        if self._is_stage_of_same(a, b):
            low, high = families.stage(a.first.predicate), families.stage(b.first.predicate)
            return (low or 0) < (high or 0)
        if overturns(a, b):
            return False
        return overturns(b, a) or a.order < b.order


def _names(run: Run) -> set[str]:
    """What equal values have in common however they are worded."""
    day = values.as_day(run.object)
    found = {f"value {values.normal(run.object)}"}
    found |= {f"node {run.object_id}"} if run.object_id else set()
    return found | ({f"day {day[1:]}"} if day else set())


def _shape(run: Run) -> tuple[object, ...]:
    """What other runs are closed by."""
    return run.object, run.object_id, run.start, run.stated_end, run.change, run.conversations


def _as_run(row: Assertion) -> Run:
    run = Run(
        first=row,
        members=[row],
        object=row.object,
        object_id=row.object_id,
        start=row.valid_from,
        stated_end=row.valid_to,
        change=row.change,
        confidence=row.confidence,
        evidence=dict.fromkeys(row.evidence),
        conversations=row.conversations,
        said=row.said,
        tie=_tie(row),
        day=row.day,
        was_over=row.valid_to is not None and row.day >= row.valid_to,
        last_said=row.last_said,
        is_retracted=row.is_retracted,
        end=row.valid_to,
    )
    run.hear(row)
    return run


def _utc_day(moment: Moment) -> object:
    return moment[0].astimezone(UTC).date()
