"""What becomes of messages that the store may have: known, changed, another one after all, or gone.

A message is known by its key (conversation, speaker, time, words, number among equals) or by the id that it has in its
format. A known id with other words is an edit. Where a format has no ids, a message that the app marks as edited or
deleted takes the place of the one at its time and speaker that is no longer in the export; so does one that begins with
all the words of the last message of a file that was cut. An export that is older than what is known changes nothing.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC
from itertools import count, islice

import numpy as np
from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from db.tables import Episode
from memory import known
from memory.arrivals import BEFORE_ALL, Arrival, Chat
from memory.known import Stored
from memory.rewording import Rewriter, Words

_LONGEST_GAP = 50  # messages in a row that can have been deleted; more are a piece that the export lacks
_FEW = 5  # deletions that are believed in however small a chat
_MOST = 0.25  # of a chat's messages; where more are missing, the export was filtered
_PARTIAL = frozenset(("mbox", "chatgpt", "claude", "locomo"))  # where a missing message tells nothing
_RENUMBERED = frozenset(("csv", "jsonl", "locomo"))  # formats whose ids may be another export's numbers
_EXACT = frozenset(
    ("signal", "messenger", "instagram")
)  # times to the millisecond: nobody writes twice at one
_MOST_AT_ONCE = 64  # known messages of one person at one time that a changed one is held against
_CUT = "\ufffd \t\r\n"  # what a cut through a message leaves at its end


@dataclass(slots=True)
class Settler:
    """Compares one source with what the store has."""

    session: Session
    space_id: str
    source_id: str
    kind: str  # of the export
    rewriter: Rewriter
    n_missing: int = 0  # known messages that the export lacks without having been deleted, as it seems
    _taken: set[str] = field(default_factory=set)  # keys of messages on their way into the store
    _tried: dict[str, int] = field(default_factory=dict)  # first other key -> the last number that was taken
    _last: dict[str, int] = field(default_factory=dict)  # source -> its last position

    def settle(self, doubtful: Sequence[Arrival]) -> dict[int, Arrival | None]:
        """By place: None for what is known, an arrival under a free key for what only looks known."""
        found: dict[int, Arrival | None] = {}
        stored = known.by_key(self.session, self.space_id, [item.key for item in doubtful])
        former = known.former_keys(self.session, self.space_id, [item.key for item in doubtful])
        by_id = self._by_external(doubtful)
        seen, loose, same = set[str](), list[Arrival](), list[tuple[Arrival, Stored]]()
        self._taken = {item.key for item in doubtful}
        for item in doubtful:
            row = by_id.get(item.place)
            if row is not None:
                self._compare(item, row, is_former=item.key in former)
            elif (row := stored.get(item.key)) is not None and self._is_another(item, row):
                found[item.place] = item._replace(key=self._free_key(item))
                continue
            elif row is not None:
                same.append((item, row))
            elif item.key in former:
                seen.add(former[item.key])
                found[item.place] = None
                continue
            else:
                loose.append(item)
                continue
            found[item.place] = None
            seen.add(row.id)
            if row.external_id or item.message.external_id:
                item.chat.present.append(_short(row.id))
        self._name(same)
        for place in self._take_places([item for item in loose if item.chat.known], seen):
            found[place] = None
        return found

    def _is_another(self, item: Arrival, row: Stored) -> bool:
        """Whether a message with the same key is an equal of this very file from long before, or has an id of its own."""
        if row.source_id == self.source_id:
            return True
        external_id = item.message.external_id
        has_ids = row.external_id is not None and external_id is not None and self.kind not in _RENUMBERED
        return has_ids and known.external_hash(external_id or "") != row.external_id

    def _by_external(self, doubtful: Sequence[Arrival]) -> dict[int, Stored]:
        """By place: the known message that has the same id in its format, and is the same one."""
        asked: dict[str, dict[int, str]] = defaultdict(dict)
        for item in doubtful:
            if item.message.external_id and item.chat.until > BEFORE_ALL:
                asked[item.chat.id][item.place] = known.external_hash(item.message.external_id)
        rows = {
            chat_id: known.by_external(self.session, chat_id, self.kind, list(set(hashes.values())))
            for chat_id, hashes in asked.items()
        }
        found: dict[int, Stored] = {}
        for item in doubtful:
            own = asked.get(item.chat.id, {}).get(item.place)
            for row in rows[item.chat.id].get(own, ()) if own else ():
                is_theirs = row.speaker_id == item.chat.people[item.message.speaker]
                is_same = row.text == item.message.text or (is_theirs and row.time == item.message.time)
                if is_same and row.source_id != self.source_id:
                    found[item.place] = row
                    break
        return found

    def _compare(self, item: Arrival, row: Stored, *, is_former: bool) -> None:
        """Take over what the export says in place of what is known, where it is newer."""
        message = item.message
        same_words = message.text == row.text or message.kind == "media" == row.kind
        if (same_words and message.kind == row.kind) or not item.chat.is_followed:
            return
        if not item.chat.is_outgrown and (is_former or _is_cut_of(message.text, row.text)):
            return
        self._reword(item, row)

    def _reword(self, item: Arrival, row: Stored) -> None:
        message = item.message
        is_taken = bool(known.by_key(self.session, self.space_id, [item.key]))
        key = self._free_key(item) if is_taken else item.key
        words = Words(message.text, message.kind, message.is_edited, key)
        self.rewriter.reword(row.id, words, message.feelings)

    def _name(self, unnamed: Sequence[tuple[Arrival, Stored]]) -> None:
        """Let messages that came without their ids have them."""
        rows = [
            {"episode": row.id, "hashed": known.external_hash(item.message.external_id)}
            for item, row in unnamed
            if item.message.external_id and row.external_id is None
        ]
        if rows:
            named = update(Episode).where(Episode.id == bindparam("episode"))
            self.session.connection().execute(named.values(external_id=bindparam("hashed")), rows)

    def _take_places(self, loose: Sequence[Arrival], seen: set[str]) -> set[int]:
        """Places of messages that stand where a known one stood that is not in the export any more."""
        by_chat: dict[str, list[Arrival]] = defaultdict(list)
        for item in loose:
            if item.message.external_id is None and item.message.time <= item.chat.until:
                by_chat[item.chat.id].append(item)
        found: set[int] = set()
        for chat_id, items in by_chat.items():
            times = {item.message.time.astimezone(UTC) for item in items}
            there = known.at_times(self.session, self.space_id, chat_id, times)
            missing = {slot: self._missing(rows, seen) for slot, rows in there.items()}
            for item in items:
                slot = item.chat.people[item.message.speaker], item.message.time.astimezone(UTC)
                pool = list(islice(missing.get(slot, {}).values(), _MOST_AT_ONCE))
                row = self._meant(item, pool) if pool else None
                if row is not None:
                    del missing[slot][row.id]
                    seen.add(row.id)
                    found.add(item.place)
        return found

    def _missing(self, rows: Sequence[Stored], seen: set[str]) -> dict[str, Stored]:
        """Those of the known messages that this export has not, by id, in their order."""
        return {
            row.id: row
            for row in rows
            if row.id not in seen and row.kind in ("text", "media") and row.source_id != self.source_id
        }

    def _meant(self, item: Arrival, pool: Sequence[Stored]) -> Stored | None:
        """Which of the messages that are missing this one stands for; it takes that one's place where it is newer."""
        message, chat = item.message, item.chat
        if chat.is_followed and message.kind == "deleted":
            row: Stored | None = pool[0]
        elif chat.is_followed and (message.is_edited or self.kind in _EXACT):
            row = max(pool, key=lambda row: _likeness(row.text, message.text))
        else:
            row = next((row for row in pool if self._was_cut(row, item)), None)
        if row is not None:
            self._reword(item, row)
            return row
        if not chat.is_outgrown:  # this file is the one that was cut
            return next((row for row in pool if _is_cut_of(message.text, row.text)), None)
        return None

    def _was_cut(self, row: Stored, item: Arrival) -> bool:
        return (
            item.chat.is_followed
            and _is_cut_of(row.text, item.message.text)
            and row.position == self._last_position(row.source_id)
        )

    def _last_position(self, source_id: str) -> int:
        """Of an earlier source, which nothing is added to any more: where its file was cut, the message that was."""
        if source_id not in self._last:
            self._last[source_id] = known.last_position(self.session, source_id)
        return self._last[source_id]

    def delete_missing(self, chat: Chat) -> None:
        """Mark known messages as deleted that the export leaves out between two that it has."""
        if self.kind in _PARTIAL or not chat.is_followed or not chat.present:
            return
        present = np.sort(np.frombuffer(chat.present, np.uint64))
        gone, gap, n_seen, n_missing = list[str](), list[str](), 0, 0
        for episode_id, kind in known.in_order(self.session, chat.id, self.kind, self.source_id):
            short = _short(episode_id)
            at = int(np.searchsorted(present, np.uint64(short)))
            if at < len(present) and int(present[at]) == short:
                if n_seen and len(gap) <= _LONGEST_GAP:
                    gone += gap
                elif n_seen:
                    n_missing += len(gap)
                n_seen += 1
                gap = []
            elif n_seen and kind != "deleted":
                gap.append(episode_id)
        if len(gone) > max(_FEW, _MOST * (n_seen + len(gone))):
            n_missing, gone = n_missing + len(gone), []
        self.n_missing += n_missing
        for episode_id in gone:
            self.rewriter.delete(episode_id)

    def _free_key(self, item: Arrival) -> str:
        """A key that no message has, in the store or on its way there."""
        first = item.other_key(1)
        for occurrence in count(self._tried.get(first, 0) + 1):
            key = item.other_key(occurrence)
            if key not in self._taken and not known.by_key(self.session, self.space_id, [key]):
                self._taken.add(key)
                self._tried[first] = occurrence
                return key
        raise AssertionError("numbers do not end")


def _short(episode_id: str) -> int:
    """64 bits that stand for the id."""
    return int.from_bytes(hashlib.blake2b(episode_id.encode(), digest_size=8).digest(), "big")


def _is_cut_of(part: str, whole: str) -> bool:
    """Whether the one text is how the other begins, as where a file was cut."""
    kept = part.rstrip(_CUT)
    return len(kept) < len(whole.rstrip(_CUT)) and whole.startswith(kept)


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one[:1000], other[:1000], autojunk=False).ratio()
