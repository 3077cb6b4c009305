"""Sessions with personas: what is written of a turn, what reads it back, and what erasing and merging do to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from db import tables
from memory import claims, digests, erasure, sessions
from memory.ask import ask
from memory.claims import NewClaim, list_claims
from memory.digests import Stretch
from memory.embedders.hashing import HashingEmbedder
from memory.episodes import list_episodes
from memory.erasure import Target
from memory.errors import UnknownSession
from memory.facts import ALL_STATUSES, list_facts
from memory.index import Index
from memory.merging import merge_people, unmerge
from memory.sessions import NewSession, NewTurn
from memory.verify import verify

ANA, BEN = "Ana Reis", "Ben Ode"


@pytest.fixture
def talk(world: Any) -> Any:
    """A session of Ana's persona with Ben, and a function that keeps a turn of it."""
    ana, ben = world.person(ANA), world.person(BEN)
    opened = NewSession(
        ana, f"simulated: {ANA} with {BEN}", (ana, ben), settings={"temperature": 0.7}, engine="embedded"
    )
    session_id = sessions.begin(world.database, world.space_id, opened, clock=world.clock)

    def say(reply: str, *, to: str = "and you?", **rest: Any) -> Any:
        turn = NewTurn(ana, reply, heard=(ben, to), **rest)
        return sessions.keep_turn(world.database, world.space_id, session_id, turn, clock=world.clock)

    say.id = session_id  # type: ignore[attr-defined]
    return say


def count(world: Any, mapped: Any) -> int:
    with world.database.reading() as session:
        return session.scalar(select(func.count()).select_from(mapped)) or 0


def erase(world: Any, home: Path, kind: Any, target_id: str) -> Any:
    target = Target(kind, target_id)
    return erasure.erase(world.database, world.space_id, home, target, world.registry, clock=world.clock)


def lisbon(fact_id: str, world: Any) -> NewClaim:
    return NewClaim(ANA, "lives_in", "Lisbon", world.person(ANA), basis="fact", fact_id=fact_id)


def test_a_turn_is_read_back_with_what_it_rested_on(world: Any, talk: Any) -> None:
    fact = world.store("Lisbon", 0)
    kept = talk(
        "in Lisbon",
        facts={fact: "weights"},
        claims=[lisbon(fact, world)],
        adapters=("a" * 64,),
        objections=(("claims", "another value"),),
        n_draws=2,
        status="corrected",
        deliberation="they ask about me",
    )
    found = sessions.why(world.database, world.space_id, kept.reply.id)
    assert found is not None
    assert (found.turn.facts, found.turn.adapters, found.turn.n_draws) == ({fact: "weights"}, ("a" * 64,), 2)
    assert found.turn.answers_id == kept.heard.id
    assert [(claim.object, claim.fact_id) for claim in found.claims] == [("Lisbon", fact)]
    assert (found.session.person, found.session.n_turns) == (ANA, 1)
    assert {kept.heard.origin, kept.reply.origin} == {"simulated"}


def test_a_turn_without_a_word_is_kept_as_interrupted(world: Any, talk: Any) -> None:
    kept = talk("", status="interrupted")
    (turn,) = sessions.list_turns(world.database, world.space_id, talk.id)
    assert (turn.id, turn.episode_id, turn.status, turn.number) == (kept.id, None, "interrupted", 1)


def test_nothing_of_a_turn_is_kept_when_a_part_of_it_cannot_be(world: Any, talk: Any) -> None:
    with pytest.raises(IntegrityError):
        talk("in Lisbon", claims=[NewClaim(ANA, "lives_in", "Lisbon", "f" * 16)])
    assert count(world, tables.Episode) == count(world, tables.ChatTurn) == 0


def test_a_fact_that_was_erased_meanwhile_is_not_among_what_a_turn_rested_on(world: Any, talk: Any) -> None:
    gone = "f" * 16
    talk("in Lisbon", facts={gone: "prompt"}, claims=[lisbon(gone, world)])
    (turn,) = sessions.list_turns(world.database, world.space_id, talk.id)
    assert turn.facts == {}
    assert list_claims(world.database, world.space_id) == []


def test_a_session_goes_by_the_beginning_of_its_id(world: Any, talk: Any) -> None:
    assert sessions.get_session(world.database, world.space_id, talk.id[:8]).id == talk.id
    for wrong in ("", "x", "%"):
        with pytest.raises(UnknownSession):
            sessions.get_session(world.database, world.space_id, wrong)


def test_a_session_ends_once(world: Any, talk: Any) -> None:
    sessions.end(world.database, world.space_id, talk.id, clock=lambda: world.day(500))
    sessions.end(world.database, world.space_id, talk.id, clock=lambda: world.day(600))
    (found,) = sessions.list_sessions(world.database, world.space_id, person_id=world.person(ANA))
    assert found.ended_at == world.day(500)
    assert sessions.list_sessions(world.database, world.space_id, person_id=world.person(BEN)) == []


