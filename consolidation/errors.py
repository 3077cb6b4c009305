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
├── BadReadout        examples, layers or activations that no readout can be made of; carries why
├── UnknownReadout    no readout goes by that name, or none serves (also a LookupError)
├── BadProbe          labels, texts or layers that no probe can be trained or tested with; carries why
├── BrokenProbe       a probe's files are damaged or were made with another model
├── UnusableProbe     a probe that did not prove itself was to be read; carries its reason
├── UnknownProbe      no probe, or more than one, goes by that name (also a LookupError)
├── BrokenIndex       the index for attribution is missing, damaged or of another model; carries why
├── BrokenRecipe      a recipe's file is missing, damaged, or names vectors that were changed
├── MissingVector     the files of a task vector are not there
├── BadVector         a task vector that cannot be merged or made; carries which and why
├── BadBehaviour      a behaviour that cannot be trained or measured as it is given; carries which and why
├── TooFewMessages    somebody wrote too little for their style to be trained; carries how much
├── UnknownBehaviour  no behaviour of that name is shipped or was trained (also a LookupError)
├── BadRule           no such rule of merging, or a density it cannot have (also a ValueError)
├── BrokenTensors     a file of tensors is damaged or of a type that cannot be read
├── UnknownRecipe     no recipe of the space, or more than one, goes by that name (also a LookupError)
├── RecipeStays       a change of a recipe, or of what serves, that cannot be made; carries why
├── GateBroken        a recipe that fails the exam's quick part; carries the largest coefficient that does not
├── BadName           what cannot be the tag of a recipe or the label of a vector
├── UnknownQuestion   no exam of the space has that question (also a LookupError)
├── CannotExport      weights cannot be written for others as was asked for; carries why
├── ExportExists      the folder that an export should become is there already
├── BadSweep          a file of recipes to try cannot be used; carries the file and the field
├── SweepRuns         another process works on the same sweep
├── BadExclusions     a table of what excludes what cannot be used; carries the file and the entry
├── TooLittleToLearn  too few facts were asked for or pinned to learn weights from
├── UnknownEntry      no entry of the recipe, or more than one, goes by that name (also a LookupError)
└── TrainingError     the training child could not do its job
    ├── TrainingStopped   it was asked to stop; its checkpoint is written
    ├── TrainingFailed    the child ended without a result; carries why
    ├── TrainingDiverged  a loss or gradient is not a number; the last checkpoint is kept
    ├── NothingToTrain    the job has no rows
    ├── StartUnfit        what a training shall begin as is of another base, rank or set of modules
    ├── StateUnfit        an optimiser's saved state is damaged or of another training
    └── BackendUnfit      the back-end that was asked for cannot run here; carries why
"""

from __future__ import annotations

from pathlib import Path


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


class BadReadout(NightError):
    """The message is why, and what to do instead."""


class UnknownReadout(NightError, LookupError):
    def __init__(self, name: str | None = None) -> None:
        super().__init__(
            f"no readout goes by {name}; `slowwave readout list` names them"
            if name is not None
            else "no readout serves yet; `slowwave sleep` makes one, `slowwave readout train` one from a folder of examples"
        )


class BadProbe(NightError):
    """The message is why, and what to do instead."""


class BrokenProbe(NightError):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the probe {name} cannot be used: {why}; `slowwave probe train` makes a new one")


class UnusableProbe(NightError):
    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the probe {name} is not usable and reads nothing: {reason}")
        self.reason = reason


class UnknownProbe(NightError, LookupError):
    def __init__(self, name: str, n_found: int = 0) -> None:
        many = "no probe goes" if not n_found else f"{n_found} probes go"
        super().__init__(f"{many} by {name}; `slowwave probe list` names them")


class BrokenIndex(NightError):
    def __init__(self, why: str) -> None:
        super().__init__(
            f"the index for attribution cannot be used: {why}; delete the folder `attribution` of the home, and the next "
            "night or `slowwave why-said` makes it again"
        )


class BrokenRecipe(NightError):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"the recipe {name} cannot be used: {why}; `slowwave roll-back` serves an earlier one"
        )
        self.why = why


class MissingVector(NightError):
    def __init__(self, path: str, run_id: str | None) -> None:
        night = f" of night {run_id}" if run_id else ""
        super().__init__(
            f"the task vector{night} is missing: {path}; `slowwave recipe rebuild` brings back what the night's folder "
            "still has; else put it back, or serve an earlier recipe with `slowwave roll-back`"
        )


class BadVector(NightError):
    """`name` is a hash or a folder's name."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the task vector {name[:24]} cannot be used: {why}; leave it out or make it again")
        self.name = name


