"""Rows of a curriculum to ids and supervised positions."""

from __future__ import annotations

from collections.abc import Sequence

from agents.runtime.template import Template
from consolidation.stage import MAX_TOKENS
from consolidation.trainer.engine import Text
from consolidation.trainer.job import Row

_OWN_KINDS = ("negative", "replay", "style", "validation")


def make_texts(rows: Sequence[Row], template: Template, max_tokens: int = MAX_TOKENS) -> list[Text]:
    """One text per row with at least one supervised position; every kind that is not special is an answer. What is longer
    is cut at its beginning, so that the answer stays whole as far as it can."""
    texts = []
    for row in rows:
        ids, is_answer = template.supervised([dict(message) for message in row.messages])
        ids, is_answer = ids[-max_tokens:], is_answer[-max_tokens:]
        positions = tuple(i - 1 for i in range(1, len(ids)) if is_answer[i])
        kind = row.kind if row.kind in _OWN_KINDS else "answer"
        if positions:
            texts.append(Text(row.id, kind, row.fact_id, tuple(ids), positions))
    return texts
