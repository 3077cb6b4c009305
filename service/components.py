"""Builds the components out of settings: the one place that knows which class fills which port.

Everything heavy is made on first use, so that a command pays only for what it touches. What is done with them is in
`graph_work` and `night_work`.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from consolidation.stage import NightTools
from db.engine import Database
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
from service.opening import open_store
from service.settings import Settings

if TYPE_CHECKING:
    from agents.runtime.spec import ModelSpec
    from agents.spending import Budget
    from memory.index import Index
    from memory.search.ahead import Prepare


class Shared:
    """What the spaces of one store have in common in a process: its engine, and the models that only read.

    Who made it closes it.
    """

    def __init__(self, settings: Settings) -> None:
        self.database: Database = open_store(settings)

    def close(self) -> None:
        self.database.close()

    @cached_property
    def embedder(self) -> Embedder:
        from memory.embedders.minilm import MiniLM

        return MiniLM.load()

    @cached_property
    def tagger(self) -> EmotionTagger:
        from agents.emotions import EmotionHead

        return EmotionHead.load(self.embedder)

    @cached_property
    def entailer(self) -> Entailer | None:
        """The shipped entailment head, where it was trained for the encoder at hand."""
        from agents.entailment import HEAD_PATH, EntailmentHead
        from memory.embedders.minilm import MiniLM

        encoder = self.embedder
        if not HEAD_PATH.exists() or not isinstance(encoder, MiniLM):
            return None
        return EntailmentHead.load(encoder)


class Components:
    """One open space with its components. Close it, or use it in a `with`; what is `shared` outlives it."""

    def __init__(self, settings: Settings, *, clock: Clock = utc_now, shared: Shared | None = None) -> None:
        self._owns = shared is None
        self.shared = shared or Shared(settings)
        self.settings = settings
        self.clock = clock
        self.database = self.shared.database
        self.space_id = ensure_space(self.database, settings.space, timezone=settings.timezone, clock=clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._owns:
            self.shared.close()
        elif "index" in self.__dict__:  # a process that goes on holds no files of a space it has closed
            self.__dict__.pop("index").close()

    @cached_property
    def registry(self) -> Registry:
        own = self.settings.predicates
        return Registry.load(Path(own) if own else None, is_strict=self.settings.strict_predicates)

    @cached_property
    def embedder(self) -> Embedder:
        return self.shared.embedder

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
        return self.shared.tagger

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
        return self.shared.entailer

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
    def prepare(self) -> Prepare | None:
        """Makes vectors of what is about to be written, in a process that has searched; None elsewhere: no encoder is loaded."""
        return self.index.ahead if "index" in self.__dict__ else None

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
