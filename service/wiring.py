"""Builds the components out of settings: the one place that knows which class fills which port.

Everything heavy is made on first use, so that a command pays only for what it touches. `Services` is what the
CLI and the HTTP app are given.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from consolidation.stage import NightSettings, NightTools, Progress, no_progress
from db.engine import Database, open_database
from db.errors import DatabaseError
from db.tables import new_id
from memory.ports import (
    ChatModel,
    Clock,
    ConstitutionWriter,
    Digester,
    Embedder,
    EmotionTagger,
    Entailer,
    Extractor,
    Judge,
    Referee,
    Teacher,
    Withhold,
    utc_now,
)
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import Answer, Fact, ImportReport, Person
from service.settings import Settings

if TYPE_CHECKING:
    import networkx

    from agents.runtime.spec import ModelSpec
    from agents.spending import Budget
    from consolidation.again import SecondExam
    from consolidation.night import NightReport, StageWatcher
    from consolidation.runs import Run
    from consolidation.sweep_results import SweepReport
    from memory.exchange.network import View
    from memory.exchange.notes import Notebook
    from memory.exchange.picture import Part
    from memory.importers.detect import Export
    from memory.index import Index
    from memory.merging import MergeReport
    from memory.pending import Waiting
    from memory.profile import Profile
    from memory.reading import ReadReport
    from memory.relations import Relation
    from simulator.session import Session


log = logging.getLogger(__name__)


class Services:
    """One open space with its components. Close it, or use it in a `with`."""

    def __init__(self, settings: Settings, *, clock: Clock = utc_now) -> None:
        settings.home.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.clock = clock
        self.database: Database = open_database(settings.url)
        self.space_id = ensure_space(self.database, settings.space, timezone=settings.timezone, clock=clock)

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.database.close()

    # Components

    @cached_property
    def registry(self) -> Registry:
        own = self.settings.predicates
        return Registry.load(Path(own) if own else None, is_strict=self.settings.strict_predicates)

    @cached_property
    def embedder(self) -> Embedder:
        from memory.embedders.minilm import MiniLM

        return MiniLM.load()

    @cached_property
    def chat_model(self) -> ChatModel | None:
        """The configured language model, or None where rules do the work."""
        from service.backend import open_chat_model

        home = self.settings.home
        model = open_chat_model(self.settings.backend, home, self.cache_dir, lambda: self.budget)
        kinds = self.settings.privacy.leave_out
        if model is None or not kinds:
            return model
        from agents.backends.masking import MaskingChat

        return MaskingChat(model, kinds)

    @cached_property
    def budget(self) -> Budget:
        """What the back-end has cost, and what it may."""
        from service.backend import open_budget

        return open_budget(self.settings.backend, self.settings.home, self.clock)

    @cached_property
    def extractor(self) -> Extractor:
        from service.backend import open_extractor

        return open_extractor(
            self.settings.backend, lambda: self.chat_model, lambda: self.embedder, self.registry
        )

    @cached_property
    def tagger(self) -> EmotionTagger:
        from agents.emotions import EmotionHead

        return EmotionHead.load(self.embedder)

    @cached_property
    def judge(self) -> Judge:
        if self.chat_model is None:
            from agents.judges import RuleJudge

            return RuleJudge(self.embedder)
        from agents.controls import ControlledJudge
        from agents.judges import ModelJudge

        return ControlledJudge(ModelJudge(self.chat_model))

    @cached_property
    def entailer(self) -> Entailer | None:
        """The shipped entailment head, where it was trained for the encoder at hand."""
        from agents.entailment import HEAD_PATH, EntailmentHead
        from memory.embedders.minilm import MiniLM

        encoder = self.embedder
        if not HEAD_PATH.exists() or not isinstance(encoder, MiniLM):
            return None
        return EntailmentHead.load(encoder)

    @cached_property
    def referee(self) -> Referee | None:
        if self.chat_model is None:
            return None
        from agents.referees import ModelReferee

        return ModelReferee(self.chat_model)

    @property
    def withhold(self) -> Withhold:
        """Which messages no reader sees: orders to machines, and what `privacy.leave_out` names."""
        from agents.withholding import Withholding

        return Withholding(self.settings.privacy.leave_out)

    @cached_property
    def constitution_writer(self) -> ConstitutionWriter:
        from agents.constitutions import HabitWriter, ModelConstitutionWriter

        if self.chat_model is None:
            return HabitWriter()
        return ModelConstitutionWriter(self.chat_model)

    @cached_property
    def digester(self) -> Digester | None:
        if self.chat_model is None:
            return None
        from agents.digests import ModelDigester

        return ModelDigester(self.chat_model)

    @cached_property
    def teacher(self) -> Teacher | None:
        if self.chat_model is None:
            return None
        from agents.teachers import ModelTeacher

        return ModelTeacher(self.chat_model)

    @cached_property
    def index(self) -> Index:
        from memory.index import Index

        return Index.open(self.database, self.space_id, self.settings.home, self.embedder, self.registry)

    @property
    def cache_dir(self) -> Path:
        return self.settings.home / "cache"

    def model_spec(self) -> ModelSpec:
        from agents.runtime.spec import ModelSpec

        night = self.settings.night
        return ModelSpec(source=night.base_model, cache_dir=self.cache_dir, dtype=night.train.dtype)

    def night_tools(self) -> NightTools:
        return NightTools(
            extractor=self.extractor,
            tagger=self.tagger,
            embedder=self.embedder,
            judge=self.judge,
            constitution_writer=self.constitution_writer,
            registry=self.registry,
            teacher=self.teacher,
            digester=self.digester,
            withhold=self.withhold,
            leave_out=frozenset(self.settings.privacy.leave_out),
            entailer=self.entailer,
            referee=self.referee,
            trust_weights=self.settings.memory.trust_weights,
        )

    # What the entrances do

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
        from memory.exchange.notes import Notebook, import_notebook
        from memory.importing import import_export
        from memory.reading import ReadReport

        _ = self.extractor, self.tagger, self.registry
        if isinstance(opened, Notebook):
            report, n_facts = import_notebook(
                self.database,
                self.space_id,
                opened,
                self.registry,
                raw=path.read_bytes(),
                name=path.name,
                clock=self.clock,
                progress=import_step,
            )
            return report, ReadReport(0, n_facts, 0) + self.read(read_step)
        report = import_export(
            self.database,
            self.space_id,
            opened,
            registry=self.registry,
            clock=self.clock,
            progress=import_step,
        )
        return report, self.read(read_step)

    def preview(self, opened: Export, *, import_step: Progress = no_progress) -> ImportReport:
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
            self._count_asked(answer)
        return answer

    def _count_asked(self, answer: Answer) -> None:
        """A store that cannot be written now (busy, read only, full) does not keep an answer back."""
        from memory.uses import record

        try:
            record(self.database, self.space_id, [fact.id for fact in answer.facts], clock=self.clock)
        except (DatabaseError, DBAPIError) as error:
            log.info("what was asked for is not counted: %s", type(error).__name__)

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
        found = self.network(view)
        if one is None:
            title, part = f"People of {self.settings.space}", picture.among_people(found)
        else:
            title, part = one.name, picture.around(found, one.id)
        return picture.Part(part, title, len(found))

    def view(self, as_of: datetime | None, known_to: str | None, **shown: bool) -> View:
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

    def sleep(
        self, *, settings: NightSettings | None = None, watch: StageWatcher | None = None, **options: Any
    ) -> NightReport:
        """One night, from `select` to `report`; resumes one that was interrupted. `options` go to run_night.

        Raises ModelMissing, LeaseHeld, and BaseChanged where the weights that serve belong to another base; then
        nothing is written.
        """
        from agents.runtime.spec import ModelSpec, locate
        from consolidation.night import run_night
        from consolidation.recipe import check_base, current_recipe
        from consolidation.runs import running

        night = settings or self.settings.night
        locate(night.base_model)  # before the night, not hours into it
        serving = current_recipe(self.database, self.space_id, self.settings.home)
        if serving is not None:
            check_base(serving, ModelSpec(self.cache_dir, night.base_model))
        with self.budget.run(lambda: f"night {running(self.database, self.space_id)}"):
            return run_night(
                self.database,
                self.space_id,
                self.settings.home,
                night,
                self.night_tools(),
                clock=self.clock,
                progress=watch,
                **options,
            )

    def sweep(self, path: Path, *, progress: Progress = no_progress, fresh: bool = False) -> SweepReport:
        """Try the recipes of the file on a snapshot of the space. Raises BadSweep, NothingToTrain, SweepRuns."""
        from consolidation.grid import read_grid
        from consolidation.sweep import run_sweep

        base = self.settings.night
        grid = read_grid(path, base)
        with self.budget.run(lambda: f"sweep {new_id()}"):
            return run_sweep(
                self.database,
                self.space_id,
                self.settings.home,
                base,
                grid,
                self.night_tools(),
                clock=self.clock,
                progress=progress,
                fresh=fresh,
            )

    def night(self, name: str | None = None) -> NightReport:
        """A night on record, by its id or a beginning of it; without a name the newest."""
        from consolidation.night import recorded
        from consolidation.runs import find_run

        run = find_run(self.database, self.space_id, name)
        return recorded(self.database, self.space_id, self.settings.home, run.id)

    def night_page(self, run_id: str) -> Path:
        """The night's HTML page, made again where its file is gone.

        Raises UnknownRun, StageFailed, TaintedArtifact.
        """
        from consolidation.report import Night, page_of

        return page_of(Night(self.database, self.space_id, self.settings.home, run_id), self.clock)

    def exam_again(
        self,
        night: str | None = None,
        *,
        as_published: bool = False,
        conditions: tuple[str, ...] = ("weights",),
        progress: Progress = no_progress,
    ) -> SecondExam:
        """A night's exam once more, of the weights that serve, or of the night's own on its own base.

        `night` is its id or a beginning of it; without it the newest that was examined. `conditions` are those of the
        exam that are asked.
        """
        from consolidation.again import Retake, ask_again, recipe_of
        from consolidation.prompts import Graph
        from consolidation.recipe import current_recipe
        from consolidation.runs import examined

        run, _ = examined(self.database, self.space_id, night)
        home = self.settings.home
        recipe = (
            recipe_of(self.database, home, run.id)
            if as_published
            else current_recipe(self.database, self.space_id, home)
        )
        spec = self._model_spec_of(run) if as_published else self.model_spec()
        graph = Graph(
            self.database, self.space_id, home, self.registry, lambda: self.embedder, clock=self.clock
        )
        return ask_again(graph, Retake(run.id, recipe, spec, conditions), progress)

    def exam_conversations(
        self, night: str | None = None, *, progress: Progress = no_progress
    ) -> dict[str, Any]:
        """The four conversations about what a night trained, held with the night's own weights on its own base.

        `night` as in `exam_again`; the shape is that of `consolidation.conversation_exam.ask_conversations`.
        """
        from consolidation.again import recipe_of
        from consolidation.conversation_exam import ask_conversations
        from consolidation.runs import examined

        run, _ = examined(self.database, self.space_id, night)
        home = self.settings.home
        return ask_conversations(
            self.database,
            self.space_id,
            home,
            run.id,
            recipe_of(self.database, home, run.id),
            self._model_spec_of(run),
            self.registry,
            clock=self.clock,
            progress=progress,
        )

    def _model_spec_of(self, run: Run) -> ModelSpec:
        """The model that the night was trained on."""
        from agents.runtime.spec import ModelSpec

        settings = run.settings
        return ModelSpec(self.cache_dir, str(settings["base_model"]), settings["train"]["dtype"])

    def open_session(self, person: str, *, as_person: str, **options: Any) -> Session:
        """A conversation with `person`'s persona, held by `as_person`; `options` as in SessionSettings."""
        from simulator.session import Session, SessionSettings, SimulatorTools

        self.index.refresh()
        tools = SimulatorTools(
            database=self.database,
            space_id=self.space_id,
            home=self.settings.home,
            registry=self.registry,
            index=self.index,
            model_spec=self.model_spec(),
            clock=self.clock,
        )
        settings = SessionSettings(trust_weights=self.settings.memory.trust_weights, **options)
        return Session.open(tools, self.person(person), self.person(as_person), settings)
