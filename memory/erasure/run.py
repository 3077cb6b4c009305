"""Erase, in an order in which a kill at any point leaves either nothing done or something to finish.

One transaction deletes, redacts, states again, taints, moves the pointer and writes the ledger's "begun". After it,
files go, the store is rewritten, the indexes are made again, and everything is searched for what was erased; each of
these can be repeated. Then the ledger gets its "done". `resume` does the second half again from the ids in "begun".
What becomes of weights is `Wish.weights`, given by who knows models; what it returns stands in the certificate.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select

from db import leases, tables
from db.engine import Database
from db.errors import LeaseHeld
from db.tables import new_id
from memory import message_vectors, tombstones
from memory.erasure import again, files, plan, proof, residue, store, taint
from memory.erasure import rows as store_rows
from memory.erasure.chunks import chunked
from memory.erasure.needles import Needle, Scanner
from memory.erasure.plan import Draft, Plan
from memory.erasure.proof import Certificate
from memory.erasure.reach import Target
from memory.erasure.residue import Progress, Scan, no_progress
from memory.errors import PlanChanged
from memory.exports import ExportRecord, exports_that_hold, forget_places
from memory.ports import Clock, utc_now
from memory.reasons import Reason
from memory.registry import Registry

_T = TypeVar("_T")
LEASE_S = 900.0  # a killed erasure keeps others out for no longer
# A night and an erasure of one space keep each other out by the same lease; an import, where it holds one, too.
_LEASES = ("sleep:{}", "import:{}")
Watch = Callable[
    [str], Progress
]  # the progress of a named step: plan | rows | files | store | index | weights | scan
Begun = Mapping[str, Any]  # what the ledger says of an erasure that has begun


def unwatched(step: str) -> Progress:
    """Progress that nobody watches."""
    return no_progress


@dataclass(frozen=True, slots=True)
class Wish:
    """How an erasure is to be done.

    `expected` is the hash of the plan that was shown, or its first digits; None does what would be shown now.
    """

    expected: str | None = None
    reason: Reason = "request"
    holder: str = field(default_factory=lambda: f"{os.getpid()}@{socket.gethostname()}")
    reindex: Callable[[], int] | None = None  # makes the search index again; the number of its units
    # lets weights serve that hold nothing of what went; numbers and hashes of them
    weights: Callable[[Begun, Progress], Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class _Sought:
    """What the scan looks for. `n_shared` stretches are others' words too; None where the erased ones are lost."""

    needles: tuple[Needle, ...] = ()
    elsewhere: frozenset[Needle] = frozenset()
    n_shared: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    certificate: Certificate
    scan: Scan

    def as_json(self) -> dict[str, Any]:
        return {"certificate": self.certificate.as_json(), "scan": self.scan.as_json()}


def make_plan(database: Database, space_id: str, home: Path, target: Target) -> Plan:
    """What erasing would do; nothing is changed. Raises UnknownPerson, UnknownFact, UnknownEpisode, UnknownSource."""
    with database.reading() as session:
        return plan.draft(session, space_id, home, target).plan


def erase(
    database: Database,
    space_id: str,
    home: Path,
    target: Target,
    registry: Registry,
    wish: Wish | None = None,
    *,
    clock: Clock = utc_now,
    watch: Watch = unwatched,
) -> Outcome:
    """Erase for good. Earlier erasures that were cut off are finished with it.

    Raises PlanChanged where `wish.expected` is the hash of another plan, LeaseHeld while a night or an import works on
    the space, and what `make_plan` raises; then nothing is changed.
    """
    wish = wish or Wish()
    _hold(database, space_id, wish.holder)
    try:
        watch("rows")(0, 1)
        with database.transaction() as session:
            store.overwrite_deleted(session)
            draft = plan.draft(session, space_id, home, target)
            if wish.expected is not None and not draft.plan.goes_by(wish.expected):
                raise PlanChanged
            erasure_id = new_id()
            changed = store_rows.apply(session, space_id, draft, registry, clock)
            moved = taint.mark(session, space_id, draft.tainted, erasure_id, clock)
            payload = {
                **_begun(draft, wish),
                "pointer": moved,
                "decisions": {
                    "gone": sorted(key[0] for key in draft.doomed[tables.Decision]),
                    "again": again.recorded(session, changed),
                },
            }
            proof.begin(session, space_id, erasure_id, payload, clock)
        watch("rows")(1, 1)
        sought = _Sought(draft.needles, draft.elsewhere, draft.n_shared)
        return _Work(database, space_id, home, wish, clock, watch).finish(erasure_id, sought)
    finally:
        _release(database, space_id, wish.holder)


def resume(
    database: Database,
    space_id: str,
    home: Path,
    wish: Wish | None = None,
    *,
    names: Iterable[str] = (),
    clock: Clock = utc_now,
    watch: Watch = unwatched,
) -> list[Outcome]:
    """Finish every erasure of the space that was cut off after its rows had gone; none is no error.

    The words to search for went with the rows: only `names`, given once more, can be looked for.
    """
    wish = wish or Wish()
    sought = _Sought(tuple(Needle(name, is_name=True) for name in names))
    waiting = proof.unfinished(database, space_id)
    if not waiting:
        return []
    _hold(database, space_id, wish.holder)
    try:
        work = _Work(database, space_id, home, wish, clock, watch)
        return [work.finish(found.erasure_id, sought) for found in waiting]
    finally:
        _release(database, space_id, wish.holder)


