from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from consolidation.stage import TrainSettings
from consolidation.trainer.checkpoint import Checkpoint
from consolidation.trainer.curriculum import Curriculum
from consolidation.trainer.engine import Text
from consolidation.trainer.layout import deal, passes
from consolidation.trainer.optimizer import BETAS, EPS, Adam
from consolidation.trainer.schedule import COOL_DOWN_STEPS, FLOOR, MEASURE_STEPS, REPLAN_EVERY, Schedule

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), min_size=1, max_size=30)


@given(ROWS, st.integers(1, 4))
def test_every_row_has_one_place_and_a_token_for_each_of_its_ids(
    rows: list[tuple[int, ...]], workers: int
) -> None:
    hands = deal(rows, workers)
    assert sorted(row for hand in hands for row in hand.rows) == list(range(len(rows)))
    for hand in [*hands, *passes(rows, 40)]:
        assert sum(chunk.b for chunk in hand.chunks) == len(hand.rows)
        lengths = [chunk.t for chunk in hand.chunks for _ in range(chunk.b)]
        assert all(len(rows[row]) <= length for row, length in zip(hand.rows, lengths, strict=True))
        own = [t for at, first in zip(hand.tokens, hand.first_own, strict=True) for t in at[first:]]
        assert sorted(own) == list(range(hand.n_tokens))


@given(ROWS)
def test_a_token_stands_for_one_beginning_and_each_beginning_is_there_once(
    rows: list[tuple[int, ...]],
) -> None:
    hand = deal(rows, 1)[0]
    beginnings: dict[int, tuple[int, ...]] = {}
    for row, at in zip(hand.rows, hand.tokens, strict=True):
        for position, token in enumerate(at):
            beginning = rows[row][: position + 1]
            assert beginnings.setdefault(token, beginning) == beginning
    assert len(set(beginnings.values())) == len(beginnings)


def test_adam_is_torchs_adamw_without_decay() -> None:
    torch.manual_seed(0)
    ours = torch.randn(50)
    theirs = torch.nn.Parameter(ours.clone())
    adam, reference = Adam.zeros_like(ours), torch.optim.AdamW([theirs], 0.01, BETAS, EPS, weight_decay=0)
    for _ in range(20):
        gradient = 0.05 * torch.randn(50)  # below the norm that is clipped
        theirs.grad = gradient.clone()
        reference.step()
        adam.update(ours, gradient, 0.01)
    torch.testing.assert_close(ours, theirs.detach())


def test_the_rate_warms_up_and_comes_down_to_its_floor() -> None:
    schedule = Schedule(1.0, 5, 50)
    rates = []
    while not schedule.is_done:
        rates.append(schedule.rate())
        schedule.advance()
    assert rates[:5] == sorted(rates[:5])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] == pytest.approx(FLOOR, abs=0.01)


def test_the_plan_follows_the_measured_time_both_ways_and_no_further_than_wanted() -> None:
    schedule = Schedule(1.0, 2, 100)
    for _ in range(MEASURE_STEPS):
        schedule.advance()
    schedule.fit_to_time(step_s=1.0, left_s=20)
    assert schedule.total == MEASURE_STEPS + 20
    for _ in range(REPLAN_EVERY):
        schedule.advance()
    schedule.fit_to_time(step_s=0.1, left_s=500)
    assert schedule.total == 100
    schedule.cool_down()
    assert schedule.total == MEASURE_STEPS + REPLAN_EVERY + COOL_DOWN_STEPS
    assert Schedule.from_state(json.loads(json.dumps(schedule.state()))) == schedule


def texts() -> list[Text]:
    answers = [Text(f"a{i}", "answer", f"f{i // 4}", (1, 2), (0,)) for i in range(40)]
    return [*answers, *(Text(f"k{i}", "kl", None, (1, 2), (0,), torch.zeros(1, 2)) for i in range(5))]


def test_a_step_never_shows_more_than_two_texts_of_a_fact_while_others_wait() -> None:
    curriculum = Curriculum(texts(), TrainSettings(facts_per_step=8, kl_per_step=2), seed=0)
    for step in range(10):
        chosen = [text for text in curriculum.choose(step) if text.kind == "answer"]
        curriculum.record(chosen, [1.0] * len(chosen))
        facts = [text.fact_id for text in chosen]
        assert len(chosen) == 8
        assert max(facts.count(fact) for fact in facts) <= 4


def test_unlearned_texts_are_shown_more_often() -> None:
    curriculum = Curriculum(texts(), TrainSettings(facts_per_step=8, kl_per_step=0), seed=0)
    for step in range(30):
        chosen = curriculum.choose(step)
        curriculum.record(chosen, [1.0 if text.fact_id == "f3" else 0.01 for text in chosen])
    shown = {text.id: curriculum.seen[text.id].shown for text in texts()}
    hard = [count for key, count in shown.items() if key in {"a12", "a13", "a14", "a15"}]
    easy = [
        count
        for key, count in shown.items()
        if key.startswith("a") and key not in {"a12", "a13", "a14", "a15"}
    ]
    assert min(easy) >= 1
    assert sum(hard) / 4 > 2 * sum(easy) / 36


def test_the_bases_own_texts_take_turns() -> None:
    curriculum = Curriculum(texts(), TrainSettings(kl_per_step=2), seed=0)
    shown = [text.id for step in range(10) for text in curriculum.choose(step) if text.kind == "kl"]
    assert {shown.count(f"k{i}") for i in range(5)} <= {3, 4, 5}


def test_a_choice_depends_on_what_was_seen_and_on_nothing_else() -> None:
    one = Curriculum(texts(), TrainSettings(), seed=0)
    one.record(texts(), [0.3] * 45)
    two = Curriculum(texts(), TrainSettings(), seed=0)
    two.restore(json.loads(json.dumps(one.state())))
    assert [text.id for text in one.choose(7)] == [text.id for text in two.choose(7)]


def test_a_damaged_checkpoint_is_no_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    Checkpoint(torch.ones(3), torch.ones(3), torch.ones(3), {"step": 1}).save(file)
    loaded = Checkpoint.load(file)
    assert loaded is not None
    assert loaded.notes == {"step": 1}
    file.write_bytes(file.read_bytes()[:-4])
    assert Checkpoint.load(file) is None
