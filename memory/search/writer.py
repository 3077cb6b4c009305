"""Puts units into a build: rows, sessions, texts, vectors, links. Shared by the full build and by small updates.

Putting a unit twice leaves what putting it once leaves. The encoder runs only for texts whose vectors the table lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice

import numpy as np

from db.engine import Database
from memory.ports import Embedder, FloatMatrix
from memory.search import embeddings, units
from memory.search.columns import (
    CONVERSATION,
    EPISODE,
    FACT,
    NOBODY,
    NODE,
    QUESTION,
    RETIRED,
    SPEAKS,
    Columns,
    Ints,
    as_number,
    as_numbers,
    digest_of,
)
from memory.search.documents import Doc
from memory.search.graph import ABOUT, EVIDENCE, IN_SESSION, NEXT, SPOKEN_BY, Links
from memory.search.recent import Audience
from memory.search.text import TextSink
from memory.search.words import content_words

SESSION_GAP_S = 3 * 3600  # a longer silence in a conversation begins a new session
NEIGHBOUR = np.float32(0.5)  # weight of the vectors of the messages before and after
BATCH = 2000  # units whose texts and vectors are held at a time
AT_ONCE = 64  # units whose vectors are made together, whatever their kind

Step = Callable[[int, int], None]
LinkRow = tuple[int, int, float]


def no_step(done: int, total: int) -> None:
    """Nobody watches."""


class Writer:
    def __init__(
        self, database: Database, space_id: str, embedder: Embedder, columns: Columns, texts: TextSink
    ) -> None:
        self.database, self.space_id, self.embedder = database, space_id, embedder
        self.columns, self.texts = columns, texts
        self.rewritten = False  # the words of a message that was there are others now

    # Nodes and conversations

    def add_owners(self, ids: Collection[str], kind: int) -> None:
        """Give a row to each of these ids that has none."""
        owners = as_numbers(sorted(ids))
        new = owners[self.columns.find(owners) < 0]
        nobody = dict.fromkeys(("speaker", "conversation", "before", "after", "tail"), NOBODY)
        self.columns.extend({"owner": new, "kind": kind, **nobody}, len(new))

    def put_nodes(self, ids: Collection[str]) -> tuple[Ints, Links]:
        """Into which node each has gone, and its edges; the numbers of the nodes, and the links."""
        with self.database.reading() as session:
            found = units.nodes(session, self.space_id, sorted(ids))
        self.add_owners([node.id for node in found], NODE)
        known = {edge[0] for node in found for edge in node.edges}
        known.update(node.merged_into for node in found if node.merged_into)
        self.add_owners(known, NODE)
        rows: list[LinkRow] = []
        for node in found:
            number = self._number(node.id)
            self.columns.digest[number] = digest_of(node.name)
            self.columns.speaker[number] = self._number(node.merged_into) if node.merged_into else NOBODY
            rows += [(2 * number, 2 * self._number(target), weight) for target, weight in node.edges]
        return self.columns.find(as_numbers([node.id for node in found])), Links.of(rows)

    def renamed(self, ids: Collection[str]) -> list[str]:
        """Those of the nodes whose name is not what it was; ask before they are put."""
        with self.database.reading() as session:
            found = units.nodes(session, self.space_id, sorted(ids))
        numbers = self.columns.find(as_numbers([node.id for node in found])).tolist()
        known = [self.columns.digest[number] if number >= 0 else 0 for number in numbers]
        return [
            node.id
            for node, digest in zip(found, known, strict=True)
            if digest not in (0, digest_of(node.name))
        ]

    # Episodes

    def add_episodes(self, places: Sequence[units.Place]) -> Ints:
        """Rows for episodes, in the order of their conversations; numbers of those that are new or have moved."""
        self.add_owners({place.conversation_id for place in places}, CONVERSATION)
        owners = as_numbers([place.id for place in places])
        conversations = as_numbers([place.conversation_id for place in places])
        conversation = self.columns.find(conversations).astype(np.int32)
        position = np.fromiter((place.position for place in places), np.int32, len(places))
        time = np.fromiter((place.time for place in places), np.float64, len(places))
        return self._add_places(owners, conversation, position, time)

    def _add_places(
        self, owners: np.ndarray, conversation: np.ndarray, position: np.ndarray, time: np.ndarray
    ) -> Ints:
        columns = self.columns
        numbers = columns.find(owners)
        known = numbers >= 0
        here = numbers[known]
        has_moved = (
            (columns.conversation[here] != conversation[known])
            | (columns.position[here] != position[known])
            | (columns.time[here] != time[known])
        )
        columns.conversation[here], columns.position[here] = conversation[known], position[known]
        columns.time[here] = time[known]
        new = np.flatnonzero(~known)
        new = new[np.lexsort((owners[new], position[new], time[new], conversation[new]))]
        added = columns.extend(
            {
                "owner": owners[new],
                "kind": EPISODE,
                "speaker": NOBODY,
                "conversation": conversation[new],
                "position": position[new],
                "time": time[new],
                "session": -2,  # no session yet
                "before": NOBODY,
                "after": NOBODY,
                "tail": NOBODY,
            },
            len(new),
        )
        return np.concatenate([here[has_moved], added])

    def mend(self, touched: Ints, *, force: bool = False) -> tuple[Ints, Ints, Ints]:
        """Sessions and neighbours around these episodes.

        Returns the units whose place has changed, first units of the sessions to be written, and units that are
        the first of a session no more. `force` takes everything that was looked at as changed.
        """
        if not len(touched):
            return touched, touched, touched
        scope = self._around(touched)
        columns = self.columns
        scope = scope[
            np.lexsort(
                (
                    columns.owner[scope],
                    columns.position[scope],
                    columns.time[scope],
                    columns.conversation[scope],
                )
            )
        ]
        conversation, time = columns.conversation[scope], columns.time[scope]
        is_head = np.ones(len(scope), bool)
        is_head[1:] = (conversation[1:] != conversation[:-1]) | (np.diff(time) > SESSION_GAP_S)
        heads = scope[is_head]
        session = heads[np.cumsum(is_head) - 1]
        before = np.where(is_head, NOBODY, np.roll(scope, 1))
        is_tail = np.roll(is_head, -1)
        after = np.where(is_tail, NOBODY, np.roll(scope, -1))
        changed = (
            (columns.session[scope] != session)
            | (columns.before[scope] != before)
            | (columns.after[scope] != after)
        ) | np.isin(scope, touched)
        if force:
            changed[:] = True
        old_heads = np.unique(columns.session[scope])
        columns.session[scope], columns.before[scope], columns.after[scope] = session, before, after
        columns.tail[scope] = NOBODY
        columns.tail[heads] = scope[is_tail]
        gone = np.setdiff1d(old_heads[old_heads >= 0], heads)
        return scope[changed], np.unique(session[changed]), gone

    def _around(self, touched: Ints) -> Ints:
        """Episodes whose session may change: of each conversation, from the session before the first one touched."""
        columns = self.columns
        first = np.full(columns.n + 1, np.inf)
        np.minimum.at(first, columns.conversation[touched], columns.time[touched])
        if len(touched) >= columns.n // 2:
            return np.flatnonzero(columns.kind == EPISODE)
        mine = np.flatnonzero((columns.kind == EPISODE) & np.isfinite(first[columns.conversation]))
        conversation, time = columns.conversation[mine], columns.time[mine]
        earlier = mine[(time < first[conversation]) & (columns.session[mine] >= 0)]
        last = np.full(columns.n + 1, -np.inf)
        np.maximum.at(last, columns.conversation[earlier], columns.time[earlier])
        at_last = earlier[columns.time[earlier] == last[columns.conversation[earlier]]]
        begun = first.copy()
        np.minimum.at(begun, columns.conversation[at_last], columns.time[columns.session[at_last]])
        return mine[time >= begun[conversation]]

    def put_episodes(self, numbers: Ints, step: Step = no_step) -> Links:
        """Words, vectors and links of these units, as their places are now."""
        parts = []
        for start in range(0, len(numbers), BATCH):
            parts.append(self._put_episodes(numbers[start : start + BATCH]))
            step(min(start + BATCH, len(numbers)), len(numbers))
        return Links.joined(parts)

    def _put_episodes(self, numbers: Ints) -> Links:
        columns = self.columns
        before, after = columns.before[numbers], columns.after[numbers]
        around = np.concatenate([numbers, before[before >= 0], after[after >= 0]])
        needed = np.unique(around)
        ids = columns.ids(needed)
        with self.database.reading() as session:
            said = units.said(session, ids)
        needed = needed[[item in said for item in ids]]  # what has gone since is met again in the feed
        ids = [item for item in ids if item in said]
        vectors = self._vectors("episode", {item: said[item].embedded_text for item in ids})
        self.add_owners({said[item].speaker_id for item in ids}, NODE)
        texts = {int(n): said[item].text for n, item in zip(needed, ids, strict=True)}
        present = np.isin(numbers, needed)
        numbers, before, after = numbers[present], before[present], after[present]
        speakers = columns.find(as_numbers([said[item].speaker_id for item in columns.ids(numbers)]))
        columns.speaker[numbers] = speakers
        columns.flags[speakers] |= SPEAKS
        columns.vector[numbers] = smoothed(vectors, needed, numbers, before, after)
        for number, speaker, item in zip(
            numbers.tolist(), speakers.tolist(), columns.ids(numbers), strict=True
        ):
            self._put_episode(number, speaker, said[item], texts)
        return self._episode_links(numbers)

    def _put_episode(self, number: int, speaker: int, said: units.Said, texts: dict[int, str]) -> None:
        columns = self.columns
        digest = digest_of(said.text)
        if columns.digest[number] not in (0, digest):
            self.rewritten = True
        columns.digest[number] = digest
        columns.n_words[number] = len(content_words(said.text))
        columns.flags[number] = QUESTION if said.text.rstrip().endswith("?") else 0
        around = (int(columns.before[number]), number, int(columns.after[number]))
        window = "\n".join(texts[n] for n in around if n in texts)
        conversation = int(columns.conversation[number])
        self.texts.put(
            "unit",
            Doc(
                number,
                EPISODE,
                float(columns.time[number]),
                {int(columns.owner[conversation]), int(columns.owner[speaker])},
                (("unit", said.text), ("window", window)),
            ),
        )

    def _episode_links(self, numbers: Ints) -> Links:
        columns = self.columns
        after = columns.after[numbers]
        linked = after >= 0
        pieces = [
            (2 * numbers, 2 * columns.session[numbers].astype(np.int64) + 1, IN_SESSION),
            (2 * numbers, 2 * columns.speaker[numbers].astype(np.int64), SPOKEN_BY),
            (2 * numbers[linked], 2 * after[linked].astype(np.int64), NEXT),
        ]
        return Links.joined(
            [
                Links(a.astype(np.int32), b.astype(np.int32), np.full(len(a), weight, np.float32))
                for a, b, weight in pieces
            ]
        )

    def put_sessions(self, heads: Ints, step: Step = no_step) -> None:
        """The texts of the sessions that begin with these units."""
        columns = self.columns
        for start in range(0, len(heads), BATCH // 8):
            part = heads[start : start + BATCH // 8]
            members = [self._members(int(head)) for head in part]
            with self.database.reading() as session:
                said = units.said(session, columns.ids([n for group in members for n in group]))
            for head, group in zip(part.tolist(), members, strict=True):
                ids = columns.ids(group)
                text = "\n".join(said[item].text for item in ids if item in said)
                heard = {int(columns.owner[columns.conversation[head]])}
                heard.update(int(columns.owner[n]) for n in columns.speaker[group] if n >= 0)
                time = float(columns.time[group[-1]])
                self.texts.put("session", Doc(head, EPISODE, time, heard, (("session", text),)))
            step(min(start + len(part), len(heads)), len(heads))

    def remove_sessions(self, heads: Ints) -> None:
        for head in heads.tolist():
            self.texts.remove("session", head)

    def _members(self, head: int) -> list[int]:
        members = [head]
        while (following := int(self.columns.after[members[-1]])) >= 0:
            members.append(following)
        return members

    # Facts

    def put_facts(self, ids: Iterable[str], step: Step = no_step) -> tuple[Ints, Links, Audience]:
        """Rows, words, vectors and links of these facts; their numbers, those without a unit left out."""
        every, done = sorted(ids), 0
        numbers, links, audiences = [], [], []
        rest = iter(every)
        while part := list(islice(rest, BATCH)):
            with self.database.reading() as session:
                found = units.facts(session, self.space_id, part)
            placed, linked, heard = self._put_facts(found)
            numbers.append(placed)
            links.append(linked)
            audiences.append(heard)
            done += len(part)
            step(done, len(every))
        return (
            np.concatenate([np.zeros(0, np.int64), *numbers]),
            Links.joined(links),
            Audience.joined(audiences),
        )

    def _put_facts(self, found: list[units.FactUnit]) -> tuple[Ints, Links, Audience]:
        if not found:
            return np.zeros(0, np.int64), Links.of([]), Audience.of([])
        columns = self.columns
        self._add_named(found)
        vectors = self._vectors("fact", {fact.id: fact.text for fact in found})
        owners = as_numbers([fact.id for fact in found])
        new = columns.find(owners) < 0
        nobody = dict.fromkeys(("conversation", "before", "after", "tail"), NOBODY)
        added = columns.extend({"owner": owners[new], "kind": FACT, **nobody}, int(new.sum()))
        columns.session[added] = added
        numbers = columns.find(owners)
        columns.vector[numbers] = vectors
        subjects = columns.find(as_numbers([fact.subject_id for fact in found]))
        columns.speaker[numbers] = subjects
        columns.flags[subjects] |= SPEAKS
        columns.time[numbers] = [fact.time for fact in found]
        columns.n_words[numbers] = [len(content_words(fact.text)) for fact in found]
        columns.flags[numbers] = [RETIRED if fact.is_retired else 0 for fact in found]
        columns.digest[numbers] = np.array([digest_of(fact.text) for fact in found], np.uint64)
        for number, fact in zip(numbers.tolist(), found, strict=True):
            self._put_fact_text(number, fact)
        return numbers, *self._fact_links(numbers, subjects, found)

    def _add_named(self, found: list[units.FactUnit]) -> None:
        named = {fact.subject_id for fact in found} | {fact.object_id for fact in found if fact.object_id}
        named.update(item.speaker_id for fact in found for item in fact.heard)
        self.add_owners(named, NODE)
        self.add_owners({item.conversation_id for fact in found for item in fact.heard}, CONVERSATION)

    def _put_fact_text(self, number: int, fact: units.FactUnit) -> None:
        if fact.is_retired:
            self.texts.remove("unit", number)
            return
        heard = {as_number(owner) for item in fact.heard for owner in (item.conversation_id, item.speaker_id)}
        self.texts.put(
            "unit", Doc(number, FACT, fact.time, heard, (("unit", fact.text), ("window", fact.text)))
        )

    def _fact_links(
        self, numbers: Ints, subjects: Ints, found: list[units.FactUnit]
    ) -> tuple[Links, Audience]:
        heard = [
            (number, item)
            for number, fact in zip(numbers.tolist(), found, strict=True)
            for item in fact.heard
        ]
        find = self.columns.find
        conversations = find(as_numbers([item.conversation_id for _, item in heard]))
        speakers = find(as_numbers([item.speaker_id for _, item in heard]))
        episodes = find(as_numbers([item.episode_id for _, item in heard]))
        audience = Audience(
            np.array([number for number, _ in heard], np.int32),
            conversations.astype(np.int32),
            speakers.astype(np.int32),
            np.array([item.time for _, item in heard], np.float64),
        )
        retired = {number for number, fact in zip(numbers.tolist(), found, strict=True) if fact.is_retired}
        rows: list[LinkRow] = []
        with_object = [
            (n, fact.object_id) for n, fact in zip(numbers.tolist(), found, strict=True) if fact.object_id
        ]
        objects = find(as_numbers([object_id for _, object_id in with_object]))
        rows += [(n, 2 * int(subject), ABOUT) for n, subject in zip(numbers.tolist(), subjects, strict=True)]
        rows += [(n, 2 * int(to), ABOUT) for (n, _), to in zip(with_object, objects, strict=True)]
        rows += [(n, 2 * int(to), EVIDENCE) for (n, _), to in zip(heard, episodes, strict=True) if to >= 0]
        return Links.of([(2 * n, to, weight) for n, to, weight in rows if n not in retired]), audience

    def _number(self, owner_id: str) -> int:
        return int(self.columns.find(as_numbers([owner_id]))[0])

    def encode_ahead(self, episodes: Collection[str], facts: Collection[str]) -> None:
        """Make what vectors of these are missing, all at once where they are few: searches wait for it."""
        if len(episodes) + len(facts) > AT_ONCE:
            return
        with self.database.reading() as session:
            texts = units.encoded_texts(session, self.space_id, episodes, facts)
        embeddings.ensure_all(self.database, self.space_id, self.embedder, texts)

    def _vectors(self, kind: str, texts: dict[str, str]) -> FloatMatrix:
        return embeddings.ensure(self.database, self.space_id, self.embedder, kind, texts)


def smoothed(
    vectors: FloatMatrix, held: Ints, numbers: Ints, before: np.ndarray, after: np.ndarray
) -> FloatMatrix:
    """Each unit's searched vector: its own, and half of its neighbours', at unit length.

    `vectors` are those of `held`, which is sorted; a neighbour that is not held counts as none.
    """
    mixed = vectors[np.searchsorted(held, numbers)].copy()
    for neighbours in (before, after):
        place = np.minimum(np.searchsorted(held, neighbours), len(held) - 1)
        is_held = held[place] == neighbours
        mixed[is_held] += NEIGHBOUR * vectors[place[is_held]]
    made: FloatMatrix = mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12)
    return made
