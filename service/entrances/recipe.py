"""What every entrance does with recipes: show their history, change them, let one serve, find where an answer was lost.

Each function gives what docs/json.md says. A change is made under the lease of a night; it writes a new recipe, and lets it
serve unless told otherwise. Nothing is ever taken from a recipe that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.errors import BaseChanged
from consolidation import mending, recipe_history, recipe_serving, verification
from consolidation import recipe as recipes
from consolidation import recipe_weights as weights
from consolidation.errors import GateBroken, RecipeStays
from consolidation.recipe import Entry, Recipe
from consolidation.recipe_history import SERVING, changes
from consolidation.recipe_serving import Place, Reading
from consolidation.stage import Progress, no_progress
from consolidation.vectors import notes_of
from service.entrances import recipe_json as shapes
from service.entrances import vector as vector_entrance
from service.entrances.vector import About

if TYPE_CHECKING:
    from agents.runtime.spec import ModelSpec
    from consolidation.recipe_gate import Judged, QuickExam
    from service.wiring import Services


@dataclass(frozen=True, slots=True)
class How:
    """How a change is made. `of`: the recipe that is changed. `takes_largest`: where the wanted coefficient breaks the gate,
    take the largest that does not; it examines as well."""

    of: str = SERVING
    is_applied: bool = True
    is_examined: bool = False
    takes_largest: bool = False
    check: Callable[[], None] = lambda: (
        None
    )  # raises where nothing is to be changed; nobody else changes anything then


# Showing


def log(services: Services, name: str = SERVING, *, everything: bool = False) -> list[dict[str, Any]]:
    """The recipe and those it was made from, the newest first; or every recipe of the space."""
    place = services.place()
    history = place.history()
    versions = list(history.versions.values())[::-1] if everything else history.line(history.find(name))
    return [shapes.step_json(place, history, history.step(version)) for version in versions]


def show(services: Services, name: str = SERVING, *, with_weights: bool = False) -> dict[str, Any]:
    """One recipe with its entries and their norms; `with_weights` makes them, for the norm of the whole and its hash."""
    place = services.place()
    history = place.history()
    version = history.find(name)
    recipe = history.recipe(name, _base_hash(services)) if version is None else version.usable()
    found = {
        **shapes.version_json(history, version),
        "base": recipe.base_hash,
        "rule": recipe.rule,
        "density": recipe.density,
        "seed": recipe.seed,
        "entries": [shapes.entry_json(place, recipe, entry) for entry in recipe.entries],
        "verified": version and verification.last(place, version),
    }
    if with_weights:
        found["weights"] = {
            "sha256": weights.rebuilt_sha256(place.home, recipe),
            "norm": weights.size(weights.rebuilt(place.home, recipe)),
        }
    return found


def diff(services: Services, old: str, new: str = SERVING, *, with_weights: bool = False) -> dict[str, Any]:
    """What turns one recipe into the other; `with_weights` measures how far apart their weights are."""
    place = services.place()
    history = place.history()
    versions = history.find(old), history.find(new)
    known = [version.usable() for version in versions if version is not None]
    plain = Recipe(known[0].base_hash if known else _base_hash(services))
    before, after = (version.usable() if version else plain for version in versions)
    found: dict[str, Any] = {
        "from": versions[0] and versions[0].sha256,
        "to": versions[1] and versions[1].sha256,
        "changes": shapes.changes_json(place, changes(before, after)),
    }
    if with_weights:
        if before.base_hash != after.base_hash:
            raise BaseChanged(before.base_hash, after.base_hash)
        apart, whole = weights.distance(
            weights.rebuilt(place.home, after), weights.rebuilt(place.home, before)
        )
        found["distance"] = {"norm": apart, "relative": apart / whole if whole else None}
    return found


def tags(services: Services) -> list[dict[str, Any]]:
    """Every tag with its recipe, by name."""
    versions = services.place().history().versions.values()
    rows = [(name, version) for version in versions for name in version.tags]
    return [
        {"tag": name, **shapes.short_json(version)} for name, version in sorted(rows, key=lambda row: row[0])
    ]


# Changing


def apply(
    services: Services, name: str, how: How, *, force: bool = False, progress: Progress
) -> dict[str, Any]:
    """Let a recipe of the history serve. Raises UnknownRecipe, TaintedArtifact, RecipeStays, and what `check` does."""
    place, spec = services.place(), services.model_spec()
    with recipe_serving.alone(place):
        how.check()
        history = place.history()
        version = history.find(name)
        if not force:
            recipe_serving.check_published(place, version)
        recipe_serving.refuse_tainted(place, version)
        recipe = history.recipe(name, recipes.check_base(None, spec))
        recipe_serving.check(place, recipe, spec)
        judged = None
        if how.is_examined:
            exam, wearer = _examine(services, place, spec, recipe, progress)
            judged = exam.judge(recipe_serving.check(place, recipe, spec, wearer))
            if not judged.is_kept:
                raise GateBroken(judged.failed)
        before = history.serving
        recipe_serving.serve(place, version)
    return shapes.result_json(place, version, before, judged)


def add(
    services: Services,
    folder: Path,
    how: How,
    *,
    label: str | None = None,
    coefficient: float = 1.0,
    reading: Reading | None = None,
    about: About | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Add the vector of a folder: ours, PEFT's, or a whole checkpoint less its base. `label` must not name anybody: it is part of the hash, and stays. `about`: what it was
    trained from, so that erasing that takes it.

    `residual` of what is returned: the share of a checkpoint's change that the vector does not hold, None for an adapter.
    Raises RecipeStays where it is in already, UnknownPerson, and what `recipe_serving.take_in` does.
    """
    place, spec = services.place(), services.model_spec()
    name = recipe_history.check_label(folder.name if label is None else label)
    taken: Entry | None = None

    def build(recipe: Recipe, weight: float | None) -> Recipe:
        nonlocal taken
        nodes = vector_entrance.nodes_of(services, about or About())
        entry = taken = recipe_serving.take_in(place, folder, spec, name, reading or Reading(), progress)
        if any(known.adapter_sha256 == entry.adapter_sha256 for known in recipe.entries):
            raise RecipeStays(f"the vector {entry.adapter_sha256[:12]} is in the recipe already")
        vector_entrance.connect(place, entry.adapter_sha256, nodes)
        weighed = Entry(entry.adapter_sha256, entry.path, float(weight or 0.0), entry.run_id, name)
        return recipes.changed(recipe, (*recipe.entries, weighed))

    found = _edit(services, _Edit(build, coefficient), how, progress)
    assert taken is not None
    about_json = vector_entrance.about_json(place, taken.adapter_sha256)
    return {**found, "about": about_json, "residual": notes_of(place.home / taken.path).get("residual")}


