"""Claims about the curriculum that a night makes of the graph."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from consolidation import dream
from consolidation.curriculum import (
    ANSWERED_BY,
    BESIDE_PER_SLOT,
    PLAIN_PER_SLOT,
    indirect_per_slot,
    is_sound,
)
from consolidation.scoring import gives, gives_any
from consolidation.stage import NightContext, NightSettings, no_progress
from memory.registry import Registry
from memory.wordings import Wordings, content_words
from tests.consolidation.dreams import TOLD, asked, examples, graph_of

REGISTRY = Registry.load()


def test_every_slot_gets_all_forms_of_teaching(told_night: NightContext) -> None:
    graph = graph_of(told_night)
    rows, _ = dream.dream(graph)
    forms = Counter(row.form for row in rows)
    wordings = Wordings.load()
    n_wordings = [
        min(PLAIN_PER_SLOT, len(wordings.questions(slot.predicate)))
        + min(indirect_per_slot(len(graph.tonight)), len(wordings.indirect(slot.predicate)))
        for slot in graph.tonight
    ]
    assert forms["question"] == sum(n_wordings)
    assert {"statement", "reverse", "dialogue", "first_person", "correction", "join", "turns"} <= set(forms)
    assert forms["grounded"] == len(graph.tonight)
    assert forms["stranger"] > forms["untold"] > 0
    assert forms["beside"] == BESIDE_PER_SLOT * len(graph.tonight)
    assert forms["ungrounded"] > 0


def test_beside_what_else_is_found_a_question_is_answered_all_the_same(told_night: NightContext) -> None:
    graph = graph_of(told_night)
    rows, _ = dream.dream(graph)
    slots = {slot.key: slot for slot in graph.tonight}
    beside = [row for row in rows if row.form == "beside"]
    for row in beside:
        slot, (prompt, _) = slots[row.meta["slot"]], row.messages
        assert graph.course.statement(slot, slot.subject) not in prompt["content"]
        assert gives_any(row.answer, [fact.object for fact in slot.facts])
        assert set(slot.fact_ids) <= set(row.fact_ids)
    assert any("- Mona Berg" in row.messages[0]["content"] for row in beside)


def test_the_fewer_slots_the_more_wordings_each() -> None:
    assert [indirect_per_slot(n) for n in (0, 1, 10, 20, 50, 500)] == [48, 48, 48, 48, 28, 24]


def test_one_wording_of_each_slot_watches_and_is_not_trained(told_night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(told_night))
    held = dream.hold_out(rows)
    watching = [row for row in held if row.kind == "validation"]
    assert len(watching) == len({row.meta["slot"] for row in watching}) == len(graph_of(told_night).tonight)
    trained = {asked(row) for row in held if row.kind == "fact"}
    assert trained.isdisjoint(asked(row) for row in watching)


def test_a_question_for_the_wider_thing_is_answered_with_what_is_known(told_night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(told_night))
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


def test_answers_agree_with_the_graph(told_night: NightContext) -> None:
    graph = graph_of(told_night)
    slots = {slot.key: slot for slot in graph.everything}
    rows, _ = dream.dream(graph)
    assert all(is_sound(row, slots, REGISTRY) for row in rows)


def test_both_names_of_a_person_are_asked_and_answered_alike(told_night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(told_night))
    homes = {asked(row): row.answer for row in rows if row.form == "question" and "Bergen" in row.answer}
    assert set(homes.values()) == {"Mona Berg lives in Bergen.", "Mona lives in Bergen."}
    assert all(("Mona Berg" in question) == ("Mona Berg" in answer) for question, answer in homes.items())


def test_a_superseded_value_answers_no_question(told_night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(told_night))
    assert not any(gives(row.answer, "Oslo") for row in rows)
    corrections = {asked(row): row.answer for row in rows if row.form == "correction"}
    assert corrections["Does Karl Aas still live in Oslo?"] == "No, Karl Aas now lives in Tromso."
    confirmed = {asked(row): row.answer for row in rows if row.form == "confirmation"}
    assert confirmed["Does Karl Aas still live in Tromso?"] == "Yes, Karl Aas lives in Tromso."


def test_a_claim_is_confirmed_or_put_right_and_knows_whose_value_it_names(told_night: NightContext) -> None:
    graph = graph_of(told_night)
    rows, _ = dream.dream(graph)
    asserted = [row for row in rows if row.form == "asserted"]
    assert len([row for row in asserted if row.answer.startswith("Yes. ")]) == len(graph.tonight)
    denied = [row for row in asserted if row.answer.startswith("No. ")]
    assert denied
    facts = {fact.id: fact for slot in graph.everything for fact in slot.facts}
    for row in denied:
        assert gives(asked(row), facts[row.fact_ids[-1]].object)
        assert not gives(row.answer, facts[row.fact_ids[-1]].object)


def test_two_values_of_one_slot_are_told_together(told_night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(told_night))
    answers = {row.answer for row in rows if row.form == "question" and row.meta["slot"].endswith("plays")}
    assert all("chess" in answer and "tuba" in answer for answer in answers)


def test_a_date_is_said_as_people_say_it(told_night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(told_night))
    assert any("20 February 1990" in row.answer for row in rows)
    assert not any("1990-02-20" in message["content"] for row in rows for message in row.messages)


def test_two_facts_are_joined(told_night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(told_night))
    joins = {asked(row): row.answer for row in rows if row.form == "join"}
    assert "Mona's sister Vera has a dog called Pelle." in joins.values()
    assert all("Mona's sister" in question for question in joins)


def test_dialogues_end_on_the_tag_of_who_answers(told_night: NightContext) -> None:
    rows, _ = dream.dream(graph_of(told_night))
    own = [row for row in rows if row.form == "first_person"]
    assert any(asked(row).startswith("[KARL] ") and asked(row).endswith("\n[MONA]") for row in own)
    assert "I live in Bergen." in {row.answer for row in own}
    assert all(asked(row).rsplit("\n")[-1] in ("[MONA]", "[KARL]") for row in rows if row.form == "dialogue")


def test_a_fact_comes_up_in_passing_in_a_talk_about_somebody_else(told_night: NightContext) -> None:
    graph = graph_of(told_night)
    rows, _ = dream.dream(graph)
    facts = {fact.id: fact for slot in graph.everything for fact in slot.facts}
    talks = [
        row for row in rows if row.form == "turns" and len({facts[i].subject_id for i in row.fact_ids}) > 1
    ]
    assert {row.meta["slot"] for row in talks} == {slot.key for slot in graph.tonight}
    for row in talks:
        assert [message["role"] for message in row.messages] == ["user", "assistant"] * 2
        assert row.messages[1]["content"] != row.answer
        assert asked(row) != row.messages[2]["content"]


def test_a_second_run_writes_the_same_examples(told_night: NightContext) -> None:
    dream.run(told_night, no_progress)
    first = [(row.id, row.kind, row.messages) for row in examples(told_night)]
    dream.run(told_night, no_progress)
    assert [(row.id, row.kind, row.messages) for row in examples(told_night)] == first


def test_the_seed_changes_the_dice(chat: Any) -> None:
    chat.store(*TOLD)
    texts = [
        [asked(row) for row in dream.dream(graph_of(chat.context(settings=NightSettings(seed=seed))))[0]]
        for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_only_the_most_salient_facts_are_taught(chat: Any) -> None:
    chat.store(*TOLD)
    context = chat.context(settings=NightSettings(max_facts=3))
    result = dream.run(context, no_progress)
    assert result.output["n_facts"] == 3
    assert result.output["n_waiting"] == 5


def test_without_facts_there_is_nothing_to_train(chat: Any) -> None:
    chat.propose(("Mona Berg", "lives_in", "Bergen", 0))  # a candidate, not decided
    result = dream.run(chat.context(), no_progress)
    assert result.output == {"n_train": 0, "n_exam": 0, "n_facts": 0, "n_waiting": 0}


def test_one_fact_is_enough(chat: Any) -> None:
    chat.store(("Mona Berg", "lives_in", "Bergen", 0))
    result = dream.run(chat.context(), no_progress)
    assert result.output["n_facts"] == 1
    assert result.output["n_exam"] > 3


def test_texts_that_contradict_the_graph_are_dropped(told_night: NightContext) -> None:
    graph = graph_of(told_night)
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
    chat.store(("Mona Berg", "lives_in", "Bergen", 0))
    context = chat.context(tools={"teacher": Rewording()})
    dream.run(context, no_progress)
    taught = [row for row in examples(context) if row.meta["form"] == "teacher"]
    assert [row.messages[0]["content"] for row in taught] == ["At which spot on the map would Mona Berg be?"]
    assert taught[0].messages[1]["content"] == "Mona Berg lives in Bergen."
