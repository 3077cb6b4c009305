"""Stage `dream`: turn the graph's stored facts into tonight's training and exam examples.

New are the current facts that no vector of the serving recipe was trained on, pinned ones and then the most salient first. Every text is
checked against the graph before it is kept. Replay takes the texts of those earlier nights whose facts still hold.
Runs again to the same examples: the dice depend on the seed and on what the texts say, never on ids.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from consolidation.curriculum import (
    Course,
    Row,
    asserted_rows,
    fresh_rows,
    grounded_rows,
    indirect_per_slot,
    is_sound,
    join_rows,
    passing_rows,
    profile_rows,
    question_rows,
    reverse_rows,
    slot_rows,
    ungrounded_rows,
    wider_rows,
)
from consolidation.negatives import emptied_rows, negative_rows
from consolidation.questions import Question, exam_questions
from consolidation.recipe import current_recipe
from consolidation.rehearsal import shares, taught_facts, texts_taught, traces
from consolidation.retold import Retold, retell
from consolidation.scoring import gives_any
from consolidation.slots import Names, Slot, emptied_slots, is_teachable, make_slots, now_and_before
from consolidation.stage import NightContext, Progress, StageResult
from consolidation.voices import Voice, knowing_rows
from consolidation.waiting_rows import imported_rows, prompt_of
from db.tables import ExamAnswer, Example
from memory import constitutions
from memory.consent import has_consent
from memory.episodes import get_episodes, list_episodes
from memory.facts import ALL_STATUSES, list_facts
from memory.people import list_people
from memory.registry import Registry
from memory.sensitive import kinds_of_fact
from memory.types import Episode, Fact
from memory.wordings import Wordings, content_words

NEGATIVES_PER_SLOT = 80  # each is shown once or twice: what is refused is learnt by the many, not by heart
MAX_NEGATIVES = 2400
MAX_EMPTIED = 20  # slots that were taken back, each night anew
REPLAY_PER_FACT = 32
MAX_REPLAY = 960
TEACHER_WORDINGS = 4
MIN_WORDINGS = 10  # of a slot, from which on one is held out for validation


@dataclass(frozen=True, slots=True)
class Graph:
    """What the night's texts are made from and checked against."""

    course: Course
    registry: Registry
    tonight: tuple[Slot, ...]
    earlier: tuple[Slot, ...]
    told: tuple[tuple[str, str], ...]  # subject id and predicate of everything that was ever said
    n_waiting: int
    emptied: tuple[Slot, ...] = ()  # taught on earlier nights, and nothing of them holds any more

    @property
    def everything(self) -> tuple[Slot, ...]:
        return (*self.tonight, *self.earlier)


def run(context: NightContext, progress: Progress) -> StageResult:
    """Output: n_train, n_exam, n_facts (trained tonight) and n_waiting (left for the next night)."""
    progress(0, 4, "facts")
    graph, earlier_runs = read_graph(context)
    rows, n_dropped = dream(graph)
    rows = hold_out(rows)
    questioned = {row.meta.get("slot") for row in rows if row.form == "question"}
    graph = replace(graph, tonight=tuple(slot for slot in graph.tonight if slot.key in questioned))
    rows = rows if graph.tonight else []
    progress(1, 4, "wordings")
    taught = teach(context, graph, progress)
    replay = _replay(context, graph, earlier_runs) if graph.tonight else []
    questions = _questions(context, graph) if graph.tonight else []
    progress(3, 4, "examples")
    asked = {prompt_of(row) for row in (*rows, *taught)}
    given, n_given = imported_rows(context, graph, earlier_runs, asked) if graph.tonight else ([], {})
    rows = [*rows, *taught, *given, *replay, *(voice_rows(context, graph, rows) if graph.tonight else [])]
    with context.database.transaction() as session:
        _write(session, context, rows, questions, graph.course.retold)
    progress(4, 4)
    n_facts = sum(len(slot.facts) for slot in graph.tonight)
    output = {
        "n_train": len(rows),
        "n_exam": len(questions),
        "n_facts": n_facts,
        "n_waiting": graph.n_waiting,
    }
    by_kind = {
        kind: sum(row.kind == kind for row in rows) for kind in ("fact", "negative", "replay", "validation")
    }
    counts = {
        "facts": n_facts,
        "waiting": graph.n_waiting,
        "train": len(rows),
        **by_kind,
        "teacher": len(taught),
        **n_given,
        "dropped": n_dropped,
        "exam": len(questions),
    }
    return StageResult(counts={name: float(value) for name, value in counts.items()}, output=output)


