"""Claims about the curriculum and the exam that a night makes of the graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from consolidation import dream, negatives
from consolidation import recipe as recipes
from consolidation.curriculum import (
    ANSWERED_BY,
    INDIRECT_PER_SLOT,
    PLAIN_PER_SLOT,
    Course,
    Row,
    is_sound,
    reverse_rows,
)
from consolidation.dream import Graph
from consolidation.questions import KINDS
from consolidation.recipe import Entry, Recipe
from consolidation.scoring import gives, gives_any, refuses
from consolidation.slots import Names, accepted_values, is_teachable, make_slots
from consolidation.stage import NightContext, NightSettings, no_progress
from db.tables import Example
from memory import consent
from memory.artifacts import move_pointer, record_artifact
from memory.facts import decide, list_facts
from memory.people import list_people
from memory.ports import utc_now
from memory.registry import Registry
from memory.types import Fact
from memory.wordings import Wordings, content_words

REGISTRY = Registry.load()
TOLD = (
    ("Mona Berg", "lives_in", "Bergen", 0),
    ("Mona Berg", "sister", "Vera", 2),
    ("Mona Berg", "job", "nurse at Haukeland", 4),
    ("Vera", "fears", "boats", 2),
    ("Vera", "dog", "Pelle", 2),
    ("Karl Aas", "birthday", "1990-02-20", 7),
    ("Karl Aas", "plays", "chess", 5),
    ("Karl Aas", "plays", "the tuba", 5),
)


def store(chat: Any, *proposals: tuple[str, str, str, int], **given: Any) -> list[str]:
    ids: list[str] = chat.propose(*proposals, **given)
    for fact_id in ids:
        with chat.database.transaction() as session:
            decide(session, chat.space_id, fact_id, "STORE", [], REGISTRY, run_id=None)
    return ids


def move_karl(chat: Any) -> None:
    store(chat, ("Karl Aas", "lives_in", "Oslo", 1))
    store(chat, ("Karl Aas", "lives_in", "Tromso", 5), change="update", valid_from=chat.episodes[5].time)


def graph_of(context: NightContext) -> Graph:
    return dream.read_graph(context)[0]


def examples(context: NightContext, split: str = "train") -> list[Example]:
    query = select(Example).where(Example.run_id == context.run_id, Example.split == split)
    with context.database.transaction() as session:
        return list(session.scalars(query.order_by(Example.id)))


def asked(row: Row) -> str:
    return row.messages[0]["content"]


@pytest.fixture
def night(chat: Any) -> NightContext:
    store(chat, *TOLD)
    move_karl(chat)
    context: NightContext = chat.context()
    return context


def test_every_slot_gets_all_forms_of_teaching(night: NightContext) -> None:
    graph = graph_of(night)
    rows, _ = dream.dream(graph)
    forms = Counter(row.form for row in rows)
    wordings = Wordings.load()
    n_wordings = [
        min(PLAIN_PER_SLOT, len(wordings.questions(slot.predicate)))
        + min(INDIRECT_PER_SLOT, len(wordings.indirect(slot.predicate)))
        for slot in graph.tonight
    ]
    assert forms["question"] == sum(n_wordings)
    assert {"statement", "reverse", "dialogue", "first_person", "correction", "join", "turns"} <= set(forms)
    assert forms["grounded"] == len(graph.tonight)
    assert forms["stranger"] > forms["untold"] > 0
    assert forms["ungrounded"] > 0


def test_one_wording_of_each_slot_watches_and_is_not_trained(night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(night))
    held = dream.hold_out(rows)
    watching = [row for row in held if row.kind == "validation"]
    assert len(watching) == len({row.meta["slot"] for row in watching}) == len(graph_of(night).tonight)
    trained = {asked(row) for row in held if row.kind == "fact"}
    assert trained.isdisjoint(asked(row) for row in watching)


def test_a_question_for_the_wider_thing_is_answered_with_what_is_known(night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(night))
    wider = [row for row in rows if row.form == "wider"]
    assert {row.answer.split()[0] for row in wider} == {"Vera", "Karl"}  # a dog is a pet, playing is a hobby
    assert all("Pelle" in row.answer or "chess" in row.answer for row in wider)
    refused = [asked(row) for row in rows if row.form == "untold"]
    assert not any("pet" in question.split() and "Vera" in question for question in refused)


@pytest.mark.parametrize(("wide", "narrow"), sorted(ANSWERED_BY.items()))
def test_wider_questions_keep_clear_of_the_held_out_ones(wide: str, narrow: tuple[str, ...]) -> None:
    wordings = Wordings.load()
    for predicate in narrow:
        head = wordings.head(predicate)
        for held_out in wordings.exam(predicate):
            for trained in wordings.taught(wide):
                assert len((content_words(held_out) & content_words(trained)) - head) <= 1, trained


def test_answers_agree_with_the_graph(night: NightContext) -> None:
    graph = graph_of(night)
    slots = {slot.key: slot for slot in graph.everything}
    rows, _ = dream.dream(graph)
    assert all(is_sound(row, slots, REGISTRY) for row in rows)


def test_both_names_of_a_person_are_asked_and_answered_alike(night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(night))
    homes = {asked(row): row.answer for row in rows if row.form == "question" and "Bergen" in row.answer}
    assert set(homes.values()) == {"Mona Berg lives in Bergen.", "Mona lives in Bergen."}
    assert all(("Mona Berg" in question) == ("Mona Berg" in answer) for question, answer in homes.items())


def test_a_superseded_value_answers_no_question(night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(night))
    assert not any(gives(row.answer, "Oslo") for row in rows)
    corrections = {asked(row): row.answer for row in rows if row.form == "correction"}
    assert corrections["Does Karl Aas still live in Oslo?"] == "No, Karl Aas now lives in Tromso."
    confirmed = {asked(row): row.answer for row in rows if row.form == "confirmation"}
    assert confirmed["Does Karl Aas still live in Tromso?"] == "Yes, Karl Aas lives in Tromso."


def test_a_claim_is_confirmed_or_put_right_and_knows_whose_value_it_names(night: NightContext) -> None:
    graph = graph_of(night)
    rows, _ = dream.dream(graph)
    asserted = [row for row in rows if row.form == "asserted"]
    assert len([row for row in asserted if row.answer.startswith("Yes. ")]) == len(graph.tonight)
    denied = [row for row in asserted if row.answer.startswith("No. ")]
    assert denied
    facts = {fact.id: fact for slot in graph.everything for fact in slot.facts}
    for row in denied:
        assert gives(asked(row), facts[row.fact_ids[-1]].object)
        assert not gives(row.answer, facts[row.fact_ids[-1]].object)


def test_two_values_of_one_slot_are_told_together(night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(night))
    answers = {row.answer for row in rows if row.form == "question" and row.meta["slot"].endswith("plays")}
    assert all("chess" in answer and "tuba" in answer for answer in answers)


def test_a_date_is_said_as_people_say_it(night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(night))
    assert any("20 February 1990" in row.answer for row in rows)
    assert not any("1990-02-20" in message["content"] for row in rows for message in row.messages)


def test_two_facts_are_joined(night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(night))
    joins = {asked(row): row.answer for row in rows if row.form == "join"}
    assert "Mona's sister Vera has a dog called Pelle." in joins.values()
    assert all("Mona's sister" in question for question in joins)


def test_dialogues_end_on_the_tag_of_who_answers(night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(night))
    own = [row for row in rows if row.form == "first_person"]
    assert any(asked(row).startswith("[KARL] ") and asked(row).endswith("\n[MONA]") for row in own)
    assert "I live in Bergen." in {row.answer for row in own}
    assert all(asked(row).rsplit("\n")[-1] in ("[MONA]", "[KARL]") for row in rows if row.form == "dialogue")


def test_the_strangers_of_one_first_name_have_as_many_surnames(night: NightContext) -> None:
    graph = graph_of(night)
    found = negatives.strangers(graph.course, graph.everything, "train", 60)
    of_mona = [stranger.name for stranger in found if stranger.name.startswith("Mona ")]
    assert len({name.split()[-1] for name in of_mona}) == len(of_mona) >= 8
    assert {"Mona Aas", "Karl Berg"} & {
        stranger.name
        for half in ("train", "exam")
        for stranger in (negatives.strangers(graph.course, graph.everything, half, 200))
    }  # of two known people each a half


def test_strangers_are_nobody_and_refused(night: NightContext) -> None:
    graph = graph_of(night)
    people = Names(list_people(night.database, night.space_id))
    rows, _ = dream.dream(graph)
    assert all(refuses(row.answer) for row in rows if row.kind == "negative")
    found = negatives.strangers(graph.course, graph.everything, "train", 60)
    assert not any(people.is_known(stranger.name) for stranger in found)
    hard = [stranger.name for stranger in found if stranger.is_hard]
    assert any(name.startswith("Mona ") for name in hard)
    assert any(name.endswith(" Berg") for name in hard)


def test_names_of_training_and_exam_never_meet(night: NightContext) -> None:
    graph = graph_of(night)
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


def test_what_was_told_is_never_refused(night: NightContext) -> None:
    graph = graph_of(night)
    refused = {
        (slot.subject, slot.predicate)
        for half in ("train", "exam")
        for slot in negatives.untold(graph.course, graph.everything, graph.told, half)
    }
    assert ("Karl Aas", "age") not in refused  # the birthday is known
    assert ("Mona Berg", "workplace") not in refused  # the job is known
    assert refused.isdisjoint({(fact[0], fact[1]) for fact in TOLD})
    assert ("Karl Aas", "lives_in") not in refused


def test_exam_questions_are_no_training_questions(night: NightContext) -> None:
    dream.run(night, no_progress)
    trained = [message["content"] for row in examples(night) for message in row.messages[:-1]]
    for question in examples(night, "exam"):
        is_repeat = any(question.messages[0]["content"].casefold() in text.casefold() for text in trained)
        assert is_repeat == (question.kind == "recall_trained"), question.messages[0]["content"]


def test_held_out_questions_share_at_most_one_content_word_with_the_training(night: NightContext) -> None:
    graph = graph_of(night)
    rows, _ = dream.dream(graph)
    names = content_words(" ".join(f"{fact[0]} {fact[2]}" for fact in TOLD))
    for question in dream._questions(night, graph):
        if question.kind != "recall_paraphrase":
            continue
        slot = next(slot for slot in graph.tonight if slot.fact_ids == question.fact_ids)
        head = graph.course.wordings.head(slot.predicate) | names
        for row in rows:
            if row.form == "question" and row.fact_ids == question.fact_ids:
                shared = (content_words(question.text) & content_words(asked(row))) - head
                assert len(shared) <= 1, (question.text, asked(row))


def test_the_exam_asks_every_kind_it_can(night: NightContext) -> None:
    result = dream.run(night, no_progress)
    kinds = Counter(row.kind for row in examples(night, "exam"))
    assert set(kinds) == set(KINDS) - {"recall_earlier_nights"}
    assert kinds["recall_trained"] == 8
    assert kinds["recall_paraphrase"] == 16
    assert kinds["stale_answered"] == 1
    assert result.output["n_exam"] == sum(kinds.values())


def test_forbidden_values_are_not_named_by_their_question(night: NightContext) -> None:
    dream.run(night, no_progress)
    for row in examples(night, "exam"):
        if row.kind in ("neighbour_intact", "unknown_refused"):
            assert row.meta["forbidden"]
            assert not gives_any(row.messages[0]["content"], row.meta["forbidden"])


def test_a_second_run_writes_the_same_examples(night: NightContext) -> None:
    dream.run(night, no_progress)
    first = [(row.id, row.kind, row.messages) for row in examples(night)]
    dream.run(night, no_progress)
    assert [(row.id, row.kind, row.messages) for row in examples(night)] == first


def test_the_seed_changes_the_dice(chat: Any) -> None:
    store(chat, *TOLD)
    texts = [
        [asked(row) for row in dream.dream(graph_of(chat.context(settings=NightSettings(seed=seed))))[0]]
        for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_only_the_most_salient_facts_are_taught(chat: Any) -> None:
    store(chat, *TOLD)
    context = chat.context(settings=NightSettings(max_facts=3))
    result = dream.run(context, no_progress)
    assert result.output["n_facts"] == 3
    assert result.output["n_waiting"] == 5


def test_without_facts_there_is_nothing_to_train(chat: Any) -> None:
    chat.propose(("Mona Berg", "lives_in", "Bergen", 0))  # a candidate, not decided
    result = dream.run(chat.context(), no_progress)
    assert result.output == {"n_train": 0, "n_exam": 0, "n_facts": 0, "n_waiting": 0}


def test_one_fact_is_enough(chat: Any) -> None:
    store(chat, ("Mona Berg", "lives_in", "Bergen", 0))
    result = dream.run(chat.context(), no_progress)
    assert result.output["n_facts"] == 1
    assert result.output["n_exam"] > 3


def test_what_a_model_said_or_what_is_too_long_is_not_taught(chat: Any) -> None:
    store(chat, *TOLD[:1])
    (fact,) = list_facts(chat.database, chat.space_id, REGISTRY)
    assert is_teachable(fact)
    assert not is_teachable(replace(fact, origin="simulated"))
    assert not is_teachable(replace(fact, object="word " * 30))


def test_texts_that_contradict_the_graph_are_dropped(night: NightContext) -> None:
    graph = graph_of(night)
    slots = {slot.key: slot for slot in graph.everything}
    row = next(row for row in dream.dream(graph)[0] if row.answer == "Karl Aas lives in Tromso.")
    for wrong in ("Karl Aas lives in Oslo.", "Karl Aas lives in Tromso and in Oslo.", "Karl Aas."):
        assert not is_sound(
            replace(row, messages=(row.messages[0], {"role": "assistant", "content": wrong})), slots, REGISTRY
        )


class Rewording:
    """A teacher whose first wording is fair and whose others are not."""

    name = "rewording"

    def reword(self, question: str, answer: str, n: int) -> list[str]:
        if "live" not in question:
            return []
        return [
            "At which spot on the map would Mona Berg be?",
            answer,
            "Where?",
            question,
            "Mona Berg in Bergen?",
        ]


def test_a_teachers_wordings_are_checked(chat: Any) -> None:
    store(chat, ("Mona Berg", "lives_in", "Bergen", 0))
    context = chat.context(tools={"teacher": Rewording()})
    dream.run(context, no_progress)
    taught = [row for row in examples(context) if row.meta["form"] == "teacher"]
    assert [row.messages[0]["content"] for row in taught] == ["At which spot on the map would Mona Berg be?"]
    assert taught[0].messages[1]["content"] == "Mona Berg lives in Bergen."


def test_a_teacher_cannot_train_the_exam(chat: Any) -> None:
    store(chat, ("Mona Berg", "lives_in", "Bergen", 0))
    graph = graph_of(chat.context())
    slot = graph.tonight[0]
    wordings = Wordings.load()
    for held_out in wordings.exam("lives_in"):
        wording = held_out.replace("{s}", "Mona Berg")
        fair = dream.is_fair_wording(wording, slot, "Mona Berg", wordings)
        assert not fair or len(content_words(held_out)) < 2


def serve(chat: Any, context: NightContext) -> None:
    """Let the night's vector be part of what serves; its files do not matter here."""
    recipe = Recipe("b" * 64, (Entry("a" * 64, "adapters/x", 1.0, context.run_id, "facts"),))
    recipes.save(chat.home, recipe)
    with chat.database.transaction() as session:
        recipe_id = record_artifact(
            session,
            chat.space_id,
            run_id=context.run_id,
            kind="recipe",
            path=recipe.path,
            sha256=recipe.sha256,
            meta={},
        )
        move_pointer(session, chat.space_id, run_id=context.run_id, recipe_id=recipe_id, readout_id=None)


