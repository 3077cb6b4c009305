from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from db.engine import Database, open_database
from memory.ask import answer_json, ask, explain_json
from memory.embedders.minilm import MiniLM
from memory.episodes import append_turn
from memory.facts import add_candidates
from memory.index import Index
from memory.people import get_or_create_node
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import Answer, FactCandidate

NOW = datetime(2025, 1, 10, tzinfo=UTC)
FACTS: list[dict[str, Any]] = [
    {"day": "2024-02-01", "who": "Mirela", "text": "greetings from Kotor, I love this flat", "s": "Mirela Popa", "p": "lives_in", "o": "Kotor"},
    {"day": "2024-09-14", "who": "Mirela", "text": "boxes everywhere, but I am in Piran now", "s": "Mirela Popa", "p": "lives_in", "o": "Piran", "change": "update"},
    {"day": "2024-02-03", "who": "Mirela", "text": "my brother Dorin says hello", "s": "Mirela Popa", "p": "brother", "o": "Dorin", "kind": "person"},
    {"day": "2024-02-03", "who": "Mirela", "text": "Dorin works at the salt museum", "s": "Dorin", "p": "workplace", "o": "the salt museum"},
    {"day": "2024-03-05", "who": "Bengt", "text": "my boss Ulla is on holiday", "s": "Bengt Aune", "p": "boss", "o": "Ulla", "kind": "person", "to": "2024-06-01"},
    {"day": "2024-06-01", "who": "Bengt", "text": "from today my boss is Frode", "s": "Bengt Aune", "p": "boss", "o": "Frode", "kind": "person", "change": "update"},
    {"day": "2024-04-01", "who": "Bengt", "text": "the wedding is on 3 August 2024", "s": "Bengt Aune", "p": "wedding_date", "o": "2024-08-03"},
    {"day": "2024-05-02", "who": "Bengt", "text": "I bought a tandem", "s": "Bengt Aune", "p": "transport", "o": "tandem"},
    {"day": "2024-07-07", "who": "Bengt", "chat": "Solveig", "text": "don't tell Mirela: I am allergic to walnuts", "s": "Bengt Aune", "p": "allergy", "o": "walnuts"},
    {"day": "2024-11-01", "who": "Mirela", "text": "Dorin has a parrot called Kiki", "s": "Dorin", "p": "parrot", "o": "Kiki", "kind": "thing"},
    {"day": "2024-11-02", "who": "Mirela", "text": "Bengt, meet my cats Ash and Oak", "s": "Mirela Popa", "p": "cat", "o": "Ash", "kind": "thing"},
    {"day": "2024-11-02", "who": "Mirela", "text": "Oak is the loud one", "s": "Mirela Popa", "p": "cat", "o": "Oak", "kind": "thing"},
    {"day": "2024-11-03", "who": "Bengt", "text": "Tove Ness lives in Hamar", "s": "Tove Ness", "p": "lives_in", "o": "Hamar"},
    {"day": "2024-11-03", "who": "Bengt", "text": "Tove Dahl lives in Molde", "s": "Tove Dahl", "p": "lives_in", "o": "Molde"},
    {"day": "2024-11-04", "who": "Bengt", "text": "my clinic is in Larvik, no: Drammen", "s": "Bengt Aune", "p": "clinic_town", "o": "Drammen", "change": "correct", "corrects": "Larvik"},
    {"day": "2024-11-05", "who": "Bengt", "text": "my mother's knee is bad", "s": "Bengt Aune's mother", "p": "injury", "o": "bad knee"},
    {"day": "2024-10-10", "who": "Bengt", "text": "our meeting point is the copper fountain behind the library", "s": None},
]  # fmt: skip
SPEAKERS = {"Mirela": "Mirela Popa", "Bengt": "Bengt Aune", "Solveig": "Solveig"}


