"""DiscordChatExporter's JSON: one channel, thread or direct chat per file.

People go by the name their channel shows (nickname, else display name); two accounts with the same shown name are told
apart by their account names. Bots are nobody: what they wrote is counted with the system messages.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import tzinfo
from typing import Any

from memory import names
from memory.errors import BrokenExport
from memory.importers.values import parse_time, whole_text
from memory.types import Export, Message

# message types that a person sends; numbers are what older exporters wrote for the same
# fmt: off
_SENT = frozenset((
    "Default", "Reply", "ThreadStarterMessage", "ChatInputCommand", "ContextMenuCommand", "0", "19",
    "20", "21", "23",
))
# fmt: on


def looks_like(document: dict[str, Any]) -> bool:
    return isinstance(document.get("messages"), list) and isinstance(document.get("channel"), dict)


def parse(document: dict[str, Any], name: str, zone: tzinfo) -> list[Export]:
    """The channel as one export; raises BrokenExport with the number of the message that is damaged."""
    messages: list[Message] = []
    n_system = n_bots = 0
    try:
        shown = _shown_names(document["messages"])
    except (AttributeError, KeyError, TypeError) as error:
        raise BrokenExport(name, "a message has no readable author") from error
    for number, row in enumerate(document["messages"]):
        if str(row.get("type", "Default")) not in _SENT or row["author"].get("isBot"):
            n_system += 1
            n_bots += bool(row["author"].get("isBot"))
            continue
        try:
            messages.append(_message(row, shown, zone))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise BrokenExport(name, f"message {number} has no readable time, text or author") from error
    notes = ("DiscordChatExporter",) + ((f"{n_bots} messages of bots left out",) if n_bots else ())
    return [Export("discord", _conversation(document, messages), tuple(messages), n_system, notes)]


def _message(row: dict[str, Any], shown: dict[str, str], zone: tzinfo) -> Message:
    text = whole_text(row.get("content") or "").strip()
    return Message(
        time=parse_time(row["timestamp"], zone),
        speaker=shown[_account(row["author"])],
        text=text or f"<{_medium(row)}>",
        kind="text" if text else "media",
        is_edited=bool(row.get("timestampEdited")),
        external_id=str(row.get("id", "")) or None,
    )


def _medium(row: dict[str, Any]) -> str:
    kinds = [kind for kind in ("attachments", "stickers", "embeds", "poll") if row.get(kind)]
    return kinds[0].removesuffix("s") if kinds else "media"


def _account(author: dict[str, Any]) -> str:
    return str(author.get("id") or author["name"])


def _shown_names(rows: list[dict[str, Any]]) -> dict[str, str]:
    """From account to the name it goes by, unique within the file."""
    authors = {_account(row["author"]): row["author"] for row in rows}
    shown = {account: _name(author) for account, author in authors.items()}
    sharing: dict[str, list[str]] = defaultdict(list)
    for account, name in shown.items():
        sharing[names.key(name)].append(account)
    for account, name in list(shown.items()):
        if len(sharing[names.key(name)]) > 1:
            shown[account] = names.clean(f"{name} ({authors[account].get('name') or account})")
    return shown


def _name(author: dict[str, Any]) -> str:
    candidates = (names.clean(whole_text(author.get(field) or "")) for field in ("nickname", "name"))
    return next((name for name in candidates if name), f"Account {author.get('id', '')}".strip())


def _conversation(document: dict[str, Any], messages: list[Message]) -> str:
    channel = names.clean(whole_text(document["channel"].get("name") or ""))
    guild = names.clean(whole_text((document.get("guild") or {}).get("name") or ""))
    if channel:
        is_direct = "Direct" in str(document["channel"].get("type", "")) or guild in ("", "Direct Messages")
        return channel if is_direct else f"{guild} / {channel}"
    speakers = {message.speaker for message in messages if message.speaker}
    return " & ".join(sorted(speakers, key=names.key)) or guild or "Discord"
