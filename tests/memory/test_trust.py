"""A fact is no surer than the least trusted of its messages."""

import pytest

from memory.trust import least, trust_of


def test_what_a_model_wrote_is_worth_nothing_wherever_it_stands() -> None:
    assert trust_of("simulated", "whatsapp") == 0.0
    assert least([("observed", "whatsapp"), ("simulated", "whatsapp")]) == 0.0


def test_mail_and_other_programs_notes_count_for_less_than_a_chat() -> None:
    assert trust_of("observed", "whatsapp") == 1.0
    assert trust_of("observed", "mbox") < 1.0
    assert trust_of("observed", "mem0") < 1.0


def test_no_message_and_an_unknown_origin_are_not_believed() -> None:
    assert least([]) == 0.0
    assert trust_of("made up", "whatsapp") == 0.0


def test_a_candidate_is_held_down_to_its_least_trusted_message(world) -> None:
    world.claim("a boat", 1, predicate="owns", origin="inferred", confidence=0.95)
    world.claim("a piano", 2, predicate="owns", confidence=0.95)
    assert [fact.confidence for fact in world.facts()] == [pytest.approx(0.8), pytest.approx(0.95)]
