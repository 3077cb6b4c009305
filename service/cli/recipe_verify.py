"""`recipe verify`: what each vector of a recipe does by itself, and how each two stand to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from service.cli.output import Bars, State, print_json, print_table

_SUFFIXES = (".svg", ".html")
_SHORT = 12
_FOUR = ("base", "alone", "together", "without")
_PAIRS = 10  # that the table shows


def _drawable(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix not in _SUFFIXES:
        raise click.BadParameter(f"{path.name} must end in .svg or .html")
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent}")
    return path


@click.command()
@click.argument("name", metavar="[RECIPE]", default="serving")
@click.option("--no-exam", is_flag=True, help="Only compare the vectors; no model is loaded.")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_drawable,
    metavar="FILE",
    help="Draw it as well, into an .svg or .html file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def verify(state: State, name: str, no_exam: bool, picture: Path | None, as_json: bool) -> None:
    """Wear each vector of a recipe alone, and measure how far each two interfere with each other."""
    from service.entrances.verify import Watch
    from service.entrances.verify import verify as verify_recipe

    with state.services() as services, Bars() as bars:
        watch = Watch(bars.step("comparing"), bars.step("exam"))
        found = verify_recipe(services, name, is_examined=not no_exam, picture=picture, watch=watch)
        bars.finish("comparing")
        bars.finish("exam")
    if as_json:
        print_json(found)
        return
    if not found["vectors"]:
        click.echo("the plain base has no vectors")
        return
    _print_vectors(found)
    _print_pairs(found)
    click.echo(f"kept in {found['file']}; `slowwave recipe show` tells it in a line")
    if found["picture"]:
        click.echo(f"drawn in {found['picture']}")


def _print_vectors(found: dict[str, Any]) -> None:
    rows = [
        [
            number,
            one["vector"][:_SHORT],
            f"{one['coefficient']:g}",
            f"{one['weighed_norm']:.3f}",
            one["night"] or "",
            one["label"],
        ]
        for number, one in enumerate(found["vectors"], 1)
    ]
    print_table(["", "vector", "coefficient", "weighed norm", "night", "what"], rows)
    together = found["together"]
    if together is None:
        return
    click.echo()
    heads = ["", "for", "base", "alone", "all", "without", "other nights", "perplexity", "divergence", "gate"]
    print_table(heads, [[number, *_told(one["exam"])] for number, one in enumerate(found["vectors"], 1)])
    click.echo(f"{_moved(together)}; other nights: the same four, in percent")


def in_a_line(found: dict[str, Any]) -> str:
    """The newest verification of a recipe."""
    said = []
    if found["examined"]:
        said.append(
            f"{found['keep_gate']} of {found['vectors']} vectors keep the gate alone; {_moved(found['together'])}"
        )
    if found["closest"] is not None and found["closest"]["cosine"] is not None:
        one, other = found["closest"]["places"]
        said.append(f"the closest are {one} and {other}, cosine {_two(found['closest']['cosine'])}")
    kind = "verified" if found["examined"] else "compared"
    return f"{kind} {found['at'][:10]}: {'; '.join(said) or 'one vector'}"


def _moved(together: dict[str, Any]) -> str:
    moved = f"perplexity {_percent(together['ppl_change'])}, divergence {_nats(together['kl_to_base'])}"
    return f"all together: {moved}"


def _told(exam: dict[str, Any]) -> list[str]:
    failed = [check["number"] for check in exam["checks"] if not check["passed"]]
    return [
        *_effect(exam["effect"]),
        _others(exam["others"]),
        _percent(exam["ppl_change"]),
        _nats(exam["kl_to_base"]),
        "kept" if exam["passed"] else f"breaks {', '.join(failed)}",
    ]


def _effect(effect: dict[str, Any] | None) -> list[str]:
    """What the vector is for, and that of the base, of it alone, of the recipe, and of the recipe without it."""
    if effect is None:
        return ["not known", "", "", "", ""]
    if effect["measure"] == "recall":
        return [f"recall of {effect['n']}", *(_share(effect[name]) for name in _FOUR)]
    return [effect["measure"].replace("_", " "), *(f"{effect[name]:.2f}" for name in _FOUR)]


def _others(others: dict[str, Any] | None) -> str:
    if others is None:
        return ""
    return ", ".join(f"{100 * others[name]:.0f}" for name in _FOUR) + f" of {others['n']}"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _percent(value: float) -> str:
    return f"{100 * value:+.1f} %"


def _nats(value: float | None) -> str:
    return "" if value is None else f"{value:.3f} nats"


def _print_pairs(found: dict[str, Any]) -> None:
    pairs = found["pairs"]
    if not pairs:
        return
    rows = [
        [
            f"{one['places'][0]} and {one['places'][1]}",
            _two(one["cosine"]),
            "" if one["conflicts"] is None else _share(one["conflicts"]),
            _strongest(one["blocks"]),
        ]
        for one in pairs[:_PAIRS]
    ]
    click.echo()
    print_table(["pair", "cosine", "sign conflicts", "most in block"], rows)
    if len(pairs) > _PAIRS:
        click.echo(f"and {len(pairs) - _PAIRS} pairs with smaller cosines; --json has them all")
    click.echo(
        f"signs are compared where both are among the largest {100 * found['density']:g} % of a module's numbers; 50 % is chance"
    )


def _strongest(blocks: dict[str, Any]) -> str:
    known = {block: one["cosine"] for block, one in blocks.items() if one["cosine"] is not None}
    if not known:
        return ""
    block = max(known, key=lambda name: abs(known[name]))
    return f"{block} ({_two(known[block])})"


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"
