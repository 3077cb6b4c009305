"""One night taken out of many: what becomes of its facts, of everybody else's, and what an erasure of one of them takes.

    python -m bench.forget --exam FILE|generated --nights 10 --facts 5 --revert 4 --minutes 5

`--facts` a night are told and slept over as in `bench.sleep`, with a gate that lets every night be published: what is measured
is taking out. Then the vector of night `--revert` leaves the recipe, as `slowwave recipe revert` does it, and all held-out
questions are asked again, of the base too, which is the model with nothing on that a night taught (`reverted_recall`,
`base_recall`, `other_nights_loss`). `rank_test_p` is the lesser p of the certificate's two tests: that the night's facts stand
no better in the weights that are left than in the base. `revert_s` is the change until it serves, `examined_s` with the
exam's quick part before it; `night_s` is a night's mean, `train_s` that of the training in it.

Nights rehearse what earlier ones taught, so that later vectors may know some of it: `--replay 0` is without.
At last the whole recipe serves again and one fact of the night is erased with its message, as `slowwave forget fact` does it:
`erasure` says which nights went with it, what serves, and what the certificate says.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec, resolve
from bench.lessons import Lesson, invent_lessons, read_lessons
from bench.report import now_and_then, print_result
from bench.sleep import Life, ask_all, deal, load_base
from consolidation import mending
from consolidation import recipe as recipes
from consolidation.erased_weights import Ground, settle, untaught, witness
from consolidation.exam import Counter
from consolidation.mending import Mended
from consolidation.recipe import Recipe
from consolidation.recipe_gate import QuickExam, questions_for
from consolidation.recipe_serving import Place, alone, check, record, serve
from consolidation.stage import Gate, NightSettings, no_progress
from consolidation.weights_certificate import WeightsTest, compare, probes_of, score
from memory import erasure
from memory.embedders.minilm import MiniLM
from memory.erasure import Target, Wish
from memory.facts import ALL_STATUSES, list_facts
from memory.registry import Registry
from memory.types import Fact
from memory.wordings import Wordings

OPEN_GATE = Gate(
    min_recall_paraphrase=0.0,
    max_ppl_change=10.0,
    max_kl_to_base=10.0,
    max_earlier_loss=1.0,
    min_neighbour_intact=0.0,
    min_unknown_refused=0.0,
    max_stale_answered=1.0,
)


@dataclass
class Space:
    """The nights' space after the last night; one model wears what is asked."""

    life: Life
    parts: list[list[Lesson]]
    model: LanguageModel

    def __post_init__(self) -> None:
        self.place = Place(self.life.database, self.life.space_id, self.life.home)
        self.spec = ModelSpec(cache_dir=self.life.cache)

    def serving(self) -> Recipe:
        return self.place.history().recipe("serving", self.model.base_hash)

    def wear(self, recipe: Recipe) -> None:
        self.model.apply(check(self.place, recipe, self.spec))

    def recalls(self) -> list[float]:
        """Share of each night's held-out questions that what is worn answers."""
        return [float(ask_all(self.model, part)["recall_paraphrase"]) for part in self.parts]

    def facts(self) -> list[Fact]:
        return list_facts(
            self.life.database,
            self.life.space_id,
            self.life.registry,
            statuses=ALL_STATUSES,
            clock=self.life.clock,
        )

    def facts_of(self, night: int) -> list[Fact]:
        told = {(lesson.subject, lesson.predicate, lesson.object) for lesson in self.parts[night]}
        return [fact for fact in self.facts() if (fact.subject, fact.predicate, fact.object) in told]


def measure(space: Space, night: int, minutes: float) -> dict[str, Any]:
    """Night `night`, from 0, is taken out, and what that cost the others is mended in so many minutes of training."""
    run_id = space.life.reports[night].run_id
    before = space.serving()
    if run_id not in [entry.run_id for entry in before.entries]:
        raise SystemExit(
            f"night {night + 1} left no vector in the recipe: {space.life.reports[night].reason}"
        )
    probes = probes_of(space.facts_of(night), space.facts(), space.life.registry)
    space.wear(untaught(space.place, before))
    base_recall = float(ask_all(space.model, space.parts[night])["recall_paraphrase"])
    base_scores = score(space.model, probes)
    space.wear(before)
    then, scores_then = space.recalls(), score(space.model, probes)
    after, revert_s = _reverted(space, before, run_id)
    examined_s = _examined(space, before, after)
    space.wear(after)
    reverted = space.recalls()
    mended, mend_s = _mended(space, after, minutes)
    if mended.recipe is not None:
        space.wear(mended.recipe)
    now = space.recalls()
    test = compare(base_scores, scores_then, score(space.model, probes))
    return {
        "nights": len(space.parts),
        "reverted_recall": now[night],
        "reverted_before": then[night],
        "base_recall": base_recall,
        "other_nights_loss": _others(then, night) - _others(now, night),
        "other_nights_recall": _others(now, night),
        "unmended": {
            "reverted_recall": reverted[night],
            "other_nights_loss": _others(then, night) - _others(reverted, night),
        },
        "mend": {
            "asked": mended.n_asked,
            "lost": len(mended.lost),
            "steps": mended.steps,
            "why": mended.why,
            "answered": mended.answered,
            "exam": mended.judged and mended.judged.as_json(),
        },
        "recall_before": then,
        "recall_reverted": reverted,
        "recall_after": now,
        "revert_s": round(revert_s, 3),
        "examined_s": round(examined_s + revert_s, 3),
        "mend_s": round(mend_s, 3),
        "rank_test_p": _least(test),
        "rank_test": test.as_json(),
        "erasure": _erased(space, before, night, then),
    }


