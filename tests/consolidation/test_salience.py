"""Claims about learning weights: what is wanted decides, little evidence changes little, and nothing is set."""

from __future__ import annotations

import random
from dataclasses import asdict
from typing import Any

import pytest
from sqlalchemy import update

from consolidation import salience
from consolidation.errors import TooLittleToLearn
from consolidation.salience import TERMS, learn
from consolidation.stage import SalienceWeights
from db import tables
from memory.facts import candidates, decide
from memory.registry import Registry
from memory.uses import record


def fill(chat: Any, n: int, term: str) -> None:
    """`n` stored facts with terms by chance; those whose `term` is high were asked for."""
    dice = random.Random(1)
    chat.propose(*(("Mona Berg", "likes", f"thing {number}", 0) for number in range(n)))
    wanted = []
    for fact in candidates(chat.database, chat.space_id):
        terms = {name: round(dice.random(), 3) for name in TERMS}
        if terms[term] > 0.6:
            wanted.append(fact.id)
        with chat.database.transaction() as session:
            decide(session, chat.space_id, fact.id, "STORE", ["by hand"], Registry.load(), run_id=None)
            session.execute(
                update(tables.Fact)
                .where(tables.Fact.id == fact.id)
                .values(salience=0.5, salience_terms=terms)
            )
    record(chat.database, chat.space_id, wanted)


def test_the_term_that_wanted_facts_share_gains_and_facts_left_out_agree(chat: Any) -> None:
    fill(chat, 80, "emotion")
    before = SalienceWeights()
    found = learn(chat.database, chat.space_id, before)
    assert found.weights.emotion > 2 * before.emotion
    assert found.auroc_after > found.auroc_before + 0.1
    assert found.weights.asked == before.asked
    assert min(asdict(found.weights).values()) >= 0
    assert sum(asdict(found.weights).values()) == pytest.approx(sum(asdict(before).values()), abs=0.01)


def test_too_little_is_refused_with_what_is_missing(chat: Any) -> None:
    fill(chat, 10, "emotion")
    with pytest.raises(TooLittleToLearn, match="takes 20 of either"):
        learn(chat.database, chat.space_id, SalienceWeights())


def test_the_suggestion_is_lines_that_the_settings_read(tmp_path: Any) -> None:
    from service.settings import load_settings

    weights = SalienceWeights(emotion=0.5)
    (tmp_path / "config.toml").write_text(salience.as_toml(weights), encoding="utf-8")
    assert load_settings(tmp_path, {}).night.salience == weights
