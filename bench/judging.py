"""How graders agree with Gemini on answers that SleepTrain had it score: `python -m bench.judging --data DIR [--backend NAME]`.

DIR is searched, folders and all, for SleepTrain's result files: `*_gemini_rescored.json` with Gemini's scores in [0, 1], and the
`full_experiment_*.json` they were made from, which hold the answers and what was expected. From half marks on an answer counts
as right for Gemini (`at_full_marks`: only from 0.95 on). Graders: `any_of`, our matching as exams in conversation use it
(`consolidation.conversations.is_right`); `keywords`, SleepTrain's own matching by its own scores; with `--backend` a language
model by `agents.grading` with the settings of `--home`. For each: answers graded, agreement, Cohen's kappa, confusion, and
the same by test. Where the answers are not in DIR, `any_of` and the model have nothing to grade and `why` says so.

`disagreements` count the answers on which matching and Gemini differ, by what the matching saw and which marks Gemini gave.
Nothing was fitted on these answers.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.grading import ModelGrader
from agents.grading import is_right as is_graded_right
from bench.report import print_result
from consolidation.conversations import CORRECTION, RECALL, Ask, is_right
from consolidation.scoring import gives_any, refuses
from memory.ports import ChatModel, utc_now

HALF, FULL = 0.5, 0.95
# the test's name in the files, of its list in the rescored file, of its list in the original, and ours
_TESTS = (
    ("conversation_6turn", "turns", "turns", "six_turns"),
    ("correction_test", "questions", "questions", "correction"),
    ("extended_test", "sample_turns", "turns", "extended"),
)
_DENYING = frozenset(("no", "not", "incorrect", "wrong", "actually"))  # keywords that are no value
_YEARS = re.compile(r"\b\d{4}(?:\s*(?:-|to)\s*\d{4})?\b")
_NO_ANSWERS = (
    "the answers are not in this folder; add SleepTrain's original full_experiment_*.json files to it"
)


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer. `marks` are Gemini's, `keyword_marks` those of SleepTrain's matching; `ask` and `answer` where they are known."""

    test: str
    question: str
    marks: float
    keyword_marks: float
    ask: Ask | None = None
    answer: str = ""


def read_scored(folder: Path) -> list[Scored]:
    """Every scored answer under the folder. Raises ValueError, naming the file, where one has another shape."""
    found: list[Scored] = []
    originals: dict[str, Any] = {}
    files = [(path, _parsed(path)) for path in sorted(folder.rglob("*.json"))]
    for path, value in files:
        if isinstance(value, Mapping) and "tests" in value:
            originals[path.stem] = value["tests"]
    for path, value in files:
        if isinstance(value, Mapping) and "rescored_with" in value:
            try:
                found += _scored(value, originals.get(_stem(str(value["original_file"])), {}))
            except (KeyError, TypeError, IndexError, ValueError) as error:
                raise ValueError(f"{path.name} is no result file of SleepTrain: {error}") from error
    return found


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is no JSON: {error}") from error


def _stem(written: str) -> str:
    """The name of the original file, as written on any system."""
    return re.split(r"[\\/]", written)[-1].removesuffix(".json")


def _scored(rescored: Mapping[str, Any], tests: Mapping[str, Any]) -> Iterator[Scored]:
    for name, places, original_places, test in _TESTS:
        answered = tests.get(name, {}).get(original_places, [])
        for place, row in enumerate(rescored[name][places]):
            one = Scored(test, row["question"], float(row["new_score"]), float(row["original_score"]))
            given = answered[place] if place < len(answered) else None
            if given is not None and given["question"] == row["question"]:
                one = replace(one, ask=_ask(given), answer=str(given["response"]))
            yield one


def _ask(given: Mapping[str, Any]) -> Ask:
    """What the original expected, as any-of: of a correction the right value, with the stated one forbidden."""
    question = str(given["question"])
    if "correct_date" in given:
        return Ask(CORRECTION, question, (str(given["correct_date"]),), (str(given["wrong_date"]),))
    expected = [str(word) for word in given.get("expected_keywords", given.get("expected", ()))]
    values = tuple(word for word in expected if word.casefold() not in _DENYING)
    if given.get("type") != "correction":
        return Ask(RECALL, question, values)
    return Ask(CORRECTION, question, values, tuple(_YEARS.findall(question)))


@dataclass(frozen=True, slots=True)
class Mark:
    """What one grader says of one answer; `is_right` None where it gave no grade."""

    scored: Scored
    is_right: bool | None


def agreement(marks: Sequence[Mark], least: float = HALF) -> dict[str, Any]:
    """{n, not_graded, agreement, kappa, confusion} against Gemini at that many marks; None where nothing was graded."""
    graded = [mark for mark in marks if mark.is_right is not None]
    pairs = Counter((bool(mark.is_right), mark.scored.marks >= least) for mark in graded)
    n = len(graded)
    same = pairs[True, True] + pairs[False, False]
    return {
        "n": n,
        "not_graded": len(marks) - n,
        "agreement": round(same / n, 4) if n else None,
        "kappa": _kappa(pairs, n),
        "confusion": {
            "both_right": pairs[True, True],
            "only_grader": pairs[True, False],
            "only_gemini": pairs[False, True],
            "both_wrong": pairs[False, False],
        },
    }


