from __future__ import annotations

from memory.embedders.hashing import HashingEmbedder
from memory.revision import LIMITS, MOST_EVIDENCE, Found, Line, Revision, Standing, match, revise, wording
from memory.types import Principle

TEA = Principle("value", "Holds dear: tea in the garden", ("e1", "e2"))
LENDS = Principle("principle", "Never: lend their tools", ("e3",))


def standing(*lines: Line, dropped: tuple[str, ...] = (), n_messages: int = 10) -> Standing:
    said = {wording(line.principle.kind, line.principle.text): line.id for line in lines}
    kept = tuple(line for line in lines if line.id not in dropped)
    return Standing(1, kept, said, frozenset(dropped), n_messages)


def changes(revision: Revision) -> list[tuple[str, str]]:
    return [(change.line, change.change) for change in revision.changes]


def principles(revision: Revision) -> list[Principle]:
    return [line.principle for line in revision.lines]


TWO = standing(Line("tea", TEA), Line("lends", LENDS))


def test_the_same_lines_change_nothing() -> None:
    assert revise(TWO, Found([LENDS, TEA], n_messages=10)).changes == ()


def test_a_line_is_the_same_whatever_its_case_and_spaces() -> None:
    again = Principle("principle", "never:  lend their TOOLS", ("e3",))
    assert revise(TWO, Found([TEA, again])).changes == ()


def test_more_messages_confirm_a_line_up_to_a_limit() -> None:
    more = Principle("principle", LENDS.text, ("e3", *(f"n{i}" for i in range(9))))
    revision = revise(TWO, Found([TEA, more]))
    assert changes(revision) == [("lends", "confirmed")]
    assert principles(revision)[1].evidence[0] == "e3"
    assert len(principles(revision)[1].evidence) == MOST_EVIDENCE
    full = standing(Line("tea", TEA), Line("lends", principles(revision)[1]))
    assert revise(full, Found([TEA, more])).changes == ()


def test_a_line_goes_with_its_last_message_and_is_weaker_without_one() -> None:
    revision = revise(TWO, Found([], alive={"e1"}, n_messages=10))
    assert changes(revision) == [("lends", "retired"), ("tea", "weakened")]
    assert principles(revision) == [Principle("value", TEA.text, ("e1",))]


def test_what_is_not_shown_again_is_weak_first_and_goes_later() -> None:
    once = revise(TWO, Found([TEA], n_messages=20))
    assert changes(once) == [("lends", "weakened")]
    weak = standing(*once.lines, n_messages=20)
    assert revise(weak, Found([TEA], n_messages=20)).changes == ()
    assert changes(revise(weak, Found([TEA], n_messages=30))) == [("lends", "retired")]
    assert changes(revise(weak, Found([TEA, LENDS], n_messages=30))) == [("lends", "confirmed")]


def test_what_was_taken_back_goes_at_once_unless_it_is_said_again() -> None:
    revision = revise(TWO, Found([TEA], withdrawn=[LENDS]))
    assert [(change.line, change.reason) for change in revision.changes] == [("lends", "it was taken back")]
    assert revise(TWO, Found([TEA, LENDS], withdrawn=[LENDS])).changes == ()


def test_a_person_that_wrote_a_line_keeps_it_as_it_is() -> None:
    own = standing(Line("tea", Principle("value", "Loves tea", ("e1",)), "person"))
    assert revise(own, Found([], n_messages=99)).changes == ()
    found = Found([TEA], same={0: "tea"}, n_messages=99)
    assert changes(revise(own, found)) == [("tea", "confirmed")]
    assert principles(revise(own, found)) == [Principle("value", "Loves tea", ("e1", "e2"))]


def test_what_a_person_dropped_does_not_come_back() -> None:
    without = standing(Line("tea", TEA), Line("lends", LENDS), dropped=("lends",))
    assert revise(without, Found([TEA, LENDS], n_messages=99)).changes == ()


def test_a_line_that_was_retired_comes_back_as_itself() -> None:
    said = {wording(line.kind, line.text): name for name, line in (("tea", TEA), ("lends", LENDS))}
    after = Standing(3, (Line("tea", TEA),), said)
    revision = revise(after, Found([TEA, LENDS]))
    assert changes(revision) == [("lends", "added")]
    assert [line.id for line in revision.lines] == ["tea", "lends"]


def test_other_words_for_the_same_claim_change_the_line() -> None:
    revision = revise(TWO, Found([TEA, Principle("principle", "Lends no tools", ("e3",))], same={1: "lends"}))
    assert changes(revision) == [("lends", "changed")]
    assert [line.id for line in revision.lines] == ["tea", "lends"]


def test_a_full_constitution_takes_only_what_says_clearly_more() -> None:
    limit = LIMITS["view"]
    lines = [Principle("view", f"Sees number {i}", (f"e{i}",), "Bo") for i in range(limit)]
    full = standing(*(Line(f"l{i}", line) for i, line in enumerate(lines)))
    new = Principle("view", "Trusts Bo", ("x",), "Bo")
    assert revise(full, Found([*lines[:-1], new, lines[-1]])).changes == ()
    revision = revise(full, Found([new, *lines]))
    assert {change for _, change in changes(revision)} == {"added", "retired"}
    assert new in principles(revision)
    assert lines[-1] not in principles(revision)


def test_claims_are_matched_by_meaning_within_their_kind() -> None:
    hashing = HashingEmbedder(256)
    found = [
        Principle("principle", "Never: lend their tools to anyone", ("e3",)),
        Principle("speech", "Holds dear: tea in the garden", ("e1",)),
    ]
    assert match(TWO, found, hashing) == {0: "lends"}
    assert match(TWO, [TEA, LENDS], hashing) == {}
