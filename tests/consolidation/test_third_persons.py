"""Claims about people who do not speak: what two others say of them meets on one node, with both voices."""

from __future__ import annotations

import json
from typing import Any

from agents.extractors.rules import RuleExtractor
from agents.judges import RuleJudge
from consolidation import check, decide, extract, score
from consolidation.stage import no_progress
from memory.embedders.hashing import HashingEmbedder
from memory.episodes import list_episodes
from memory.facts import list_facts
from memory.importing import import_file
from memory.people import find_person, list_people
from memory.registry import Registry

LINES = (
    ("office", "Nora Falk", "my colleague Rita moved to Ghent last month"),
    ("office", "Petra Lang", "she told me too"),
    ("home", "Emil Storm", "rita lives in Ghent now, I visited her"),
    ("home", "Nora Falk", "Rita works as a translator these days"),
    ("home", "Emil Storm", "Rita's dog is called Pixel"),
)


def tell(chat: Any) -> None:
    for name in ("office", "home"):
        path = chat.home / f"{name}.jsonl"
        rows = [
            {"time": f"2025-04-0{day}T09:00:00", "speaker": who, "text": text}
            for day, (where, who, text) in enumerate(LINES, start=1)
            if where == name
        ]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        import_file(chat.database, chat.space_id, path)
    context = chat.context(tools={"extractor": RuleExtractor(), "judge": RuleJudge(HashingEmbedder(64))})
    for stage in (extract, score, check, decide):
        stage.run(context, no_progress)


def facts_of_rita(chat: Any, **asked: Any) -> dict[str, Any]:
    rita = find_person(chat.database, chat.space_id, "Rita")
    found = list_facts(chat.database, chat.space_id, Registry.load(), person_id=rita.id, **asked)
    return {fact.predicate: fact for fact in found if fact.status == "current"}


def test_what_two_people_say_of_a_third_meets_on_one_node(chat: Any) -> None:
    tell(chat)
    assert [p.name for p in list_people(chat.database, chat.space_id)].count("Rita") == 1
    home = facts_of_rita(chat)["lives_in"]
    voices = {e.id: e.speaker for e in list_episodes(chat.database, chat.space_id)}
    assert home.object == "Ghent"
    assert {voices[item] for item in home.evidence} == {"Nora Falk", "Emil Storm"}


def test_each_knows_of_the_third_what_they_could_hear(chat: Any) -> None:
    tell(chat)
    petra = find_person(chat.database, chat.space_id, "Petra Lang")
    assert set(facts_of_rita(chat, known_to=petra.id)) == {"lives_in"}
    nora = find_person(chat.database, chat.space_id, "Nora Falk")
    assert {"lives_in", "job", "dog"} <= set(facts_of_rita(chat, known_to=nora.id))
