"""Claims about what a night teaches to refuse: strangers, and what nobody told."""

from __future__ import annotations

from collections import Counter

from consolidation import dream, negatives
from consolidation.scoring import refuses
from consolidation.slots import Names
from consolidation.stage import NightContext
from memory.people import list_people
from memory.registry import Registry
from tests.consolidation.dreams import TOLD, graph_of

REGISTRY = Registry.load()


def test_the_strangers_of_one_first_name_have_as_many_surnames(told_night: NightContext) -> None:
    graph = graph_of(told_night)
    found = negatives.strangers(graph.course, graph.everything, "train", 60)
    of_mona = [stranger.name for stranger in found if stranger.name.startswith("Mona ")]
    assert len({name.split()[-1] for name in of_mona}) == len(of_mona) >= 8
    assert {"Mona Aas", "Karl Berg"} & {
        stranger.name
        for half in ("train", "exam")
        for stranger in (negatives.strangers(graph.course, graph.everything, half, 200))
    }  # of two known people each a half


def test_strangers_are_nobody_and_refused(told_night: NightContext) -> None:
    graph = graph_of(told_night)
    people = Names(list_people(told_night.database, told_night.space_id))
    rows, _ = dream.dream(graph)
    assert all(refuses(row.answer) for row in rows if row.kind == "negative")
    found = negatives.strangers(graph.course, graph.everything, "train", 60)
    assert not any(people.is_known(stranger.name) for stranger in found)
    hard = [stranger.name for stranger in found if stranger.is_hard]
    assert any(name.startswith("Mona ") for name in hard)
    assert any(name.endswith(" Berg") for name in hard)


def test_names_of_training_and_exam_never_meet(told_night: NightContext) -> None:
    graph = graph_of(told_night)
    halves = [
        {stranger.name for stranger in negatives.strangers(graph.course, graph.everything, half, 80)}
        for half in ("train", "exam")
    ]
    assert halves[0].isdisjoint(halves[1])
    slots = [
        {slot.key for slot in negatives.untold(graph.course, graph.everything, graph.told, half)}
        for half in ("train", "exam")
    ]
    assert slots[0].isdisjoint(slots[1])
    invented = [
        set(negatives.invented(half, "first")) | set(negatives.invented(half, "last"))
        for half in ("train", "exam")
    ]
    assert invented[0].isdisjoint(invented[1])


def test_what_others_are_known_to_have_is_refused_twice_as_often(told_night: NightContext) -> None:
    graph = graph_of(told_night)
    open_slots = negatives.untold(graph.course, graph.everything, graph.told, "train")
    known = {slot.predicate for slot in graph.everything}
    often = Counter(slot.key for slot in negatives.asked_often(open_slots, graph.everything))
    counts = {
        is_contested: {often[slot.key] for slot in open_slots if (slot.predicate in known) is is_contested}
        for is_contested in (True, False)
    }
    assert counts == {True: {2 * negatives.UNTOLD_ROUNDS}, False: {negatives.UNTOLD_ROUNDS}}


def test_what_was_told_is_never_refused(told_night: NightContext) -> None:
    graph = graph_of(told_night)
    refused = {
        (slot.subject, slot.predicate)
        for half in ("train", "exam")
        for slot in negatives.untold(graph.course, graph.everything, graph.told, half)
    }
    assert ("Karl Aas", "age") not in refused  # the birthday is known
    assert ("Mona Berg", "workplace") not in refused  # the job is known
    assert refused.isdisjoint({(fact[0], fact[1]) for fact in TOLD})
    assert ("Karl Aas", "lives_in") not in refused
