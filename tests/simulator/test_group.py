"""Two personas and a human: what the personas owe to the human, and what they keep from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from agents.errors import BackendUnreachable
from memory.episodes import append_turn, get_episodes
from memory.facts import add_candidates
from memory.sessions import list_turns
from memory.types import FactCandidate
from service.wiring import Services
from simulator.company import Company
from simulator.errors import NoConsent, SamePerson
from simulator.inviting import Invitation, open_company
from simulator.lengths import Lengths
from simulator.ports import Engine
from simulator.session import Session, SessionSettings
from tests.simulator.homes import home_of
from tests.simulator.test_session import Stopping, Watched

ADA, BO, CY = "Ada Lund", "Bo Rask", "Cy Holm"
SAID = ((ADA, "I live in Porto."), (BO, "I work at the harbour office."), (CY, "good to know"))


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Three people in one chat; what Ada told Bo alone; Ada and Bo agreed to be simulated."""
    with home_of(tmp_path_factory.mktemp("home"), SAID, (ADA, BO)) as opened:
        ada, bo = opened.person(ADA), opened.person(BO)
        told = append_turn(
            opened.database,
            opened.space_id,
            conversation="the two of us",
            speaker_id=ada.id,
            text="Cy has asthma, he does not know it yet",
            origin="observed",
            time=opened.clock() - timedelta(days=1),
            participants={ada.id, bo.id},
        )
        made = FactCandidate(CY, "illness", "asthma", (told.id,), ADA, 0.95, "test")
        with opened.database.transaction() as session:
            add_candidates(session, opened.space_id, [made], opened.registry, clock=opened.clock)
        opened.index.refresh()
        yield opened


def invite(
    services: Services, engine: Engine, personas: tuple[str, ...] = (ADA, BO), human: str = CY
) -> Company:
    tools = replace(services.simulator_tools(), server=lambda: engine)
    people = [services.person(name) for name in personas]
    company = open_company(tools, people, Invitation(), services.person(human))
    for member in company.members:
        member.composer.lengths = Lengths((10,) * 20, (400,) * 20, (2,) * 20)  # type: ignore[attr-defined]
    return company


def test_the_humans_own_consent_is_not_needed_and_the_personas_is(services: Services) -> None:
    with pytest.raises(NoConsent):
        invite(services, Watched("Well."), (ADA, CY), BO)
    with pytest.raises(SamePerson):
        invite(services, Watched("Well."), (ADA, BO), BO)


def test_a_human_is_owed_the_same_answer_twice(services: Services) -> None:
    company = invite(services, Watched("Nice boats.", "Loud gulls.", "Cold soup."))
    for _ in range(2):
        answer = next(iter(company.answer("Ada, where do you live?")))
        assert (answer.speaker, answer.turn.status) == (ADA, "corrected")
        assert "Porto" in answer.text


def test_what_was_told_to_a_persona_about_the_human_is_kept_from_them(services: Services) -> None:
    asked = "Bo, what illness does Cy have?"
    engine = Watched("Nice boats.", "Loud gulls.", "Cold soup.")
    company = invite(services, engine)
    answer = next(iter(company.answer(asked)))
    assert (answer.speaker, answer.text) == (BO, "I don't know.")
    assert not any("asthma" in message["content"] for shown in engine.shown for message in shown)
    tools = replace(services.simulator_tools(), server=lambda: Watched("Nice boats."))
    alone = Session.open(tools, services.person(BO), services.person(ADA), SessionSettings(seed=1))
    assert "asthma" in alone.reply(asked).reply
    alone.close()


def test_of_an_answer_that_the_server_broke_off_what_was_said_is_kept(services: Services) -> None:
    company = invite(services, Stopping("The tide came in. So we went"))
    with pytest.raises(BackendUnreachable):
        list(company.answer("Good evening to you both."))
    (turn,) = list_turns(services.database, services.space_id, company.record.session_id)
    ids = [one for one in (turn.answers_id, turn.episode_id) if one]
    said = get_episodes(services.database, services.space_id, ids)
    assert [one.text for one in said] == ["Good evening to you both.", "The tide came in. So we went"]
    assert turn.status == "interrupted"
