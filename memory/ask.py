"""Answer a question from the graph: facts first, then the best message, else say that nothing answers it.

Everything an answer rests on is among its facts and evidence. `known_to` (a person id) limits facts and messages to
what that person could know, up to `as_of`; without it `as_of` asks what held on that day. Thresholds were calibrated on
development chats (docs/adr/0007-retrieval.md); whatever is below them is an abstention.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from db.engine import Database
from memory import names, replies, timing, values
from memory.episodes import get_episodes
from memory.facts import ALL_STATUSES, fact_json, list_facts, sentence
from memory.index import Index
from memory.lookup import ENDING, Match, Reading, Scorer, best_first, objects_in, readings
from memory.people import get_person
from memory.ports import Clock, FloatMatrix, utc_now
from memory.questions import STAND_IN, Question, parse
from memory.registry import Registry
from memory.search import embeddings
from memory.search.predicates import PredicateMatcher
from memory.search.words import words
from memory.types import Answer, Episode, Fact
from memory.wordings import Wordings
from memory.wordings import content_words as stems

FACT_THRESHOLD = 0.6  # of a match's score
SLOT_MARGIN = 0.08  # how far below the best match a slot may be and still answer for its time
PASSAGE_THRESHOLD = 0.5  # of the probability below
# logistic regression on LoCoMo: is the first hit evidence? Share and number of asked words said, lead, is a question
PASSAGE_WEIGHTS = (0.84, 0.37, 0.67, -0.68, -2.43)
MAX_LEAD = 3.0  # in a small store one message may stand alone
SURE, STEEP = 0.6, 12.0  # the score that is as likely right as wrong, and how fast that changes
SAID_OBJECT = 0.2  # added to a match whose value the question says
MAX_LISTED = 6


def ask(
    database: Database,
    space_id: str,
    index: Index,
    registry: Registry,
    question: str,
    *,
    known_to: str | None = None,
    as_of: datetime | None = None,
    clock: Clock = utc_now,
) -> Answer:
    """The answer with its facts and messages, or an abstention. `index` must have been refreshed."""
    understood = index.understand(question)
    parsed = parse(question, understood.mentions, understood.times)
    every = list_facts(
        database, space_id, registry, as_of=as_of, known_to=known_to, statuses=ALL_STATUSES, clock=clock
    )
    asker = _Asker(
        database,
        space_id,
        index,
        registry,
        parsed,
        understood.words,
        every,
        known_to,
        as_of,
        as_of or clock(),
    )
    answer = asker.from_facts() or asker.from_messages() or asker.abstain()
    return replace(answer, evidence=tuple(get_episodes(database, space_id, [e.id for e in answer.evidence])))


def answer_json(answer: Answer) -> dict[str, Any]:
    """The answer as other programs get it."""
    return {
        "answer": answer.text,
        "abstained": answer.abstained,
        "facts": [fact_json(fact) for fact in answer.facts],
        "evidence": [
            {
                "episode": episode.id,
                "speaker": episode.speaker,
                "time": episode.time.isoformat(),
                "text": episode.text,
            }
            for episode in answer.evidence
        ],
    }


@dataclass(frozen=True, slots=True)
class _Vectors:
    readings: FloatMatrix  # one row per reading: the question about the stand-in
    question: FloatMatrix  # the question as it is, times left out
    anchor: FloatMatrix | None


class _Asker:
    def __init__(
        self,
        database: Database,
        space_id: str,
        index: Index,
        registry: Registry,
        question: Question,
        words: Sequence[str],
        facts: list[Fact],
        known_to: str | None,
        as_of: datetime | None,
        now: datetime,
    ) -> None:
        self.database, self.space_id, self.index, self.registry = database, space_id, index, registry
        self.words = words  # that the index looks for
        self.question, self.known_to, self.as_of, self.now = question, known_to, as_of, now
        self.facts = [fact for fact in facts if fact.status not in ("quarantined", "rejected")]
        self.live = [fact for fact in self.facts if fact.status not in timing.TIMELESS]
        self.wordings = Wordings.load()
        self.explain: dict[str, Any] = {"kind": question.kind}

    # From facts

    def from_facts(self) -> Answer | None:
        matches = self._matches()
        self.explain["facts"] = [
            {"fact": m.fact.id, "predicate": m.fact.predicate, "score": round(m.score, 3), **m.parts}
            for m in matches[:5]
        ]
        if not matches:
            return None
        if self.question.kind == "yes_no":
            return self._decide(matches)
        matches = [match for match in matches if match.fact.status not in timing.TIMELESS]
        if not matches or matches[0].score < FACT_THRESHOLD:
            return None
        if self.question.kind == "when":
            return self._day(matches)
        return self._value(matches)

    def _matches(self) -> list[Match]:
        if not self.facts:
            return []
        scorer = Scorer(self.question, self.registry, self.wordings)
        found = readings(self.question, self.live, self.wordings)
        chosen = {i: scorer.candidates(reading, self.facts) for i, reading in enumerate(found)}
        involved = {fact.id: fact for group in chosen.values() for fact in group}
        if not involved:
            return []
        matcher = PredicateMatcher(self.index.embedder, self.index.folder / "wordings.npz", STAND_IN)
        matcher.prepare({*self.wordings.names(), *(fact.predicate for fact in involved.values())})
        rows = self._rows(list(involved.values()))
        vectors = self._encode(found)
        self._vectors, self._fact_rows = vectors, rows
        matches = []
        for i, reading in enumerate(found):
            near = matcher.nearness(vectors.readings[i])
            best = max(near.values())
            for fact in chosen[i]:
                said = float(vectors.question @ rows[fact.id])
                matches.append(scorer.score(fact, reading, (near[fact.predicate], best), said))
        return best_first(matches)

    def _rows(self, facts: Sequence[Fact]) -> dict[str, FloatMatrix]:
        texts = {fact.id: sentence(fact) for fact in facts}
        made = embeddings.ensure(self.database, self.space_id, self.index.embedder, "fact", texts)
        return dict(zip(texts, made, strict=True))

    def _encode(self, found: Sequence[Reading]) -> _Vectors:
        anchor = self.question.anchor
        texts = [reading.asked for reading in found] + [self.question.masked()]
        made = self.index.embedder.encode(texts + ([anchor.text] if anchor else []))
        n = len(found)
        return _Vectors(made[:n], made[n], made[n + 1] if anchor else None)

    def _value(self, matches: list[Match]) -> Answer | None:
        best = matches[0]
        for slot in dict.fromkeys(match.slot for match in matches if match.score >= best.score - SLOT_MARGIN):
            top = next(match for match in matches if match.slot == slot)
            if top.reading.is_reverse and self.question.kind == "who":
                chosen = self._timed([top.fact])
            else:
                chosen = self._timed(self._same_slot(top))
            if chosen:
                return self._tell(top, chosen)
        return None

    def _same_slot(self, top: Match) -> list[Fact]:
        return [fact for fact in self.live if (fact.subject_id, fact.predicate) == top.slot]

    def _timed(self, facts: list[Fact]) -> list[Fact]:
        """The facts of one slot that the question's words of time choose."""
        order, phrase = self.question.order, self.question.time
        if order == "earliest":
            return timing.earliest(facts)
        if self.question.anchor is not None:
            return self._anchored(facts)
        if phrase is not None:
            return timing.during(facts, phrase, self.registry)
        if order == "previous":
            return timing.latest_past(facts, self.now)
        holding = timing.at(facts, self.now, self.registry)
        if holding:
            return holding
        return (
            timing.latest_past(facts, self.now)
            or [fact for fact in facts if timing.start(fact) > self.now][:1]
        )

    def _anchored(self, facts: list[Fact]) -> list[Fact]:
        """ "before Paula", "before she moved": the value before another value, or before an event."""
        anchor = self.question.anchor
        assert anchor is not None
        step = timing.after if anchor.relation == "after" else timing.before
        named = [fact for fact in facts if self._says(anchor.text, fact.object)]
        if named:
            instead = step(facts, named[0])
            if instead or anchor.relation == "after":
                return instead
            return [fact for fact in facts if fact not in named and timing.holds(fact, self.now)]
        event = self._event()
        if event is not None and event.valid_from is not None:
            marked = replace(event, id="")
            return step(facts, marked) or timing.at(facts, event.valid_from, self.registry)
        if anchor.relation == "before":
            held = timing.at(facts, self.now, self.registry) if self.as_of else []
            return held or timing.latest_past(facts, self.now)
        return timing.at(facts, self.now, self.registry)

    def _says(self, text: str, value: str) -> bool:
        said = set(names.key(text).split())
        wanted = [word for word in values.normal(value).split() if len(word) > 2]
        return any(word in said for word in wanted)

    def _event(self) -> Fact | None:
        """The dated fact that the anchor's words tell of: the nearest in meaning."""
        row = self._vectors.anchor
        if row is None:
            return None
        dated = [fact for fact in self.live if fact.id in self._fact_rows and fact.valid_from is not None]
        scored = [(float(row @ self._fact_rows[fact.id]), fact.id, fact) for fact in dated]
        best = max(scored, key=lambda item: item[:2], default=None)
        return best[2] if best is not None and best[0] >= 0.45 else None

    def _tell(self, top: Match, chosen: list[Fact]) -> Answer:
        shown = chosen[:MAX_LISTED]
        is_reverse = top.reading.is_reverse and self.question.kind == "who"
        text = replies.of_facts(shown, self.now, is_subject_asked=is_reverse)
        return self._answer(text, top.score, [*top.reading.hops, *shown])

    def _day(self, matches: list[Match]) -> Answer | None:
        """The date that a fact has as its value, or on which it began or ended."""
        asked = set(words(self.question.text))
        for match in matches:
            if match.score < max(FACT_THRESHOLD, matches[0].score - SLOT_MARGIN):
                break
            fact = match.fact
            if values.as_day(fact.object) or self.registry.get(fact.predicate).object == "date":
                chosen = self._timed(self._same_slot(match))
                if chosen:
                    return self._tell(match, chosen)
            elif asked & ENDING and fact.valid_to is not None:
                return self._answer(replies.of_day(fact, fact.valid_to), match.score, [fact])
            elif fact.valid_from is not None and not asked & ENDING:
                return self._answer(replies.of_day(fact, fact.valid_from), match.score, [fact])
        return None

    def _decide(self, matches: list[Match]) -> Answer | None:
        """Yes or no, where a fact about the question's value or slot decides it."""
        moment = self.question.time.moment if self.question.time else None
        moment = moment or self.now
        said = [
            (match.score + SAID_OBJECT * share, match)
            for match in matches
            if (share := objects_in(self.question, match.fact)) >= 0.5
        ]
        score, match = max(said, key=lambda item: (item[0], item[1].fact.id), default=(0.0, matches[0]))
        if score >= max(FACT_THRESHOLD + SAID_OBJECT / 2, matches[0].score):
            return self._verdict(match, score, moment)
        return self._other_value(matches, moment)

    def _verdict(self, match: Match, score: float, moment: datetime) -> Answer | None:
        slot = self._same_slot(match)
        holding = timing.at(slot, moment, self.registry)
        same = [fact for fact in holding if objects_in(self.question, fact) >= 0.5]
        if same:
            return self._answer(replies.yes(same[0]), score, [*match.reading.hops, same[0]])
        if match.fact.status == "retracted":
            return self._answer(replies.taken_back(match.fact, holding), score, holding or [match.fact])
        if match.fact.valid_to is not None and match.fact.valid_to <= moment:
            return self._answer(replies.no_longer(match.fact, holding), score, [match.fact, *holding])
        return None

    def _other_value(self, matches: list[Match], moment: datetime) -> Answer | None:
        """ "Does she live in Rome?" where she lives in Turin; only for what can have one value at a time."""
        top = next((match for match in matches if match.fact.status not in timing.TIMELESS), None)
        if top is None or top.score < FACT_THRESHOLD or top.reading.is_reverse:
            return None
        if self.registry.get(top.fact.predicate).cardinality != "one":
            return None
        holding = timing.at(self._same_slot(top), moment, self.registry)
        return self._answer(replies.no_but(holding), top.score, holding) if holding else None

    def _answer(self, text: str, score: float, facts: Sequence[Fact]) -> Answer:
        unique = list({fact.id: fact for fact in facts}.values())
        ids = [episode_id for fact in unique for episode_id in fact.evidence]
        evidence = get_episodes(self.database, self.space_id, ids)
        return Answer(text, False, _confidence(score), tuple(unique), tuple(evidence), self.explain)

    # From messages

    def from_messages(self) -> Answer | None:
        hits = self.index.search(
            self.question.text, 2, as_of=self.as_of, known_to=self.known_to, kinds=("episode",)
        )
        if not hits or self.question.kind == "yes_no":
            return None  # a quotation decides nothing
        (first,) = get_episodes(self.database, self.space_id, [hits[0].id])
        lead = hits[0].score - hits[1].score if len(hits) > 1 else 0.0
        confidence = self._passage_confidence(first, lead)
        self.explain["passage"] = {"episode": first.id, "confidence": confidence, "lead": round(lead, 3)}
        if confidence < PASSAGE_THRESHOLD:
            return None
        return Answer(replies.quoted([first]), False, confidence, (), (first,), self.explain)

    def _passage_confidence(self, episode: Episode, lead: float) -> float:
        """How likely the message answers: by the asked words it says, and its lead over the next."""
        named = {word for mention in self.question.mentions for word in words(mention.text)}
        asked = stems(" ".join(word for word in self.words if word not in named))
        covered = len(asked & stems(episode.text))
        if not covered:
            return 0.0
        is_question = episode.text.rstrip().endswith("?")
        share, each, ahead, asks, bias = PASSAGE_WEIGHTS
        lead = min(lead, MAX_LEAD)
        logit = share * covered / len(asked) + each * covered + ahead * lead + asks * is_question + bias
        return round(1 / (1 + math.exp(-logit)), 4)

    def abstain(self) -> Answer:
        who = None
        if self.known_to is not None:
            who = get_person(self.database, self.space_id, self.known_to).name
        confidence = float(self.explain.get("passage", {}).get("confidence", 0.0))
        return Answer(replies.unknown(self.question, who), True, confidence, (), (), self.explain)


def _confidence(score: float) -> float:
    return round(1 / (1 + math.exp(-STEEP * (score - SURE))), 4)
