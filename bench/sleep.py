"""Nights over facts of invented people: what the weights answer afterwards, and what it cost.

    python -m bench.sleep --exam FILE|generated --facts 50 --nights 1 --seed 0 --minutes 5

The facts are dealt over the nights in order and told by one person to another; each night is the product's own (dream,
train, exam, merge, publish), with a store in a temporary folder. `--minutes` bounds the whole of it: the training gets what the
rest is estimated to leave (`bench.minutes`; `planned` by night). Held-out wordings (the file's, or those that the product holds out) are
never trained on: what the night would train that asks one of them again is dropped first (`dropped`). After the last night all facts
are asked again.
Beside it stand, on the same questions: the base and retrieval alone; one night on the same facts with their values dealt
to other people (`shuffled`: recall is of the true values, all else is of its own exam); and transformers' Trainer with
peft on the same rows for the same time (`plain_trainer`).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import delete

from agents.constitutions import HabitWriter
from agents.emotions import EmotionHead
from agents.judges import RuleJudge
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec, resolve
from bench.lessons import Lesson, invent_lessons, read_lessons
from bench.minutes import Budget, measure_pace
from bench.nights import Silent
from bench.plain_trainer import train_plainly
from bench.report import now_and_then, print_result, processor_ticks, withheld_since
from bench.unseen import Unseen, drop_rows
from consolidation import dream, exam, train
from consolidation.exam import Answered, Asked
from consolidation.night import NightReport, run_night
from consolidation.recipe import current_recipe, recipe_adapters
from consolidation.runs import stage_records
from consolidation.scoring import gives, holds_any
from consolidation.stage import (
    NightContext,
    NightSettings,
    NightTools,
    Progress,
    StageResult,
    TrainSettings,
)
from consolidation.trainer.job import JobFolder
from db.engine import Database, open_database, sqlite_url
from db.tables import Example
from memory.embedders.minilm import MiniLM
from memory.episodes import list_episodes
from memory.facts import add_candidates, decide
from memory.importing import import_file
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import FactCandidate
from memory.wordings import Wordings

CONTROLS = ("shuffled", "plain_trainer")
_TELLER, _HEARER = "Quillan Ferrier", "Odalys Brandt"
_BEGIN = datetime(2026, 1, 5, 18, tzinfo=UTC)
_OURS = ("recall_paraphrase", "recall_earlier_nights")  # kinds of question that the lessons bring
_BESIDE_RECALL = ("neighbour_intact", "unknown_refused", "stale_answered")
_IDLE = ("select", "extract", "score", "check", "decide", "readout", "constitution")


class PlainQuestions:
    """The teacher who knows one more wording of each fact: the lesson's own plain question."""

    name = "plain questions"

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        self._lessons = lessons

    def reword(self, question: str, answer: str, n: int) -> list[str]:
        asked = [
            lesson.question
            for lesson in self._lessons
            if holds_any(question, [lesson.subject]) and gives(answer, lesson.object)
        ]
        return asked[:n]


