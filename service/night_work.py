"""What the entrances ask of nights: run one, try recipes, look at one on record, examine it again.

Nights in the background are in `nights`; what a night does is in `consolidation`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation.stage import NightSettings, Progress, no_progress
from db.tables import new_id
from service.components import Components

if TYPE_CHECKING:
    from agents.runtime.spec import ModelSpec
    from consolidation.again import SecondExam
    from consolidation.night import NightReport, StageWatcher
    from consolidation.recipe_serving import Place
    from consolidation.runs import Run
    from consolidation.sweep_results import SweepReport
    from memory.ports import ChatModel


class NightWork(Components):
    """Nights and exams with the components of an open space."""

    def sleep(
        self, *, settings: NightSettings | None = None, watch: StageWatcher | None = None, **options: Any
    ) -> NightReport:
        """One night, from `select` to `report`; resumes one that was interrupted. `options` go to run_night.

        Raises ModelMissing, LeaseHeld, and BaseChanged where the weights that serve belong to another base; then
        nothing is written.
        """
        from consolidation.night import run_night
        from consolidation.runs import running
        from service.night_progress import kept

        def run_id() -> str | None:
            return running(self.database, self.space_id)

        night = settings or self.settings.night
        self.check_night(night)
        with self.budget.run(lambda: f"night {run_id()}"):
            return run_night(
                self.database,
                self.space_id,
                self.settings.home,
                night,
                self.night_tools(),
                clock=self.clock,
                progress=kept(self.settings.home, run_id, watch),
                **options,
            )

    def check_night(self, night: NightSettings) -> None:
        """Before a night, not hours into it. Raises ModelMissing, BaseChanged."""
        from agents.runtime.spec import ModelSpec, locate
        from consolidation.recipe import check_base, current_recipe

        locate(night.base_model)
        serving = current_recipe(self.database, self.space_id, self.settings.home)
        if serving is not None:
            check_base(serving, ModelSpec(self.cache_dir, night.base_model))

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

    def place(self) -> Place:
        """Whose recipes these are, for `consolidation.recipe_serving`."""
        from consolidation.recipe_serving import Place

        return Place(self.database, self.space_id, self.settings.home, self.clock)

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

    def exam_judged(
        self,
        night: str | None = None,
        *,
        backend: str = "",
        conditions: tuple[str, ...] = ("weights",),
        progress: Progress = no_progress,
    ) -> dict[str, Any]:
        """What a night's exam recorded, graded by a language model as well; nothing is written.

        `night` as in `exam_again`; the shape is that of `consolidation.exam_judged.judge_exam`. Raises BadSettings where
        the settings name no such back-end.
        """
        from agents.grading import ModelGrader
        from consolidation.exam_judged import judge_exam
        from consolidation.runs import examined

        run, _ = examined(self.database, self.space_id, night)
        grader = ModelGrader(self._judging(backend))
        with self.budget.run(lambda: f"exam {new_id()}"):
            return judge_exam(self.database, run.id, grader, conditions, progress)

    def _judging(self, backend: str) -> ChatModel:
        """The back-end of the settings, or the local one: words go to a server only where the settings name it."""
        from service.backend import open_chat_model
        from service.errors import BadSettings

        named = self.settings.backend
        if backend not in ("", "local", named.kind):
            raise BadSettings(
                f"backend.kind is {named.kind}; words go to {backend} only where the settings name it"
            )
        if backend == "local" and named.kind != "local":
            local = replace(named, kind="local", model="")
            model = open_chat_model(local, self.settings.home, self.cache_dir, lambda: self.budget)
        else:
            model = self.chat_model
        if model is None:
            raise BadSettings(
                "a judge is a language model, and none is set; set backend.kind, or ask `local`"
            )
        return model

    def _model_spec_of(self, run: Run) -> ModelSpec:
        """The model that the night was trained on."""
        from agents.runtime.spec import ModelSpec

        settings = run.settings
        return ModelSpec(self.cache_dir, str(settings["base_model"]), settings["train"]["dtype"])
