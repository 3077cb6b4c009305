from __future__ import annotations

from typing import Any

import pytest

from consolidation import check, decide, score
from consolidation.stage import no_progress
from consolidation.why import why
from memory.errors import UnknownFact


def test_the_shares_add_up_to_the_salience(chat: Any) -> None:
    (fact_id,) = chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    context = chat.context()
    for stage in (score, check, decide):
        stage.run(context, no_progress)
    found = why(chat.database, chat.space_id, fact_id)
    assert found.salience == pytest.approx(sum(share for _, share in found.terms.values()), abs=1e-3)
    assert [row.kind for row in found.decisions] == ["STORE"]
    assert found.findings is not None
    assert found.findings["support"]["label"] == "supported"


def test_a_fact_that_no_night_has_seen_has_no_terms(chat: Any) -> None:
    (fact_id,) = chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    found = why(chat.database, chat.space_id, fact_id)
    assert (found.salience, found.terms, found.decisions) == (None, {}, ())


def test_an_unknown_fact_is_refused(chat: Any) -> None:
    with pytest.raises(UnknownFact):
        why(chat.database, chat.space_id, "nosuchfact")