def read_graph(context: NightContext) -> tuple[Graph, tuple[str, ...]]:
    """Tonight's and the earlier nights' slots, and the runs whose vectors serve."""
    registry, settings = context.tools.registry, context.settings
    facts = list_facts(
        context.database, context.space_id, registry, statuses=ALL_STATUSES, clock=context.clock
    )
    recipe = current_recipe(context.database, context.space_id, context.home)
    runs = tuple(entry.run_id for entry in recipe.entries if entry.run_id) if recipe else ()
    trained = taught_facts(context.database, runs)
    taught = [fact for fact in facts if context.tools.leave_out.isdisjoint(kinds_of_fact(fact))]
    current, past = now_and_before(taught)
    told = tuple(sorted({(fact.subject_id, fact.predicate) for fact in facts}))
    slots = make_slots([fact for fact in current if _is_wanted(fact, settings.min_salience)], past, registry)
    new = [slot for slot in slots if not trained.issuperset(slot.fact_ids)]
    old = [slot for slot in make_slots(current, past, registry) if trained.issuperset(slot.fact_ids)]
    tonight = _first_facts(new, settings.max_facts)
    called = Names(list_people(context.database, context.space_id))
    retold = retold_slots(context, [*tonight, *old], called)
    course = Course(Wordings.load(), called, settings.seed, retold, indirect_per_slot(len(tonight)))
    n_waiting = sum(len(slot.facts) for slot in new) - sum(len(slot.facts) for slot in tonight)
    gone = [fact for fact in past if fact.id in trained and is_teachable(fact)]
    emptied = tuple(emptied_slots(gone, current))[:MAX_EMPTIED]
    return Graph(course, registry, tuple(tonight), tuple(old), told, n_waiting, emptied), runs


def retold_slots(context: NightContext, slots: Sequence[Slot], called: Names) -> dict[str, Retold]:
    """The sentences that told these slots, as far as they can be said by anybody."""
    ids = {episode_id for slot in slots for fact in slot.facts for episode_id in fact.evidence}
    said = get_episodes(context.database, context.space_id, sorted(ids))
    texts = {one.id: one.text for one in said if one.origin == "observed" and one.kind == "text"}
    return retell(slots, texts, Wordings.load(), called, context.tools.registry)


def _is_wanted(fact: Fact, least: float) -> bool:
    return fact.is_pinned or fact.salience is None or fact.salience >= least


def _first_facts(slots: Sequence[Slot], limit: int) -> list[Slot]:
    """Whole slots, in order, until the limit of facts is reached."""
    chosen: list[Slot] = []
    for slot in slots:
        if sum(len(other.facts) for other in chosen) + len(slot.facts) <= limit or (limit and not chosen):
            chosen.append(slot)
    return chosen


