from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from agents.controls import ControlledJudge
from agents.judges import RuleJudge
from memory.embedders.hashing import HashingEmbedder
from memory.types import Episode, Verdict


class Fixed:
    """Gives one label to every question, whatever is asked; counts the questions."""

    name = "fixed"

    def __init__(self, label: str | None) -> None:
        self.label, self.asked = label, 0

    def supports(
        self, statement: str, episodes: Sequence[Episode], evidence: Collection[str] = ()
    ) -> Verdict:
        self.asked += 1
        return Verdict(self.label, "because", 0.9)


@pytest.mark.parametrize("label", ["supported", "unsupported", "unclear", None])
def test_a_judge_that_says_one_thing_to_everything_is_not_believed(label: str | None) -> None:
    judge = ControlledJudge(Fixed(label))
    assert {judge.supports("Ana lives in Oslo.", ()).label for _ in range(5)} == {None}


class Honest(Fixed):
    """The rules, and then a label of its own choice from some question on."""

    def __init__(self, lies_from: int) -> None:
        super().__init__("supported")
        self._rules, self._lies_from = RuleJudge(HashingEmbedder(64)), lies_from

    def supports(
        self, statement: str, episodes: Sequence[Episode], evidence: Collection[str] = ()
    ) -> Verdict:
        verdict = super().supports(statement, episodes, evidence)
        return (
            verdict if self.asked >= self._lies_from else self._rules.supports(statement, episodes, evidence)
        )


def test_an_honest_judge_is_asked_two_questions_more_in_each_round() -> None:
    honest = Honest(lies_from=10_000)
    judge = ControlledJudge(honest, every=10)
    assert {judge.supports("Ana lives in Oslo.", ()).label for _ in range(30)} == {"unsupported"}
    assert honest.asked == 30 + 2 * 3


def test_one_that_begins_to_lie_is_found_out_in_the_next_round() -> None:
    judge = ControlledJudge(Honest(lies_from=8), every=10)
    labels = [judge.supports("Ana lives in Oslo.", ()).label for _ in range(14)]
    assert labels[10:] == [None] * 4