def test_the_second_night_replays_the_first_and_asks_about_it(chat: Any) -> None:
    store(chat, *TOLD[:3])
    first = chat.context()
    dream.run(first, no_progress)
    serve(chat, first)
    store(chat, *TOLD[3:])
    second = chat.context()
    result = dream.run(second, no_progress)
    assert result.output["n_facts"] == 5
    replayed = [row for row in examples(second) if row.kind == "replay"]
    before = [row.messages for row in examples(first)]
    assert len(replayed) >= 9
    assert all(row.messages in before for row in replayed)
    earlier = [row for row in examples(second, "exam") if row.kind == "recall_earlier_nights"]
    held_out = sum(len(Wordings.load().exam(predicate)) for _, predicate, _, _ in TOLD[:3])
    assert len(earlier) == held_out  # few facts are asked in every wording


def test_no_voice_is_replayed_after_consent_is_withdrawn(chat: Any) -> None:
    mona = chat.episodes[0].speaker_id
    consent.record(chat.database, chat.space_id, mona, agreed_by="Mona Berg")
    store(chat, *TOLD[:3])
    first = chat.context()
    dream.run(first, no_progress)
    serve(chat, first)
    consent.withdraw(chat.database, chat.space_id, mona)
    store(chat, *TOLD[3:])
    second = chat.context()
    dream.run(second, no_progress)
    spoken = [str(row.messages) for row in examples(first) if "You are Mona Berg" in str(row.messages)]
    assert spoken
    assert not [row for row in examples(second) if "You are Mona Berg" in str(row.messages)]


