"""What agents keep: exact to them, notes and facts in the graph, and gone with what an erasure takes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database, open_database, sqlite_url
from memory import erasure
from memory.entities.files import take_in, take_in_file
from memory.entities.graph import Entity, Graph, Observation, Part, Relation, pretty
from memory.entities.store import EntityStore, NewEntity, NewRelation
from memory.erasure import Target
from memory.errors import UnknownEntity
from memory.exchange.detect import read_notebook
from memory.exchange.mcp_memory import write_mcp_memory
from memory.exchange.notes import Held, import_notebook
from memory.registry import Registry
from memory.sessions import NewSession, NewTurn, begin, keep_turn
from memory.spaces import ensure_space
from memory.verify import verify
from memory.verify.rows import participants

ANA = NewEntity("Ana_Reis", "person", ("plays the oboe", "plays the oboe", " keeps bees "))
MILL = NewEntity("The old mill", "restoration project", ("begun in 2019",))


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Iterator[Database]:
    """One kind of store: which it is makes no difference but where `shared_url` is asked for."""
    path = tmp_path / "graph.db"
    path.write_bytes(migrated.read_bytes())
    opened = open_database(sqlite_url(path))
    yield opened
    opened.close()


@pytest.fixture
def kept(world: Any) -> EntityStore:
    return EntityStore(world.database, world.space_id, world.registry, clock=world.clock)


def shown(store: EntityStore) -> Any:
    return store.look(Graph.whole).as_json()


def notes(world: Any) -> dict[str, str]:
    """Text and kind of every message."""
    episode = tables.Episode
    with world.database.reading() as session:
        rows = session.execute(select(episode.text, episode.kind).where(episode.space_id == world.space_id))
        return {row.text: row.kind for row in rows}


def erase(world: Any, home: Path, kind: Any, target_id: str) -> None:
    target = Target(kind, target_id)
    erasure.erase(world.database, world.space_id, home, target, world.registry, clock=world.clock)


def test_what_is_kept_comes_back_as_it_was_given_and_in_its_order(shared_url: str) -> None:
    opened = open_database(shared_url)
    space_id, registry = ensure_space(opened), Registry.load()
    kept = EntityStore(opened, space_id, registry)
    kept.create_entities([MILL, ANA, NewEntity("", "", ("", "\n"))])
    kept.create_relations([NewRelation("Ana_Reis", "nobody yet", "looks for")])
    other = EntityStore(opened, space_id, registry)
    for store in (kept, other):
        assert shown(store) == {
            "entities": [
                {"name": "The old mill", "entityType": MILL.entity_type, "observations": ["begun in 2019"]},
                {"name": "Ana_Reis", "entityType": "person", "observations": list(ANA.observations)},
                {"name": "", "entityType": "", "observations": ["", "\n"]},
            ],
            "relations": [{"from": "Ana_Reis", "to": "nobody yet", "relationType": "looks for"}],
        }
    opened.close()


def test_observations_of_a_person_are_notes_that_others_can_read(world: Any, kept: EntityStore) -> None:
    kept.create_entities([ANA, MILL])
    kept.create_relations([NewRelation("Ana_Reis", "The old mill", "works_on")])
    said = notes(world)
    assert {"Ana Reis: plays the oboe", "Ana Reis: keeps bees", "The old mill: begun in 2019"} <= set(said)
    assert {(fact.subject, fact.predicate, fact.object) for fact in world.facts()} == {
        ("Ana Reis", "works_on", "The old mill"),
        ("The old mill", "is_a", "restoration project"),
    }


def test_what_was_taken_back_is_a_deleted_message_and_no_fact(world: Any, kept: EntityStore) -> None:
    kept.create_entities([ANA, MILL])
    kept.create_relations([NewRelation("Ana_Reis", "The old mill", "works_on")])
    kept.delete_observations([("Ana_Reis", ("plays the oboe",)), ("nobody", ("x",))])
    kept.delete_entities(["The old mill"])
    assert [fact.object for fact in world.facts()] == []
    assert [text for text, kind in notes(world).items() if kind == "text"] == ["Ana Reis: keeps bees"]
    assert shown(kept)["relations"] == []


def test_a_space_with_notes_of_agents_is_sound(world: Any, kept: EntityStore) -> None:
    kept.create_entities([ANA, MILL])
    with world.database.reading() as session:
        assert list(participants(session, world.space_id)) == []


def test_the_same_words_can_be_kept_again(world: Any, kept: EntityStore) -> None:
    kept.create_entities([ANA])
    kept.delete_observations([("Ana_Reis", ("plays the oboe",))])
    assert kept.add_observations([("Ana_Reis", ("plays the oboe",))]) == [("Ana_Reis", ("plays the oboe",))]
    assert notes(world)["Ana Reis: plays the oboe"] == "text"
    assert shown(kept)["entities"][0]["observations"] == [" keeps bees ", "plays the oboe"]


def test_a_note_stays_while_somebody_else_holds_it(world: Any, kept: EntityStore) -> None:
    kept.create_entities([ANA, NewEntity("ana reis", "person", ("plays the oboe",))])
    kept.delete_entities(["ana reis"])
    assert notes(world)["Ana Reis: plays the oboe"] == "text"


def test_nothing_is_added_where_one_entity_is_unknown(world: Any, kept: EntityStore) -> None:
    kept.create_entities([ANA])
    before = shown(kept)
    with pytest.raises(UnknownEntity, match="Entity with name Zed not found"):
        kept.add_observations([("Ana_Reis", ("sails",)), ("Zed", ("x",))])
    assert shown(kept) == before
    assert "Ana Reis: sails" not in notes(world)


def test_two_stores_of_one_space_see_each_other(world: Any, kept: EntityStore) -> None:
    other = EntityStore(world.database, world.space_id, world.registry, clock=world.clock)
    kept.create_entities([ANA])
    assert other.create_entities([ANA, MILL])[0].name == "The old mill"
    kept.delete_entities(["Ana_Reis"])
    assert [row["name"] for row in shown(other)["entities"]] == ["The old mill"]


def test_an_erased_person_is_kept_by_no_agent(world: Any, kept: EntityStore, tmp_path: Path) -> None:
    kept.create_entities([ANA, MILL])
    kept.create_relations([NewRelation("The old mill", "Ana_Reis", "belongs_to")])
    person = next(fact.object_id for fact in world.facts() if fact.object == "Ana Reis")
    erase(world, tmp_path, "person", person)
    assert shown(kept) == {
        "entities": [
            {"name": "The old mill", "entityType": MILL.entity_type, "observations": ["begun in 2019"]}
        ],
        "relations": [],
    }
    with world.database.reading() as session:
        for mapped in (tables.MemoryEntity, tables.MemoryObservation, tables.MemoryRelation):
            for row in session.execute(select(mapped.__table__)):
                assert not {"Ana_Reis", "plays the oboe"} & {str(value) for value in row}


def test_erasing_the_channel_leaves_nothing_that_agents_kept(
    world: Any, kept: EntityStore, tmp_path: Path
) -> None:
    kept.create_entities([ANA, MILL])
    kept.create_relations([NewRelation("Ana_Reis", "The old mill", "works_on")])
    with world.database.reading() as session:
        source = session.scalars(select(tables.Source.id).where(tables.Source.kind == "mcp-memory")).one()
    erase(world, tmp_path, "source", source)
    assert shown(kept) == {"entities": [], "relations": []}
    report = verify(world.database, world.space_id, tmp_path, world.registry)
    assert [problem.what for problem in report.problems] == []


def bring_in(world: Any, raw: bytes) -> str:
    """Import a file as the program does; the id of its source."""
    notebook = read_notebook(raw, "memory.jsonl")
    assert notebook is not None

    def keep(session: Session, held: Held) -> None:
        take_in(EntityStore(world.database, world.space_id, world.registry), raw, "m", held, session)

    given: dict[str, Any] = {"raw": raw, "name": "memory.jsonl", "clock": world.clock, "also": keep}
    return import_notebook(world.database, world.space_id, notebook, world.registry, **given)[0].source_id


def as_rows(*rows: dict[str, Any]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def test_forgetting_one_file_leaves_what_others_keep(world: Any, kept: EntityStore, tmp_path: Path) -> None:
    kept.create_entities([NewEntity("Bo", "person"), NewEntity("Fjordbank", "bank")])
    kept.create_relations([NewRelation("Bo", "Fjordbank", "saves_at")])
    before = shown(kept)
    source = bring_in(
        world,
        as_rows(
            {"type": "entity", "name": "Ilka", "entityType": "diver", "observations": ["rows"]},
            {"type": "entity", "name": "Orin", "entityType": "tuner", "observations": ["sails"]},
            {"type": "entity", "name": "Bo", "entityType": "person", "observations": ["skis"]},
        ),
    )
    kept.add_observations([("Orin", ("repairs church organs",))])
    erase(world, tmp_path, "source", source)
    orin = {"name": "Orin", "entityType": "thing", "observations": ["repairs church organs"]}
    assert shown(kept) == {"entities": [*before["entities"], orin], "relations": before["relations"]}
    problems = verify(world.database, world.space_id, tmp_path, world.registry).problems
    assert {problem.check for problem in problems} <= {"participants"}  # a notebook takes no part


def test_what_has_no_note_goes_with_what_brought_it(world: Any, kept: EntityStore, tmp_path: Path) -> None:
    kept.create_entities([NewEntity("Bo", "person"), NewEntity("---", "sign")])
    before = shown(kept)
    source = bring_in(
        world,
        as_rows(
            {"type": "entity", "name": "Ilka", "entityType": "diver", "observations": ["rows"]},
            {"type": "entity", "name": "***", "entityType": "sign", "observations": []},
        ),
    )
    erase(world, tmp_path, "source", source)
    assert shown(kept) == before


def test_an_erased_fact_is_not_kept_as_it_came_back(world: Any, kept: EntityStore, tmp_path: Path) -> None:
    lives = world.candidate("Oslo", 0, object_kind="place")
    fact_ids = world.add(lives, world.candidate("the sea", 0, predicate="likes"))
    world.store_all()
    written = io.BytesIO()
    write_mcp_memory(world.database, world.space_id, world.registry, written, clock=world.clock)
    bring_in(world, written.getvalue())
    assert shown(kept)["relations"]
    erase(world, tmp_path, "fact", fact_ids[0])
    assert "Oslo" not in json.dumps(shown(kept))
    assert "the sea" in json.dumps(shown(kept))
    erase(world, tmp_path, "fact", fact_ids[1])
    assert "the sea" not in json.dumps(shown(kept))


def test_what_a_persona_replied_is_no_evidence_when_it_is_noted(world: Any, kept: EntityStore) -> None:
    ana, ben = world.person("Ana Reis"), world.person("Ben Ode")
    opened = NewSession(ana, "simulated", (ana, ben), settings={}, engine="embedded")
    talk = begin(world.database, world.space_id, opened, clock=world.clock)
    turn = NewTurn(ana, "Well. I moved to Faro last spring!", heard=(ben, "and you?"))
    keep_turn(world.database, world.space_id, talk, turn, clock=world.clock)
    noted = "She said: I moved to Faro last spring."
    kept.create_entities([NewEntity("Ana_Reis", "person", (noted, "plays the oboe"))])
    episode = tables.Episode
    with world.database.reading() as session:
        rows = session.execute(select(episode.text, episode.origin).where(episode.text.like("Ana Reis: %")))
        origins = {row.text.removeprefix("Ana Reis: "): row.origin for row in rows}
    assert origins == {noted: "simulated", "plays the oboe": "observed"}
    assert noted in shown(kept)["entities"][0]["observations"]
    written = io.BytesIO()
    write_mcp_memory(world.database, world.space_id, world.registry, written, clock=world.clock)
    assert noted not in written.getvalue().decode()


def test_an_import_that_is_stopped_at_its_end_keeps_nothing(world: Any, kept: EntityStore) -> None:
    kept.create_entities([MILL])
    before, raw = shown(kept), as_rows({"type": "entity", "name": "Bo", "entityType": "person"})
    notebook = read_notebook(raw, "memory.jsonl")
    assert notebook is not None

    def stop(session: Session, held: Held) -> None:
        assert take_in(kept, raw, "m", held, session) == (1, 0)
        raise KeyboardInterrupt

    given: dict[str, Any] = {"raw": raw, "name": "memory.jsonl", "clock": world.clock, "also": stop}
    with pytest.raises(KeyboardInterrupt):
        import_notebook(world.database, world.space_id, notebook, world.registry, **given)
    assert shown(EntityStore(world.database, world.space_id, world.registry)) == before


def test_a_file_of_the_server_is_taken_in_once_with_what_is_new(
    world: Any, kept: EntityStore, tmp_path: Path
) -> None:
    rows = [
        {"type": "entity", "name": "Ana_Reis", "entityType": "person", "observations": ["sails", "sails"]},
        {"type": "relation", "from": "Ana_Reis", "to": "Faro", "relationType": "lives in"},
    ]
    path = tmp_path / "memory.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert take_in_file(kept, path) == (1, 1)
    before = shown(kept)
    rows[0]["observations"] = ["sails", "rows"]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert take_in_file(kept, path) == (0, 0)
    before["entities"][0]["observations"].append("rows")
    assert shown(kept) == before


GRAPH = Graph(
    entities=[
        Entity("1", "Ana_Reis", "person", (Observation("a", "plays the oboe", None),)),
        Entity("2", "The old mill", "restoration project"),
        Entity(
            "3", "Ärger", "thing", (Observation("b", " keeps Bees ", None), Observation("c", '"\\\n', None))
        ),
        Entity("4", "E", "letter\u2028\x7f"),
    ],
    relations=[Relation("5", "E", "Ana_Reis", "is in"), Relation("6", "x", "y", "z")],
)


@pytest.mark.parametrize("words", ["OBOE", "reis", "Bees ", "project", "Ä", "", "\0", "oboe\0", "e"])
def test_a_search_finds_what_holds_the_words_and_no_more(words: str) -> None:
    wanted = [
        entity
        for entity in GRAPH.entities
        if any(words.lower() in text.lower() for text in _texts(entity.row))
    ]
    assert GRAPH.containing(words).entities == wanted


def _texts(row: dict[str, Any]) -> list[str]:
    return [row["name"], row["entityType"], *row["observations"]]


def test_text_is_json_with_two_spaces_for_each_level() -> None:
    for part in (GRAPH.whole(), Part((), ()), GRAPH.named(["Ana_Reis"]), GRAPH.named(["Ärger"])):
        assert part.as_text() == pretty(part.as_json())