def test_no_reader_of_facts_sees_a_claim(world: Any, talk: Any, tmp_path: Path) -> None:
    talk("I live in Faro", claims=[NewClaim(ANA, "lives_in", "Faro", world.person(ANA))])
    assert list_facts(world.database, world.space_id, world.registry, statuses=ALL_STATUSES) == []
    assert list_episodes(world.database, world.space_id) == []
    index = Index.open(world.database, world.space_id, tmp_path, HashingEmbedder())
    index.refresh()
    answer = ask(world.database, world.space_id, index, world.registry, "Where does Ana live?")
    assert answer.abstained
    assert "Faro" not in answer.text
    assert index.search("live in Faro", known_to=world.person(ANA)) == []


def test_what_a_person_wrote_is_no_claim(world: Any) -> None:
    said = world.say(ANA, 0)
    with world.database.transaction() as session, pytest.raises(ValueError, match="observed"):
        claims.keep_claims(
            session, world.space_id, world.person(ANA), said, world.day(0), [NewClaim(ANA, "likes", "tea")]
        )


def test_a_claim_is_withdrawn_with_what_repeats_it(world: Any, talk: Any) -> None:
    (first,) = talk("I like tea", claims=[NewClaim(ANA, "likes", "tea", world.person(ANA))]).claims
    again = NewClaim(ANA, "likes", "tea", world.person(ANA), basis="claim", earlier_id=first)
    (second,) = talk("tea, as ever", claims=[again]).claims
    taken = claims.withdraw(world.database, world.space_id, second, clock=world.clock)
    assert taken == sorted((first, second))
    assert list_claims(world.database, world.space_id) == []
    assert {one.state for one in list_claims(world.database, world.space_id, states=())} == {"withdrawn"}


def test_an_erased_fact_takes_what_a_persona_made_of_it(world: Any, talk: Any, tmp_path: Path) -> None:
    fact, other = world.store("Lisbon", 0), world.store("tea", 1, predicate="likes")
    talk("in LISBON of course", facts={fact: "prompt"})
    talk("where I always was", claims=[lisbon(fact, world)])
    stays = talk("tea for me", facts={fact: "prompt", other: "prompt"}, deliberation="Ana lives in Lisbon")
    outcome = erase(world, tmp_path, "fact", fact)
    (turn,) = sessions.list_turns(world.database, world.space_id, talk.id)
    assert (turn.id, turn.deliberation, turn.facts) == (stays.id, "", {other: "prompt"})
    assert list_claims(world.database, world.space_id) == []
    said = list_episodes(world.database, world.space_id, origins=("simulated",))
    assert [one.text for one in said if one.speaker == ANA] == ["tea for me"]
    assert outcome.scan.is_clean


def test_an_erased_message_takes_what_later_turns_were_told_of_it(
    world: Any, talk: Any, tmp_path: Path
) -> None:
    kept = []
    for day, told in enumerate(("", "", "Before this you talked about lanterns.")):
        world.now = world.day(day)
        kept.append(talk(f"turn {day}", to="lanterns" if day == 0 else "well", deliberation=told or "talk"))
    heard = kept[0].heard
    stretch = Stretch(heard.conversation_id, "turns 0-1", heard.time, kept[0].reply.time, (heard.id,))
    with world.database.transaction() as session:
        digests.write(session, world.space_id, stretch, [heard.id], run_id=None, clock=world.clock)
    world.now = world.day(3)
    erase(world, tmp_path, "episode", kept[1].heard.id)
    told = [turn.deliberation for turn in sessions.list_turns(world.database, world.space_id, talk.id)]
    assert told == ["talk", "talk", "Before this you talked about lanterns."]
    erase(world, tmp_path, "episode", heard.id)
    told = [turn.deliberation for turn in sessions.list_turns(world.database, world.space_id, talk.id)]
    assert told[-1] == ""
    assert count(world, tables.Digest) == 0


SECRET = "the red boat leaks again and nobody\nmay tell the owner of the harbour"
QUOTE = "Cy said: the red boat leaks again and nobody may tell the owner of the harbour"


def simulated(world: Any) -> list[str]:
    said = list_episodes(world.database, world.space_id, origins=("simulated",))
    return [one.text for one in said if one.speaker == ANA]


@pytest.mark.parametrize("kind", ["episode", "person"])
def test_what_a_persona_quoted_goes_with_the_message(
    world: Any, talk: Any, tmp_path: Path, kind: str
) -> None:
    said = world.say("Cy Duarte", 0, to=ANA, text=SECRET)
    talk(QUOTE)
    stays = talk("tea for me", deliberation=QUOTE)
    outcome = erase(world, tmp_path, kind, said if kind == "episode" else world.person("Cy Duarte"))
    assert simulated(world) == ["tea for me"]
    (turn,) = sessions.list_turns(world.database, world.space_id, talk.id)
    assert turn.id == stays.id
    assert "boat" not in turn.deliberation
    assert outcome.scan.is_clean
    assert outcome.scan.n_shared == 0