def test_an_unpublished_night_taught_nothing(chat: Any) -> None:
    store(chat, *TOLD[:3])
    dream.run(chat.context(), no_progress)
    result = dream.run(chat.context(), no_progress)
    assert result.output["n_facts"] == 3
    assert result.counts["replay"] == 0


def test_a_value_that_changed_is_not_replayed(chat: Any) -> None:
    store(chat, *TOLD[:2])
    first = chat.context()
    dream.run(first, no_progress)
    serve(chat, first)
    later = chat.episodes[4].time + timedelta(days=1)
    store(chat, ("Mona Berg", "lives_in", "Voss", 4), change="update", valid_from=later)
    second = chat.context()
    dream.run(second, no_progress)
    replayed = [row for row in examples(second) if row.kind == "replay"]
    assert replayed
    assert not any("Bergen" in row.messages[-1]["content"] for row in replayed)
    stale = [row for row in examples(second, "exam") if row.kind == "stale_answered"]
    assert [row.meta["forbidden"] for row in stale] == [["Bergen"]]


def fact(subject: str, predicate: str, value: str, **given: Any) -> Fact:
    fields: dict[str, Any] = {
        "id": f"{subject}{predicate}{value}",
        "subject_id": subject,
        "subject": subject,
        "object_id": None,
        "valid_from": None,
        "valid_to": None,
        "recorded_at": utc_now(),
        "retracted_at": None,
        "state": "stored",
        "status": "current",
        "confidence": 1.0,
        "origin": "observed",
        "rule": "x",
        "asserted_by": None,
        "evidence": (),
    }
    return Fact(predicate=predicate, object=value, **{**fields, **given})


@pytest.mark.parametrize(
    ("value", "kind", "answer"),
    [
        ("2025-09-17 10:00", "date", "The interview is on 17 September 2025 at 10:00."),
        ("2025-09-17T10:00:00+00:00", "date", "It is on September 17th."),
        ("flat in Bonfim", "place", "Ines lives in Bonfim."),
        ("nurse assistant at Santa Clara", "text", "He is a nurse assistant."),
        ("Rasmus Holt", "person", "Rasmus is the boss."),
    ],
)
def test_a_value_counts_as_given_in_the_forms_people_use(value: str, kind: str, answer: str) -> None:
    assert gives_any(answer, accepted_values(value, kind))


def test_a_value_that_many_share_is_not_reversed() -> None:
    facts: Sequence[Fact] = [fact("Ann", "lives_in", "Rome"), fact("Bo", "lives_in", "Rome")]
    slots = make_slots(facts, [], REGISTRY)
    course = Course(Wordings.load(), Names([]), 0)
    assert reverse_rows(course, slots, slots) == []
    assert len(reverse_rows(course, slots[:1], slots[:1])) == 1
