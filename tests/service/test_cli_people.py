"""People on the command line: the card, names, relations, merging."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from consolidation.patterns import TOLD
from memory.episodes import list_episodes
from memory.facts import add_candidates, decide
from memory.types import FactCandidate
from service.settings import Settings
from service.wiring import Services


def merged(slowwave: Any) -> str:
    """A merge of the two who spoke in one conversation, by force."""
    merge_id: str = slowwave("person", "merge", "Ada Lund", "Bo Rask", "--force", "--json").json["merge"]
    return merge_id


def test_people_are_listed_with_their_names(slowwave: Any) -> None:
    slowwave("person", "alias", "Ada", "Addie")
    ada, *_ = slowwave("people", "--json").json
    assert (ada["name"], ada["aliases"], ada["speaks"]) == ("Ada Lund", ["Addie"], True)
    assert "Addie" in slowwave("people").out


def test_the_card_as_text_json_and_page(slowwave: Any, tmp_path: Path) -> None:
    shown = slowwave("person", "show", "Ada").out
    assert all(word in shown for word in ("Ada Lund", "Marta", "Lagos", "3 messages"))
    card = slowwave("person", "show", "Ada", "--json").json
    assert card["relations"][0]["object"] == "Marta"
    assert card["messages"]["count"] == 3
    page = tmp_path / "ada.html"
    assert slowwave("person", "show", "Ada", "--html", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert all(word in text for word in ("<svg", "Ada Lund", "Marta", "Lagos"))
    assert "http" not in text


def test_words_on_the_page_are_escaped(slowwave: Any, tmp_path: Path) -> None:
    slowwave("person", "rename", "Marta", "<script>Marta & co")
    slowwave("person", "show", "Ada", "--html", tmp_path / "ada.html")
    text = (tmp_path / "ada.html").read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "&lt;script&gt;Marta &amp; co" in text


def test_a_card_of_an_earlier_day_and_for_somebody_else(slowwave: Any) -> None:
    early = slowwave("person", "show", "Ada", "--as-of", "2025-04-01", "--json").json
    assert [fact["object"] for fact in early["facts"]["home"] if fact["predicate"] == "lives_in"] == ["Porto"]
    martas = slowwave("person", "show", "Ada", "--known-to", "Marta", "--json").json
    assert (martas["facts"], martas["relations"], martas["messages"]["count"]) == ({}, [], 0)


def test_relations_stand_on_both_sides(slowwave: Any) -> None:
    assert [edge["predicate"] for edge in slowwave("person", "relations", "Ada", "--json").json] == ["sister"]
    (back,) = slowwave("person", "relations", "Marta", "--json").json
    assert (back["predicate"], back["object"], back["inverse"]) == ("sibling", "Ada Lund", True)
    assert "sibling" in slowwave("person", "relations", "Marta").out
    assert "no relation" in slowwave("person", "relations", "Bo").out


def test_somebody_is_found_by_what_they_are_to_somebody(slowwave: Any) -> None:
    assert slowwave("person", "show", "Ada's sister", "--json").json["name"] == "Marta"
    assert slowwave("person", "show", "Marta's sibling", "--json").json["name"] == "Ada Lund"
    assert "nobody called Ada's brother" in slowwave("person", "show", "Ada's brother").refusal
    assert "nobody called my sister" in slowwave("person", "show", "my sister").refusal


def test_names_are_given_taken_and_changed(slowwave: Any) -> None:
    assert "Addie" in slowwave("person", "alias", "Ada", "Addie").out
    assert "nothing else" in slowwave("person", "unalias", "Ada", "addie").out
    assert slowwave("person", "rename", "Marta", "Marta Lund").out.strip() == "Marta is now Marta Lund"
    assert slowwave("person", "show", "Marta").out.startswith("Marta Lund")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("alias", "Ada", "bo rask"), "is the name of Bo Rask"),
        (("alias", "Ada", "Ada Lund"), "already"),
        (("unalias", "Ada", "Zed"), "no alias"),
        (("rename", "Ada", "Marta"), "is the name of Marta"),
        (("alias", "Ada", " "), "nothing of that name can be seen"),
        (("merge", "Ada", "Bo"), "--force"),
        (("merge", "Ada", "Ada Lund"), "one already"),
        (("merge", "Ada", "Nobody"), "nobody called Nobody"),
        (("unmerge", "0000"), "person merges"),
        (("show", "Zed"), "nobody called Zed"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(slowwave: Any, command: tuple[str, ...], said: str) -> None:
    before = slowwave.rows()
    assert said in slowwave("person", *command).refusal
    assert slowwave.rows() == before


def test_a_merge_is_tried_made_listed_and_undone(slowwave: Any) -> None:
    before = slowwave.rows()
    assert "would become" in slowwave("person", "merge", "Ada", "Bo", "--force", "--dry-run").out
    assert slowwave.rows() == before
    merge_id = merged(slowwave)
    assert slowwave("person", "show", "Bo", "--json").json["name"] == "Ada Lund"
    (row,) = slowwave("person", "merges", "--json").json
    assert (row["merge"], row["kept"], row["merged"], row["undone"]) == (
        merge_id,
        "Ada Lund",
        "Bo Rask",
        None,
    )
    assert merge_id in slowwave("person", "merges").out
    assert "two again" in slowwave("person", "unmerge", merge_id).out
    assert [slowwave.rows()[table] for table in ("node", "fact", "alias", "episode", "participant")] == [
        before[table] for table in ("node", "fact", "alias", "episode", "participant")
    ]
    assert "undone before" in slowwave("person", "unmerge", merge_id).refusal


def test_a_second_import_after_a_merge_adds_nothing(slowwave: Any, chat: Path) -> None:
    merged(slowwave)
    assert slowwave("import", chat).out.startswith("nothing new")


def test_duplicates_are_suggested_and_not_merged(slowwave: Any) -> None:
    assert "nobody seems to be here twice" in slowwave("people", "--duplicates").out
    slowwave("person", "rename", "Marta", "Adda Lund")
    (pair,) = slowwave("people", "--duplicates", "--json").json
    assert (pair["keep"], pair["other"]) == ("Ada Lund", "Adda Lund")
    assert pair["reasons"] == ["names one letter apart"]
    assert "one letter apart" in slowwave("people", "--duplicates").out
    assert len(slowwave("people", "--json").json) == 3


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.mark.parametrize("act", [("merge", "Zed Ny", "Bo"), ("rename", "Bo", "Zed Rask")])
def test_a_chat_goes_on_as_the_same_after_its_people_got_other_names(
    slowwave: Any, chat: Path, tmp_path: Path, act: tuple[str, ...]
) -> None:
    said = [json.loads(line) for line in chat.read_text(encoding="utf-8").splitlines()]
    slowwave("import", write(tmp_path / "other.jsonl", [{**said[0], "speaker": "Zed Ny", "text": "hello?"}]))
    assert slowwave("person", *act).code == 0
    later = [
        {"time": "2025-06-06T10:00:00", "speaker": "Bo Rask", "text": "Nice!"},
        {"time": "2025-06-07T10:00:00", "speaker": "Cy Ek", "text": "Hi all"},
    ]
    report = slowwave("import", write(tmp_path / "longer.jsonl", said + later), "--json").json
    assert (report["messages"], report["new"]) == (7, 2)


def test_patterns_of_a_person_are_listed_to_who_could_hear_them(slowwave: Any) -> None:
    assert "no pattern of Ada Lund is known" in slowwave("person", "patterns", "Ada").out
    with Services(Settings(home=slowwave.home)) as services:
        said = next(e for e in list_episodes(services.database, services.space_id) if e.speaker == "Ada Lund")
        candidate = FactCandidate(
            "Ada Lund",
            "pattern",
            "hums when nervous",
            (said.id,),
            "Ada Lund",
            0.75,
            TOLD,
            object_kind="pattern",
        )
        with services.database.transaction() as session:
            found = add_candidates(session, services.space_id, [candidate], services.registry)
            decide(session, services.space_id, found[0], "STORE", ["said"], services.registry, run_id=None)
    (shown,) = slowwave("person", "patterns", "Ada", "--known-to", "Bo", "--json").json
    assert (shown["pattern"], shown["kind"], shown["counts"]) == ("hums when nervous", "told", None)
    assert shown["evidence"] == [said.id]
    assert "said in 1 message" in slowwave("person", "patterns", "Ada").out