def scale(
    services: Services, entry: str, coefficient: float, how: How, progress: Progress = no_progress
) -> dict[str, Any]:
    """Give a vector another coefficient. Raises UnknownEntry, RecipeStays."""
    entry = _named(services, entry)

    def least(recipe: Recipe) -> float:
        now = recipes.entry_of(recipe, entry).coefficient
        return now if now * coefficient > 0 else 0.0

    return _edit(services, _Edit(_scaled(services, entry), coefficient, least), how, progress)


def negate(
    services: Services, entry: str, how: How, *, by: float, progress: Progress = no_progress
) -> dict[str, Any]:
    """Turn a vector round: it stands against what it was for, `by` as strongly. Raises UnknownEntry, RecipeStays."""
    return _edit(services, _Edit(_scaled(services, _named(services, entry)), -abs(by)), how, progress)


def revert(
    services: Services, entries: Sequence[str], how: How, progress: Progress = no_progress
) -> dict[str, Any]:
    """Take vectors out; with a night what was mended on its rows. Raises UnknownEntry."""
    names = [_named(services, entry) for entry in entries]

    def build(recipe: Recipe, _: float | None) -> Recipe:
        wanted = {recipes.entry_of(recipe, name) for name in names}
        nights = {entry.run_id for entry in wanted if entry.run_id}
        wanted.update(mending.mends_of(services.place(), recipe, nights))
        return recipes.changed(recipe, [entry for entry in recipe.entries if entry not in wanted])

    return _edit(services, _Edit(build), how, progress)


