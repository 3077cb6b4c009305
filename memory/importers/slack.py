"""A Slack workspace's export: `users.json`, lists of channels, and a folder per channel with a file per day.

Written for the standard and the corporate export (with `groups.json`, `dms.json`, `mpims.json`). Mentions, links and
entities in a text are written out. Members of a channel heard what was said in it. Bots are nobody; joins and other
events are system lines. A day is read one message at a time.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from memory import names
from memory.importers.files import File
from memory.importers.json_stream import JsonDamage, JsonStream
from memory.importers.shape import DAMAGE, Reading, ReadOptions, broken_off, people_of
from memory.importers.values import whole_text
from memory.types import BY_BOT, SYSTEM, Message, Row, Skipped

_LISTS = ("channels.json", "groups.json", "dms.json", "mpims.json")
_SLACK = "USLACKBOT"  # who wrote that a message was deleted that others answered in a thread
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\.json")
_SAID = frozenset(
    (None, "", "me_message", "thread_broadcast", "file_share", "file_comment", "reply_broadcast")
)
_ENTITY = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")


@dataclass(frozen=True, slots=True)
class _Channel:
    name: str
    members: tuple[str, ...] = ()


def belongs(files: tuple[File, ...]) -> bool:
    """Whether these are the files of such an export."""
    found = {PurePosixPath(file.name).name for file in files}
    return "users.json" in found and any(_DAY.fullmatch(name) for name in found)


def read(files: tuple[File, ...], options: ReadOptions) -> Reading:
    """The whole workspace, channel by channel, day by day."""
    people = _people(files)
    channels = _channels(files, people)
    days = sorted(
        (file for file in files if _DAY.fullmatch(PurePosixPath(file.name).name)), key=lambda file: file.name
    )

    def rows() -> Iterator[Row]:
        for file in days:
            folder = PurePosixPath(file.name).parent.name
            channel = channels.get(folder) or _Channel(f"#{folder}")
            yield from _day(file, channel, people)

    return Reading(
        "slack", (f"Slack export, {len({PurePosixPath(d.name).parent for d in days})} channels",), rows
    )


def _day(file: File, channel: _Channel, people: Mapping[str, str]) -> Iterator[Row]:
    at = "/".join(PurePosixPath(file.name).parts[-1:])
    try:
        with JsonStream(file) as stream:
            for number, row in enumerate(stream.elements()):
                yield _row(row, f"{at} message {number}", channel, people)
    except JsonDamage as damage:
        broken = broken_off(damage)
        yield Skipped(f"{at} {broken.place}", broken.reason)


def _row(row: Any, place: str, channel: _Channel, people: Mapping[str, str]) -> Row:
    try:
        if row.get("subtype") == "bot_message" or (row.get("bot_id") and not row.get("user")):
            return Skipped(place, BY_BOT)
        if row.get("type") != "message" or (
            row.get("subtype") not in _SAID and row.get("subtype") != "tombstone"
        ):
            return Skipped(place, SYSTEM)
        time = datetime.fromtimestamp(float(row["ts"]), UTC)
        speaker = people.get(row["user"]) or _shown(row.get("user_profile") or {}) or whole_text(row["user"])
        text = _text(whole_text(row.get("text") or ""), people)
        if row.get("subtype") == "tombstone" and row["user"] == _SLACK:
            return Skipped(place, SYSTEM)  # what stood there is known by being absent
        is_gone = row.get("subtype") == "tombstone"
        return Message(
            time,
            speaker,
            "" if is_gone else text or "<file>",
            "deleted" if is_gone else "text" if text else "media",
            is_edited="edited" in row,
            external_id=whole_text(
                row["ts"]
            ),  # of its channel; what else is called an id is not in every message
            conversation=channel.name,
            hearers=channel.members,
        )
    except (*DAMAGE, OSError):
        return Skipped(place, "no readable time, text or user")


def _text(raw: str, people: Mapping[str, str]) -> str:
    def written(match: re.Match[str]) -> str:
        sign, body, label = match[1], match[2], match[3]
        if sign == "@":
            return f"@{people.get(body) or label or body}"
        if sign == "#":
            return f"#{label or body}"
        if sign == "!":
            return f"@{label or body}".replace("@@", "@")
        return f"{label} ({body})" if label and label not in body else body.removeprefix("mailto:")

    return html.unescape(_ENTITY.sub(written, raw)).strip()


def _people(files: tuple[File, ...]) -> dict[str, str]:
    """From a user's id to the name they are shown by, no name twice."""
    called: dict[str, str] = {}
    taken: set[str] = set()
    for user in _list(files, "users.json"):
        try:
            name = _shown(user.get("profile") or {}) or names.clean(whole_text(user.get("real_name") or ""))
            name = name or names.clean(whole_text(user.get("name") or user["id"]))
            shown = f"{name} ({user.get('name') or user['id']})" if names.key(name) in taken else name
            called[user["id"]] = shown
            taken.add(names.key(shown))
        except DAMAGE:
            continue
    return called


def _shown(profile: Mapping[str, Any]) -> str:
    found = (names.clean(whole_text(profile.get(key) or "")) for key in ("display_name", "real_name"))
    return next((name for name in found if name), "")


def _channels(files: tuple[File, ...], people: Mapping[str, str]) -> dict[str, _Channel]:
    """By the name of their folder: that of the channel, or the id of a direct chat."""
    found: dict[str, _Channel] = {}
    for name in _LISTS:
        for row in _list(files, name):
            try:
                members = tuple(people.get(member, str(member)) for member in row.get("members") or ())
                if name in ("dms.json", "mpims.json"):
                    channel = _Channel(people_of(members, str(row.get("name") or row["id"])), members)
                else:
                    channel = _Channel(f"#{row['name']}", members)
                for folder in (row.get("name"), row.get("id")):
                    if folder:
                        found[str(folder)] = channel
            except DAMAGE:
                continue
    return found


def _list(files: tuple[File, ...], name: str) -> Iterator[Any]:
    for file in files:
        if PurePosixPath(file.name).name == name:
            try:
                with JsonStream(file) as stream:
                    yield from stream.elements()
            except JsonDamage:
                return