@dataclass
class Life:
    """One store, its lessons night by night, and what came of them."""

    home: Path
    cache: Path
    embedder: MiniLM
    settings: NightSettings
    lessons: Sequence[Lesson]  # of all nights: none of their held-out questions is ever trained
    budget: Budget | None = (
        None  # without it a training has its settings' minutes, and the night what it takes
    )
    taught: list[Lesson] = field(default_factory=list)
    reports: list[NightReport] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    withheld: list[float] = field(
        default_factory=list
    )  # share of the processors' time, by the machine's host
    dropped: list[int] = field(default_factory=list)  # training rows that asked a held-out question
    planned: list[float | None] = field(default_factory=list)  # minutes of each training

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        (self.home / "cache").symlink_to(self.cache)
        self.database: Database = open_database(sqlite_url(self.home / "graph.db"))
        self.space_id, self.registry = ensure_space(self.database), Registry.load()
        self._ticks = count()
        self._facts: dict[str, str] = {}  # lesson -> fact
        held_out = [text for lesson in self.lessons for text in lesson.paraphrases]
        self._unseen = Unseen(held_out, [_TELLER, _HEARER, *(lesson.subject for lesson in self.lessons)])

    def clock(self) -> datetime:
        """An evening, a day later with every night."""
        return _BEGIN + timedelta(days=len(self.reports), milliseconds=next(self._ticks))

    def night(self, lessons: Sequence[Lesson]) -> NightReport:
        """Tell the lessons and sleep over them."""
        self._tell(lessons)
        tonight = list(lessons)
        self.dropped.append(0)
        self.planned.append(None)
        started, ticks = time.perf_counter(), processor_ticks()

        def dreamt(context: NightContext, progress: Progress) -> StageResult:
            result = dream.run(context, progress)
            self._ask_instead(context, tonight)
            self.dropped[-1], left = drop_rows(context.database, context.run_id, self._unseen)
            counts = {**result.counts, "train": float(left)}
            return StageResult(counts, {**result.output, "n_train": left})

        def trained(context: NightContext, progress: Progress) -> StageResult:
            return train.run(self._limited(context, time.perf_counter() - started), progress)

        report = run_night(
            self.database,
            self.space_id,
            self.home,
            self.settings,
            self._tools(),
            clock=self.clock,
            progress=lambda stage: now_and_then(f"night {len(self.reports) + 1} {stage}"),
            stages={"dream": dreamt, "train": trained} | dict.fromkeys(_IDLE, _nothing),
        )
        self.seconds.append(time.perf_counter() - started)
        self.withheld.append(withheld_since(ticks))
        self.reports.append(report)
        self.taught += tonight
        if self.budget is not None and report.exam:  # one that trained and was examined to its end
            done = self._train_output(report)
            self.budget.learn(self.seconds[-1], done["prepared_s"] + done["seconds"])
        return report

    def _limited(self, context: NightContext, spent_s: float) -> NightContext:
        """The night whose training has the minutes that are left to it."""
        if self.budget is None:
            return context
        questions = exam.questions_of(context.database, context.run_id)
        self.planned[-1] = minutes = self.budget.for_training(spent_s, questions)
        settings = context.settings
        return replace(
            context, settings=replace(settings, train=replace(settings.train, max_minutes=minutes))
        )

    def _tell(self, lessons: Sequence[Lesson]) -> None:
        """One message for each fact, and the fact stored as what it says."""
        when = self.clock()
        lines = [
            f"[{when:%d/%m/%Y}, {when:%H:%M}:{i % 60:02}] {_TELLER}: {lesson.statement}"
            for i, lesson in enumerate(lessons)
        ]
        opening = f"[{when:%d/%m/%Y}, {when:%H:%M}:00] {_HEARER}: What is new?"
        file = self.home / f"chat {len(self.reports)}.txt"
        file.write_text("\n".join([opening, *lines]) + "\n", encoding="utf-8")
        import_file(self.database, self.space_id, file)
        said = {episode.text: episode.id for episode in list_episodes(self.database, self.space_id)}
        with self.database.transaction() as session:
            for lesson in lessons:
                candidate = FactCandidate(
                    subject=lesson.subject,
                    predicate=lesson.predicate,
                    object=lesson.object,
                    episode_ids=(said[lesson.statement],),
                    asserted_by=_TELLER,
                    confidence=0.9,
                    rule="bench",
                )
                (fact_id,) = add_candidates(
                    session, self.space_id, [candidate], self.registry, clock=self.clock
                )
                decide(
                    session, self.space_id, fact_id, "STORE", [], self.registry, run_id=None, clock=self.clock
                )
                self._facts[lesson.id] = fact_id

    def _tools(self) -> NightTools:
        return NightTools(
            extractor=Silent(),
            tagger=EmotionHead.load(self.embedder),
            embedder=self.embedder,
            judge=RuleJudge(self.embedder),
            constitution_writer=HabitWriter(),
            registry=self.registry,
            teacher=PlainQuestions(self.lessons),
        )

    def _ask_instead(self, context: NightContext, tonight: Sequence[Lesson]) -> None:
        """The lessons' own held-out questions in place of the product's, and their neighbours beside its strangers."""
        earlier = [(lesson, text) for lesson in self.taught for text in lesson.paraphrases]
        rng = random.Random(f"earlier {len(self.reports)}")
        asked = [
            *(("recall_paraphrase", lesson, text) for lesson in tonight for text in lesson.paraphrases),
            *(("recall_earlier_nights", *pair) for pair in rng.sample(earlier, min(60, len(earlier)))),
            *(("neighbour_intact", lesson, lesson.neighbour) for lesson in tonight if lesson.neighbour),
        ]
        with self.database.transaction() as session:
            for kind in _OURS:
                session.execute(
                    delete(Example).where(
                        Example.run_id == context.run_id, Example.split == "exam", Example.kind == kind
                    )
                )
            session.add_all(
                Example(
                    id=f"{context.run_id}-y{place:05d}",
                    space_id=context.space_id,
                    run_id=context.run_id,
                    fact_id=self._facts[lesson.id],
                    split="exam",
                    kind=kind,
                    messages=[
                        {"role": "user", "content": text},
                        {"role": "assistant", "content": lesson.statement},
                    ],
                    accepted=[] if kind == "neighbour_intact" else list(lesson.accepted),
                    meta={"facts": [self._facts[lesson.id]], "forbidden": _forbidden(kind, lesson, text)},
                )
                for place, (kind, lesson, text) in enumerate(asked)
            )

    # ---- after the last night

    def last_exam(self) -> dict[str, Any]:
        return self.reports[-1].exam

    def by_night(self) -> list[dict[str, Any]]:
        rows = []
        for place, (report, seconds, withheld) in enumerate(
            zip(self.reports, self.seconds, self.withheld, strict=True)
        ):
            weights = report.exam.get("weights", {})
            rows.append(
                {
                    "minutes": round(seconds / 60, 3),
                    "withheld": round(withheld, 3),
                    "planned": _rounded(self.planned[place]),
                    "dropped": self.dropped[place],
                    "stages": {
                        stage.name: round(stage.seconds, 1) for stage in report.stages if stage.seconds >= 1
                    },
                    "status": report.status,
                    "steps": self._train_output(report).get("steps"),
                    **{
                        name: _rounded(weights.get(name))
                        for name in (
                            *_OURS,
                            "neighbour_intact",
                            "unknown_refused",
                            "ppl_change",
                            "kl_to_base",
                        )
                    },
                    # of the same questions as `recall_earlier_nights`, by the vectors that served
                    "before": _rounded(report.before.get("recall_earlier_nights")),
                }
            )
        return rows

    def tokens_per_s(self) -> float:
        done = [self._train_output(report) for report in self.reports]
        return float(
            sum(part["n_tokens"] for part in done) / max(1e-9, sum(part["seconds"] for part in done))
        )

    def train_seconds(self) -> float:
        return sum(float(self._train_output(report)["seconds"]) for report in self.reports)

    def job_folders(self) -> list[JobFolder]:
        return [JobFolder(self.home / "runs" / report.run_id / "train") for report in self.reports]

    def _train_output(self, report: NightReport) -> dict[str, Any]:
        return stage_records(self.database, report.run_id)["train"].output

    def worn_model(self) -> LanguageModel:
        recipe = current_recipe(self.database, self.space_id, self.home)
        model = load_base(self.cache)
        model.apply(recipe_adapters(self.home, recipe.for_person(None)) if recipe else [])
        return model