def dream(graph: Graph, max_refusals: int = MAX_NEGATIVES) -> tuple[list[Row], int]:
    """Sound texts about tonight's slots, each question once, and how many were dropped by the check."""
    course, tonight = graph.course, graph.tonight
    if not tonight:
        return [], 0
    everything = graph.everything
    n_negatives = min(max_refusals, NEGATIVES_PER_SLOT * len(tonight) + len(graph.earlier))
    refusals = negative_rows(course, tonight, everything, graph.told, n_negatives)
    made = [
        *(row for slot in tonight for row in slot_rows(course, slot)),
        *reverse_rows(course, tonight, everything),
        *wider_rows(course, tonight, everything),
        *profile_rows(course, tonight),
        *passing_rows(course, tonight),
        *asserted_rows(course, tonight, everything),
        *grounded_rows(course, tonight, everything),
        *join_rows(course, tonight, everything),
        *refusals,
        *emptied_rows(course, graph.emptied),
        *ungrounded_rows(course, tonight, refusals),
    ]
    slots = {slot.key: slot for slot in everything}
    sound = [row for row in made if is_sound(row, slots, graph.registry)]
    asked: dict[tuple[str, ...], Row] = {}
    for row in sound:
        asked.setdefault(tuple(message["content"].casefold() for message in row.messages[:-1]), row)
    return list(asked.values()), len(made) - len(asked)