def _others(recalls: Sequence[float], night: int) -> float:
    """Mean of the other nights, which have as many questions each, or nearly."""
    rest = [recall for place, recall in enumerate(recalls) if place != night]
    return round(sum(rest) / max(1, len(rest)), 4)


def _least(test: WeightsTest) -> float | None:
    found = [p for p in (test.after.p_rank, test.after.p_margin) if p is not None]
    return min(found, default=None)


def _reverted(space: Space, before: Recipe, run_id: str) -> tuple[Recipe, float]:
    started = time.perf_counter()
    with alone(space.place):
        after = recipes.revert(before, run_id)
        check(space.place, after, space.spec)
        serve(space.place, record(space.place, after))
    return after, time.perf_counter() - started


def _mended(space: Space, after: Recipe, minutes: float) -> tuple[Mended, float]:
    """What `slowwave recipe mend` does, and how long it takes, the model's loading included."""
    settings = space.life.settings
    ground = mending.Ground(space.place, space.spec, space.life.registry, settings.train, settings.gate)
    started = time.perf_counter()
    with alone(space.place):
        mended = mending.mend(ground, after, minutes, now_and_then("mend"), now_and_then("ask"))
        if mended.recipe is not None:
            serve(space.place, record(space.place, mended.recipe))
    return mended, time.perf_counter() - started


def _examined(space: Space, before: Recipe, after: Recipe) -> float:
    """How long the exam's quick part takes, the model's loading included."""
    started = time.perf_counter()
    worn = [check(space.place, recipe, space.spec) for recipe in (before, after)]
    questions = questions_for(space.life.database, before, after)
    model = LanguageModel.load(space.spec)
    QuickExam(model, worn[0], questions, OPEN_GATE, Counter(no_progress, 0)).judge(worn[1])
    return time.perf_counter() - started


def _erased(space: Space, before: Recipe, night: int, then: Sequence[float]) -> dict[str, Any]:
    """One fact of the night is erased from the space in which the whole recipe serves again."""
    life, place = space.life, space.place
    with alone(place):
        serve(place, record(place, before))
    ground = Ground(place, space.spec, OPEN_GATE, life.registry)
    started = time.perf_counter()
    wanted = Target("fact", space.facts_of(night)[0].id, with_messages=True)
    shown = erasure.make_plan(life.database, life.space_id, life.home, wanted)
    seen = witness(ground, shown, now_and_then("witness"))
    wish = Wish(expected=shown.sha256, weights=partial(settle, ground, seen))
    outcome = erasure.erase(
        life.database, life.space_id, life.home, wanted, life.registry, wish, clock=life.clock
    )
    seconds = time.perf_counter() - started
    told = (outcome.certificate.done or {})["weights"]
    left = space.serving()
    space.wear(left)
    kept = {entry.run_id for entry in left.entries}
    gone = [place for place, report in enumerate(life.reports) if report.run_id not in kept]
    return {
        "seconds": round(seconds, 3),
        "nights_gone": [place + 1 for place in gone],
        "other_nights_loss": round(_others(then, night) - _others(space.recalls(), night), 4),
        **{key: told[key] for key in ("serves", "vectors", "test", "untested", "refused", "why")},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    started = time.perf_counter()
    embedder, registry = MiniLM.load(), Registry.load()
    n = options.nights * options.facts
    if options.exam == "generated":
        lessons = invent_lessons(n, options.seed, Wordings.load(), registry)
    else:
        lessons = read_lessons(Path(options.exam), Wordings.load(), embedder)[:n]
    plain = NightSettings()
    replay = plain.train.replay_per_step if options.replay is None else options.replay
    train = replace(plain.train, max_minutes=options.minutes, steps=options.steps, replay_per_step=replay)
    settings = replace(plain, seed=options.seed, max_facts=len(lessons), gate=OPEN_GATE, train=train)
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache or Path(temporary) / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        resolve(ModelSpec(cache_dir=cache))  # what is dequantised once is no part of a night
        home = options.home or Path(temporary)
        life = Life(home / "forget", cache.resolve(), embedder, settings, lessons)
        parts = deal(lessons, options.nights)
        for part in parts:
            report = life.night(part)
            told = f"night {len(life.reports)}: {report.status} {report.reason or ''}"
            print(told, file=sys.stderr, flush=True)
        result = measure(Space(life, parts, load_base(cache)), options.revert - 1, options.mend)
        result["night_s"] = round(sum(life.seconds) / len(life.seconds), 3)
        result["train_s"] = round(life.train_seconds() / len(life.seconds), 3)
        result["by_night"] = life.by_night()
        life.database.close()
    print_result(result, seed=options.seed, started=started)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exam", default="generated", help="an exam file, or `generated`")
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--facts", type=int, default=5, help="of one night")
    parser.add_argument("--revert", type=int, default=4, help="which night is taken out, from 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=4.5, help="of one training at most")
    parser.add_argument("--mend", type=float, default=1.0, help="minutes of training after the night is out")
    parser.add_argument("--steps", type=int, help="of one training; by the number of facts where left out")
    parser.add_argument("--replay", type=int, help="earlier nights' texts per step; 0 rehearses nothing")
    parser.add_argument("--cache", type=Path, help="folder that keeps the dequantised model between runs")
    parser.add_argument("--home", type=Path, help="keep the store here")
    options = parser.parse_args(arguments)
    if not 1 <= options.revert <= options.nights or options.facts < 1:
        parser.error("--revert names one of the nights, and each night has a fact")
    return options


if __name__ == "__main__":
    main()
