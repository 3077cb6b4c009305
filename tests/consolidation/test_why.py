from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from consolidation import check, decide, score
from consolidation.stage import no_progress
from consolidation.why import Why, why, why_json
from db.tables import Fact
from memory.errors import UnknownFact
from memory.registry import Registry

REGISTRY = Registry.load()


def of(chat: Any, fact_id: str) -> Why:
    return why(chat.database, chat.space_id, REGISTRY, fact_id)


def night(chat: Any) -> None:
    context = chat.context()
    for stage in (score, check, decide):
        stage.run(context, no_progress)


def test_the_shares_add_up_to_the_salience(chat: Any) -> None:
    (fact_id,) = chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    night(chat)
    found = of(chat, fact_id)
    assert found.salience == pytest.approx(sum(term.share for term in found.terms.values()), abs=1e-3)
    shares = [term.share for term in found.terms.values()]
    assert shares == sorted(shares, reverse=True)
    assert [row.kind for row in found.story.decisions] == ["STORE"]
    assert found.undo == found.story.decisions[0].id
    assert found.findings is not None
    assert found.findings["support"]["label"] == "supported"


def test_a_fact_that_no_night_has_seen_has_no_terms(chat: Any) -> None:
    (fact_id,) = chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    found = of(chat, fact_id)
    assert (found.salience, found.terms, found.story.decisions, found.undo) == (None, {}, (), None)


def test_terms_under_a_name_that_is_gone_have_no_share(chat: Any) -> None:
    (fact_id,) = chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    terms = {"identity": 0.5, "shoe_size": 1.0}
    with chat.database.transaction() as session:
        session.execute(update(Fact).where(Fact.id == fact_id).values(salience=0.5, salience_terms=terms))
    assert {name: term.share for name, term in of(chat, fact_id).terms.items()} == {
        "identity": 0.5,
        "shoe_size": 0.0,
    }


def test_messages_that_the_check_names_are_quoted(chat: Any) -> None:
    (fact_id,) = chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    findings = {
        "contradiction": {"label": "contradicts", "messages": [chat.episodes[5].id, "deadbeefdeadbeef"]}
    }
    with chat.database.transaction() as session:
        session.execute(update(Fact).where(Fact.id == fact_id).values(check_result=findings))
    found = why_json(of(chat, fact_id))
    assert [message["text"] for message in found["quoted"]] == ["I live in Tromso now, started on Monday"]
    assert found["check"] == findings


def test_what_is_asked_of_a_restatement_is_told_of_the_fact(chat: Any) -> None:
    first, again = chat.propose(("Karl Aas", "lives_in", "Oslo", 1), ("Karl Aas", "lives_in", "Oslo", 6))
    night(chat)
    assert of(chat, again).story.fact.id == first
    assert [row.kind for row in of(chat, again).story.decisions] == ["STORE", "MERGE"]


def test_an_unknown_fact_is_refused(chat: Any) -> None:
    with pytest.raises(UnknownFact):
        of(chat, "nosuchfact")