def revert_erased(services: Services, how: How, progress: Progress = no_progress) -> dict[str, Any]:
    """What served before the newest erasure, without the vectors that hold what was erased.

    Raises RecipeStays where no erasure took a recipe away.
    """
    place = services.place()

    def build(_: Recipe, __: float | None) -> Recipe:
        before = recipe_serving.erased_from(place)
        return recipes.without(before, recipe_serving.tainted_vectors(place))

    return _edit(services, _Edit(build), how, progress)


def mend(
    services: Services,
    how: How,
    *,
    minutes: float = 1.0,
    seed: int = 0,
    train_step: Progress = no_progress,
    exam_step: Progress = no_progress,
) -> dict[str, Any]:
    """Train once more what the weights no longer answer of what their nights taught, for `minutes` at most.

    Beside what a change gives: `why` (no vector was added), `asked` and `lost` facts, `answered` (shares of the questions
    before and after), `steps` and `seconds` of the training.
    Raises LeaseHeld, TrainingError, and what `recipe_serving.check` does.
    """
    place, spec, night = services.place(), services.model_spec(), services.settings.night
    leave_out = frozenset(services.settings.privacy.leave_out)
    ground = mending.Ground(place, spec, services.registry, night.train, night.gate, leave_out, seed)
    with recipe_serving.alone(place) as lost:
        how.check()
        history = place.history()
        before = history.recipe(how.of, recipes.check_base(None, spec))
        done = mending.mend(ground, before, minutes, train_step, exam_step, lost.is_set)
        version = history.find(how.of)
        if done.recipe is not None:
            version = recipe_serving.record(place, done.recipe)
            if how.is_applied:
                recipe_serving.serve(place, version)
    return {
        **shapes.result_json(place, version, history.serving, done.judged),
        "vector": done.vector,
        "why": done.why,
        "asked": done.n_asked,
        "lost": len(done.lost),
        "answered": done.answered and list(done.answered),
        "steps": done.steps,
        "seconds": done.seconds,
    }


