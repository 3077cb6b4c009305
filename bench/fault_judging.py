"""What a home is worth after a kill: opened again as its owner would, and held against what had been acknowledged."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from bench import fault_work
from consolidation import recipe, runs
from consolidation.readouts import hash_of
from db import leases
from db.tables import Artifact, Episode, Lease, LedgerEntry, Pointer, SleepRun, Source
from memory.artifacts import get_artifact, pointer
from memory.backup_parts import MANIFEST, opened, prove, read_manifest, silent
from memory.people import list_people
from memory.verify.leftovers import clean, leftovers
from service.daemon import lasting
from service.entrances import forgetting
from service.entrances.proving import verify_home
from service.wiring import Services


@dataclass
class Found:
    """What one kill left."""

    n_problems: int = 0
    n_lost: int = 0
    n_leftovers: int = 0
    is_half: bool = False
    is_resumed: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return self.n_problems == 0

    def lose(self, what: str) -> None:
        self.n_lost += 1
        self.notes.append(f"lost: {what}")


class Judge:
    def __init__(self, root: Path, model: Path) -> None:
        self._root, self._model = root, model
        self._folder = root / "work"
        self._held: dict[str, Callable[[Services, list[Any], Found], None]] = {
            "import": self._imported,
            "night": self._slept,
            "publish": self._published,
            "erasure": self._erased,
            "backup": self._backed_up,
        }

    def judge(self, kind: str, acknowledged: list[Any], *, resumes: bool) -> Found:
        found = Found()
        if kind == "restore":
            self._restored(acknowledged, found)
            return found
        services = fault_work.opened(self._folder / "home", self._model)
        try:
            self._prove(services, found)
            self._held[kind](services, acknowledged, found)
            if resumes:
                self._sleep_on(services, found)
        finally:
            fault_work.shut(services)
        return found

    def _prove(self, services: Services, found: Found) -> None:
        """As somebody does who finds the machine off: finish what was cut off, prove, tidy."""
        home = services.settings.home
        _free(services)
        for outcome in forgetting.finish(services):
            if outcome.scan.found:
                found.n_problems += 1
                found.notes.append("a finished erasure left residue")
        runs.reap(services.database, services.space_id)
        for _, problem in verify_home(services).problems:
            found.n_problems += 1
            found.notes.append(f"{problem.check}: {problem.what}")
        left = leftovers(services.database, home)
        found.n_leftovers = len(left)
        clean(left)
        if leftovers(services.database, home):
            found.n_problems += 1
            found.notes.append("leftovers stayed")
        for _, problem in verify_home(services).problems if left else ():
            found.n_problems += 1
            found.notes.append(f"after cleaning: {problem.check}: {problem.what}")
        found.is_half = _is_half(services, found)

    def _imported(self, services: Services, acknowledged: list[Any], found: Found) -> None:
        with services.database.reading() as session:
            rows = session.execute(
                select(Source.name, func.count(Episode.id))
                .outerjoin(Episode, Episode.source_id == Source.id)
                .group_by(Source.name)
            )
            there = {row[0]: row[1] for row in rows}
        for name, n in acknowledged:
            if there.get(name) != n:
                found.lose(f"{name} has {there.get(name)} of {n} messages")
        for name, n in there.items():
            if name[:2].isdigit() and n != fault_work.N_MESSAGES:
                found.lose(f"{name} is there with {n} messages")

    def _slept(self, services: Services, acknowledged: list[Any], found: Found) -> None:
        for (run_id,) in acknowledged:
            serving = pointer(services.database, services.space_id)
            if serving is None or serving.run_id != run_id:
                found.lose(f"night {run_id} was published and does not serve")

    def _published(self, services: Services, acknowledged: list[Any], found: Found) -> None:
        nights = json.loads((self._folder / "nights.json").read_text(encoding="utf-8"))
        with services.database.reading() as session:
            entry = select(LedgerEntry).where(LedgerEntry.kind == "pointer").order_by(LedgerEntry.seq)
            moves = [row.payload["after"]["run"] for row in session.scalars(entry)]
        n_before = len(nights)  # each night moved it once
        if len(moves) - n_before not in (len(acknowledged), len(acknowledged) + 1):
            found.lose(f"{len(acknowledged)} moves were told, {len(moves) - n_before} are in the ledger")
        serving = pointer(services.database, services.space_id)
        if serving is None or serving.run_id != moves[-1]:
            found.lose("the pointer is not where the ledger moved it")

    def _erased(self, services: Services, acknowledged: list[Any], found: Found) -> None:
        """Erased with every word, or there with every word."""
        names = {person.name for person in list_people(services.database, services.space_id)}
        with services.database.reading() as session:
            texts = session.scalars(
                select(Episode.text).where(Episode.text.contains(fault_work.SECRET))
            ).all()
        is_there = fault_work.ERASED in names
        if acknowledged and is_there:
            found.lose("an erasure was told, and the person is there")
        if is_there != bool(texts):
            found.lose("a person is there without their words, or their words without them")
        if not is_there and _holds(services.settings.home, fault_work.SECRET.encode()):
            found.lose("a file holds words of the erased person")

    def _backed_up(self, services: Services, acknowledged: list[Any], found: Found) -> None:
        """What was told is there; what is there is whole, and restores."""
        for (path,) in acknowledged:
            if not Path(path).exists():
                found.lose("a backup was told and is not there")
        for path in sorted(self._folder.glob("[0-9].zip")):
            with opened(path) as archive:
                prove(archive, read_manifest(archive, path.name), path.name, silent)
        if parts := sorted(self._folder.glob("*.part")):
            found.lose(f"{len(parts)} cut-off backups were not on record")
        if acknowledged:
            self._restore(Path(acknowledged[-1][0]), self._folder / "again", found)

    def _restore(self, file: Path, home: Path, found: Found) -> None:
        shutil.rmtree(home, ignore_errors=True)
        lasting.restore(fault_work.settings_of(home, self._model), file)
        self._is_whole(home, file, found)

    def _restored(self, acknowledged: list[Any], found: Found) -> None:
        """A folder that was empty holds nothing or all, one that held something the old or all."""
        file = self._folder / "whole.zip"
        for name in ("fresh", "held"):
            home = self._folder / name
            is_told = (name,) in acknowledged
            if not home.exists():
                if is_told:
                    found.lose(f"{name} was restored and is not there")
                continue
            services = fault_work.opened(home, self._model)
            try:
                with services.database.reading() as session:
                    n_messages = session.scalar(select(func.count()).select_from(Episode)) or 0
                self._prove(services, found)
            finally:
                fault_work.shut(services)
            if name == "fresh" and not n_messages and not is_told:
                kept = list(home.rglob("*.safetensors"))
                if kept:
                    found.lose("files were restored without their rows")
                continue
            self._is_whole(home, file, found)

    def _is_whole(self, home: Path, file: Path, found: Found) -> None:
        """Every row and every file of the backup."""
        with zipfile.ZipFile(file) as archive:
            manifest = json.loads(archive.read(MANIFEST))
        wanted = {part["name"]: part["n_rows"] for part in manifest["tables"]}
        services = fault_work.opened(home, self._model)
        try:
            with services.database.reading() as session:
                for mapped in (Episode, SleepRun, Artifact, Pointer, LedgerEntry):
                    n = session.scalar(select(func.count()).select_from(mapped)) or 0
                    if n != wanted[mapped.__tablename__]:
                        found.lose(f"{mapped.__tablename__} has {n} rows of {wanted[mapped.__tablename__]}")
            for part in manifest["files"]:
                if not (home / part["path"]).exists():
                    found.lose(f"{part['path']} was not restored")
        finally:
            fault_work.shut(services)

    def _sleep_on(self, services: Services, found: Found) -> None:
        """The killed night, slept to its end."""
        report = services.sleep()
        found.is_resumed = True
        if report.status != "done" or not (report.is_published or report.reason):
            found.lose(f"the killed night ended as {report.status}: {report.reason}")
        for _, problem in verify_home(services).problems:
            found.n_problems += 1
            found.notes.append(f"after sleeping on: {problem.check}: {problem.what}")
        found.is_half = found.is_half or _is_half(services, found)


def _free(services: Services) -> None:
    """Leases of the dead: a machine that starts again has none of the old processes."""
    with services.database.reading() as session:
        held = [(row.name, row.holder) for row in session.scalars(select(Lease))]
    for name, holder in held:
        leases.release(services.database, name, holder)


def _is_half(services: Services, found: Found) -> bool:
    """Whether what serves does not load, or is not what the ledger says was published last."""
    serving = pointer(services.database, services.space_id)
    with services.database.reading() as session:
        entry = select(LedgerEntry).where(LedgerEntry.kind == "pointer").order_by(LedgerEntry.seq.desc())
        last = session.scalars(entry.limit(1)).first()
        published = set(session.scalars(select(SleepRun.id).where(SleepRun.is_published)))
    if serving is None and last is None:
        return False  # nothing was ever published
    try:
        if serving is None:
            raise ValueError("nothing serves")
        after = last.payload["after"] if last is not None else {}
        if last is not None and last.payload.get("reason") == "erasure":
            after = {**after, "run": serving.run_id}  # an erasure may leave a recipe of no night
        told = {"run": serving.run_id, "recipe": serving.recipe_id, "readout": serving.readout_id}
        if told != {key: after.get(key) for key in told}:
            raise ValueError("the ledger says otherwise")
        if serving.run_id is not None and serving.run_id not in published:
            raise ValueError("the night is not published")
        home = services.settings.home
        if serving.recipe_id is not None:
            found_recipe = get_artifact(services.database, serving.recipe_id)
            recipe.recipe_adapters(home, recipe.load_recipe(home, found_recipe.path))
        if serving.readout_id is not None:
            readout = get_artifact(services.database, serving.readout_id)
            if hash_of(home / readout.path) != readout.sha256:
                raise ValueError("the readout is another")
    except Exception as error:
        found.notes.append(f"half published: {type(error).__name__}: {error}")
        return True
    return False


def _holds(home: Path, word: bytes) -> bool:
    return any(
        word in path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and not path.is_symlink() and "cache" not in path.relative_to(home).parts
    )