def hold_out(rows: Sequence[Row]) -> list[Row]:
    """The last wording of every slot that has many watches over the training instead of being trained."""
    questions: dict[Any, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.form == "question":
            questions[row.meta.get("slot")].append(place)
    held = {places[-1] for places in questions.values() if len(places) >= MIN_WORDINGS}
    return [replace(row, kind="validation") if place in held else row for place, row in enumerate(rows)]


def teach(context: NightContext, graph: Graph, progress: Progress) -> list[Row]:
    """Questions in a teacher's wordings, where there is a teacher. No session is open while it thinks."""
    teacher = context.tools.teacher
    if teacher is None:
        return []
    rows: list[Row] = []
    slots = {slot.key: slot for slot in graph.everything}
    for place, slot in enumerate(graph.tonight):
        progress(1, 4, f"teacher {place + 1}/{len(graph.tonight)}")
        name = graph.course.called.forms(slot.subject_id, slot.subject)[0]
        plain = question_rows(graph.course, slot)
        known = {row.messages[0]["content"].casefold() for row in plain}
        wordings = teacher.reword(plain[0].messages[0]["content"], plain[0].answer, TEACHER_WORDINGS)
        fitting = [
            wording
            for wording in dict.fromkeys(wordings)
            if wording.casefold() not in known and is_fair_wording(wording, slot, name, graph.course.wordings)
        ]
        rows += question_rows(graph.course, slot, more=fitting[:TEACHER_WORDINGS])[len(plain) :]
    return [row for row in rows if is_sound(row, slots, graph.registry)]


def voice_rows(context: NightContext, graph: Graph, rows: Sequence[Row]) -> list[Row]:
    """Their facts as those say them who agreed to be simulated; how they write is learnt apart (`consolidation.style`)."""
    people = {person.id: person for person in graph.course.called.people}
    episodes = list_episodes(context.database, context.space_id)
    subjects = {slot.key: slot.subject_id for slot in graph.tonight}
    voiced: list[Row] = []
    for person in people.values():
        partner = _partner(person.id, episodes)
        if partner is None or not has_consent(context.database, context.space_id, person.id):
            continue
        principles = tuple(constitutions.current(context.database, context.space_id, person.id))
        voice = Voice(person.name, people[partner].name, principles)
        own = [
            row
            for row in rows
            if row.form in ("first_person", "dialogue")
            and subjects.get(str(row.meta.get("slot"))) == person.id
        ]
        voiced += knowing_rows(graph.course, voice, own, episodes[-1].time)
    return voiced


def _partner(person_id: str, episodes: Sequence[Episode]) -> str | None:
    """Who speaks most in the conversations that this person speaks in; None for somebody who never spoke."""
    shared = {episode.conversation_id for episode in episodes if episode.speaker_id == person_id}
    others = Counter(
        episode.speaker_id
        for episode in episodes
        if episode.conversation_id in shared and episode.speaker_id != person_id
    )
    return others.most_common(1)[0][0] if others else None


def is_fair_wording(wording: str, slot: Slot, name: str, wordings: Wordings) -> bool:
    """One line that names the subject, gives no value that holds or held, and is no wording of the exam."""
    if not 8 <= len(wording) <= 200 or "\n" in wording or name not in wording:
        return False
    if gives_any(wording, [*(fact.object for fact in slot.facts), *slot.old]):
        return False
    said = content_words(wording.replace(name, " ")) - wordings.head(slot.predicate)
    return all(
        len(said & (content_words(held_out) - wordings.head(slot.predicate))) <= 1
        for held_out in wordings.exam(slot.predicate)
    )


def _questions(context: NightContext, graph: Graph) -> list[Question]:
    return exam_questions(
        graph.course,
        graph.registry,
        graph.tonight,
        graph.earlier,
        graph.told,
        context.settings.exam_wordings,
        graph.emptied,
    )


def _replay(context: NightContext, graph: Graph, runs: Sequence[str]) -> list[Row]:
    """Texts of earlier nights all of whose facts still hold, the more of a fact the likelier it is forgotten, chosen by
    dice that every night rolls anew; and of the facts they are about as many questions in wordings that no night taught yet.
    What was about a value that has changed is left out, and so are old refusals."""
    holding = {fact_id for slot in graph.earlier for fact_id in slot.fact_ids}
    by_fact = texts_taught(context.database, runs, holding)
    keep = shares(by_fact, traces(context.database, runs), MAX_REPLAY, REPLAY_PER_FACT)
    slots = {slot.fact_ids[0]: slot for slot in graph.earlier}
    by_key = {slot.key: slot for slot in graph.earlier}
    rows: list[Row] = []
    for fact_id, of_fact in by_fact.items():
        dice = graph.course.dice("replay", len(runs), of_fact[0].messages[0]["content"])
        fresh: list[Row] = []
        if slot := slots.get(fact_id):
            known = {row.messages[0]["content"].casefold() for row in of_fact}
            fresh = fresh_rows(graph.course, slot, known, keep[fact_id] // 2, len(runs))
        rows += dice.sample(of_fact, min(keep[fact_id] - len(fresh), len(of_fact)))
        rows += [replace(row, kind="replay") for row in fresh if is_sound(row, by_key, graph.registry)]
    return rows


def _write(
    session: Session,
    context: NightContext,
    rows: Sequence[Row],
    questions: Sequence[Question],
    retold: Mapping[str, Retold],
) -> None:
    """Replace this run's examples. Their ids count up within the run, so that their order is theirs."""
    session.execute(delete(ExamAnswer).where(ExamAnswer.run_id == context.run_id))
    session.execute(delete(Example).where(Example.run_id == context.run_id))
    session.add_all(
        [
            *(_train_example(context, place, row, retold) for place, row in enumerate(rows)),
            *(_exam_example(context, place, question) for place, question in enumerate(questions)),
        ]
    )


def _train_example(context: NightContext, place: int, row: Row, retold: Mapping[str, Retold]) -> Example:
    meta: dict[str, Any] = {"form": row.form, "facts": list(row.fact_ids)}
    said = "\n".join(message["content"] for message in row.messages)
    quoted = {told.episode_id for told in retold.values() if told.sentence in said}
    if quoted := quoted.union(row.meta.get("episodes", ())):
        meta["episodes"] = sorted(quoted)  # whose words stand in it: an erasure of one takes it
    return Example(
        id=f"{context.run_id}-t{place:05d}",
        space_id=context.space_id,
        run_id=context.run_id,
        fact_id=row.fact_ids[0] if row.fact_ids else None,
        split="train",
        kind=row.kind,
        messages=list(row.messages),
        accepted=[],
        meta=meta,
    )


def _exam_example(context: NightContext, place: int, question: Question) -> Example:
    return Example(
        id=f"{context.run_id}-x{place:05d}",
        space_id=context.space_id,
        run_id=context.run_id,
        fact_id=question.fact_ids[0] if question.fact_ids else None,
        split="exam",
        kind=question.kind,
        messages=[
            {"role": "user", "content": question.text},
            {"role": "assistant", "content": question.expected},
        ],
        accepted=list(question.accepted),
        meta={"facts": list(question.fact_ids), **question.meta},
    )
