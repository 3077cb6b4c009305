"""Runs the `console` blocks of a page of docs/ and holds what is printed against what the page shows.

A line after `$ ` is a command, the lines below it are its output. `slowwave` runs in this process, everything else in a
shell. What differs between two runs is compared by its form: an id by an id (and the page's ids stand for the run's in
later commands), the day on which the page was written by today's, a number by a number in a block `console figures`;
`...` stands for anything, on a line of its own for any lines or none. A block ```toml whose first line is `# config.toml` is written into the home.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

WRITTEN_ON = "2026-11-22"  # the day of every page's session
CONFIG = "# config.toml"
DAEMON = "http://127.0.0.1:7777"
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_ASIDE = re.compile(r"<!-- in the tests: (?P<key>[\w ]+?)(?: = (?P<value>.*?))? -->")
_ID = re.compile(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{8,64}\b|\bslw_[\w-]+")
_TIME = r"[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?"
_DAY = re.compile(rf"{WRITTEN_ON}(?:{_TIME})?")
_NUMBER = re.compile(r"[+-]?\d[\d.,]*")
_LINES = r"(?m:^\.\.\.\n)"
_VARYING = re.compile(rf"{_LINES}|{_ID.pattern}|{_DAY.pattern}|\.\.\.")
_VARYING_FIGURES = re.compile(rf"{_VARYING.pattern}|{_NUMBER.pattern}")
_BLANKS = re.compile(r"[ \t]{2,}")


@dataclass(frozen=True)
class Step:
    """A command with the output that the page shows, or a file of settings to write (then `command` is `CONFIG`)."""

    line: int
    command: str
    shown: str
    with_figures: bool = False


@dataclass(frozen=True)
class Page:
    path: Path
    steps: tuple[Step, ...]
    asides: dict[str, str]  # what the page tells its test in comments that no reader sees


def read_page(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    steps: list[Step] = []
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start()) + 2
        info, body = fence["info"].split(), fence["body"]
        if info[:1] == ["console"]:
            steps += _commands(line, body, with_figures="figures" in info)
        elif info == ["toml"] and body.startswith(CONFIG):
            steps.append(Step(line, CONFIG, body))
    asides = {found["key"]: found["value"] or "" for found in _ASIDE.finditer(text)}
    return Page(path, tuple(steps), asides)


def _commands(first: int, body: str, *, with_figures: bool) -> Iterator[Step]:
    lines = body.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    if not starts or starts[0] != 0:
        raise ValueError(f"line {first}: a console block begins with `$ ` and a command")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        shown = "\n".join(lines[start + 1 : end])
        yield Step(first + start, lines[start].removeprefix("$ "), shown, with_figures)


@dataclass
class Reader:
    """Somebody who follows a page, step by step."""

    slowwave: Callable[[str], tuple[int, str]]  # a command line without its first word -> exit code, output
    serve: Callable[[], str]  # starts the daemon that ends with the page -> its address
    folder: Path  # where they stand
    config: Path
    addresses: dict[str, str] = field(default_factory=dict)  # of the page -> of this run
    ids: dict[str, str] = field(default_factory=dict)

    def follow(self, page: Page) -> None:
        """Raises AssertionError with the page and line of what came out otherwise."""
        for step in page.steps:
            where = f"{page.path.name}, line {step.line}: {step.command}"
            if step.command == CONFIG:
                self.config.parent.mkdir(parents=True, exist_ok=True)
                self.config.write_text(self._of_this_run(step.shown), encoding="utf-8")
                continue
            code, printed = self._run(self._of_this_run(step.command))
            difference = self._difference(step, printed)
            assert difference is None, f"{where}\n{difference}"
            assert (code != 0) == is_refusal(step.shown), f"{where}\nexit code {code}"

    def _run(self, command: str) -> tuple[int, str]:
        if command == "slowwave serve &":
            self.addresses[DAEMON] = self.serve()
            return 0, ""
        if command.startswith("slowwave ") and not re.search(r"[|<>&]", command):
            return self.slowwave(command.removeprefix("slowwave "))
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, capture_output=True, text=True, timeout=240
        )
        return done.returncode, done.stdout + done.stderr

    def _of_this_run(self, text: str) -> str:
        for written, actual in self.addresses.items():
            text = text.replace(written, actual)
        for written, actual in self.ids.items():  # the beginning of an id is enough
            text = (
                text.replace(written, actual)
                if written.startswith("slw_")
                else re.sub(
                    rf"\b{written[:4]}[0-9a-f]*\b",
                    lambda found, w=written, a=actual: (
                        a[: len(found[0])] if w.startswith(found[0]) else found[0]
                    ),
                    text,
                )
            )
        return text

    def _difference(self, step: Step, printed: str) -> str | None:
        shown, came = _tidy(step.shown), _tidy(printed)
        pattern, named = self._pattern(shown, with_figures=step.with_figures)
        found = re.fullmatch(pattern, came, re.DOTALL)
        if found is None:
            return f"the page shows\n{shown}\nand this came\n{came}"
        self.ids |= {written: found[name] for written, name in named.items()}
        return None

    def _pattern(self, shown: str, *, with_figures: bool) -> tuple[str, dict[str, str]]:
        """A regular expression of what is shown, and which group holds which id that is new."""
        parts, named, at = [], {}, 0
        for found in (_VARYING_FIGURES if with_figures else _VARYING).finditer(shown):
            parts.append(re.escape(shown[at : found.start()]))
            parts.append(self._varying(found[0], named))
            at = found.end()
        return "".join([*parts, re.escape(shown[at:])]), named

    def _varying(self, token: str, named: dict[str, str]) -> str:
        if token == "...\n":
            return r"(?:[^\n]*\n)*?"
        if token == "...":
            return r".*?"
        if _DAY.fullmatch(token):
            return r"\d{4}-\d\d-\d\d" + (_TIME if len(token) > len(WRITTEN_ON) else "")
        if not _ID.fullmatch(token):
            return _NUMBER.pattern
        if token in self.ids:
            return re.escape(self.ids[token])
        if token in named:
            return f"(?P={named[token]})"
        named[token] = f"id{len(named)}"
        form = r"slw_[\w-]+" if token.startswith("slw_") else f"[0-9a-f]{{{len(token)}}}"
        return f"(?P<{named[token]}>{form})"


def is_refusal(shown: str) -> bool:
    return any(line.startswith(("slowwave: ", "Error: ")) for line in shown.splitlines())


def _tidy(text: str) -> str:
    """Without progress bars, blanks at the ends of lines and the width of columns."""
    lines = (_BLANKS.sub("  ", line).rstrip() for line in text.splitlines() if "━" not in line)
    return "\n".join(lines).strip("\n")