def _forbidden(kind: str, lesson: Lesson, text: str) -> list[str]:
    if kind != "neighbour_intact":
        return []
    return [value for value in lesson.accepted if not gives(text, value)]


def _nothing(context: NightContext, progress: Progress) -> StageResult:
    """A stage that these nights have no work for."""
    return StageResult()


def load_base(cache: Path) -> LanguageModel:
    return LanguageModel.load(ModelSpec(cache_dir=cache))


def ask_all(model: LanguageModel, lessons: Sequence[Lesson]) -> dict[str, Any]:
    """Every held-out question of every lesson, greedy."""
    asked = [
        Asked(
            f"{lesson.id}.{i}",
            "recall_paraphrase",
            text,
            len(lesson.statement.split()) >= 12,
            lesson.accepted,
            (),
        )
        for lesson in lessons
        for i, text in enumerate(lesson.paraphrases)
    ]
    answered = exam.ask(model, asked, "weights", {}, exam.Counter(now_and_then("all facts"), len(asked)))
    return _recall(answered)


def ask_rest(model: LanguageModel, life: Life) -> dict[str, Any]:
    """What the life's last exam asks beside recall, of another model."""
    questions = exam.questions_of(life.database, life.reports[-1].run_id)
    rest = [question for question in questions if question.kind in _BESIDE_RECALL]
    answered = exam.ask(model, rest, "weights", {}, exam.Counter(now_and_then("neighbours"), len(rest)))
    numbers = exam.shares_of(answered)
    return {"n": numbers["n"]} | {kind: _rounded(numbers[kind]) for kind in _BESIDE_RECALL}


def _recall(answered: Sequence[Answered]) -> dict[str, Any]:
    return {
        "recall_paraphrase": _rounded(sum(item.is_right for item in answered) / max(1, len(answered))),
        "n": {"recall_paraphrase": len(answered)},
    }


def shuffled(lessons: Sequence[Lesson], seed: int) -> list[Lesson]:
    """The same statements with their values dealt to other people: who learns them must fail the true questions."""
    by_predicate: dict[str, list[int]] = defaultdict(list)
    for place, lesson in enumerate(lessons):
        by_predicate[lesson.predicate].append(place)
    lonely = [places[0] for places in by_predicate.values() if len(places) == 1]
    groups = [places for places in by_predicate.values() if len(places) > 1]
    dealt = list(lessons)
    for places in [*groups, lonely]:
        random.Random(seed).shuffle(places)
        for place, giver in zip(places, [*places[1:], *places[:1]], strict=True):
            value = lessons[giver].object
            dealt[place] = replace(
                lessons[place],
                object=value,
                statement=f"{lessons[place].subject}: {value}",
                accepted=(value,),
            )
    return dealt