def _begun(draft: Draft, wish: Wish) -> dict[str, Any]:
    target = draft.plan.target
    return {
        "target": target.kind,
        **proof.salted(target.id, draft.reach.people),
        "reason": wish.reason,
        "mentions": target.mentions if target.kind == "person" else None,
        "with_messages": target.with_messages,
        "plan_sha256": draft.plan.sha256,
        "counts": draft.plan.counts(),
        "artifacts": sorted(draft.tainted.artifacts),
        "nights": sorted(draft.tainted.runs),
    }


@dataclass(frozen=True, slots=True)
class _Work:
    """The half that can be repeated: files, store, index, scan, and the ledger's "done"."""

    database: Database
    space_id: str
    home: Path
    wish: Wish
    clock: Clock
    watch: Watch

    def finish(self, erasure_id: str, sought: _Sought) -> Outcome:
        """Renews the lease before what takes long."""
        tombstones.keep(self.database, self.home)
        every = proof.certificates(self.database, self.space_id)
        begun = next(item for item in every if item.erasure_id == erasure_id)
        paths = _paths(self.database, self.space_id, self.home, begun.begun)
        n_files = self._step("files", lambda: files.remove(paths) + files.remove_cut_off(self.home))
        self._prune_vectors()
        compacted = self._step("store", lambda: store.compact(self.database))
        reindex = self.wish.reindex
        n_units = self._step("index", reindex) if reindex is not None else None
        weights = self._weights(begun.begun)
        _hold(self.database, self.space_id, self.wish.holder)
        backups = files.backups_that_hold(self.home)
        exports = self._exports(begun.begun, Scanner(sought.needles))
        seen = residue.scan(
            self.database,
            self.home,
            Scanner(sought.needles),
            space_id=self.space_id,
            elsewhere=sought.elsewhere,
            n_shared=sought.n_shared or 0,
            left_out=[record.path for record in backups],
            progress=self.watch("scan"),
        )
        payload = {
            "began_seq": begun.seq,
            "files_removed": n_files,
            "store": compacted,
            "index_units": n_units,
            "weights": weights,
            "scan": _scan_json(seen, is_complete=sought.n_shared is not None),
            "backups": [{"sha256": item.sha256, "made_at": item.made_at.isoformat()} for item in backups],
            "exports": [item.as_json() for item in exports],
        }
        with self.database.transaction() as session:
            proof.finish(session, self.space_id, erasure_id, payload, self.clock)
        return Outcome(proof.certificate(self.database, self.space_id, begun.seq), seen)

    def _exports(self, begun: Begun, scanner: Scanner) -> list[ExportRecord]:
        """Exports of weights that hold what went, as they are on record; no record names it in its path any more."""
        found = exports_that_hold(self.home, self.space_id, _vectors(self.database, begun))
        forget_places(self.home, lambda path: any(scanner.find(path)))
        return found

    def _prune_vectors(self) -> None:
        """The rows that stand now say what stays, so that a resumed erasure needs no list of what went."""
        with self.database.reading() as session:
            message_vectors.prune(session, self.space_id, self.home)

    def _weights(self, begun: Begun) -> Mapping[str, Any] | None:
        """It may take minutes: the lease is renewed whenever it shows progress."""
        if self.wish.weights is None:
            return None
        shown = self.watch("weights")

        def renewing(done: int, total: int, note: str = "") -> None:
            _hold(self.database, self.space_id, self.wish.holder)
            shown(done, total, note)

        _hold(self.database, self.space_id, self.wish.holder)
        return self.wish.weights(begun, renewing)

    def _step(self, name: str, do: Callable[[], _T]) -> _T:
        _hold(self.database, self.space_id, self.wish.holder)
        self.watch(name)(0, 1)
        result = do()
        self.watch(name)(1, 1)
        return result


def _scan_json(seen: Scan, *, is_complete: bool) -> dict[str, Any]:
    """Counts and kinds only; where things were found is said to whoever erases, and not kept."""
    kinds: dict[str, int] = {}
    for item in seen.found:
        kinds[item.kind] = kinds.get(item.kind, 0) + item.n_texts + item.n_names
    return {
        "sha256": seen.sha256,
        "files": seen.n_files,
        "bytes": seen.n_bytes,
        "needles": seen.n_needles,
        "shared": seen.n_shared,
        "residue": kinds,
        "unread": len(seen.unread),
        "all_words": is_complete,
    }


def _vectors(database: Database, begun: Begun) -> set[str]:
    """Hashes of the task vectors that the erasure tainted."""
    artifact = tables.Artifact
    with database.reading() as session:
        return {
            sha256
            for part in chunked(artifact.id, begun["artifacts"])
            for sha256 in session.scalars(select(artifact.sha256).where(part, artifact.kind == "adapter"))
        }


def _paths(database: Database, space_id: str, home: Path, begun: Mapping[str, Any]) -> list[Path]:
    with database.reading() as session:
        paths = select(tables.Artifact.id, tables.Artifact.path)
        rows = [
            row
            for part in chunked(tables.Artifact.id, begun["artifacts"])
            for row in session.execute(paths.where(part))
        ]
        tainted = taint.Tainted(artifacts={row.id: row.path for row in rows})
        kept = taint.paths_in_use(session, tainted)
    return files.to_remove(home, space_id, begun["nights"], tainted.artifacts.values(), kept)


def _hold(database: Database, space_id: str, holder: str) -> None:
    for name in _LEASES:
        holding = leases.holder_of(database, name.format(space_id), now=utc_now())
        if holding not in (None, holder):
            raise LeaseHeld(name.format(space_id), holding or "")
    leases.acquire(database, _LEASES[0].format(space_id), holder, now=utc_now(), ttl_s=LEASE_S)


def _release(database: Database, space_id: str, holder: str) -> None:
    leases.release(database, _LEASES[0].format(space_id), holder)
