"""Erasing people, facts, messages and sources: what goes, what stays, and what the rest looks like afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from db import tables
from memory import erasure, ledger
from memory.artifacts import pointer
from memory.constitutions import current as constitution
from memory.constitutions import write as write_constitution
from memory.emotions import add_tags
from memory.erasure import Target, Wish, residue
from memory.erasure.needles import Needle, Scanner
from memory.errors import PlanChanged, UnknownEpisode, UnknownFact, UnknownPerson, UnknownSource
from memory.importing import import_file
from memory.people import add_alias, list_people
from memory.readings import Reading, keep_readings, list_readings
from memory.types import EmotionTag, Principle

ANA, BEN = "Ana Reis", "Ben Ode"


@pytest.fixture
def erase(world: Any, tmp_path: Path) -> Any:
    """Erase something of the world; the outcome."""

    def do(kind: Any, target_id: str, *, wish: Wish | None = None, **options: Any) -> Any:
        target = Target(kind, target_id, **options)
        return erasure.erase(
            world.database, world.space_id, tmp_path, target, world.registry, wish, clock=world.clock
        )

    return do


@pytest.fixture
def plan(world: Any, tmp_path: Path) -> Any:
    def make(kind: Any, target_id: str, **options: Any) -> Any:
        return erasure.make_plan(world.database, world.space_id, tmp_path, Target(kind, target_id, **options))

    return make


def rows(world: Any, mapped: Any, *columns: Any) -> list[Any]:
    with world.database.reading() as session:
        return list(
            session.execute(select(*(columns or (mapped.id,))).where(mapped.space_id == world.space_id))
        )


def stored_words(world: Any) -> str:
    """Everything in every row of the space, the ledger too."""
    held = []
    with world.database.reading() as session:
        for table in tables.Base.metadata.sorted_tables:
            for row in session.execute(select(table)):
                held.append(json.dumps([str(value) for value in row], ensure_ascii=False))
    return "\n".join(held)


def test_a_person_takes_what_they_said_and_what_is_said_about_them(world: Any, erase: Any) -> None:
    world.store("Lisbon", 0, text="I have lived in Lisbon since the spring of last year")
    world.store("Porto", 1, about=BEN, by=ANA)
    world.store("nurse", 2, predicate="works_as", by=BEN)
    kept = world.store("Faro", 3, about=BEN, by=BEN, to=ANA)
    erase("person", world.person(ANA))
    assert [row.id for row in rows(world, tables.Fact)] == [kept]
    assert {row.speaker_id for row in rows(world, tables.Episode, tables.Episode.speaker_id)} == {
        world.person(BEN)
    }
    assert [person.name for person in list_people(world.database, world.space_id)] == [BEN]


def test_nothing_in_any_row_names_an_erased_person(world: Any, erase: Any) -> None:
    ana = world.person(ANA)
    with world.database.transaction() as session:
        add_alias(session, world.space_id, ana, "Nana")
        principles = [Principle("habit", "often says that the harbour is cold", (world_episode(session),))]
        write_constitution(session, world.space_id, ana, principles, run_id=None, clock=world.clock)
    world.store("teacher", 1, predicate="works_as", about="Ana Reis's sister", by=BEN, to=ANA)
    world.say(BEN, 2, to=ANA, text="ANA said that Nana's boat is late, ana-reis!")
    world.say(ANA, 3, text="Tomorrow we paint the whole kitchen in green, come early")
    outcome = erase("person", ana)
    assert outcome.scan.is_clean
    words = stored_words(world).casefold()
    assert "ana" not in words.split('"')
    assert not any(form in words for form in ("ana reis", "nana", "ana said", "paint the whole kitchen"))
    assert "[erased] said that [erased]'s boat is late, [erased]!" in words


def world_episode(session: Any) -> str:
    return str(session.scalar(select(tables.Episode.id).limit(1)) or "none")


@pytest.mark.parametrize(
    ("mentions", "texts"),
    [
        ("keep", ["Ana is late", "so be it"]),
        ("redact", ["[erased] is late", "so be it"]),
        ("erase", ["so be it"]),
    ],
)
def test_others_messages_keep_lose_or_go_with_the_name(
    world: Any, erase: Any, mentions: str, texts: list[str]
) -> None:
    world.say(BEN, 0, to="Cy Dahl", text="Ana is late")
    world.say(BEN, 1, to="Cy Dahl", text="so be it")
    erase("person", world.person(ANA), mentions=mentions)
    assert sorted(row.text for row in rows(world, tables.Episode, tables.Episode.text)) == sorted(texts)


def test_a_first_name_that_somebody_shares_is_left_alone(world: Any, plan: Any, erase: Any) -> None:
    world.person("Ana Lima")
    world.say(BEN, 0, text="Ana Reis and Ana went home")
    assert plan("person", world.person(ANA)).left_out == ("ana",)
    erase("person", world.person(ANA))
    assert [row.text for row in rows(world, tables.Episode, tables.Episode.text)] == [
        "[erased] and Ana went home"
    ]


def test_a_name_that_is_a_word_counts_with_a_capital_and_can_be_spared(
    world: Any, plan: Any, erase: Any
) -> None:
    will = world.person("Will Hay")
    world.say(BEN, 0, text="will Will come?")
    assert plan("person", will).named == {"will": 1}
    assert plan("person", will, spare=("Will",)).named == {}
    erase("person", will)
    assert [row.text for row in rows(world, tables.Episode, tables.Episode.text)] == ["will [erased] come?"]


def test_two_names_that_become_one_by_redaction_stay_apart(world: Any, erase: Any) -> None:
    world.store("teacher", 1, predicate="works_as", about="Ana Reis's sister", by=BEN)
    world.store("nurse", 1, predicate="works_as", about="Nana's sister", by=BEN)
    ana = world.person(ANA)
    with world.database.transaction() as session:
        add_alias(session, world.space_id, ana, "Nana")
    erase("person", ana)
    names = {row.name for row in rows(world, tables.Node, tables.Node.name)}
    assert {"[erased]'s sister", "[erased 2]'s sister"} <= names


def test_a_value_superseded_only_by_an_erased_fact_comes_back(world: Any, erase: Any) -> None:
    lisbon = world.store("Lisbon", 0)
    porto = world.store("Porto", 30, change="update")
    assert world.held() == ["Porto"]
    erase("fact", porto)
    (fact,) = world.facts()
    assert (fact.id, fact.object, fact.valid_to, fact.superseded_by) == (lisbon, "Lisbon", None, None)


def test_a_correction_that_is_erased_withdraws_nothing(world: Any, erase: Any) -> None:
    world.store("Lisbon", 0)
    wrong = world.store("Porto", 0, change="correct")
    erase("fact", wrong)
    assert world.held() == ["Lisbon"]


def test_a_contest_ends_when_one_side_is_erased(world: Any, erase: Any) -> None:
    world.store("Lisbon", 0)
    other = world.store("Porto", 0, by=BEN, to=ANA)
    assert {fact.status for fact in world.facts()} == {"contested"}
    erase("fact", other)
    assert {fact.status for fact in world.facts()} == {"current"}


def test_a_fact_that_others_assert_too_survives_a_message(world: Any, erase: Any) -> None:
    first, second = world.say(ANA, 0), world.say(ANA, 5)
    told = world.store("Lisbon", 0, episode_ids=(first, second))
    erase("episode", first)
    (fact,) = world.facts()
    assert (fact.id, fact.evidence, fact.valid_from) == (told, (second,), world.day(5))


def test_a_fact_goes_when_only_the_question_to_it_is_left(world: Any, erase: Any) -> None:
    question, answer = world.say(BEN, 0, to=ANA), world.say(ANA, 0)
    world.store("Lisbon", 0, episode_ids=(question, answer))
    erase("episode", answer)
    assert world.facts() == []


def test_a_statement_merged_into_an_erased_one_stands_by_itself(world: Any, erase: Any) -> None:
    world.store("Lisbon", 0)
    again = world.store("Lisbon", 3, by=BEN, to=ANA)
    message = world.facts()[0].evidence[0]
    erase("episode", message)
    (fact,) = world.facts()
    assert (fact.id, fact.state, fact.object) == (again, "stored", "Lisbon")


def test_a_fact_takes_the_statements_that_were_merged_into_it(world: Any, erase: Any) -> None:
    first = world.store("Lisbon", 0)
    world.store("Lisbon", 3, by=BEN, to=ANA)
    world.claim("Lisbon", 4)
    erase("fact", first)
    assert rows(world, tables.Fact) == []
    assert len(rows(world, tables.Episode)) == 3


def test_a_fact_can_take_its_messages(world: Any, plan: Any, erase: Any) -> None:
    fact = world.store("Lisbon", 0)
    assert [(line.kind, line.n) for line in plan("fact", fact).lines if line.act == "stays"] == [
        ("message", 1)
    ]
    erase("fact", fact, with_messages=True)
    assert rows(world, tables.Episode) == []


def test_a_message_takes_its_tags_vectors_and_evidence(world: Any, erase: Any) -> None:
    fact = world.store("Lisbon", 0)
    (episode,) = world.facts()[0].evidence
    with world.database.transaction() as session:
        add_tags(session, world.space_id, [EmotionTag(episode, "joy", 8.0, "test")])
        found = Reading(episode, "r", {"joy": 1.5})
        keep_readings(session, world.space_id, [found], clock=world.clock)
        for kind, owner in (("episode", episode), ("fact", fact)):
            session.add(
                tables.Embedding(
                    owner_kind=kind,
                    owner_id=owner,
                    model="m",
                    space_id=world.space_id,
                    width=2,
                    vector=b"\0" * 8,
                )
            )
    erase("episode", episode)
    for mapped, column in (
        (tables.EmotionTag, tables.EmotionTag.id),
        (tables.Reading, tables.Reading.episode_id),
        (tables.Embedding, tables.Embedding.owner_id),
        (tables.Evidence, tables.Evidence.fact_id),
        (tables.Decision, tables.Decision.id),
    ):
        assert rows(world, mapped, column) == []


def test_a_reading_of_somebody_elses_message_loses_a_concept_named_after_the_erased(
    world: Any, erase: Any
) -> None:
    said = world.say("Cy Dahl", 0, to="Dee Eng")
    world.say(ANA, 1)
    with world.database.transaction() as session:
        found = Reading(said, "r", {f"talk of {ANA}": 2.0, "joy": 1.5})
        keep_readings(session, world.space_id, [found], clock=world.clock)
    erase("person", world.person(ANA))
    (left,) = list_readings(world.database, world.space_id)
    assert left.concepts["joy"] == 1.5
    assert not any("Ana" in concept for concept in left.concepts)


def test_a_principle_goes_with_the_last_message_it_rests_on(world: Any, erase: Any) -> None:
    first, second = world.say(ANA, 0), world.say(ANA, 1)
    with world.database.transaction() as session:
        write_constitution(
            session,
            world.space_id,
            world.person(ANA),
            [Principle("value", "candour", (first, second)), Principle("habit", "hums", (first,))],
            run_id=None,
            clock=world.clock,
        )
    erase("episode", first)
    assert constitution(world.database, world.space_id, world.person(ANA)) == [
        Principle("value", "candour", (second,))
    ]


def test_a_source_takes_its_messages_and_who_spoke_only_there(world: Any, erase: Any) -> None:
    world.say("Cy Dahl", 0, to="Dee Eng")
    world.say(ANA, 1)
    (source,) = [
        row.source_id
        for row in rows(world, tables.Episode, tables.Episode.source_id, tables.Episode.speaker_id)
        if row.speaker_id == world.person("Cy Dahl")
    ]
    erase("source", source)
    assert {person.name for person in list_people(world.database, world.space_id)} == {ANA, BEN}
    assert len(rows(world, tables.Conversation)) == len(rows(world, tables.Source)) == 1


def write_chat(path: Path, days: range) -> Path:
    rows = [
        {"time": f"2025-03-{day:02}T10:00:00", "speaker": (ANA, BEN)[day % 2], "text": f"day {day}"}
        for day in days
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def positions(world: Any) -> list[tuple[str, int]]:
    found = rows(world, tables.Episode, tables.Episode.text, tables.Episode.position)
    return sorted((row.text, row.position) for row in found)


@pytest.mark.parametrize(("first", "second"), [(range(1, 6), range(1, 9)), (range(4, 7), range(1, 9))])
def test_messages_that_a_later_import_brought_again_stay_with_it(
    world: Any, plan: Any, erase: Any, tmp_path: Path, first: range, second: range
) -> None:
    parts = [
        import_file(world.database, world.space_id, write_chat(tmp_path / f"{i}.jsonl", days))
        for i, days in enumerate((first, second))
    ]
    (line,) = [line for line in plan("source", parts[0].source_id).lines if line.act == "stays"]
    assert (line.kind, line.n) == ("episode", len(first))
    erase("source", parts[0].source_id)
    assert positions(world) == [(f"day {day}", place) for place, day in enumerate(second)]
    erase("source", parts[1].source_id)
    assert rows(world, tables.Episode) == []


def test_messages_that_no_later_import_is_known_to_hold_go(world: Any, erase: Any, tmp_path: Path) -> None:
    first = import_file(world.database, world.space_id, write_chat(tmp_path / "1.jsonl", range(1, 6)))
    import_file(world.database, world.space_id, write_chat(tmp_path / "2.jsonl", range(3, 9)))
    erase("source", first.source_id)
    assert [text for text, _ in positions(world)] == ["day 6", "day 7", "day 8"]


def test_nothing_is_done_that_was_not_shown(world: Any, plan: Any, erase: Any) -> None:
    ana = world.person(ANA)
    world.say(ANA, 0)
    shown = plan("person", ana).sha256
    assert shown == plan("person", ana).sha256
    world.say(ANA, 1)
    before = stored_words(world)
    with pytest.raises(PlanChanged):
        erase("person", ana, wish=Wish(expected=shown))
    assert stored_words(world) == before
    erase("person", ana, wish=Wish(expected=plan("person", ana).sha256))
    assert ANA not in stored_words(world)


def test_a_dry_run_changes_nothing(world: Any, plan: Any) -> None:
    world.store("Lisbon", 0)
    before = stored_words(world)
    made = plan("person", world.person(ANA))
    assert stored_words(world) == before
    by_kind = {(line.kind, line.act): line.n for line in made.lines}
    assert (by_kind["fact", "goes"], by_kind["episode", "goes"], by_kind["evidence", "goes"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("person", UnknownPerson),
        ("fact", UnknownFact),
        ("episode", UnknownEpisode),
        ("source", UnknownSource),
    ],
)
def test_what_is_not_there_cannot_be_erased(
    world: Any, erase: Any, kind: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        erase(kind, "nothing")
    assert erasure.certificates(world.database, world.space_id) == []


def test_another_space_is_out_of_reach(world: Any, erase: Any, world_class: Any) -> None:
    from memory.spaces import ensure_space

    other = world_class(world.database, ensure_space(world.database, "other"), world.registry, world.now)
    fact = other.store("Lisbon", 0)
    with pytest.raises(UnknownFact):
        erase("fact", fact)
    world.store("Lisbon", 0)
    erase("person", world.person(ANA))
    assert other.held() == ["Lisbon"]


def test_a_name_that_another_space_has_too_is_no_residue(world: Any, erase: Any, world_class: Any) -> None:
    from memory.spaces import ensure_space

    other = world_class(world.database, ensure_space(world.database, "other"), world.registry, world.now)
    other.say(ANA, 0)
    world.say(ANA, 0)
    outcome = erase("person", world.person(ANA))
    assert outcome.scan.is_clean
    assert outcome.scan.n_shared > 0


def test_the_certificate_holds_counts_and_no_words(world: Any, erase: Any) -> None:
    world.store("Lisbon", 0, text="the ferry leaves at seven from the old pier")
    ana = world.person(ANA)
    outcome = erase("person", ana, wish=Wish(reason="consent"))
    found = erasure.certificate(world.database, world.space_id, outcome.certificate.seq)
    shown = json.dumps(found.as_json())
    assert found.done is not None
    assert found.begun["counts"]["fact goes"] == 1
    assert (found.begun["reason"], found.done["scan"]["residue"]) == ("consent", {})
    assert not any(word in shown for word in (ana, "Ana", "Lisbon", "ferry"))
    assert ledger.verify(world.database, world.space_id) == []


def test_the_ledger_holds_nobodys_words(world: Any) -> None:
    world.store("Lisbon", 0, text="the ferry leaves at seven from the old pier")
    with world.database.reading() as session:
        payloads = json.dumps(list(session.scalars(select(tables.LedgerEntry.payload))))
    assert not any(word in payloads for word in ("Ana", "Lisbon", "ferry"))


def test_reasons_that_quote_an_erased_value_go(world: Any, erase: Any) -> None:
    from memory.facts import decide, list_decisions

    lisbon = world.store("Lisbon", 0)
    porto = world.claim("Porto", 30, change="update")
    with world.database.transaction() as session:
        decide(
            session,
            world.space_id,
            porto,
            "STORE",
            ["takes the place of Lisbon", "said by 1 person"],
            world.registry,
            run_id=None,
            clock=world.clock,
        )
    erase("fact", lisbon)
    (row,) = list_decisions(world.database, world.space_id)
    assert row.reasons == ("said by 1 person", "a reason was erased")
    assert "Lisbon" not in stored_words(world)


def test_every_column_that_can_hold_words_is_looked_at_or_known_to_hold_none() -> None:
    from memory.erasure.words import PLAIN, WORDS, text_columns

    words = {f"{mapped.__tablename__}.{name}" for mapped, names in WORDS.items() for name in names}
    every = {
        f"{table.name}.{name}" for table in tables.Base.metadata.sorted_tables for name in text_columns(table)
    }
    assert every == words | PLAIN
    assert not words & PLAIN


def test_without_a_published_night_no_pointer_moves(world: Any, erase: Any) -> None:
    world.say(ANA, 0)
    erase("person", world.person(ANA))
    assert pointer(world.database, world.space_id) is None


def test_what_becomes_of_weights_is_asked_once_the_rows_are_gone_and_certified(
    world: Any, erase: Any
) -> None:
    ana = world.person(ANA)
    world.claim("Porto", 0)
    seen: list[Any] = []

    def settle(begun: Any, progress: Any) -> dict[str, Any]:
        progress(1, 2, "asking")
        seen.append((begun["target"], begun["pointer"], len(rows(world, tables.Fact))))
        return {"serves": "base"}

    outcome = erase("person", ana, wish=Wish(weights=settle))
    assert seen == [("person", None, 0)]
    assert outcome.certificate.as_json()["weights"] == {"serves": "base"}
    assert ledger.verify(world.database, world.space_id) == []


def test_a_plan_names_what_it_does_to_each_kind_by_id(world: Any, plan: Any) -> None:
    ana = world.person(ANA)
    fact = world.claim("Porto", 0)
    shown = plan("person", ana)
    assert shown.ids("fact", "goes") == {fact}
    assert shown.ids("fact", "tainted") == frozenset()
    assert shown.goes_by(shown.sha256[:12])
    assert not shown.goes_by(shown.sha256[:11])
    assert not shown.goes_by("0" * 12)


def test_a_token_for_every_space_loses_the_name_and_is_looked_at(world: Any, erase: Any) -> None:
    world.say("Bo", 0)
    name = "Bo's " + "telephone " * 6  # the mark is longer than the name, and there is no more room
    with world.database.transaction() as session:
        session.add(tables.Token(name=name[:64], sha256="a" * 64, scopes=["read"], created_at=world.now))
    found = residue._scan_rows(world.database, Scanner([Needle("bo", is_name=True)]), world.space_id)
    assert "token.name" in {item.where for item in found}
    erase("person", world.person("Bo"))
    with world.database.reading() as session:
        kept = session.scalars(select(tables.Token.name)).one()
    assert kept.startswith("[erased]'s telephone")


def test_a_name_of_two_letters_is_found_in_a_row_that_holds_nothing_else(world: Any) -> None:
    world.say("Bo", 0)
    found = residue._scan_rows(world.database, Scanner([Needle("bo", is_name=True)]), world.space_id)
    assert {"node.name", "node.name_key"} <= {item.where for item in found}