def rule(
    services: Services,
    name: str,
    how: How,
    *,
    density: float | None = None,
    seed: int | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Merge the recipe's vectors by another rule. Raises BadRule."""

    def build(recipe: Recipe, _: float | None) -> Recipe:
        return recipes.with_rule(recipe, name, density, seed)

    return _edit(services, _Edit(build), how, progress)


def tag(services: Services, name: str, recipe: str = SERVING) -> dict[str, Any]:
    """Name a recipe; a name that another one has moves. Raises BadTag, UnknownRecipe."""
    place = services.place()
    version = recipe_history.tag(
        place.database, place.space_id, place.home, name, recipe, clock=services.clock
    )
    return {"tag": name, **shapes.short_json(version)}


def untag(services: Services, name: str) -> dict[str, Any]:
    """Take a name back. Raises BadTag."""
    place = services.place()
    version = recipe_history.untag(place.database, place.space_id, place.home, name, clock=services.clock)
    return {"tag": name, **shapes.short_json(version)}


def rebuild(services: Services, name: str = SERVING) -> dict[str, Any]:
    """Bring back a recipe's missing vectors from the folders of their nights."""
    place = services.place()
    version = place.history().find(name)
    recipe_serving.refuse_tainted(place, version)
    with recipe_serving.alone(place):
        done, lost = recipe_serving.rebuild(place, version.usable()) if version else ([], [])
    return {"recipe": version and version.sha256, "rebuilt": done, "lost": lost}


# Finding


def bisect(
    services: Services,
    *,
    example: str | None = None,
    question: str | None = None,
    expect: Sequence[str] = (),
    recipe: str = SERVING,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Which step of the line that led to `recipe` lost the answer. A question without `expect` is looked up in the exams.

    Raises UnknownQuestion, UnknownRecipe, BaseChanged, MissingVector, TaintedArtifact.
    """
    from consolidation.recipe_bisect import bisect as search
    from consolidation.recipe_bisect import own_question, stored_question

    place = services.place()
    if question is not None and expect:
        asked = own_question(question, expect)
    else:
        asked = stored_question(place, example=example, text=question)
    history = place.history()
    found = search(place, history, history.find(recipe), asked, services.model_spec(), progress)
    return {**found.as_json(), "changes": shapes.changes_json(place, found.changes)}


# The making of a change


@dataclass(frozen=True, slots=True)
class _Edit:
    """`build` makes the new recipe of the old one, with `wanted` as the coefficient where it has one; `least` is where
    the search for the largest begins."""

    build: Callable[[Recipe, float | None], Recipe]
    wanted: float | None = None
    least: Callable[[Recipe], float] = lambda _: 0.0


def _named(services: Services, entry: str) -> str:
    """By what the recipe itself knows an entry; `style of NAME` goes by the person. Raises UnknownPerson."""
    begins = f"{recipes.STYLE} of "
    return services.person(entry.removeprefix(begins)).id if entry.startswith(begins) else entry


def _scaled(services: Services, entry: str) -> Callable[[Recipe, float | None], Recipe]:
    """A night that no longer stands for what it taught takes what was mended on its rows with it."""

    def build(recipe: Recipe, weight: float | None) -> Recipe:
        night = recipes.entry_of(recipe, entry).run_id
        mends = mending.mends_of(services.place(), recipe, [night]) if night and (weight or 0.0) <= 0 else []
        scaled = recipes.scale(recipe, entry, weight or 0.0)
        return recipes.changed(recipe, [one for one in scaled.entries if one not in mends])

    return build


def _edit(services: Services, edit: _Edit, how: How, progress: Progress) -> dict[str, Any]:
    place, spec = services.place(), services.model_spec()
    with recipe_serving.alone(place):
        how.check()
        history = place.history()
        before = history.recipe(how.of, recipes.check_base(None, spec))
        after = edit.build(before, edit.wanted)
        if after.sha256 == before.sha256:
            raise RecipeStays("the recipe is like that already")
        recipe_serving.check(place, after, spec)
        judged = None
        if how.is_examined or how.takes_largest:
            after, judged = _held(services, place, spec, edit, how, before, after, progress)
        version = recipe_serving.record(place, after)
        recipe_serving.refuse_tainted(place, version)
        if how.is_applied:
            recipe_serving.serve(place, version)
    return shapes.result_json(place, version, history.serving, judged)


def _held(
    services: Services,
    place: Place,
    spec: ModelSpec,
    edit: _Edit,
    how: How,
    before: Recipe,
    after: Recipe,
    progress: Progress,
) -> tuple[Recipe, Judged]:
    """The recipe that the exam's quick part lets pass. Raises GateBroken, with the largest coefficient that would."""
    from consolidation.recipe_gate import largest_kept

    exam, wearer = _examine(services, place, spec, after, progress)
    judged = exam.judge(recipe_serving.check(place, after, spec, wearer))
    if judged.is_kept:
        return after, judged
    wanted = edit.wanted
    if wanted is None:
        raise GateBroken(judged.failed)
    seen = {wanted: judged}

    def keeps(weight: float) -> bool:
        if weight not in seen:
            seen[weight] = exam.judge(recipe_serving.check(place, edit.build(before, weight), spec, wearer))
        return seen[weight].is_kept

    largest = largest_kept(keeps, wanted, edit.least(before))
    if largest is None or not how.takes_largest:
        raise GateBroken(judged.failed, wanted, largest)
    return edit.build(before, largest), seen[largest]


def _examine(
    services: Services, place: Place, spec: ModelSpec, after: Recipe, progress: Progress
) -> tuple[QuickExam, str | None]:
    """An exam of what the change would do to what serves now, and who speaks in it: whose style alone is touched."""
    from consolidation.recipe_gate import open_exam, wearer_of

    history = place.history()
    serving = history.recipe(SERVING, after.base_hash)
    wearer = wearer_of(serving, after)
    worn = recipe_serving.check(place, serving, spec, wearer)
    gate = services.settings.night.gate
    return open_exam(place.database, spec, serving, after, worn, gate, progress), wearer


def _base_hash(services: Services) -> str:
    return recipes.check_base(None, services.model_spec())