class BadBehaviour(NightError):
    """`name` is the behaviour's."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the behaviour {name} cannot be used: {why}")
        self.name = name


class TooFewMessages(NightError):
    def __init__(self, name: str, n: int, least: int) -> None:
        super().__init__(
            f"{name} has {n} messages that may be trained on, and {least} are the least (night.style.min_messages); "
            "until then their persona speaks from the prompt alone: `slowwave chat`"
        )
        self.n = n


class UnknownBehaviour(NightError, LookupError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"no behaviour is called {name}; `slowwave behaviour list` names them, and "
            f"`slowwave behaviour train {name} --examples FILE` makes one"
        )


class BadRule(NightError, ValueError):
    def __init__(self, why: str) -> None:
        super().__init__(why)


class BrokenTensors(NightError):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} cannot be read: {why}; copy or save it again")


class CannotExport(NightError):
    """Carries why, and what to do instead."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the weights cannot be written: {why}")


class ExportExists(NightError):
    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is there already; give the export another folder, or remove that one")


class UnknownRecipe(NightError, LookupError):
    def __init__(self, name: str, n_found: int) -> None:
        many = "no recipe goes" if not n_found else f"{n_found} recipes go"
        super().__init__(
            f"{many} by {name}; `slowwave recipe log --all` lists them with their tags and nights"
        )


class RecipeStays(NightError):
    def __init__(self, why: str) -> None:
        super().__init__(f"{why}; nothing was changed")


class GateBroken(NightError):
    """`largest`: the coefficient nearest to the wanted one that keeps the gate; None where none was looked for or found."""

    def __init__(self, failed: str, wanted: float | None = None, largest: float | None = None) -> None:
        super().__init__(f"the gate refused: {failed}; {_way_on(wanted, largest)}; nothing was changed")
        self.largest = largest


def _way_on(wanted: float | None, largest: float | None) -> str:
    if wanted is None:
        return "leave --examine out to do it all the same"
    if largest is None:
        return f"no coefficient on the way to {wanted:g} keeps it"
    return f"the largest coefficient on the way to {wanted:g} that keeps it is {largest:g}"


class BadName(NightError):
    """`kind`: tag | label."""

    def __init__(self, kind: str, name: str, why: str) -> None:
        super().__init__(f"{name!r} cannot be a {kind}: {why}")


class UnknownQuestion(NightError, LookupError):
    def __init__(self) -> None:
        super().__init__(
            "no exam of this space has that question; give --question TEXT with --expect VALUE, as often as there are right answers"
        )


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


class TrainingFailed(TrainingError):
    """The message is what the child said, or what is known of its end."""


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


class StateUnfit(TrainingError):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"the optimiser's state in {name} cannot be used: {why}; remove it and train from the start"
        )


class StartUnfit(TrainingError):
    def __init__(self) -> None:
        super().__init__(
            "the adapter that the training shall begin as has another base, rank, scale or other modules; leave it out"
        )


class BackendUnfit(TrainingError):
    def __init__(self, backend: str, why: str) -> None:
        super().__init__(f"the {backend} trainer cannot run here: {why}; set train.backend to auto")
        self.backend = backend
