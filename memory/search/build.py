"""One build of an index: its open files, how it is made from the tables, and how it takes in changes.

Nothing here decides when: `memory.index` does, and holds the lock before writers. A full build fills a new folder and
reads the tables in bounded chunks. An update writes in place, in an order that lets a killed one be repeated, and gives
another `Build`: the one before stays as it is for those who search in it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from db.engine import Database
from memory.ports import Embedder
from memory.search import embeddings, nearest, recent_texts, units
from memory.search.columns import (
    EPISODE,
    FACT,
    NOBODY,
    NODE,
    RETIRED,
    Bools,
    Columns,
    Ints,
    as_numbers,
)
from memory.search.feed import Changes
from memory.search.filer import Filer
from memory.search.graph import Links, Rows, Walk
from memory.search.manifest import Folder, Manifest, boot_id
from memory.search.nearest import Nearest
from memory.search.recent import Audience, Recent
from memory.search.recent_texts import Entry
from memory.search.text import Collected, Engine, Texts
from memory.search.writer import Writer

Progress = Callable[[int, int, str], None]  # done, of how many, and of what

MAX_RECENT_LINKS = 200_000
BESIDE = 50_000  # units from which their vectors are filed in a process of its own


class MustRebuild(Exception):
    """Something has gone from the tables or was rewritten: a new build leaves no trace of it."""


class Build:
    """What can be searched at one moment. Safe for threads; `updated` and `folded` are for one at a time, and only the
    newest build may be asked for another."""

    def __init__(self, home: Folder, manifest: Manifest) -> None:
        """Open. Raises OSError or ValueError where a file is missing or damaged."""
        self.home, self.manifest = home, manifest
        self.folder = home.path / manifest.build
        self.columns = Columns(self.folder, manifest.n, manifest.width)
        recent = recent_texts.read(self._texts_file(manifest), manifest.texts_bytes)
        self.texts = Texts.open(self.folder / "text", recent)
        self._searched: dict[frozenset[int], Bools] = {}
        self._open_base()

    def _open_base(self) -> None:
        manifest = self.manifest
        self.recent = Recent.load(self.folder / f"recent-{manifest.base}.npz", manifest.n)
        self.links = Rows.load(self.folder, f"links-{manifest.base}")
        self.audience = Audience.load(self.folder, f"audience-{manifest.base}")
        lists, n_base = None, 0
        if manifest.has_lists:
            lists = nearest.open_lists(self.folder / f"lists-{manifest.base}.faiss", manifest.width)
            n_base = manifest.n_base
        mean = np.load(self.folder / f"mean-{manifest.base}.npy")
        since = np.flatnonzero(self.columns.of_kind(EPISODE, FACT)[n_base:]) + n_base
        recent = np.concatenate([self.recent.revised[self.recent.revised < n_base], since])
        self.nearest = Nearest(self.columns, lists, mean, recent)

    def _successor(self) -> Build:
        """The same, with nothing remembered of what was computed."""
        made = copy(self)
        for name in ("walk", "moved", "last_time", "merged"):
            made.__dict__.pop(name, None)
        made._searched = {}
        return made

    def _texts_file(self, manifest: Manifest) -> Path:
        return self.folder / f"texts-{manifest.texts}.jsonl"

    @cached_property
    def walk(self) -> Walk:
        return Walk(self.links, self.recent.links, 2 * self.recent.moved, 2 * self.columns.n)

    @cached_property
    def moved(self) -> Bools | None:
        """Units whose rows of the base do not count."""
        if not len(self.recent.moved):
            return None
        moved = np.zeros(self.columns.n, bool)
        moved[self.recent.moved] = True
        return moved

    def searched(self, kinds: frozenset[int]) -> Bools:
        """Units of these kinds that a search may give."""
        if kinds not in self._searched:
            live = (self.columns.flags & RETIRED) == 0
            self._searched[kinds] = self.columns.of_kind(*kinds) & live
        return self._searched[kinds]

    @cached_property
    def last_time(self) -> float:
        return float(self.columns.time.max(initial=0.0))

    @cached_property
    def merged(self) -> Ints:
        """Nodes that have gone into another."""
        return np.flatnonzero((self.columns.kind == NODE) & (self.columns.speaker != NOBODY))

    def kept(self, nodes: Ints) -> Ints:
        """The node that stands for each, itself where it was not merged."""
        nodes = nodes.copy()
        for _ in range(len(self.merged)):
            into = self.columns.speaker[nodes]
            if (into < 0).all():
                break
            nodes = np.where(into >= 0, into, nodes)
        return nodes

    def everyone(self, nodes: Ints) -> Ints:
        """The nodes and every node that stands for the same."""
        if not len(self.merged):
            return nodes
        return np.union1d(nodes, self.merged[np.isin(self.kept(self.merged), self.kept(nodes))])

    # Changes

    def updated(
        self, database: Database, space_id: str, embedder: Embedder, changes: Changes
    ) -> tuple[Build, int]:
        """With what changed, and the number of new units. Raises MustRebuild, with nothing lost."""
        if _gone(database, space_id, self.columns, changes):
            raise MustRebuild
        made, was_cut = self._successor(), self.manifest.dirty
        self.home.write(replace(self.manifest, dirty=True, boot=boot_id()))
        made.columns, texts = self.columns.successor(), Collected()
        writer = Writer(database, space_id, embedder, made.columns, texts)
        facts = set(changes.of("fact"))
        with database.reading() as session:
            for node_id in writer.renamed(changes.of("node")) if changes.of("node") else ():
                facts.update(units.facts_about(session, node_id))
            facts |= units.restated(session, facts)
            places = units.places(session, space_id, sorted(changes.of("episode")))
        writer.encode_ahead([place.id for place in places], facts)
        nodes, node_links = writer.put_nodes(changes.of("node"))
        touched = writer.add_episodes(places)
        episodes, heads, gone_heads = writer.mend(touched, force=was_cut)
        episode_links = writer.put_episodes(episodes)
        writer.remove_sessions(gone_heads)
        writer.put_sessions(heads)
        numbers, fact_links, audience = writer.put_facts(facts)
        if writer.rewritten:
            raise MustRebuild
        links = Links.joined([node_links, episode_links, fact_links])
        put, units_put = np.concatenate([nodes, episodes, numbers]), np.concatenate([episodes, numbers])
        made.recent = self.recent.set(put, links, audience, self.manifest.n_base)
        made.recent = made.recent.revise(units_put, self.manifest.n_base)
        made.recent.save(self.folder / f"recent-{self.manifest.base}.npz")
        made._put_texts(texts.entries)
        if not boot_id():
            made._flush()
        made._sign(changes)
        made.nearest = self.nearest.with_units(made.columns, np.unique(units_put))
        return made, int(made.columns.of_kind(EPISODE, FACT)[self.columns.n :].sum())

    def _put_texts(self, entries: list[Entry]) -> None:
        """Beside the engine's files while they are few, else into them."""
        manifest = self.manifest
        if len(self.texts.recent) + len(entries) <= recent_texts.MOST:
            end = recent_texts.write(self._texts_file(manifest), manifest.texts_bytes, entries)
            self.texts = self.texts.with_recent(entries)
            self.manifest = replace(manifest, texts_bytes=end)
        else:
            self.texts = self.texts.committed(entries)
            self.manifest = replace(manifest, texts=manifest.texts + 1, texts_bytes=0)

    def _sign(self, changes: Changes) -> None:
        kinds, before = np.bincount(self.columns.kind, minlength=2), self.manifest.texts - 1
        self.manifest = replace(
            self.manifest,
            generation=self.manifest.generation + 1,
            n=self.columns.n,
            n_episodes=int(kinds[EPISODE]),
            n_facts=int(kinds[FACT]),
            seen=changes.seen,
            seen_owner=changes.seen_owner,
            dirty=False,
            boot=boot_id(),
        )
        self.home.write(self.manifest)
        (self.folder / f"texts-{before}.jsonl").unlink(missing_ok=True)

    def _flush(self) -> None:
        self.columns.flush()
        for path in (self._texts_file(self.manifest), self.folder / f"recent-{self.manifest.base}.npz"):
            if path.exists():
                with path.open("rb") as file:
                    os.fsync(file.fileno())

    def settle(self) -> None:
        """Force everything to the disk, and say so."""
        if self.manifest.boot:
            self._flush()
            self.manifest = replace(self.manifest, boot="")
            self.home.write(self.manifest)

    @property
    def is_ripe(self) -> bool:
        """Whether so much came since that searches grow slow."""
        return len(self.nearest.recent) > nearest.EXACT or len(self.recent.links) > MAX_RECENT_LINKS

    def folded(self) -> Build:
        """With links, audiences and the lists of vectors written as a whole, with all that came since."""
        old, moved = self.manifest, self.moved
        links, audience = self.links.links(), self.audience
        if moved is not None:
            links, audience = links.only(~moved[links.source // 2]), audience.only(~moved[audience.fact])
        base = old.base + 1
        Rows.of(Links.joined([links, self.recent.links]), 2 * self.columns.n).save(
            self.folder, f"links-{base}"
        )
        Audience.joined([audience, self.recent.audience]).save(self.folder, f"audience-{base}")
        has_lists = _write_lists(
            self.columns, self.folder, base, None, self.nearest if old.has_lists else None
        )
        self._flush()
        made = self._successor()
        made.manifest = replace(
            old, generation=old.generation + 1, base=base, n_base=self.columns.n, has_lists=has_lists, boot=""
        )
        self.home.write(made.manifest)
        made._open_base()
        for path in self.folder.glob(f"*-{old.base}.*"):
            if not path.name.startswith("texts-"):
                path.unlink()
        return made


def make(
    database: Database,
    space_id: str,
    embedder: Embedder,
    home: Folder,
    at: Changes,
    progress: Progress | None = None,
) -> Manifest:
    """A build of everything in the tables, in a new folder; the old ones go. `at` is where the feed stood before."""
    tell = progress or (lambda done, total, note: None)
    name = f"build-{secrets.token_hex(4)}"
    folder = home.path / name
    folder.mkdir(parents=True)
    try:
        columns = Columns.create(folder, embedder.width)
        links, audience, has_lists = _fill(database, space_id, embedder, columns, folder, tell)
        Rows.of(links, 2 * columns.n).save(folder, "links-0")
        audience.save(folder, "audience-0")
        if has_lists:
            np.save(folder / "mean-0.npy", nearest.mean_of(columns, nearest.searched_units(columns)))
        else:
            watch = lambda done, total: tell(done, total, "vectors")  # noqa: E731
            has_lists = _write_lists(columns, folder, 0, watch, None)
        columns.flush()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    kinds = np.bincount(columns.kind, minlength=2)
    old = home.read()
    manifest = Manifest(
        build=name,
        generation=1 + (old.generation if old else 0),
        encoder=embedder.name,
        width=embedder.width,
        n=columns.n,
        n_episodes=int(kinds[EPISODE]),
        n_facts=int(kinds[FACT]),
        seen=at.seen,
        seen_owner=at.seen_owner,
        base=0,
        n_base=columns.n,
        has_lists=has_lists,
    )
    home.write(manifest)
    for path in home.path.glob("build-*"):
        if path.name != name:
            shutil.rmtree(path, ignore_errors=True)
    return manifest


def _fill(
    database: Database, space_id: str, embedder: Embedder, columns: Columns, folder: Path, tell: Progress
) -> tuple[Links, Audience, bool]:
    """Everything but the lists of vectors; that too, in a process beside, where there are many: then True."""
    with database.reading() as session:
        nodes = units.node_ids(session, space_id)
        facts = units.fact_ids(session, space_id)
        places = [place for part in units.all_places(session, space_id) for place in part]
    filer = None
    if len(facts) + len(places) >= BESIDE:
        filer = _filer(database, embedder, folder, facts, [place.id for place in places])
    try:
        with Engine(folder / "text", is_new=True).writing(is_build=True) as texts:
            writer = Writer(database, space_id, embedder, columns, texts)
            _, node_links = writer.put_nodes(nodes)
            episodes, heads, _ = writer.mend(writer.add_episodes(places))
            del places

            def message_step(done: int, total: int) -> None:
                tell(done, total, "messages")
                if filer is not None:
                    filer.ready(int(episodes[done - 1]) + 1)

            def fact_step(done: int, total: int) -> None:
                tell(done, total, "facts")
                if filer is not None:
                    filer.ready(columns.n)

            episode_links = writer.put_episodes(episodes, message_step)
            writer.put_sessions(heads, lambda done, total: tell(done, total, "sessions"))
            _, fact_links, audience = writer.put_facts(facts, fact_step)
        if filer is not None:
            tell(0, 0, "vectors")
        has_lists = filer is not None and filer.finish(columns.n)
    except BaseException:
        if filer is not None:
            filer.stop()
        raise
    return Links.joined([node_links, episode_links, fact_links]), audience, has_lists


def _filer(
    database: Database, embedder: Embedder, folder: Path, facts: list[str], episodes: list[str]
) -> Filer | None:
    """A process that files the vectors; None where the tables hold too few of them to make lists from."""
    n = len(facts) + len(episodes)
    step = max(1, n // (nearest.SAMPLE_PER_LIST * nearest.n_lists_for(n)))
    with database.reading() as session:
        sample = {
            **embeddings.load(session, embedder, "fact", facts[::step]),
            **embeddings.load(session, embedder, "episode", episodes[::step]),
        }
    if len(sample) < n // step // 2:
        return None
    return Filer(folder, np.stack(list(sample.values())), n)


def _write_lists(
    columns: Columns,
    folder: Path,
    base: int,
    step: Callable[[int, int], None] | None,
    held: Nearest | None,
) -> bool:
    """Lists over all units, or those `held` with what came since; False where there are too few."""
    step = step or (lambda done, total: None)
    numbers = nearest.searched_units(columns)
    np.save(folder / f"mean-{base}.npy", nearest.mean_of(columns, numbers))
    if len(numbers) <= nearest.EXACT:
        return False
    if held is None or held.lists is None or nearest.is_outgrown(held.lists, len(numbers)):
        lists = nearest.build_lists(columns, numbers, step)
    else:
        lists = nearest.open_lists(folder / f"lists-{base - 1}.faiss", columns.width, view=False)
        nearest.add_to_lists(lists, columns, np.sort(held.recent), step)
    nearest.save_lists(lists, folder / f"lists-{base}.faiss")
    return True


def _gone(database: Database, space_id: str, columns: Columns, changes: Changes) -> bool:
    """Whether something that is in the index is not in the tables any more."""
    with database.reading() as session:
        for kind in ("episode", "fact", "node"):
            ids = sorted(changes.of(kind))
            known = [item for item, n in zip(ids, columns.find(as_numbers(ids)), strict=True) if n >= 0]
            if len(units.existing(session, space_id, kind, known)) < len(known):
                return True
    return False
