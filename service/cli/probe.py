"""`probe`: classifiers on the model's activations, with what they are worth: truth of statements, labels from 1 to 5."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from service.cli.options import SEED
from service.cli.output import Bars, State, print_json, print_table

_SHORT = 12  # digits of a hash that a table shows
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def probe() -> None:
    """Classifiers on activations: whether a statement is held true, or how much of something a text has."""


@probe.command()
@click.option("--question", metavar="TEXT", required=True, help="What is labelled from 1 to 5.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The JSON Lines file to write; labels that it has already stay.",
)
@click.option("--texts", type=_FILE, help="A file with a text on each line (default: messages of the space).")
@click.option("--person", metavar="NAME", help="Only messages of this person.")
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True)
@_json
@click.pass_obj
def label(
    state: State,
    question: str,
    output: Path,
    texts: Path | None,
    person: str | None,
    limit: int,
    seed: int,
    as_json: bool,
) -> None:
    """Let the configured language model label texts from 1 to 5, for `probe train`."""
    from service.entrances import probe as probe_entrance

    if texts and person:
        raise click.UsageError("give either --texts or --person")
    with state.services() as services, Bars() as bars:
        found = probe_entrance.label(
            services,
            question,
            output,
            texts=texts,
            person=person,
            limit=limit,
            seed=seed,
            progress=bars.step("labelling"),
        )
        bars.finish("labelling")
    if as_json:
        print_json(found)
        return
    print_table(["label", "texts"], [[one, n] for one, n in found["labels"].items()])
    without = f", {found['without_label']} were left without one" if found["without_label"] else ""
    click.echo(f"{found['labelled']} labelled by {found['by']}{without}: {found['file']}")


@probe.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.option(
    "--data", type=_FILE, multiple=True, required=True, help="Labelled texts to train on; may be repeated."
)
@click.option("--test", "tests", type=_FILE, multiple=True, help="Another set to test on; may be repeated.")
@click.option("--method", help="mass-mean, mass-mean-covariance, logistic or two-d (default: by the labels).")
@click.option("--layers", metavar="N,N", help="Layers to choose from (default: some eight).")
@click.option(
    "--token-rule",
    type=click.Choice(("last", "mean")),
    help="Which tokens are read: the last, default for truth, or the mean, default for labels.",
)
@click.option(
    "--of", "recipe", metavar="RECIPE", default="serving", help="Whose weights (default: what serves)."
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@_json
@click.pass_obj
def train(
    state: State,
    name: str,
    data: tuple[Path, ...],
    tests: tuple[Path, ...],
    method: str | None,
    layers: str | None,
    token_rule: str | None,
    recipe: str,
    seed: int,
    as_json: bool,
) -> None:
    """Train the probe NAME on labelled texts, and measure whether it can be used."""
    from service.entrances import probe as probe_entrance

    if method is not None and method not in probe_entrance.METHODS:
        raise click.UsageError(f"--method is one of {', '.join(probe_entrance.METHODS)}")
    wish = probe_entrance.Wish(method, _numbers(layers), token_rule, recipe, seed)
    with state.services() as services, Bars() as bars:
        found = probe_entrance.train(services, name, data, tests, wish, progress=bars.step("reading"))
        bars.finish("reading")
    if as_json:
        print_json(found)
        return
    _print_manifest(found)


@probe.command(name="test")
@click.argument("name")
@click.option("--data", type=_FILE, multiple=True, required=True, help="Labelled texts; may be repeated.")
@_json
@click.pass_obj
def test_(state: State, name: str, data: tuple[Path, ...], as_json: bool) -> None:
    """How often a probe is right on other labelled texts; changes nothing."""
    from service.entrances import probe as probe_entrance

    with state.services() as services, Bars() as bars:
        found = probe_entrance.measure(services, name, data, progress=bars.step("reading"))
        bars.finish("reading")
    if as_json:
        print_json(found)
        return
    _print_accuracies(found["sets"])


@probe.command(name="list")
@_json
@click.pass_obj
def list_(state: State, as_json: bool) -> None:
    """Those on record, the newest first, and which can be used."""
    from service.entrances import probe as probe_entrance

    with state.services() as services:
        found = probe_entrance.list_all(services)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("there is no probe yet; `slowwave probe train NAME --data FILE` makes one")
        return
    rows = [
        [
            one["name"],
            one["probe"][:_SHORT],
            one["at"][:10],
            one["kind"],
            one.get("method", ""),
            one.get("layer", ""),
            f"{one['held_out']['accuracy']:.2f}" if "held_out" in one else one["error"],
            "usable" if one["usable"] else "not usable",
        ]
        for one in found
    ]
    print_table(["probe", "hash", "date", "kind", "method", "layer", "held out", ""], rows)


@probe.command()
@click.argument("name")
@_json
@click.pass_obj
def show(state: State, name: str, as_json: bool) -> None:
    """What a probe was trained on and how it did: NAME, or the beginning of its hash."""
    from service.entrances import probe as probe_entrance

    with state.services() as services:
        found = probe_entrance.show(services, name)
    if as_json:
        print_json(found)
        return
    _print_manifest(found)


@probe.command()
@click.argument("name")
@click.argument("texts", nargs=-1)
@_json
@click.pass_obj
def score(state: State, name: str, texts: tuple[str, ...], as_json: bool) -> None:
    """What a probe reads in TEXTS, or in the lines of standard input; refused where it is not usable."""
    from service.entrances import probe as probe_entrance

    piped = () if texts or sys.stdin.isatty() else sys.stdin
    given = texts or tuple(line.strip() for line in piped if line.strip())
    with state.services() as services:
        found = probe_entrance.score(services, name, given)
    if as_json:
        print_json(found)
        return
    heading = "true" if found["kind"] == "truth" else found["name"]
    print_table(
        [heading, "text"], [[f"{one['probability']:.2f}", one["text"][:80]] for one in found["texts"]]
    )


def _numbers(given: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(one) for one in (given or "").split(",") if one.strip())
    except ValueError as error:
        raise click.UsageError("--layers has numbers with commas between them, such as 12,15") from error


def _print_manifest(found: dict[str, Any]) -> None:
    trained = ", ".join(f"{name} ({n})" for name, n in found["trained_on"].items())
    click.echo(f"{found['name']} {found['probe'][:_SHORT]}: {found['kind']}, {found['method']}")
    click.echo(f"layer {found['layers'][0]}, {found['token_rule']}; trained on {trained}")
    _print_accuracies([found["held_out"], *found["others"]])
    if rank := found["rank"]:
        click.echo(
            f"labels 2 to 4: rank correlation {rank['correlation']:.2f} of {rank['n']} (surely {rank['at_least']:.2f})"
        )
    click.echo(f"{'usable' if found['usable'] else 'not usable'}: {found['reason']}")


def _print_accuracies(rows: list[dict[str, Any]]) -> None:
    print_table(
        ["tested on", "texts", "right", "surely", "commoner label"],
        [
            [
                one["set"],
                one["n"],
                f"{one['accuracy']:.3f}",
                f"{one['at_least']:.3f}",
                f"{one['majority']:.3f}",
            ]
            for one in rows
        ],
    )


COMMANDS = (probe,)
