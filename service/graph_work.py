"""What the entrances ask of a space's graph: bring in and read, people and facts, answers, search, pictures.

People come and go by name here; `memory` knows them by id.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation.stage import Progress, no_progress
from db.tables import new_id
from memory.types import Answer, Fact, ImportReport, Person
from service.components import Components

if TYPE_CHECKING:
    import networkx
    from sqlalchemy.orm import Session

    from memory.entities.store import EntityStore
    from memory.exchange.network import View
    from memory.exchange.notes import Held, Notebook
    from memory.exchange.picture import Part
    from memory.importers.detect import Export
    from memory.importers.shape import Chats
    from memory.merging import MergeReport
    from memory.pending import Waiting
    from memory.profile import Profile
    from memory.reading import ReadReport
    from memory.relations import Relation
    from memory.uses import UseCounter


class GraphWork(Components):
    """Reading and writing the graph with the components of an open space."""

    def import_file(
        self, path: Path, *, import_step: Progress = no_progress, read_step: Progress = no_progress
    ) -> tuple[ImportReport, ReadReport]:
        """Open a chat's export or another program's memory and bring it in."""
        from memory.exchange.detect import find_notebook
        from memory.importing import ImportOptions, open_export

        found = find_notebook(path)
        opened = found or open_export(path, ImportOptions(self.settings.timezone), progress=import_step)
        return self.bring_in(opened, path, import_step=import_step, read_step=read_step)

    def bring_in(
        self,
        opened: Export | Notebook,
        path: Path,
        *,
        import_step: Progress = no_progress,
        read_step: Progress = no_progress,
    ) -> tuple[ImportReport, ReadReport]:
        """Import, then read: people, candidate facts and emotions of what was new.

        What reading needs is loaded first, so that a missing model is found before anything is written.
        """
        from memory.reading import ReadReport

        _ = self.extractor, self.tagger, self.registry
        report, n_facts = self.take_in(opened, path, name=path.name, import_step=import_step)
        return report, ReadReport(0, n_facts, 0) + self.read(read_step)

    def take_in(
        self, opened: Chats | Notebook, path: Path, *, name: str, import_step: Progress = no_progress
    ) -> tuple[ImportReport, int]:
        """Import alone; the report, and how many facts the file states outright.

        The file at `path` is what `opened` was made of, `name` is what its source goes by.
        """
        from memory.entities import files
        from memory.exchange import mcp_memory
        from memory.exchange.notes import Notebook, import_notebook
        from memory.importing import import_export

        shared: dict[str, Any] = {"clock": self.clock, "progress": import_step}
        if isinstance(opened, Notebook):
            raw = path.read_bytes()
            if opened.kind == mcp_memory.KIND:  # in one transaction, so that no erasure comes between

                def keep(session: Session, held: Held) -> None:
                    files.take_in(self._entities(), raw, name, held, session)

                shared["also"] = keep
            return import_notebook(
                self.database, self.space_id, opened, self.registry, raw=raw, name=name, **shared
            )
        shared |= {"registry": self.registry, "prepare": self.prepare}
        return import_export(self.database, self.space_id, opened, **shared), 0

    def _entities(self) -> EntityStore:
        from memory.entities.store import EntityStore

        return EntityStore(self.database, self.space_id, self.registry, clock=self.clock)

    def preview(self, opened: Chats, *, import_step: Progress = no_progress) -> ImportReport:
        """What importing the chats would do to this space; it is done and taken back."""
        from memory.importing import import_export

        return import_export(
            self.database,
            self.space_id,
            opened,
            registry=self.registry,
            is_preview=True,
            clock=self.clock,
            progress=import_step,
        )

    def read(self, progress: Progress = no_progress) -> ReadReport:
        """Extract from episodes that nobody has read yet, those that wait among them."""
        from memory.reading import read_episodes

        with self.budget.run(lambda: f"reading {new_id()}"):
            return read_episodes(
                self.database,
                self.space_id,
                self.extractor,
                self.tagger,
                self.registry,
                withhold=self.withhold,
                prepare=self.prepare,
                clock=self.clock,
                progress=progress,
            )

    def waiting(self) -> list[Waiting]:
        """Messages that could not be read yet and facts without a verdict, by reason."""
        from memory.pending import list_waiting

        return list_waiting(self.database, self.space_id, self.extractor.name)

    def person(self, name: str) -> Person:
        """Somebody by name, or by what they are to somebody: "Ana's sister". Raises UnknownPerson."""
        from memory.people import find_person
        from memory.relations import find_by_description

        found = find_by_description(self.database, self.space_id, name, self.registry, clock=self.clock)
        return found or find_person(self.database, self.space_id, name)

    def profile(self, name: str, *, as_of: datetime | None = None, known_to: str | None = None) -> Profile:
        """The card of a person, as `known_to` could make it."""
        from memory.profile import profile

        viewer = self.person(known_to).id if known_to else None
        person_id = self.person(name).id
        return profile(
            self.database,
            self.space_id,
            person_id,
            self.registry,
            as_of=as_of,
            known_to=viewer,
            clock=self.clock,
        )

    def relations(
        self, name: str, *, as_of: datetime | None = None, known_to: str | None = None
    ) -> tuple[str, list[Relation]]:
        """The person's name, and who is what to them."""
        from memory.relations import relations

        person, viewer = self.person(name), self.person(known_to).id if known_to else None
        found = relations(
            self.database,
            self.space_id,
            person_id=person.id,
            as_of=as_of,
            known_to=viewer,
            registry=self.registry,
            clock=self.clock,
        )
        return person.name, found

    def merge(self, kept: str, other: str, *, force: bool = False, dry_run: bool = False) -> MergeReport:
        """Make two people one; see memory.merging.merge_people."""
        from memory.merging import merge_people

        return merge_people(
            self.database,
            self.space_id,
            self.person(kept).id,
            self.person(other).id,
            self.registry,
            force=force,
            dry_run=dry_run,
            clock=self.clock,
        )

    def facts(self, name: str, **query: Any) -> list[Fact]:
        """Facts about a person; `query` as in memory.facts.list_facts."""
        from memory.facts import list_facts

        return list_facts(
            self.database, self.space_id, self.registry, person_id=self.person(name).id, **query
        )

    def ask(
        self,
        question: str,
        *,
        known_to: str | None = None,
        asked_by: str | None = None,
        as_of: datetime | None = None,
    ) -> Answer:
        """The answer; people by name. "I" in the question is `asked_by`, else `known_to`."""
        from memory.ask import ask

        self.index.refresh()
        answer = ask(
            self.database,
            self.space_id,
            self.index,
            self.registry,
            question,
            known_to=self.person(known_to).id if known_to else None,
            asked_by=self.person(asked_by).id if asked_by else None,
            as_of=as_of,
            clock=self.clock,
        )
        if self.settings.count_asked and not answer.abstained:
            self.uses.add([fact.id for fact in answer.facts])
        return answer

    @cached_property
    def uses(self) -> UseCounter:
        from memory.uses import UseCounter

        return UseCounter(self.database, self.space_id, clock=self.clock)

    def close(self) -> None:
        if "uses" in self.__dict__:
            self.uses.settle()
        super().close()

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        kinds: Collection[str] = ("episode", "fact"),
        known_to: str | None = None,
        as_of: datetime | None = None,
    ) -> list[dict[str, Any]]:
        """What the search finds, told as `memory.hits.describe` does; people by name."""
        from memory.hits import describe

        self.index.refresh()
        limits: dict[str, Any] = {"known_to": self.person(known_to).id if known_to else None, "as_of": as_of}
        hits = self.index.search(query, k, kinds=kinds, **limits)
        return describe(self.database, self.space_id, self.registry, hits, clock=self.clock, **limits)

    def network(self, view: View) -> networkx.MultiDiGraph:
        """The graph for export and analysis, as `view` says."""
        from memory.exchange.network import to_networkx

        return to_networkx(self.database, self.space_id, self.registry, view, clock=self.clock)

    def graph_part(
        self, *, person: str | None, as_of: datetime | None, known_to: str | None, is_history: bool
    ) -> Part:
        """What a picture shows: people and how they are related, or one person and what is known of them."""
        from memory.exchange import picture

        view = self.view(as_of, known_to, is_history=is_history, has_values=person is not None)
        one = self.person(person) if person is not None else None
        found = self.network(view if one is None else replace(view, around=one.id))
        if one is None:
            title, part = f"People of {self.settings.space}", picture.among_people(found)
        else:
            title, part = one.name, picture.around(found, one.id)
        return picture.Part(part, title, len(found))

    def view(self, as_of: datetime | None, known_to: str | None, **shown: Any) -> View:
        """A view of the graph as the named person knows it; `shown` as in memory.exchange.network.View."""
        from memory.exchange.network import View

        viewer = self.person(known_to).id if known_to else None
        return View(as_of=as_of, known_to=viewer, **shown)

    def missing_artifacts(self) -> list[str]:
        """Paths of artifacts on record whose files are not in the home folder, relative to it."""
        from memory.artifacts import list_artifacts

        every = list_artifacts(self.database, self.space_id)
        recorded = dict.fromkeys(item.path for item in every if item.tainted_at is None)
        return [path for path in recorded if not (self.settings.home / path).exists()]