def deal(lessons: Sequence[Lesson], nights: int) -> list[list[Lesson]]:
    """In order, as evenly as it goes."""
    size, rest = divmod(len(lessons), nights)
    ends = [0]
    for night in range(nights):
        ends.append(ends[-1] + size + (night < rest))
    return [list(lessons[a:b]) for a, b in pairwise(ends)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def main() -> None:
    options = _options()
    started = time.perf_counter()
    embedder, registry = MiniLM.load(), Registry.load()
    if options.exam == "generated":
        lessons = invent_lessons(options.facts or 50, options.seed, Wordings.load(), registry)
    else:
        lessons = read_lessons(Path(options.exam), Wordings.load(), embedder)[: options.facts]
    plain = NightSettings()
    settings = replace(
        plain,
        seed=options.seed,
        max_facts=len(lessons),
        train=replace(plain.train, **dict(options.set)),
    )
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache or Path(temporary) / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        resolve(ModelSpec(cache_dir=cache))  # what is dequantised once is no part of a night
        pace = measure_pace(lambda: load_base(cache), lessons)
        home = options.home or Path(temporary)
        life = Life(
            home / "ours", cache.resolve(), embedder, settings, lessons, Budget(options.minutes, pace)
        )
        for part in deal(lessons, options.nights):
            report = life.night(part)
            print(
                f"night {len(life.reports)}: {report.status} {report.reason or ''}",
                file=sys.stderr,
                flush=True,
            )
        numbers = life.last_exam()
        ours: dict[str, Any] = dict(numbers.get("weights", {}))
        if options.nights > 1:
            ours = _joined(ours, ask_all(life.worn_model(), lessons))
        result: dict[str, Any] = {
            "exam": _all_rounded(ours),
            "base": _all_rounded(numbers.get("base", {})),
            "retrieval": _all_rounded(numbers.get("retrieval", {})),
            "both": _all_rounded(numbers.get("both", {})),
            "shuffled": None,
            "plain_trainer": None,
            "by_night": life.by_night(),
            "tokens_per_s": round(life.tokens_per_s(), 1),
        }
        if "shuffled" not in options.without:
            dealt = shuffled(lessons, options.seed)
            other = Life(
                home / "shuffled", cache.resolve(), embedder, settings, dealt, Budget(options.minutes, pace)
            )
            other.night(dealt)
            its_own = dict(other.last_exam().get("weights", {}))
            result["shuffled"] = _joined(its_own, ask_all(other.worn_model(), lessons))
        if "plain_trainer" not in options.without:
            seconds = life.train_seconds()
            model, done = train_plainly(cache, life.job_folders(), seconds, options.seed)
            result["plain_trainer"] = _joined(ask_rest(model, life), ask_all(model, lessons)) | done
    print_result(result, seed=options.seed, started=started)


def _joined(numbers: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Both, `more` before what `numbers` have under the same name."""
    return _all_rounded(numbers | more | {"n": numbers.get("n", {}) | more["n"]})


def _all_rounded(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: _rounded(value) if isinstance(value, float) else value for name, value in numbers.items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exam", required=True, help="an exam file, or `generated`")
    parser.add_argument("--facts", type=int, help="how many facts (generated: 50; a file: all)")
    parser.add_argument("--nights", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=5.0, help="of one night")
    parser.add_argument(
        "--without", type=_controls, default=(), help="controls to leave out, with commas between"
    )
    parser.add_argument(
        "--set", type=_setting, default=[], nargs="*", metavar="NAME=VALUE", help="fields of TrainSettings"
    )
    parser.add_argument("--cache", type=Path, help="folder that keeps the dequantised model between runs")
    parser.add_argument("--home", type=Path, help="keep the store here")
    return parser.parse_args()


def _setting(text: str) -> tuple[str, int | float]:
    name, _, value = text.partition("=")
    kinds = {field.name: field.type for field in fields(TrainSettings)}
    if kinds.get(name) not in ("int", "float", "int | None"):
        raise argparse.ArgumentTypeError(f"{name} is no number among the fields of TrainSettings")
    return name, float(value) if kinds[name] == "float" else int(value)


def _controls(text: str) -> tuple[str, ...]:
    named = tuple(text.split(","))
    if unknown := set(named) - set(CONTROLS):
        raise argparse.ArgumentTypeError(f"{unknown.pop()} is none of {', '.join(CONTROLS)}")
    return named


if __name__ == "__main__":
    main()