def test_what_people_who_stay_said_too_may_be_quoted(world: Any, talk: Any, tmp_path: Path) -> None:
    said = world.say("Cy Duarte", 0, to=ANA, text=SECRET)
    world.say(BEN, 1, to=ANA, text=SECRET)
    talk("the red boat leaks again and nobody cares")
    erase(world, tmp_path, "episode", said)
    assert simulated(world) == ["the red boat leaks again and nobody cares"]


def test_a_reply_of_a_model_that_another_repeats_goes_alone(world: Any, talk: Any, tmp_path: Path) -> None:
    kept = talk("I would rather not say anything about the harbour")
    talk("I would rather not say anything about the harbour")
    erase(world, tmp_path, "episode", kept.reply.id)
    assert len(simulated(world)) == 1


def test_a_reply_goes_with_the_short_message_that_it_rests_on(world: Any, talk: Any, tmp_path: Path) -> None:
    said, other = (world.say("Cy Duarte", day, to=ANA, text=text) for day, text in enumerate(("at 7", "no")))
    talk("Cy said: at 7", rests_on=(said,))
    talk("", status="interrupted", rests_on=(said, other), deliberation="Cy said: at 7")
    talk("Cy said: no", rests_on=(other, "f" * 16))
    erase(world, tmp_path, "episode", said)
    assert simulated(world) == ["Cy said: no"]
    turns = sessions.list_turns(world.database, world.space_id, talk.id)
    assert [(turn.rests_on, turn.deliberation) for turn in turns] == [((other,), "")] * 2


def test_a_day_is_found_in_the_words_that_a_persona_says_it_in(world: Any, talk: Any, tmp_path: Path) -> None:
    fact = world.store("1961-05-04", 0, predicate="born_on")
    talk("I was born on 4 May 1961", facts={fact: "prompt"})
    erase(world, tmp_path, "fact", fact)
    assert simulated(world) == []


def test_an_erased_person_takes_the_sessions_of_their_persona(world: Any, talk: Any, tmp_path: Path) -> None:
    talk("I paint the kitchen green every single spring", claims=[NewClaim(ANA, "likes", "green")])
    outcome = erase(world, tmp_path, "person", world.person(ANA))
    for mapped in (tables.ChatSession, tables.ChatTurn, tables.TurnFact, tables.Claim):
        assert count(world, mapped) == 0
    assert outcome.scan.is_clean


def test_what_a_persona_said_to_and_of_an_erased_person_goes(world: Any, talk: Any, tmp_path: Path) -> None:
    about = NewClaim(BEN, "lives_in", "Faro", world.person(BEN))
    talk("you live in Faro", claims=[about], deliberation="Ben Ode asks")
    erase(world, tmp_path, "person", world.person(BEN))
    (turn,) = sessions.list_turns(world.database, world.space_id, talk.id)
    assert (turn.answers_id, turn.deliberation) == (None, "[erased] asks")
    assert list_claims(world.database, world.space_id) == []


def test_a_claim_that_repeats_an_erased_one_stands_by_itself(world: Any, talk: Any, tmp_path: Path) -> None:
    kept = talk("I like tea", claims=[NewClaim(ANA, "likes", "tea", world.person(ANA))])
    again = NewClaim(ANA, "likes", "tea", world.person(ANA), basis="claim", earlier_id=kept.claims[0])
    talk("tea, as ever", claims=[again])
    erase(world, tmp_path, "episode", kept.reply.id)
    (left,) = list_claims(world.database, world.space_id)
    assert (left.basis, left.earlier_id) == ("invented", None)


def test_a_merge_moves_sessions_and_claims_and_gives_them_back(world: Any, talk: Any) -> None:
    talk("I like tea", claims=[NewClaim(ANA, "likes", "tea", world.person(ANA))])
    kept, merged = world.person("Ana R."), world.person(ANA)
    report = merge_people(world.database, world.space_id, kept, merged, world.registry, clock=world.clock)
    (claim,) = list_claims(world.database, world.space_id, person_id=kept)
    assert claim.subject_id == kept
    assert sessions.list_sessions(world.database, world.space_id)[0].person_id == kept
    unmerge(world.database, world.space_id, report.merge_id, clock=world.clock)
    assert list_claims(world.database, world.space_id)[0].person_id == merged


def test_verify_finds_a_claim_on_what_a_person_wrote(world: Any, talk: Any, tmp_path: Path) -> None:
    talk("I like tea", claims=[NewClaim(ANA, "likes", "tea")])
    assert verify(world.database, world.space_id, tmp_path, world.registry).problems == ()
    said = world.say(ANA, 0)
    with world.database.transaction() as session:
        session.scalars(select(tables.Claim)).one().episode_id = said
    (problem,) = verify(world.database, world.space_id, tmp_path, world.registry).problems
    assert problem.check == "personas"
