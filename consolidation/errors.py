"""Errors of the night.

NightError
├── NightStopped      somebody asked the night to stop; the run can be resumed
├── StageFailed       a stage cannot go on; carries the stage and a one-line reason
├── UnknownRun        no such night (also a LookupError)
├── AmbiguousRun      several nights begin like that (also a LookupError)
├── NotExamined       a night has no exam, or no night has (also a LookupError)
├── NoExam            a night's exam cannot be asked again; carries why
├── NoRows            a file holds no training rows, or a night has none to write
├── NothingPublished  there is no earlier night to roll back to
├── BrokenReadout     a readout file is damaged or was made with another model
├── BrokenRecipe      a recipe's file is missing, damaged, or names vectors that were changed
├── MissingVector     the files of a task vector are not there
├── BadVector         a task vector that cannot be merged or made; carries which and why
├── BadRule           no such rule of merging, or a density it cannot have (also a ValueError)
├── BrokenTensors     a file of tensors is damaged or of a type that cannot be read
├── BadSweep          a file of recipes to try cannot be used; carries the file and the field
├── SweepRuns         another process works on the same sweep
├── BadExclusions     a table of what excludes what cannot be used; carries the file and the entry
├── TooLittleToLearn  too few facts were asked for or pinned to learn weights from
├── UnknownEntry      no entry of the recipe, or more than one, goes by that name (also a LookupError)
└── TrainingError     the training child could not do its job
    ├── TrainingStopped   it was asked to stop; its checkpoint is written
    ├── TrainingDiverged  a loss or gradient is not a number; the last checkpoint is kept
    ├── NothingToTrain    the job has no rows
    └── BackendUnfit      the back-end that was asked for cannot run here; carries why
"""

from __future__ import annotations


class NightError(Exception):
    """Base of everything `consolidation` raises on purpose. The message is one line and says what to do."""


class TooLittleToLearn(NightError):
    def __init__(self, n_wanted: int, n_others: int, least: int) -> None:
        super().__init__(
            f"{n_wanted} facts were asked for or pinned and {n_others} were not; learning weights takes {least} of either, "
            "so ask and pin for a while first"
        )


class NightStopped(NightError):
    def __init__(self, run_id: str) -> None:
        super().__init__(f"night {run_id} was stopped; `slowwave sleep` goes on where it stood")
        self.run_id = run_id


class StageFailed(NightError):
    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = reason


class UnknownRun(NightError, LookupError):
    def __init__(self, run_id: str | None = None) -> None:
        super().__init__(
            f"no night has the id {run_id}; `slowwave runs` lists them"
            if run_id is not None
            else "there is no night yet; run `slowwave sleep`"
        )


class AmbiguousRun(NightError, LookupError):
    def __init__(self, beginning: str, n_found: int) -> None:
        super().__init__(
            f"{n_found} nights begin with {beginning}; give more of the id, `slowwave runs` lists them"
        )


class NotExamined(NightError, LookupError):
    def __init__(self, run_id: str | None = None) -> None:
        which = f"night {run_id} was not examined" if run_id else "no night has been examined yet"
        super().__init__(f"{which}; run `slowwave sleep`")


class NoExam(NightError):
    def __init__(self, run_id: str, why: str) -> None:
        super().__init__(f"the exam of night {run_id} cannot be asked again: {why}")


class NoRows(NightError):
    def __init__(self, name: str, why: str, wanted: str) -> None:
        super().__init__(f"{name} gives no training rows: {why}; give {wanted}")


class NothingPublished(NightError):
    def __init__(self) -> None:
        super().__init__("there is no earlier published night to roll back to; nothing was changed")


class BrokenReadout(NightError):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the readout {name} cannot be used: {why}; `slowwave sleep` makes a new one")


class BrokenRecipe(NightError):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"the recipe {name} cannot be used: {why}; `slowwave roll-back` serves an earlier one"
        )


class MissingVector(NightError):
    def __init__(self, path: str, run_id: str | None) -> None:
        night = f" of night {run_id}" if run_id else ""
        super().__init__(
            f"the task vector{night} is missing: {path}; put it back, or serve an earlier recipe with "
            "`slowwave roll-back`"
        )


class BadVector(NightError):
    """`name` is a hash or a folder's name."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the task vector {name[:24]} cannot be used: {why}; leave it out or make it again")
        self.name = name


class BadRule(NightError, ValueError):
    def __init__(self, why: str) -> None:
        super().__init__(why)


class BrokenTensors(NightError):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} cannot be read: {why}; copy or save it again")


class BadSweep(NightError):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} cannot be swept: {why}")


class SweepRuns(NightError):
    def __init__(self, sweep_id: str) -> None:
        super().__init__(f"sweep {sweep_id} is worked on by another process; wait for it, or end it")


class BadExclusions(NightError):
    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"the exclusions in {path} cannot be used: {why}")


class UnknownEntry(NightError, LookupError):
    def __init__(self, name: str, n_found: int) -> None:
        many = "no entry" if not n_found else f"{n_found} entries"
        super().__init__(f"{many} of the recipe go by {name}; `slowwave recipe log` lists them")


class TrainingError(NightError):
    """Raised in the training child, and by the stage in the child's words."""


class TrainingStopped(TrainingError):
    def __init__(self, step: int) -> None:
        super().__init__(f"training was stopped after step {step}; the next start goes on from there")
        self.step = step


class TrainingDiverged(TrainingError):
    def __init__(self, step: int) -> None:
        super().__init__(
            f"the loss is not a number at step {step}; the last good checkpoint is kept and nothing is published; "
            "lower train.lr and run the night again"
        )
        self.step = step


class NothingToTrain(TrainingError):
    def __init__(self) -> None:
        super().__init__("the curriculum is empty; there is nothing to train")


class BackendUnfit(TrainingError):
    def __init__(self, backend: str, why: str) -> None:
        super().__init__(f"the {backend} trainer cannot run here: {why}; set train.backend to auto")
        self.backend = backend