class Graph:
    def __init__(self, database: Database, home: Path) -> None:
        self.database, self.registry = database, Registry.load()
        self.space_id = ensure_space(database)
        with database.transaction() as session:
            self.people = {
                short: get_or_create_node(session, self.space_id, name, is_speaker=True)
                for short, name in SPEAKERS.items()
            }
        for entry in sorted(FACTS, key=lambda entry: str(entry["day"])):
            self.add(entry)
        self.index = Index.open(database, self.space_id, home, MiniLM.load())
        self.index.refresh()

    def add(self, entry: dict[str, Any]) -> None:
        other = entry.get("chat", "Mirela")
        said = append_turn(
            self.database,
            self.space_id,
            conversation=other,
            speaker_id=self.people[entry["who"]],
            text=entry["text"],
            origin="observed",
            time=_day(entry["day"]) + timedelta(hours=12),
            participants={self.people["Bengt"], self.people[other]},
        )
        if entry["s"] is None:
            return
        candidate = FactCandidate(
            entry["s"],
            entry["p"],
            entry["o"],
            (said.id,),
            SPEAKERS[entry["who"]],
            0.9,
            "test",
            object_kind=entry.get("kind"),
            valid_from=_day(entry["day"]),
            valid_to=_day(entry["to"]) if "to" in entry else None,
            change=entry.get("change", "state"),
            corrects=entry.get("corrects"),
        )
        with self.database.transaction() as session:
            add_candidates(session, self.space_id, [candidate], self.registry)

    def ask(self, question: str, *, known_to: str | None = None, as_of: str | None = None) -> Answer:
        return ask(
            self.database,
            self.space_id,
            self.index,
            self.registry,
            question,
            known_to=self.people[known_to] if known_to else None,
            as_of=_day(as_of) if as_of else None,
            clock=lambda: NOW,
        )


def _day(iso: str) -> datetime:
    return datetime.fromisoformat(iso).replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    database = open_database("sqlite://")
    yield Graph(database, tmp_path_factory.mktemp("home"))
    database.close()


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("Where does Mirela live now?", "Piran"),
        ("Where does Mirela live?", "Piran"),
        ("Where was Mirela living in May 2024?", "Kotor"),
        ("In which town did Mirela live before September 2024?", "Kotor"),
        ("Where did Mirela live before Piran?", "Kotor"),
        ("Where did Mirela use to live?", "Kotor"),
        ("Who is Bengt's boss?", "Frode"),
        ("Who was Bengt's boss before Frode?", "Ulla"),
        ("Who was Bengt's manager in April 2024?", "Ulla"),
        ("What is the name of Mirela's brother?", "Dorin"),
        ("Where does Mirela's brother work?", "salt museum"),
        ("Whose brother is Dorin?", "Mirela"),
        ("When is Bengt's wedding?", "3 August 2024"),
        ("How does Bengt get around?", "tandem"),
        ("Does Mirela still live in Kotor?", "No"),
        ("Does Mirela live in Piran?", "Yes"),
        ("Where is the copper fountain, the meeting point?", "behind the library"),
        ("What is Mirela's brother's parrot called?", "Kiki"),
        ("How many cats does Mirela have?", "Two"),
        ("What are Mirela's cats called?", "Ash and Oak"),
        ("Since when has Mirela lived in Piran?", "14 September 2024"),
        ("How long did Mirela live in Kotor?", "7 months"),
        ("Until when did Mirela live in Kotor?", "14 September 2024"),
        ("Who is Dorin?", "Mirela Popa's brother"),
        ("What is Dorin to Mirela?", "Mirela Popa's brother"),
        ("Who said that Mirela lives in Piran?", "Mirela Popa, on 14 September 2024"),
        ("In which town is Bengt's clinic?", "Drammen"),
        ("Is Bengt's clinic town Larvik?", "corrected"),
        ("Did Mirela ever live in Kotor?", "Yes"),
        ("Does Mirela have a brother?", "Yes"),
        ("What injury does Bengt's mother have?", "bad knee"),
    ],
)
def test_answers_say_the_right_value(graph: Graph, question: str, says: str) -> None:
    answer = graph.ask(question)
    assert not answer.abstained
    assert says in answer.text


@pytest.mark.parametrize(
    "question",
    [
        "What is Dorin's surname?",
        "Which university did Mirela study at?",
        "How many children does Bengt have?",
        "What is Ulla's phone number?",
        "Does Mirela own a parrot?",
        "Who painted the ceiling?",
        "What is Dorin's phone number?",
        "What is Mirela's sister called?",
        "Does Mirela have a sister?",
        "What does Gudrun do for a living?",
        "How much did Bengt pay for the tandem?",
        "",
    ],
)
def test_what_the_graph_does_not_know_is_not_answered(graph: Graph, question: str) -> None:
    answer = graph.ask(question)
    assert answer.abstained
    assert not answer.facts
    assert not answer.evidence


