"""`recipe`: the version of the persona. Its history, what it is made of, and changes of it that can all be taken back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from service.cli.options import SEED
from service.cli.output import Bars, State, print_json, print_table
from service.cli.recipe_about import about, about_option, constitution_option, print_unmapped, sources
from service.cli.recipe_bisect import bisect
from service.cli.recipe_verify import in_a_line, verify
from service.cli.weights_export import export, exports

if TYPE_CHECKING:
    from consolidation.stage import Progress
    from service.wiring import Services

_Command = TypeVar("_Command", bound=Callable[..., Any])
_SHORT = 12  # digits of a hash that a table shows
_NEGATION = 0.2  # how far a vector is turned round unless told otherwise; more costs fluency soon
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_weights = click.option(
    "--weights", "with_weights", is_flag=True, help="Make the weights and measure them as well."
)
_NUMBERS = {"ignore_unknown_options": True}  # so that -0.5 is a number


@click.group()
def recipe() -> None:
    """The version of the persona: a list of task vectors, each night's and each behaviour's, on one base.

    RECIPE is `serving` (the default), a tag, a night, a hash or the beginning of one, or `base`; `^` behind it is the recipe
    it was made from. ENTRY is a vector by its label, its night, or the beginning of its hash.
    """


# Showing


@recipe.command()
@click.argument("name", metavar="[RECIPE]", default="serving")
@click.option(
    "--all", "everything", is_flag=True, help="Every recipe of the space, whether it led here or not."
)
@click.option("--oneline", is_flag=True, help="One line each.")
@click.option("-n", "limit", type=click.IntRange(min=1), help="At most so many.")
@_json
@click.pass_obj
def log(state: State, name: str, everything: bool, oneline: bool, limit: int | None, as_json: bool) -> None:
    """The history of a recipe, the newest first: what each step changed, when, and by which night."""
    from service.entrances import recipe as recipe_entrance

    with state.services() as services:
        found = recipe_entrance.log(services, name, everything=everything)[:limit]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo(
            "no recipe serves; run `slowwave sleep`, or see earlier ones with `slowwave recipe log --all`"
        )
    for place, step in enumerate(found):
        if oneline:
            click.echo(f"{step['recipe'][:_SHORT]} {step['at'][:10]} {_marks(step)}{'; '.join(_said(step))}")
            continue
        if place:
            click.echo()
        _print_step(step)


def _print_step(step: dict[str, Any]) -> None:
    click.echo(f"recipe {step['recipe']} {_marks(step)}".rstrip())
    click.echo(f"Date:   {step['at'][:16].replace('T', ' ')}")
    click.echo(f"By:     {'night ' + step['night'] if step['night'] else 'hand'}")
    click.echo()
    for line in _said(step):
        click.echo(f"    {line}")


def _marks(step: dict[str, Any]) -> str:
    marks = ["serving"] if step["serves"] else []
    marks += [f"tag: {name}" for name in step["tags"]]
    marks += ["holds what was erased"] if step["tainted"] else []
    return f"({', '.join(marks)}) " if marks else ""


def _said(found: dict[str, Any]) -> list[str]:
    from service.entrances.recipe_json import says

    if found.get("broken"):
        return [f"cannot be read: {found['broken']}"]
    return [says(change) for change in found["changes"]] or ["nothing is known to have changed"]


@recipe.command()
@click.argument("name", metavar="[RECIPE]", default="serving")
@_weights
@_json
@click.pass_obj
def show(state: State, name: str, with_weights: bool, as_json: bool) -> None:
    """What a recipe is made of: its vectors with coefficients and norms, and what they were trained from."""
    from service.entrances import recipe as recipe_entrance
    from service.entrances.recipe_json import what

    with state.services() as services:
        found = recipe_entrance.show(services, name, with_weights=with_weights)
    if as_json:
        print_json(found)
        return
    title = f"recipe {found['recipe'][:_SHORT]}" if found["recipe"] else "the plain base"
    click.echo(f"{title} {_marks(found)}on base {found['base'][:_SHORT]}, merged by {_rule_of(found)}")
    rows = [
        [
            entry["vector"][:_SHORT],
            f"{entry['coefficient']:g}",
            entry["broken"] or f"{entry['norm']:.3f}",
            entry["rank"],
            entry["night"] or "",
            what(entry),
            sources(entry["about"]),
        ]
        for entry in reversed(found["entries"])
    ]
    if rows:
        print_table(["vector", "coefficient", "norm", "rank", "night", "what", "trained from"], rows)
    if found["verified"]:
        click.echo(in_a_line(found["verified"]))
    if with_weights:
        weights = found["weights"]
        click.echo(f"weights {weights['sha256'][:_SHORT]}, norm {weights['norm']:.3f}")


def _rule_of(found: dict[str, Any]) -> str:
    parts = [found["rule"]]
    parts += [f"{name} {found[name]:g}" for name in ("density", "seed") if found[name] is not None]
    return ", ".join(parts)


@recipe.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", default="serving")
@_weights
@_json
@click.pass_obj
def diff(state: State, old: str, new: str, with_weights: bool, as_json: bool) -> None:
    """What turns one recipe into another, by default into what serves."""
    from service.entrances import recipe as recipe_entrance
    from service.entrances.recipe_json import says

    with state.services() as services:
        found = recipe_entrance.diff(services, old, new, with_weights=with_weights)
    if as_json:
        print_json(found)
        return
    for change in found["changes"]:
        click.echo(says(change))
    if not found["changes"]:
        click.echo("the same vectors, weighed the same")
    if with_weights:
        norm, relative = found["distance"]["norm"], found["distance"]["relative"]
        click.echo(
            f"apart by {norm:.3f}" + (f", {100 * relative:.1f} % of {old}" if relative is not None else "")
        )


# Changing


def _how(command: _Command) -> _Command:
    """The options of every change."""
    options = (
        click.option(
            "--of", metavar="RECIPE", default="serving", help="The recipe to change (default: what serves)."
        ),
        click.option(
            "--no-apply", is_flag=True, help="Only write the new recipe; what serves goes on serving."
        ),
        _examine,
        _json,
        click.pass_obj,
    )
    decorated: Any = command
    for option in reversed(options):
        decorated = option(decorated)
    return cast(_Command, decorated)


_examine = click.option(
    "--examine", is_flag=True, help="Refuse it where the quick part of the exam breaks the gate."
)
_largest = click.option(
    "--largest", is_flag=True, help="Take the largest coefficient that keeps the gate instead (examines)."
)


def _change(
    state: State,
    do: Callable[[Services, Any, Progress], dict[str, Any]],
    given: dict[str, Any],
    *,
    largest: bool = False,
) -> dict[str, Any]:
    """Make a change and tell what became of it, which is returned; `given` are the options of `_how`."""
    from service.entrances.recipe import How

    how = How(given["of"], not given["no_apply"], given["examine"], largest)
    with state.services() as services, Bars() as bars:
        found = do(services, how, bars.step("exam"))
        bars.finish("exam")
    _print_result(found, as_json=given["as_json"])
    return found


def _print_result(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    name = f"recipe {found['recipe'][:_SHORT]}" if found["recipe"] else "the plain base"
    for line in _said(found) if found["changes"] else ():
        click.echo(line)
    if found["exam"]:
        _print_exam(found["exam"])
    if not found["serves"]:
        click.echo(f"{name} is written; `slowwave recipe apply {found['recipe'][:_SHORT]}` lets it serve")
        return
    before = found["served_before"]
    back = before[:_SHORT] if before else "base"
    click.echo(f"{name} serves; `slowwave recipe apply {back}` takes that back")


def _print_exam(exam: dict[str, Any]) -> None:
    rows = [
        [name.replace("_", " "), _number(name, exam["before"][name]), _number(name, exam["after"][name])]
        for name in exam["before"]
        if exam["after"][name] is not None
    ]
    print_table(["exam", "before", "after"], rows)


def _number(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f} nats" if name == "kl_to_base" else f"{100 * value:.1f} %"


@recipe.command()
@click.argument("name", metavar="RECIPE")
@click.option("--force", is_flag=True, help="Also a recipe whose night did not pass its gate.")
@_examine
@_json
@click.pass_obj
def apply(state: State, name: str, force: bool, examine: bool, as_json: bool) -> None:
    """Let a recipe serve, `base` for none; refused where a vector is missing, tainted or of another base."""
    from service.entrances import recipe as recipe_entrance

    with state.services() as services, Bars() as bars:
        how = recipe_entrance.How(is_examined=examine)
        found = recipe_entrance.apply(services, name, how, force=force, progress=bars.step("exam"))
        bars.finish("exam")
    _print_result(found, as_json=as_json)


@recipe.command(context_settings=_NUMBERS)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--label", help="What it teaches, in plain words and without names (default: the folder's name)."
)
@click.option("--coefficient", type=float, default=1.0, show_default=True)
@click.option("--trust-base", is_flag=True, help="A folder that names no base is of the one that is set.")
@click.option(
    "--rank",
    type=click.IntRange(1, 512),
    help="Bring a checkpoint's change to that rank (default: keep it whole).",
)
@about_option
@constitution_option
@_largest
@_how
def add(
    state: State,
    folder: Path,
    label: str | None,
    coefficient: float,
    trust_base: bool,
    rank: int | None,
    about: tuple[str, ...],
    constitutions: tuple[str, ...],
    largest: bool,
    **given: Any,
) -> None:
    """Add the vector of a FOLDER: a PEFT adapter, or a whole checkpoint less the base. It is copied into the home folder."""
    from consolidation.recipe_serving import Reading
    from service.entrances import recipe as recipe_entrance
    from service.entrances.vector import About

    def do(services: Services, how: Any, progress: Progress) -> dict[str, Any]:
        options: dict[str, Any] = {"label": label, "coefficient": coefficient}
        options |= {"reading": Reading(trust_base, rank), "about": About(about, constitutions)}
        return recipe_entrance.add(services, folder, how, progress=progress, **options)

    found = _change(state, do, given, largest=largest)
    if given["as_json"]:
        return
    if found["residual"]:
        click.echo(f"{100 * found['residual']:.1f} % of the checkpoint's change is not in the vector")
    print_unmapped(found["about"])


@recipe.command(context_settings=_NUMBERS)
@click.argument("entry")
@click.argument("coefficient", type=float)
@_largest
@_how
def scale(state: State, entry: str, coefficient: float, largest: bool, **given: Any) -> None:
    """Give the vector ENTRY another COEFFICIENT."""
    from service.entrances import recipe as recipe_entrance

    _change(
        state,
        lambda services, how, progress: recipe_entrance.scale(services, entry, coefficient, how, progress),
        given,
        largest=largest,
    )


@recipe.command()
@click.argument("entry")
@click.option(
    "--by",
    type=click.FloatRange(0, min_open=True),
    default=_NEGATION,
    show_default=True,
    help="How strongly.",
)
@_largest
@_how
def negate(state: State, entry: str, by: float, largest: bool, **given: Any) -> None:
    """Turn the vector ENTRY against what it was for."""
    from service.entrances import recipe as recipe_entrance

    _change(
        state,
        lambda services, how, progress: recipe_entrance.negate(
            services, entry, how, by=by, progress=progress
        ),
        given,
        largest=largest,
    )


@recipe.command()
@click.argument("entries", metavar="ENTRY...", nargs=-1)
@click.option(
    "--erased", is_flag=True, help="What served before the newest erasure, without the erased vectors."
)
@_how
def revert(state: State, entries: tuple[str, ...], erased: bool, **given: Any) -> None:
    """Take nights or behaviours out."""
    from service.entrances import recipe as recipe_entrance

    if bool(entries) == erased:
        raise click.UsageError("give either the ENTRY to take out, or --erased")

    def do(services: Services, how: Any, progress: Progress) -> dict[str, Any]:
        if erased:
            return recipe_entrance.revert_erased(services, how, progress)
        return recipe_entrance.revert(services, entries, how, progress)

    _change(state, do, given)


@recipe.command()
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Of training at most.",
)
@click.option("--seed", type=SEED, default=0, help="Of the training.")
@click.option("--no-apply", is_flag=True, help="Only write the new recipe; what serves goes on serving.")
@_json
@click.pass_obj
def mend(state: State, minutes: float, seed: int, no_apply: bool, as_json: bool) -> None:
    """Train once more what is no longer answered of what the nights taught."""
    from service.entrances.recipe import How
    from service.entrances.recipe import mend as mend_it

    with state.services() as services, Bars() as bars:
        found = mend_it(
            services,
            How(is_applied=not no_apply),
            minutes=minutes,
            seed=seed,
            train_step=bars.step("train"),
            exam_step=bars.step("exam"),
        )
        bars.finish("exam")
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['lost']} of {found['asked']} facts were no longer answered")
    if found["why"]:
        click.echo(f"nothing was added: {found['why']}")
        return
    _print_result(found, as_json=False)


@recipe.command()
@click.argument("name", metavar="RULE", type=click.Choice(["sum", "ties", "dare"]))
@click.option("--density", type=float, help="The share of numbers that ties and dare keep of each vector.")
@click.option("--seed", type=SEED, help="Of dare's lots.")
@_how
def rule(state: State, name: str, density: float | None, seed: int | None, **given: Any) -> None:
    """Merge the vectors by another RULE."""
    from service.entrances import recipe as recipe_entrance

    def do(services: Services, how: Any, progress: Progress) -> dict[str, Any]:
        return recipe_entrance.rule(services, name, how, density=density, seed=seed, progress=progress)

    _change(state, do, given)


@recipe.command()
@click.argument("tag_name", metavar="[NAME]", required=False)
@click.argument("name", metavar="[RECIPE]", default="serving")
@click.option("--delete", is_flag=True, help="Take the name back; the recipe stays.")
@_json
@click.pass_obj
def tag(state: State, tag_name: str | None, name: str, delete: bool, as_json: bool) -> None:
    """Name a recipe; a name that another one has moves. Without NAME, list the tags."""
    from service.entrances import recipe as recipe_entrance

    if delete and tag_name is None:
        raise click.UsageError("give the NAME to take back")
    with state.services() as services:
        if tag_name is None:
            _print_tags(recipe_entrance.tags(services), as_json=as_json)
            return
        if delete:
            found = recipe_entrance.untag(services, tag_name)
        else:
            found = recipe_entrance.tag(services, tag_name, name)
    if as_json:
        print_json(found)
    else:
        done = "is the tag of nothing any more" if delete else f"names recipe {found['recipe'][:_SHORT]}"
        click.echo(f"{tag_name} {done}")


def _print_tags(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif found:
        rows = [
            [one["tag"], one["recipe"][:_SHORT], one["at"][:10], one["night"] or "by hand"] for one in found
        ]
        print_table(["tag", "recipe", "date", "night"], rows)
    else:
        click.echo("no recipe has a tag")


@recipe.command()
@click.argument("name", metavar="[RECIPE]", default="serving")
@_json
@click.pass_obj
def rebuild(state: State, name: str, as_json: bool) -> None:
    """Bring back missing vectors from the folders of the nights that trained them."""
    from service.entrances import recipe as recipe_entrance

    with state.services() as services:
        found = recipe_entrance.rebuild(services, name)
    if as_json:
        print_json(found)
    else:
        for path in found["rebuilt"]:
            click.echo(f"brought back: {path}")
        for path in found["lost"]:
            click.echo(f"cannot be made again: {path}")
        if not (found["rebuilt"] or found["lost"]):
            click.echo("every vector is there")
    if found["lost"]:
        raise click.ClickException(
            f"{len(found['lost'])} vectors cannot be made again; restore them from a backup"
        )


for command in (about, bisect, export, exports, verify):
    recipe.add_command(command)
COMMANDS = (recipe,)
