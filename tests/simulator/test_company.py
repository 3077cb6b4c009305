"""Personas among themselves: whose turn it is, and what a conversation leaves behind. The engine says what it is given."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from agents.errors import BackendUnreachable
from agents.sampling import Sampling
from agents.turns import Turn
from db.engine import Database, make_engine
from memory import digests
from memory.digests import list_digests
from memory.embedders.hashing import HashingEmbedder
from memory.episodes import append_turn, list_episodes
from memory.facts import add_candidates, list_facts
from memory.people import get_or_create_node, get_person
from memory.registry import Registry
from memory.sessions import ChatTurn, NewSession, NewTurn, list_sessions, list_turns
from memory.spaces import ensure_space
from memory.types import Episode, FactCandidate, Person
from simulator.attribution import persona_turns
from simulator.company import (
    Company,
    CompanySettings,
    Interrupted,
    SaidTurn,
    addressed,
    check_people,
    next_speaker,
    seats,
    uncalled,
)
from simulator.company_record import Record, conversation_of
from simulator.errors import EmptyTurn, SamePerson, TooManyPersonas
from simulator.lengths import Length
from simulator.loops import LoopGuard
from simulator.scripted import ScriptedEngine
from simulator.speaking import Speaker, Spoken
from simulator.spoken_digests import DIGESTED
from simulator.topics import Topic, Topics

TRIO = ("Ada Lund", "Bo Rask", "Cy Holm")


def turns(*said: tuple[str, str]) -> list[Turn]:
    return [Turn(speaker, text) for speaker, text in said]


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("Bo, did you lock the boat?", "Bo Rask"),
        ("And what do you think, Cy?", "Cy Holm"),
        ("I am off.\nbo: keys are in the drawer", "Bo Rask"),
        ("@cy look at this", "Cy Holm"),
        ("Bo, ask him. No, Cy, you do it", "Cy Holm"),
        ("I saw Bo at the harbour", None),
        ("Boats are expensive, bolts too", None),
        ("", None),
    ],
)
def test_who_is_called_by_name_is_found(text: str, called: str | None) -> None:
    assert addressed(text, TRIO[1:]) == called


def test_a_first_name_that_two_share_calls_nobody() -> None:
    assert addressed("Bo, come here", ("Bo Rask", "Bo Lind")) is None


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("And you, Bo?", "And you?"),
        ("Bo, did you lock the boat?", "did you lock the boat?"),
        ("I am off.\nbo: keys are in the drawer", "I am off.\nkeys are in the drawer"),
        ("@bo look at this", "look at this"),
        ("It was Bo who saw Ada, Bo and Cy", "It was Bo who saw Ada, Bo and Cy"),
        ("Bolts, Bonn.", "Bolts, Bonn."),
        ("Bo?", "Bo?"),
    ],
)
def test_who_is_called_is_not_asked_about_by_that(text: str, left: str) -> None:
    assert uncalled(text, "Bo Rask") == left


def test_two_take_turns() -> None:
    said = turns(("Ada Lund", "hello"))
    for _ in range(6):
        speaker = next_speaker(said, TRIO[:2], Random(1))
        assert speaker != said[-1].speaker
        said.append(Turn(speaker, "well"))


def test_who_is_called_speaks_next() -> None:
    said = turns(("Ada Lund", "hello"), ("Bo Rask", "hi"), ("Ada Lund", "Cy, are you there?"))
    assert {next_speaker(said, TRIO, Random(seed)) for seed in range(20)} == {"Cy Holm"}


def test_a_question_goes_mostly_to_who_spoke_before() -> None:
    said = turns(("Cy Holm", "so"), ("Bo Rask", "I went out"), ("Ada Lund", "Where did you go?"))
    answers = [next_speaker(said, TRIO, Random(seed)) for seed in range(200)]
    assert answers.count("Bo Rask") > answers.count("Cy Holm") > 0


def test_in_a_group_nobody_speaks_twice_in_a_row_and_nobody_is_left_out() -> None:
    said = turns(("Ada Lund", "hello"))
    dice = Random(4)
    for _ in range(300):
        said.append(Turn(next_speaker(said[-16:], TRIO, dice), "well"))
    speakers = [turn.speaker for turn in said]
    assert all(one != other for one, other in pairwise(speakers))
    assert all(80 <= speakers.count(name) <= 120 for name in TRIO)


def test_who_has_nothing_to_say_is_asked_once_more_before_the_others() -> None:
    said = turns(("Ada Lund", "Cy, are you there?"))
    asked = [next_speaker(said, TRIO, Random(1), n_silent) for n_silent in range(1, 6)]
    assert asked == ["Bo Rask", "Cy Holm", "Cy Holm", "Ada Lund", "Ada Lund"]


def test_the_same_dice_give_the_same_speakers() -> None:
    def order(seed: int) -> list[str]:
        said, dice = turns(("Ada Lund", "hello")), Random(seed)
        for _ in range(30):
            said.append(Turn(next_speaker(said, TRIO, dice), "well"))
        return [turn.speaker for turn in said]

    assert order(1) == order(1)
    assert order(1) != order(2)


# What a conversation leaves behind


@dataclass
class Reader:
    """A member who reads from a script, under the loop guard, as personas speak."""

    person: Person
    engine: ScriptedEngine
    topics: Topics
    loops: LoopGuard | None
    n_tokens: int = 0
    told: list[tuple[list[Turn], list[str]]] = field(default_factory=list)  # turns and notes of its prompts
    heard_of: list[str] = field(default_factory=list)
    felt: list[str] = field(default_factory=list)

    def speak(self, turns: Sequence[Turn], notes: Sequence[str], *, seed: int) -> NewTurn:
        self.told.append((list(turns), list(notes)))
        guards = [self.loops] if self.loops else []
        tag = f"[{self.person.name.split()[0].upper()}]"
        spoken = Spoken()
        for _ in Speaker(self.engine, guards, tag).speak([], Sampling(), Length(400, 2), spoken):
            pass
        return NewTurn(self.person.id, spoken.text.strip(), n_draws=spoken.n_draws)

    def heard(self, speaker: str, text: str) -> None:
        self.heard_of.append(text)
        self.topics.heard(text)
        if self.loops:
            self.loops.heard(speaker, text)

    def feel(self, said: Episode) -> None:
        self.felt.append(said.text)

    def resume(self, said: Sequence[Episode]) -> None:
        """Was told all of it."""

    def turn_to(self) -> Topic | None:
        return self.topics.next()

    @property
    def found(self) -> Mapping[str, int]:
        return self.loops.found if self.loops else {}

    @property
    def turned_to(self) -> Sequence[Topic]:
        return self.topics.used


BOATS = tuple(
    Topic("boats", f"boat {n}", frozenset((f"boat{n}",)), f"You want boat {n}", (f"About boat{n}.",))
    for n in range(20)
)


class Table:
    """A store in memory with people in it, and members who read from a script."""

    def __init__(self, database: Database, now: datetime) -> None:
        self.database, self.now = database, now
        self.space_id = ensure_space(database)
        with database.transaction() as session:
            ids = [get_or_create_node(session, self.space_id, name, clock=self.clock) for name in TRIO]
        self.people = [get_person(database, self.space_id, one) for one in ids]

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def company(
        self,
        script: dict[str, list[str]],
        *,
        guarded: bool = True,
        before: Sequence[Turn] = (),
        human: str | None = None,
        **settings: Any,
    ) -> Company:
        people = [person for person in self.people if person.name in script]
        members = []
        for person in people:
            topics = Topics(BOATS, seed=1)
            loops = LoopGuard(person.name, None, topics.opening) if guarded else None
            members.append(Reader(person, ScriptedEngine(script[person.name]), topics, loops))
        leads = next((person for person in self.people if person.name == human), None)
        present = seats(people, leads)
        ids = tuple(person.id for person in present)
        session = NewSession(people[0].id, conversation_of(people, leads), ids, "company")
        where = {"embedder": HashingEmbedder(), "clock": self.clock}
        record = Record(self.database, self.space_id, present, session, **where)
        return Company.begin(members, record, CompanySettings(**settings), before, leads)

    def kept(self) -> list[ChatTurn]:
        """The turns of the newest session."""
        (newest, *_) = list_sessions(self.database, self.space_id)
        return list_turns(self.database, self.space_id, newest.id)

    def fact(self, predicate: str, value: str) -> str:
        """A fact of the first person, which rests on a message of theirs; its id."""
        person = self.people[0]
        told = append_turn(
            self.database,
            self.space_id,
            conversation="real",
            speaker_id=person.id,
            text=value,
            origin="observed",
            time=self.clock(),
        )
        with self.database.transaction() as session:
            made = FactCandidate(person.name, predicate, value, (told.id,), person.name, 0.9, "test")
            add_candidates(session, self.space_id, [made], Registry.load(), clock=self.clock)
        (fact,) = list_facts(self.database, self.space_id, Registry.load(), clock=self.clock)
        return fact.id

    def said(self) -> list[Episode]:
        return list_episodes(self.database, self.space_id, origins=("simulated",))


@pytest.fixture
def table(migrated: Path, now: datetime) -> Iterator[Table]:
    with closing(Database(make_engine("sqlite://"))) as opened:
        with closing(sqlite3.connect(migrated)) as template, opened.engine.connect() as connection:
            template.backup(connection.connection.driver_connection)  # type: ignore[arg-type]
        yield Table(opened, now)


def different(n: int) -> list[str]:
    """Turns of which no two are alike."""
    dice = Random(n)
    letters = "bcdfgklmnprstv"
    return [
        " ".join("".join(dice.choice(letters) + dice.choice("aeiou") for _ in range(3)) for _ in range(5))
        for _ in range(n)
    ]


def test_every_turn_is_kept_as_simulated_before_the_next_is_drawn(table: Table) -> None:
    company = table.company({"Ada Lund": different(9), "Bo Rask": different(8)})
    for number, said in enumerate(company.turns(6), start=1):
        assert [turn.text for turn in table.said()][-1] == said.text
        assert len(table.said()) == number
    assert {turn.origin for turn in table.said()} == {"simulated"}
    assert company.ended == "turns"
    assert persona_turns(table.database, table.space_id) == table.said()
    (kept,) = list_sessions(table.database, table.space_id)
    assert (kept.kind, kept.n_turns, kept.conversation) == ("company", 6, "simulated: Ada Lund and Bo Rask")


def test_a_conversation_that_was_killed_goes_on_and_knows_what_was_said(table: Table) -> None:
    script = {"Ada Lund": different(90), "Bo Rask": different(91)}
    first = table.company(script)
    spoken = first.turns(40)
    for _ in range(7):
        next(spoken)
    spoken.close()  # type: ignore[attr-defined]
    again = table.company(
        {
            "Ada Lund": [first_said := table.said()[0].text, "something else entirely now"],
            "Bo Rask": ["so it goes with boats and such"],
        }
    )
    assert again.record.n_turns == 7
    said = list(again.turns(2))
    assert [turn.number for turn in said] == [7, 8]
    assert first_said not in [turn.text for turn in said]
    assert again.found["turns"] >= 1


def test_two_who_only_repeat_themselves_are_led_to_other_topics(table: Table) -> None:
    circle = {"Ada Lund": ["What shall we eat today my dear?"], "Bo Rask": ["Whatever you like the most."]}
    control = [turn.text for turn in table.company(circle, guarded=False, changes=False).turns(12)]
    assert len(set(control)) == 2
    guarded = table.company({"Bo Rask": circle["Bo Rask"], "Cy Holm": circle["Ada Lund"]})
    said = [turn.text for turn in guarded.turns(12)]
    assert len(set(said)) == 12
    assert guarded.found["turns"] > 0


def test_the_fact_of_a_topic_that_was_turned_to_is_on_the_turns_record(table: Table) -> None:
    fact_id = table.fact("likes", "boats")
    company = table.company({"Ada Lund": different(9), "Bo Rask": different(8)})
    for member in company.members:
        member.topics = Topics([replace(topic, fact_id=fact_id) for topic in BOATS], seed=1)  # type: ignore[attr-defined]
    said = list(company.turns(3))
    (kept,) = list_sessions(table.database, table.space_id)
    turned = [one.topic is not None for one in said]
    assert any(turned)
    found = list_turns(table.database, table.space_id, kept.id)
    assert [turn.facts == {fact_id: "prompt"} for turn in found] == turned


def test_a_digest_of_each_32_turns_stays_in_the_graph_and_its_words_in_the_prompt(table: Table) -> None:
    company = table.company({"Ada Lund": different(70), "Bo Rask": different(71), "Cy Holm": different(72)})
    assert company.record.digests.summary_before(0) == ""
    list(company.turns(70))
    found = list_digests(table.database, table.space_id, origin="simulated")
    assert [digest.n_messages for digest in found] == [DIGESTED, DIGESTED]
    assert list_digests(table.database, table.space_id) == []
    summary = company.record.digests.summary_before(len(company._turns))
    assert summary.startswith("Before this you talked about ")
    assert len(summary) < 120


def test_no_turn_that_a_prompt_holds_is_told_in_its_summary_too(table: Table) -> None:
    script = {"Ada Lund": different(70), "Bo Rask": different(71)}
    company = table.company(script, context_chars=800, changes=False)
    for said in company.turns(70):
        speaker = next(member for member in company.members if member.person.name == said.speaker)
        held, notes = speaker.told[-1]  # type: ignore[attr-defined]
        assert bool(notes) == (said.number - len(held) >= DIGESTED)
        named = {word.strip(",.") for note in notes for word in note.split()[5:]}
        assert not named & {word for turn in held for word in turn.text.split()}
    assert notes


def test_a_digest_that_was_due_when_it_was_killed_is_made_when_it_goes_on(table: Table) -> None:
    script = {"Ada Lund": different(70), "Bo Rask": different(71)}
    list(table.company(script).turns(DIGESTED))
    (made,) = list_digests(table.database, table.space_id, origin="simulated")
    with table.database.transaction() as session:
        digests.drop(session, [made.id])
    again = table.company(script)
    assert again.record.digests.n_written == 1
    assert again.record.digests.summary_before(0)


def test_a_prompt_does_not_grow_with_the_conversation(table: Table) -> None:
    company = table.company({"Ada Lund": different(60), "Bo Rask": different(61)}, context_chars=400)
    for _ in company.turns(50):
        assert sum(len(turn.text) for turn in company._turns) <= 400


def test_a_new_conversation_follows_what_was_said_before_and_does_not_say_it_again(table: Table) -> None:
    real = turns(
        ("Bo Rask", "Shall we paint the boat on Sunday?"), ("Ada Lund", "If it does not rain too much")
    )
    company = table.company(
        {"Ada Lund": ["What a day this was"], "Bo Rask": [real[0].text, "Then I buy the paint"]}, before=real
    )
    (said,) = company.turns(1)
    assert (said.number, said.speaker, said.text) == (0, "Bo Rask", "Then I buy the paint")
    assert [turn.text for turn in table.said()] == ["Then I buy the paint"]


def test_where_nobody_has_anything_to_say_it_ends(table: Table) -> None:
    company = table.company({"Ada Lund": [" "], "Bo Rask": ["Ada Lund:"]})
    assert list(company.turns(10)) == []
    assert company.ended == "nothing left to say"
    assert table.said() == []


def test_nobody_talks_with_themselves_and_four_are_too_many(table: Table) -> None:
    with pytest.raises(SamePerson):
        check_people([table.people[0], table.people[1], table.people[0]])
    with pytest.raises(TooManyPersonas):
        check_people([*table.people, table.people[0]])
    with pytest.raises(SamePerson):
        check_people(table.people[:2], table.people[1])
    with pytest.raises(TooManyPersonas, match="name 3 at most"):
        check_people(table.people, table.people[0])


def break_off(company: Company, reply: str) -> None:
    """From now on the engine ends whoever speaks after these words."""

    def broken(turns: Sequence[Turn], notes: Sequence[str], *, seed: int) -> NewTurn:
        turn = NewTurn(company.members[1].person.id, reply, status="interrupted")
        raise Interrupted(turn) from BackendUnreachable("server", "gone")

    for member in company.members:
        member.speak = broken  # type: ignore[method-assign]


def test_a_turn_that_the_engine_broke_off_is_kept_as_interrupted(table: Table) -> None:
    company = table.company({"Ada Lund": different(9), "Bo Rask": different(8)})
    (first,) = company.turns(1)
    break_off(company, "Half a sent")
    with pytest.raises(BackendUnreachable):
        list(company.turns(1))
    assert [turn.text for turn in table.said()] == [first.text, "Half a sent"]
    (kept,) = list_sessions(table.database, table.space_id)
    assert [one.status for one in list_turns(table.database, table.space_id, kept.id)] == [
        "whole",
        "interrupted",
    ]


# With a human among them

TALKING = {"Ada Lund": different(60), "Bo Rask": different(61)}


def test_who_the_human_calls_by_name_answers_and_all_hear_it(table: Table) -> None:
    company = table.company(TALKING, human="Cy Holm")
    first = list(company.answer("Bo, where were you?"))
    second = list(company.answer("And you, Ada?"))
    assert [first[0].speaker, second[0].speaker] == ["Bo Rask", "Ada Lund"]
    said = ["Bo, where were you?", *texts(first), "And you, Ada?", *texts(second)]
    assert [turn.text for turn in table.said()] == said
    for member in company.members:
        assert (member.heard_of, member.felt) == (said, said)  # type: ignore[attr-defined]
    assert company.ended == "answered"


def texts(said: Sequence[SaidTurn]) -> list[str]:
    return [turn.text for turn in said]


def test_personas_go_on_until_it_is_the_humans_turn(table: Table) -> None:
    company = table.company(TALKING, human="Cy Holm")
    rounds = [list(company.answer(text)) for text in different(12)]
    assert {turn.speaker for said in rounds for turn in said} == {"Ada Lund", "Bo Rask"}
    assert {len(said) > 1 for said in rounds} == {True, False}
    assert all(1 <= len(said) <= 4 for said in rounds)
    assert all(one.speaker != other.speaker for said in rounds for one, other in pairwise(said))
    numbers = [turn.number for said in rounds for turn in said]
    assert numbers == [n for n, one in enumerate(table.said()) if one.speaker != "Cy Holm"]
    assert not any(turn.topic for said in rounds for turn in said)
    asking = table.company(
        {"Ada Lund": ["Cy, did you see it?"], "Bo Rask": ["Cy, did you?"]}, human="Cy Holm"
    )
    assert len(list(asking.answer("There is a boat."))) == 1


def test_what_a_human_says_to_personas_is_kept_as_simulated_and_no_fact_rests_on_it(table: Table) -> None:
    company = table.company(TALKING, human="Cy Holm")
    said = list(company.answer("I live in Porto."))
    assert {one.origin for one in table.said()} == {"simulated"}
    asked = table.said()[0]
    assert [turn.answers_id for turn in table.kept()] == [asked.id, *[None] * (len(said) - 1)]
    assert persona_turns(table.database, table.space_id) == table.said()[1:]
    assert company.record.conversation == "simulated: Ada Lund and Bo Rask with Cy Holm"
    assert list_sessions(table.database, table.space_id, person_id=table.people[2].id) == []
    made = FactCandidate("Cy Holm", "lives_in", "Porto", (asked.id,), "Cy Holm", 0.9, "test")
    with table.database.transaction() as session:
        assert add_candidates(session, table.space_id, [made], Registry.load(), clock=table.clock) == []


def test_a_talk_with_a_human_goes_on_where_it_was_left(table: Table) -> None:
    first = list(table.company(TALKING, human="Cy Holm").answer("Did it rain?"))
    again = table.company(TALKING, human="Cy Holm")
    assert again.record.n_turns == 1 + len(first)
    assert again.members[0].heard_of == ["Did it rain?", *texts(first)]  # type: ignore[attr-defined]
    (answer, *_) = again.answer("Ada, and then?")
    assert (answer.number, answer.speaker) == (2 + len(first), "Ada Lund")
    assert answer.text not in texts(first)
    alone = table.company(TALKING)
    assert alone.record.n_turns == 0


def test_who_says_nothing_gets_no_answer(table: Table) -> None:
    with pytest.raises(EmptyTurn):
        list(table.company(TALKING, human="Cy Holm").answer(" \n\u200b"))
    assert table.said() == []
    with pytest.raises(ValueError, match="no human"):
        list(table.company(TALKING).answer("Hello."))


def test_what_nobody_has_an_answer_to_stays_on_record(table: Table) -> None:
    company = table.company({"Ada Lund": [" "], "Bo Rask": ["Cy Holm:"]}, human="Cy Holm")
    assert list(company.answer("Is anybody there?")) == []
    assert company.ended == "nothing left to say"
    (asked,) = table.said()
    (turn,) = table.kept()
    assert (turn.answers_id, turn.episode_id) == (asked.id, None)


@pytest.mark.parametrize("begun", ["Half a sent", ""])
def test_an_answer_that_the_engine_broke_off_is_kept_with_what_it_answers(table: Table, begun: str) -> None:
    company = table.company(TALKING, human="Cy Holm")
    break_off(company, begun)
    with pytest.raises(BackendUnreachable):
        list(company.answer("Where were you?"))
    assert [one.text for one in table.said()] == ["Where were you?", *([begun] if begun else [])]
    (turn,) = table.kept()
    assert (turn.status, turn.answers_id) == ("interrupted", table.said()[0].id)