def test_a_value_before_its_first_change_is_not_answered_by_a_later_one(graph: Graph) -> None:
    assert "Piran" not in graph.ask("Where did Mirela live in March 2024?").text


def test_what_is_over_is_told_in_the_past(graph: Graph) -> None:
    text = graph.ask("Where did Mirela live before Piran?").text
    assert text == "Kotor. Mirela Popa lived in Kotor (from 1 February 2024 until 14 September 2024)."


def test_nobody_is_guessed_where_two_share_a_name(graph: Graph) -> None:
    answer = graph.ask("Where does Tove live?")
    assert "Tove Ness lives in Hamar" in answer.text
    assert "Tove Dahl lives in Molde" in answer.text
    assert "Hamar" not in graph.ask("Where does Tove Dahl live?").text


def test_i_am_who_asks(graph: Graph) -> None:
    assert "Piran" in graph.ask("Where do I live?", known_to="Mirela").text
    assert "Frode" in graph.ask("Who is my boss?", known_to="Bengt").text
    assert graph.ask("Where do I live?").abstained


def test_an_unknown_name_is_said_to_be_unknown(graph: Graph) -> None:
    answer = graph.ask("What does Gudrun do for a living?")
    assert answer.text == "Unknown: nobody called Gudrun is known here."
    assert explain_json(answer)["abstained_because"] == "a name of the question is nobody's"


def test_an_explanation_tells_names_times_terms_and_thresholds(graph: Graph) -> None:
    why = explain_json(graph.ask("Where was Mirela living in May 2024?"))
    assert why["understood"]["names"][0]["text"] == "Mirela"
    assert why["understood"]["times"][0]["from"] == "2024-05-01T00:00:00+00:00"
    assert why["confidence"] >= why["threshold"]
    best = why["facts"][0]
    terms = [part for name, part in best.items() if name not in ("fact", "predicate", "score")]
    assert sum(terms) == pytest.approx(best["score"], abs=0.01)


def test_evidence_is_what_the_viewer_may_know(graph: Graph) -> None:
    answer = graph.ask("What is Bengt allergic to?", known_to="Solveig")
    assert [episode.text for episode in answer.evidence] == ["don't tell Mirela: I am allergic to walnuts"]


def test_an_answer_names_its_facts_and_messages(graph: Graph) -> None:
    answer = graph.ask("Where does Mirela's brother work?")
    assert [fact.predicate for fact in answer.facts] == ["brother", "workplace"]
    assert [episode.text for episode in answer.evidence] == [
        "my brother Dorin says hello",
        "Dorin works at the salt museum",
    ]


def test_a_person_is_not_told_what_they_did_not_hear(graph: Graph) -> None:
    question = "What is Bengt allergic to?"
    assert "walnuts" in graph.ask(question).text.casefold()
    assert "walnuts" in graph.ask(question, known_to="Solveig").text.casefold()
    answer = graph.ask(question, known_to="Mirela")
    assert answer.abstained
    assert "walnuts" not in answer.text
    assert "Mirela Popa" in answer.text


def test_a_person_does_not_know_what_was_said_later(graph: Graph) -> None:
    answer = graph.ask("Where does Mirela live?", known_to="Bengt", as_of="2024-08-01")
    assert "Kotor" in answer.text
    assert "Piran" not in answer.text


def test_as_of_asks_what_held_then(graph: Graph) -> None:
    assert "Ulla" in graph.ask("Who is Bengt's boss?", as_of="2024-05-01").text


def test_the_json_has_the_documented_keys(graph: Graph) -> None:
    shown = answer_json(graph.ask("Where does Mirela live now?"))
    assert list(shown) == ["answer", "abstained", "facts", "evidence"]
    assert shown["facts"][0]["object"] == "Piran"
    assert list(shown["evidence"][0]) == ["episode", "speaker", "time", "text", "sensitive"]


def test_the_same_question_has_the_same_answer(graph: Graph) -> None:
    first, again = (graph.ask("Who was Bengt's boss before Frode?") for _ in range(2))
    assert (first.text, first.confidence, first.explain) == (again.text, again.confidence, again.explain)