def _kappa(pairs: Mapping[tuple[bool, bool], int], n: int) -> float | None:
    """Cohen's kappa (https://doi.org/10.1177/001316446002000104); None where chance alone agrees always."""
    if not n:
        return None
    ours = (pairs[True, True] + pairs[True, False]) / n
    theirs = (pairs[True, True] + pairs[False, True]) / n
    by_chance = ours * theirs + (1 - ours) * (1 - theirs)
    observed = (pairs[True, True] + pairs[False, False]) / n
    return round((observed - by_chance) / (1 - by_chance), 4) if by_chance < 1 else None


def report(marks: Sequence[Mark]) -> dict[str, Any]:
    by_test = {name: agreement([m for m in marks if m.scored.test == name]) for *_, name in _TESTS}
    full = agreement(marks, FULL)
    return {
        **agreement(marks),
        "by_test": by_test,
        "at_full_marks": {"agreement": full["agreement"], "kappa": full["kappa"]},
    }


def disagreements(marks: Iterable[Mark]) -> dict[str, int]:
    """How many answers of each kind matching and Gemini disagree on. What is in the answers is not looked at further."""
    return dict(
        Counter(_kind(m) for m in marks if m.is_right is not None and m.is_right != (m.scored.marks >= HALF))
    )


def _kind(mark: Mark) -> str:
    scored, ask = mark.scored, mark.scored.ask
    marks = "some marks" if 0 < scored.marks < 1 else "full marks" if scored.marks else "no marks"
    if mark.is_right or ask is None:
        return f"a value is given, Gemini gives {marks}"
    if ask.kind == CORRECTION and gives_any(scored.answer, ask.accepted):
        return f"the stated value is given as well, Gemini gives {marks}"
    if refuses(scored.answer):
        return f"the answer refuses, Gemini gives {marks}"
    words = any(value.casefold() in scored.answer.casefold() for value in ask.accepted)
    how = "stands there denied, hedged or within a word" if words else "does not stand there in these words"
    return f"the value {how}, Gemini gives {marks}"


def run(scored: Sequence[Scored], model: ChatModel | None = None) -> dict[str, Any]:
    keywords = [Mark(one, one.keyword_marks >= HALF) for one in scored]
    answered = [one for one in scored if one.ask is not None]
    matched = _marks(answered, is_right)
    numbers: dict[str, Any] = {
        "answers": len(scored),
        "with_text": len(answered),
        "gemini_right": sum(one.marks >= HALF for one in scored),
        "keywords": report(keywords),
        "any_of": report(matched) if answered else {"n": 0, "why": _NO_ANSWERS},
        "disagreements": disagreements(matched),
    }
    if model is not None:
        numbers["model"] = _by_model(answered, model) if answered else {"n": 0, "why": _NO_ANSWERS}
    return numbers


def _marks(answered: Sequence[Scored], grade: Callable[[Ask, str], bool | None]) -> list[Mark]:
    return [Mark(one, grade(one.ask, one.answer)) for one in answered if one.ask is not None]


def _by_model(answered: Sequence[Scored], model: ChatModel) -> dict[str, Any]:
    grader = ModelGrader(model)

    def grade(ask: Ask, answer: str) -> bool | None:
        return is_graded_right(grader.grade(ask.text, ask.accepted, answer, ask.forbidden))

    marks: list[Mark] = []
    for place, one in enumerate(answered, 1):
        marks += _marks([one], grade)
        if place % 20 == 0 or place == len(answered):
            print(f"graded {place} of {len(answered)}", flush=True)
    return {"grader": grader.name, **report(marks)}


def open_model(backend: str, model: str | None, home: Path | None) -> ChatModel:
    """The back-end with the settings of the home. Raises what the settings and the back-end raise."""
    from service.backend import open_budget, open_chat_model
    from service.settings import load_settings

    settings = load_settings(str(home) if home else None)
    wanted = replace(settings.backend, kind=backend, model=model or settings.backend.model)
    cache = settings.home / "cache"
    opened = open_chat_model(
        wanted, settings.home, cache, lambda: open_budget(wanted, settings.home, utc_now)
    )
    if opened is None:
        raise SystemExit("bench.judging: --backend none grades nothing; leave it out")
    return opened


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.judging",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder with SleepTrain's result files")
    parser.add_argument(
        "--backend", help="a language model as a further grader: local, openai, gemini, scripted"
    )
    parser.add_argument("--model", help="the back-end's model, where not that of the settings")
    parser.add_argument("--home", type=Path, help="whose settings the back-end has")
    args = parser.parse_args(argv)
    started = time.perf_counter()
    try:
        scored = read_scored(args.data)
    except ValueError as error:
        parser.error(str(error))
    if not scored:
        parser.error(f"{args.data} holds no *_gemini_rescored.json")
    print(
        f"{len(scored)} scored answers, {sum(one.ask is not None for one in scored)} with their text",
        flush=True,
    )
    model = open_model(args.backend, args.model, args.home) if args.backend else None
    print_result(run(scored, model), seed=0, started=started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
