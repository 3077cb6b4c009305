"""Who speaks in a WhatsApp export: where names end, which lines are notices, what the chat is called.

A name is what stands before the first colon of a message, unless every message that begins so goes on with the same
second part and colon. What the whole file tells is gathered line by line (`Openings`), then each opening is judged once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from memory import names
from memory.importers.bots import SIMULATED
from memory.importers.whatsapp_text import MARK, is_notice, subject_of

_N_FORMS = 100_000  # of names whose meaning is kept
_MAX_SHOWN = 500  # characters of a line that are kept
_NO_LINE = (0, "")


@dataclass(slots=True)
class _Opening:
    """What stands before a first colon: what follows it up to a second one, and its first lines with their numbers."""

    second: str | None  # None: more than one, or none
    n_second: int = 0
    said: tuple[int, str] = _NO_LINE
    marked: tuple[int, str] = _NO_LINE  # begins with a mark, as lines that the app wrote do

    @property
    def is_settled(self) -> bool:
        return self.second is None and bool(self.said[1])


@dataclass(slots=True)
class Openings:
    """Sees what stands behind each head of a file, in its order; grows with names, not with messages."""

    seen: dict[str, _Opening] = field(default_factory=dict)
    subject: tuple[int, str | None] = (0, None)  # the newest name of the group in notices without a colon

    def add(self, line: str, number: int) -> None:
        end = line.find(": ")
        if end < 0:
            if not line.endswith(":") or line.endswith("::"):
                self.subject = max(
                    self.subject, (number, subject_of(line)), key=lambda found: bool(found[1]) * found[0]
                )
                return
            end = len(line) - 1
        opening = self.seen.get(line[:end])
        if opening is not None and opening.is_settled:
            return
        self._look(line, end, number)

    def _look(self, line: str, end: int, number: int) -> None:
        after = line[end + 2 :]
        at = after.find(": ")
        second = after[:at] if at >= 0 else ""
        opening = self.seen.get(line[:end])
        if opening is None:
            opening = self.seen[line[:end]] = _Opening(second)
        if opening.second != second or not second:
            opening.second = None
        opening.n_second += 1
        if after.startswith(MARK):
            if not opening.marked[1]:
                opening.marked = number, line[:_MAX_SHOWN]
        elif not opening.said[1]:
            opening.said = number, line[:_MAX_SHOWN]

    def full_names(self) -> dict[str, str]:
        """From the text before the first colon to the speaker's full name."""
        full = {}
        for short, opening in self.seen.items():
            second = opening.second or ""
            is_whole = not second or short.endswith(SIMULATED)
            is_part = not is_whole and opening.n_second >= 3 and len(second) <= 40
            full[short] = f"{short}: {second}" if is_part else short
        return full


class Speakers:
    """Who is meant by what stands before the first colon of a message. Each form is judged once."""

    def __init__(self, full: dict[str, str]) -> None:
        self._full = full
        self._known: dict[str, tuple[str | None, int]] = {}  # speaker, and where the words begin

    def split(self, rest: str) -> tuple[str | None, str]:
        """The speaker and what they said; the speaker is None on a system line."""
        end = rest.find(": ")
        line_end = rest.find("\n")
        if end < 0 or 0 <= line_end < end:
            first = rest if line_end < 0 else rest[:line_end]
            if not first.endswith(":") or first.endswith("::"):
                return None, rest
            end = len(first) - 1
        short = rest[:end]
        speaker, begin = self._known.get(short) or self._judge(short)
        return speaker, rest[begin:].removeprefix(" ") if speaker is not None else rest

    def _judge(self, short: str) -> tuple[str | None, int]:
        full = self._full.get(short, short)
        speaker = _shown(full)
        if not speaker or len(full) > 120 or _is_notice_head(short, self._full):
            judged: tuple[str | None, int] = None, 0
        else:
            judged = speaker, len(full) + 1
        if len(self._known) < _N_FORMS:
            self._known[short] = judged
        return judged


def _is_notice_head(head: str, speakers: dict[str, str]) -> bool:
    """Whether the text before a colon is the beginning of a notice: `Ana created group "Trip`, `Ana added Bo`."""
    if re.search(r"[\"“„«]", head) and is_notice(head, must_be_marked=False):
        return True
    match = re.match(r"(.+?) (?:added|removed|changed|created|pinned) ", head)
    return match is not None and (match[1] == "You" or match[1] in speakers)


def _shown(name: str) -> str:
    """A sender's name without the marks and the tilde that iOS puts before people who are no contacts."""
    shown = names.clean(name)
    return names.clean(shown.removeprefix("~")) or shown


def conversation_of(openings: Openings, speakers: Speakers, file_name: str) -> str:
    """Who is in a chat of two, else the group's name from its notices or the file's name."""
    said_by: dict[str, None] = {}
    heads: dict[str, None] = {}
    subjects = [openings.subject]
    for opening in openings.seen.values():
        for number, line in (opening.said, opening.marked):
            if not line:
                continue
            speaker, said = speakers.split(line)
            if speaker is not None and not is_notice(said):
                said_by[speaker] = None
                continue
            subjects.append((number, subject_of(said)))
            if speaker:
                heads[_shown(speaker)] = None
    named = [subject for _, subject in sorted(subjects, key=lambda found: found[0]) if subject]
    titles = [head for head in heads if head not in said_by]
    return _name(list(said_by), titles, named[-1] if named else None, file_name)


def _name(speakers: list[str], titles: list[str], subject: str | None, name: str) -> str:
    if match := re.fullmatch(r"WhatsApp Chat (?:with|-) (.+?)(?: ?\(\d+\))?", name):
        titles.append(match[1])
    if subject or len(speakers) > 2:
        return subject or (titles or [name])[0]
    if len(speakers) == 2 and titles and titles[0] != name and titles[0] not in speakers:
        return titles[0]
    others = [title for title in titles[:1] if title not in speakers and len(speakers) < 2]
    return " & ".join(sorted([*speakers, *others], key=names.key))
