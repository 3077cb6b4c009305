"""Facts on the command line: readings, statements by hand, undo."""

from __future__ import annotations

from typing import Any

import pytest

DAY = "2024-01-01"


def ids(found: list[dict[str, Any]]) -> dict[str, str]:
    return {fact["object"]: fact["id"] for fact in found}


def test_a_fact_is_stated_corrected_ended_and_everything_undone(empty: Any) -> None:
    porto = empty("fact", "add", "Mara Quist", "lives_in", "Porto", "--from", DAY, "--json").json
    assert set(porto) == {"fact", "decision", "kind", "supersedes"}
    lisbon = empty("fact", "add", "Mara", "lives_in", "Lisbon", "--from", "2025-01-01", "--json").json
    assert (lisbon["kind"], lisbon["supersedes"][0]["valid_to"]) == ("CORRECT", "2025-01-01")
    right = empty("fact", "correct", lisbon["fact"]["id"], "Leiria", "--json").json
    assert (right["fact"]["object"], right["fact"]["valid_from"]) == ("Leiria", "2025-01-01")
    ended = empty("fact", "end", right["fact"]["id"], "--on", "2025-06-01", "--json").json
    assert ended["fact"]["valid_to"] == "2025-06-01"
    assert empty("facts", "Mara", "--json").json == []
    for decision in (ended, right, lisbon):
        assert empty("fact", "undo", decision["decision"]).code == 0
    (left,) = empty("facts", "Mara", "--json").json
    assert left == porto["fact"]
    assert empty("ledger", "verify").code == 0


def test_the_story_of_a_fact_tells_its_neighbours_messages_and_decisions(empty: Any) -> None:
    porto = empty("fact", "add", "Mara Quist", "lives_in", "Porto", "--from", DAY, "--json").json
    lisbon = empty("fact", "add", "Mara", "lives_in", "Lisbon", "--from", "2025-01-01", "--json").json
    told = empty("fact", "show", porto["fact"]["id"], "--json").json
    assert told["superseded_by"]["id"] == lisbon["fact"]["id"]
    assert [message["speaker"] for message in told["messages"]] == ["Keeper"]
    assert [row["id"] for row in told["decisions"]] == [porto["decision"]]
    assert told["statements"][0]["said_by"] == "Keeper"
    shown = empty("fact", "show", lisbon["fact"]["id"]).out
    assert "supersedes" in shown
    assert "Porto" in shown
    assert "stated by Keeper" in shown


def test_every_reading_is_offered(slowwave: Any) -> None:
    slowwave("fact", "add", "Ada", "likes", "herring", "--by", "Bo")
    known = slowwave("facts", "Ada", "--known-to", "Bo", "--topic", "tastes", "--json").json
    assert [fact["object"] for fact in known] == ["herring"]
    assert slowwave("facts", "Ada", "--known-to", "Ada", "--predicate", "likes", "--json").json == []
    assert slowwave("facts", "Ada", "--as-recorded", "2020-01-01", "--history", "--json").json == []
    homes = slowwave("facts", "Ada", "--as-of", "2025-04-01", "--predicate", "lives in", "--json").json
    assert [fact["object"] for fact in homes] == ["Porto"]


def test_a_viewer_is_shown_no_fact_that_they_did_not_hear(slowwave: Any) -> None:
    secret = slowwave("fact", "add", "Ada", "likes", "herring", "--by", "Ada", "--json").json["fact"]["id"]
    assert slowwave("fact", "show", secret, "--known-to", "Ada").code == 0
    assert "no fact has the id" in slowwave("fact", "show", secret, "--known-to", "Bo").refusal


def test_everybodys_facts_come_in_pages(slowwave: Any) -> None:
    whole = slowwave("facts", "--limit", "1000", "--json").json
    assert whole["next"] is None
    found, after = [], ()
    while True:
        page = slowwave("facts", "--limit", "2", *after, "--json").json
        found += page["facts"]
        if page["next"] is None:
            break
        after = ("--after", page["next"])
    assert found == whole["facts"]
    assert len({fact["subject"] for fact in found}) > 1
    assert "there is more: --after" in slowwave("facts", "--limit", "2").out
    assert slowwave("facts", "Ada", "--after", "x").code == 2


def test_decisions_are_listed_of_all_facts_or_of_one(empty: Any) -> None:
    first = empty("fact", "add", "Mara Quist", "likes", "tea", "--json").json
    empty("fact", "add", "Mara", "likes", "herring")
    assert len(empty("fact", "decisions", "--json").json) == 2
    (row,) = empty("fact", "decisions", "--fact", first["fact"]["id"], "--json").json
    assert (row["id"], row["decision"], row["undone"]) == (first["decision"], "STORE", False)
    assert "nothing" not in empty("fact", "decisions").out


