"""why, review, pin on the command line."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memory.facts import candidates, decide
from service.settings import Settings
from service.wiring import Services

ROOT = Path(__file__).parents[2]


@pytest.fixture
def quarantined(slowwave: Any) -> dict[str, str]:
    """Every candidate of the chat is quarantined; ids by object."""
    with Services(Settings(home=slowwave.home)) as services:
        found = candidates(services.database, services.space_id)
        with services.database.transaction() as session:
            for fact in found:
                reasons = ["no verdict: the judge is away"]
                decide(
                    session, services.space_id, fact.id, "QUARANTINE", reasons, services.registry, run_id=None
                )
    return {fact.object: fact.id for fact in found}


def at_terminal(slowwave: Any, typed: str, *arguments: str) -> str:
    """What a person sees who runs the command at a terminal and types that."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "service", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the terminal closed with the program
                break
            if not part:
                break
            shown += part
        assert process.wait(240) == 0, shown
    os.close(ours)
    return shown.decode()


def test_what_waits_is_listed_with_reasons_and_messages(slowwave: Any, quarantined: dict[str, str]) -> None:
    page = slowwave("review", "--json").json
    assert set(page) == {"items", "next", "waiting"}
    assert page["waiting"] == len(quarantined) == len(page["items"])
    porto = next(item for item in page["items"] if item["object"] == "Porto")
    assert porto["reasons"] == ["no verdict: the judge is away"]
    assert [message["text"] for message in porto["messages"]] == ["I live in Porto."]
    assert porto["said_by"] == "Ada Lund"
    first = slowwave("review", "--limit", "1", "--json").json
    then = slowwave("review", "--limit", "100", "--after", first["next"], "--json").json
    assert first["items"] + then["items"] == page["items"]
    assert "the judge is away" in slowwave("review").out


def test_one_fact_is_settled_and_the_settlement_undone(slowwave: Any, quarantined: dict[str, str]) -> None:
    porto = quarantined["Porto"]
    done = slowwave("review", porto, "--accept", "--by", "Bo", "--json").json
    assert (done["kind"], done["by"], done["fact"]["status"]) == ("STORE", "Bo Rask", "current")
    refused = slowwave("review", porto, "--reject").refusal
    assert "cannot get a settlement; undo its decision first" in refused
    (decision,) = done["decisions"]
    assert slowwave("fact", "undo", decision).code == 0
    shown = slowwave("review", porto, "--correct", "Ponte de Lima").out
    assert "Ponte de Lima" in shown
    assert "take it back with `slowwave fact undo " in shown
    assert porto not in {item["id"] for item in slowwave("review", "--json").json["items"]}
    assert slowwave("verify").code == 0


@pytest.mark.parametrize(
    "arguments",
    [("--accept",), ("{id}",), ("{id}", "--accept", "--correct", "Faro")],
    ids=["no fact", "no verdict", "two verdicts"],
)
def test_half_a_settlement_is_a_usage_error(
    slowwave: Any, quarantined: dict[str, str], arguments: tuple[str, ...]
) -> None:
    found = slowwave("review", *(part.format(id=quarantined["Porto"]) for part in arguments))
    assert found.code == 2


def test_nothing_to_review_says_so(slowwave: Any) -> None:
    assert slowwave("review").out == "nothing waits for you\n"


def test_at_a_terminal_one_is_asked_about_each(slowwave: Any, quarantined: dict[str, str]) -> None:
    items = slowwave("review", "--json").json["items"]
    shown = at_terminal(slowwave, "what\ny\nc\nc something else\ns\nq\n", "review", "--by", "Bo")
    assert "say y, n, s, q, or c and the right value" in shown
    assert "2 settled" in shown
    left = [item["id"] for item in slowwave("review", "--json").json["items"]]
    assert left == [item["id"] for item in items[2:]]
    by_hand = [row for row in slowwave("fact", "decisions", "--json").json if "Bo Rask" in row["reasons"][0]]
    assert [row["reasons"] for row in by_hand] == [["accepted by Bo Rask"], ["corrected by Bo Rask"]]


def test_why_tells_terms_check_decisions_and_how_to_undo(empty: Any) -> None:
    made = empty("fact", "add", "Mara Quist", "lives_in", "Porto", "--json").json
    told = empty("why", made["fact"]["id"], "--json").json
    assert (told["undo"], told["salience"], told["check"]) == (made["decision"], None, None)
    assert set(empty("fact", "show", made["fact"]["id"], "--json").json) < set(told)
    shown = empty("why", made["fact"]["id"]).out
    assert "no night has scored it yet" in shown
    assert f"slowwave fact undo {made['decision']}" in shown


def test_what_was_wrongly_superseded_comes_back_with_its_interval(empty: Any) -> None:
    said = ("fact", "add", "Mara Quist", "lives_in")
    porto = empty(*said, "Porto", "--from", "2024-01-01", "--to", "2026-05-01", "--json").json
    wrong = empty(*said, "Beja", "--from", "2025-02-03", "--json").json
    assert [fact["object"] for fact in wrong["supersedes"]] == ["Porto"]
    superseded = empty("why", porto["fact"]["id"], "--json").json
    assert (superseded["status"], superseded["valid_to"]) == ("past", "2025-02-03")
    undo = empty("why", wrong["fact"]["id"], "--json").json["undo"]
    assert f"undo CORRECT with `slowwave fact undo {undo}`" in empty("why", wrong["fact"]["id"]).out
    assert empty("fact", "undo", undo).code == 0
    back = empty("why", porto["fact"]["id"], "--json").json
    assert (back["valid_from"], back["valid_to"]) == ("2024-01-01", "2026-05-01")
    assert back["superseded_by"] is None
    told = [
        row["payload"]["decision"] for row in empty("ledger", "show", "--json").json if row["kind"] == "undo"
    ]
    assert told == [undo]
    assert undo in empty("ledger", "show").out
    assert empty("verify").code == 0


def test_why_draws_the_terms_of_a_scored_fact(slowwave: Any, quarantined: dict[str, str]) -> None:
    from sqlalchemy import update

    from db.tables import Fact

    values = {
        "salience": 0.5,
        "salience_terms": {"identity": 0.9, "novelty": 0.2},
        "check_result": {
            "support": {"label": "contradicted", "reason": "it is a joke", "confidence": 0.8},
            "impossible": None,
            "n_evidence": 1,
        },
    }
    with Services(Settings(home=slowwave.home)) as services, services.database.transaction() as session:
        session.execute(update(Fact).where(Fact.id == quarantined["Porto"]).values(**values))
    shown = slowwave("why", quarantined["Porto"]).out
    lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert lines["identity"].count("#") == 24 > lines["novelty"].count("#") > 0
    assert "contradicted 0.80: it is a joke" in lines["support"]
    assert "impossible" not in lines
    assert "I live in Porto." in shown


def test_a_pin_is_set_shown_and_taken_back(slowwave: Any, quarantined: dict[str, str]) -> None:
    porto = quarantined["Porto"]
    assert slowwave("pin", porto, "--json").json == {"fact": porto, "pinned": True, "changed": True}
    assert slowwave("why", porto, "--json").json["pinned"]
    assert "(pinned)" in slowwave("fact", "show", porto).out
    assert slowwave("pin", porto).out == f"{porto} is pinned, as it was before\n"
    assert slowwave("unpin", porto).out == f"{porto} is not pinned\n"
    assert [row["kind"] for row in slowwave("ledger", "show", "--limit", "2", "--json").json] == [
        "unpin",
        "pin",
    ]
