"""What every stage of the night gets and gives back.

A stage is a module with `run(context, progress) -> StageResult`. It reads through the database (and the outputs
of earlier stages), writes through the database and its run's folder, and may be killed at any instruction: run
again, it must end in the same state. `night.py` calls the stages in order and records them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from db.engine import Database
    from memory.ports import (
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
    )
    from memory.registry import Registry

STAGES = (
    "select",
    "extract",
    "score",
    "check",
    "decide",
    "dream",
    "train",
    "exam",
    "merge",
    "readout",
    "constitution",
    "publish",
    "report",
)

MAX_TOKENS = 384  # of a training text

# what the exam counts, in the order of the tables
EXAM_NUMBERS = (
    "recall_trained",
    "recall_paraphrase",
    "recall_earlier_nights",
    "neighbour_intact",
    "unknown_refused",
    "stale_answered",
    "ppl_change",
    "kl_to_base",
)


class Progress(Protocol):
    """Called as often as a stage likes; `done` of `total`, and a short note without anybody's words in it."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


def no_progress(done: int, total: int, note: str = "") -> None:
    """A progress that nobody watches."""


def never() -> bool:
    """A night that nobody asks to stop."""
    return False


@dataclass(frozen=True, slots=True)
class Gate:
    """What a night must reach to be published. Shares in [0, 1]; `ppl_change` is relative."""

    min_recall_paraphrase: float = 0.3
    max_ppl_change: float = 0.05
    max_kl_to_base: float = 0.25
    max_earlier_loss: float = 0.1  # how far recall_earlier_nights may fall against the night before
    # of questions that were asked often enough to tell, see consolidation.publish
    min_neighbour_intact: float = 0.5
    min_unknown_refused: float = 0.5
    max_stale_answered: float = 0.25


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The recipe of one training run; everything that decides the weights is in here."""

    backend: str = "auto"  # auto | peft | unsloth
    rank: int = 16
    alpha: int = 32
    first_layer: float = 0.4  # LoRA from this share of the depth on; what lies below is frozen and cached
    lr: float = 2.5e-3
    warmup_steps: int = 16
    steps: int | None = None  # None: from the number of facts, see consolidation.train
    max_minutes: float = 4.5
    facts_per_step: int = 8
    negatives_per_step: int = 5
    replay_per_step: int = 10
    style_per_step: int = 0  # windows of somebody's style, or examples of a behaviour
    kl_per_step: int = 2
    kl_texts: int = 400  # of the base's own that one night looks at, at most: no more than it can show
    kl_weight: float = 2.0
    kl_growth: float = 0.5  # of kl_weight, with each vector worn: what each may drift adds up
    max_tokens: int = MAX_TOKENS  # of a text; what does not fit is cut at its beginning
    look_every: int = 80  # steps between two looks at what is held out
    keep_best: bool = (
        False  # end where what is held out no longer gets better, with the weights it was best with
    )
    dtype: str = "auto"  # auto | bfloat16 | float32


@dataclass(frozen=True, slots=True)
class StyleSettings:
    """How those who agreed to be simulated are learnt to write (`consolidation.style`); all that decides their vectors,
    beside model, rank and depth, which are those of the night's own training."""

    is_on: bool = True
    gap_minutes: float = 120.0  # a longer pause ends a conversation
    half_life_days: float = 365.0  # a window so much older is shown half as often; 0: all equally often
    max_context: int = 8  # messages before a reply
    max_context_chars: int = 900
    max_reply_chars: int = 400
    both_speakers: bool = (
        False  # learn also how the others write who agreed: one vector that can speak as either
    )
    min_messages: int = 120  # by the person; with fewer they speak from the prompt alone
    holdout: float = (
        0.2  # share of their replies, the newest: half watch over the training, half are the gate's
    )
    refit: bool = True  # once the gate is passed, train again on all of them, the held-out share with them
    renew: float = 0.2  # train again once there are so many more messages
    people_per_night: int = 2
    max_minutes: float = 2.5  # of training, for each
    passes: float = 4.0  # showings by the number of windows, but
    max_showings: int = 1200  # which is what a CPU does in those minutes
    lr: float = 1e-3  # half of it where the base has a start of its own (`consolidation.primer.style_start`)
    windows_per_step: int = 8
    kl_per_step: int = 2
    kl_weight: float = 1.0
    coefficient: float = 1.0  # in the recipe; less where the gate wants it


@dataclass(frozen=True, slots=True)
class SalienceWeights:
    """How much each term of a fact's salience counts (`consolidation.score`); only the proportions matter.

    The salience is the weighted mean of all but `asked`, which is added to it.
    """

    identity: float = 0.30
    novelty: float = 0.15
    emotion: float = 0.15
    support: float = 0.10
    connectedness: float = 0.10
    recency: float = 0.10
    confidence: float = 0.10
    asked: float = 0.10


@dataclass(frozen=True, slots=True)
class NightSettings:
    """One night's settings; recorded with the run."""

    base_model: str = "embedded"  # "embedded", a local folder, a .gguf file or a hub id
    seed: int = 0
    min_salience: float = 0.2
    min_confidence: float = 0.4  # under it a supported fact waits for another voice
    max_facts: int = 60  # facts that one night trains, the most salient first
    exam_wordings: int = 2  # held-out wordings asked per fact
    salience: SalienceWeights = field(default_factory=SalienceWeights)
    train: TrainSettings = field(default_factory=TrainSettings)
    style: StyleSettings = field(default_factory=StyleSettings)
    primer: bool = True  # begin a first recipe with the base's primer, see consolidation.primer
    gate: Gate = field(default_factory=Gate)
    readout_layers: tuple[int, ...] = ()  # () chooses by held-out AUROC
    readout_min_examples: int = 12
    readout_min_intensity: float = 5.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class NightTools:
    """The components a night works with, wired by the caller."""

    extractor: Extractor
    tagger: EmotionTagger
    embedder: Embedder
    judge: Judge
    constitution_writer: ConstitutionWriter
    registry: Registry
    teacher: Teacher | None = None
    entailer: Entailer | None = None  # reads statements that no rule compares; without it rules alone decide
    referee: Referee | None = None  # a language model, asked where the entailer is not sure
    withhold: Withhold | None = None  # messages that nobody reads: orders to machines, what is left out
    leave_out: frozenset[str] = frozenset()  # kinds of memory.sensitive that are not trained on
    digester: Digester | None = None  # without it the night chooses the lines of a digest by itself
    trust_weights: bool = False  # leave out of prompts what consolidation.mastery finds


@dataclass(frozen=True, slots=True)
class NightContext:
    database: Database
    space_id: str
    run_id: str
    home: Path  # artifact paths are relative to it
    run_dir: Path  # home / "runs" / run_id; exists
    settings: NightSettings
    tools: NightTools
    clock: Clock
    output: Callable[[str], dict[str, Any]]  # the recorded output of an earlier stage of this run
    # asked to stop: whoever waits (a child process, a long loop) polls it, ends its child and raises NightStopped;
    # every call of `progress` raises it as well
    should_stop: Callable[[], bool] = never


@dataclass(frozen=True, slots=True)
class StageResult:
    """`counts` is for people and the report (numbers only); `output` is for later stages (JSON)."""

    counts: dict[str, float] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)


Stage = Callable[[NightContext, Progress], StageResult]