def test_the_registry_is_listed_and_extended_by_a_file(empty: Any, tmp_path: Any, monkeypatch: Any) -> None:
    found = empty("predicates", "--json").json
    assert len(found) >= 60
    assert {"name", "cardinality", "volatility", "object", "topic", "inverse"} == set(found[0])
    own = tmp_path / "own.toml"
    own.write_text('[shoe_size]\ncardinality = "one"\nobject = "number"\ntopic = "body"\n')
    monkeypatch.setenv("SLOWWAVE_PREDICATES", str(own))
    assert "shoe_size" in empty("predicates").out
    empty("fact", "add", "Mara Quist", "shoe_size", "38", "--from", DAY)
    empty("fact", "add", "Mara", "shoe size", "39", "--from", "2025-01-01")
    assert [fact["object"] for fact in empty("facts", "Mara", "--topic", "body", "--json").json] == ["39"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[shoe_size]\ncardinality = 'two'\n", "[shoe_size] sets cardinality to 'two'"),
        ("[shoe_size]\ncolour = 'red'\n", "[shoe_size] sets 'colour', which is no key"),
        ("[shoe_size]\nvolatility = 3\n", "[shoe_size] sets volatility to 3"),
        (
            "[Shoe-Size]\n",
            "[Shoe-Size] is no name; write it in lower case with underscores, such as shoe_size",
        ),
        ("shoe_size = 'one'\n", "[shoe_size] is no table"),
        ("[shoe_size", "it is no TOML"),
    ],
)
def test_a_bad_file_of_predicates_names_the_entry(
    empty: Any, tmp_path: Any, monkeypatch: Any, text: str, said: str
) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text)
    monkeypatch.setenv("SLOWWAVE_PREDICATES", str(own))
    assert said in empty("predicates").refusal


def test_strictness_is_an_option_or_a_setting(empty: Any, monkeypatch: Any) -> None:
    add = ("fact", "add", "Mara Quist", "lives_inn", "Porto")
    assert "did you mean lives_in" in empty(*add, "--strict").refusal
    monkeypatch.setenv("SLOWWAVE_STRICT_PREDICATES", "true")
    assert "did you mean lives_in" in empty(*add).refusal
    monkeypatch.setenv("SLOWWAVE_STRICT_PREDICATES", "perhaps")
    assert "strict_predicates" in empty(*add).refusal
    monkeypatch.setenv("SLOWWAVE_STRICT_PREDICATES", "false")
    assert empty(*add).code == 0


def test_the_keeper_is_a_setting(empty: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("SLOWWAVE_KEEPER", "Ivo Brandt")
    stated = empty("fact", "add", "Mara Quist", "likes", "tea", "--json").json
    assert empty("fact", "show", stated["fact"]["id"], "--json").json["said_by"] == "Ivo Brandt"
    assert "nobody called Nobody" in empty("fact", "add", "Mara", "likes", "tea", "--by", "Nobody").refusal


def test_bad_input_is_one_line_and_writes_nothing(empty: Any) -> None:
    stated = empty("fact", "add", "Mara Quist", "lives_in", "Porto", "--from", DAY, "--json").json
    rows = empty.rows()
    for arguments, said in (
        (("add", "Mara", "likes", " "), "the object is empty"),
        (("add", "Mara", "likes", "x" * 5000), "no value but a text"),
        (("add", "Mara", "likes", "tea", "--from", "2025-02-02", "--to", "2025-01-01"), "cannot end on"),
        (("add", "Mara", "likes", "tea", "--to", "9999-12-31"), "9998"),
        (("add", "Mara Quest", "likes", "tea"), "did you mean Mara Quist"),
        (("end", stated["fact"]["id"], "--on", "2023-01-01"), "cannot end on"),
        (("correct", stated["fact"]["id"], "Porto"), "says already"),
        (("correct", "nothing", "Porto"), "no fact has the id"),
        (("undo", "nothing"), "no decision has the id"),
    ):
        assert said in empty("fact", *arguments).refusal
    for when in ("0000-01-01", "10000-01-01", "2025-02-30", "soon"):
        assert empty("facts", "Mara", "--as-of", when).code == 2
    assert "9998" in empty("facts", "Mara", "--as-of", "9999-12-31").refusal
    assert empty.rows() == rows
