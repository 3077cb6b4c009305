"""`readout`: directions of concepts in the residual stream: their examples, their training, and which serve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from agents.runtime.token_rules import MEAN, TOKEN_RULES
from consolidation.readout_settings import KINDS, LDA, METHODS, TAGS, PairSettings
from service.cli.options import SEED
from service.cli.output import Bars, State, print_json, print_table
from service.cli.readout_picture import export, picture
from service.cli.readout_score import score

_SHORT = 12  # digits of a hash that a table shows
_DEFAULTS = PairSettings()
_TOKENS = 64  # of a text, as --batch-size counts them
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def readout() -> None:
    """Directions of concepts in the residual stream, by which emotions are read."""


@readout.command(name="list")
@_json
@click.pass_obj
def list_(state: State, as_json: bool) -> None:
    """Those on record, the newest first, and which serves."""
    from service.entrances import readout as readout_entrance

    with state.services() as services:
        found = readout_entrance.list_all(services)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo(
            "there is no readout yet; `slowwave sleep` makes one, and `slowwave readout pairs` examples"
        )
        return
    rows = [
        [
            (one["readout"] or "environment")[:_SHORT],
            (one["night"] or "")[:_SHORT],
            (one["at"] or "")[:10],
            len(one["concepts"]),
            ", ".join(map(str, one.get("layers", ()))),
            f"{one['mean_auroc']:.3f}" if "mean_auroc" in one else one["error"],
            "serves" if one["serves"] else "",
        ]
        for one in found
    ]
    print_table(["readout", "night", "date", "concepts", "layers", "held-out AUROC", ""], rows)


@readout.command()
@click.argument("name", required=False)
@_json
@click.pass_obj
def show(state: State, name: str | None, as_json: bool) -> None:
    """One readout: NAME is the beginning of its hash or a folder; without it, what serves now."""
    from service.entrances import readout as readout_entrance

    with state.services() as services:
        found = readout_entrance.show(services, name)
    if as_json:
        print_json(found)
        return
    _print_readout(found)


def _limit(name: str, kind: click.ParamType[Any], help_: str) -> Callable[[Any], Any]:
    """An option that is a field of PairSettings, with its default."""
    default = getattr(_DEFAULTS, name.removeprefix("--").replace("-", "_"))
    return click.option(name, type=kind, default=default, show_default=True, help=help_)


@readout.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--url", metavar="URL", help="A slowwave daemon to ask instead; its token in SLOWWAVE_TOKEN.")
@_limit("--min-positive-score", click.FloatRange(0, 10), "A text has a concept from this intensity on.")
@_limit(
    "--max-negative-mentions",
    click.IntRange(min=0),
    "Tags and mentions of the concept that a text without it may have.",
)
@_limit("--min-content-chars", click.IntRange(min=1), "Shorter texts are no examples.")
@_limit("--max-examples-per-emotion", click.IntRange(min=1), "Of each side of a concept.")
@_limit("--min-examples", click.IntRange(min=2), "Concepts with fewer are left out and named.")
@click.option(
    "--from",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    default=(TAGS,),
    show_default=True,
    help="Where concepts come from: emotion tags, lines of constitutions, patterns of people.",
)
@click.option("--concept", "concepts", metavar="NAME", multiple=True, help="These concepts only.")
@_limit("--top", click.IntRange(min=1), "Otherwise the commonest so many.")
@_json
@click.pass_obj
def pairs(state: State, /, folder: Path, url: str | None, as_json: bool, **wanted: Any) -> None:
    """Write examples of concepts to FOLDER: texts that have one, each beside one like it that has not.

    The folder holds people's words, and no erasure reaches it: remove it when you are done.
    """
    from service.entrances import readout as readout_entrance

    settings = PairSettings(**wanted)
    with state.services() as services, Bars() as bars:
        found = readout_entrance.pairs(
            services, folder, settings, url, fetch_step=bars.step("fetching"), pair_step=bars.step("pairing")
        )
        for step in ("fetching", "pairing"):
            bars.finish(step)
    if as_json:
        print_json(found)
        return
    rows = [
        [
            one["concept"],
            one["positive"],
            f"{one['mean_chars'][0]:.0f} / {one['mean_chars'][1]:.0f}",
            f"{100 * one['same_speaker']:.0f} %",
            f"{one['topic_cosine']:.2f}",
        ]
        for one in found["concepts"]
    ]
    print_table(["concept", "pairs", "mean characters", "same speaker", "likeness of topic"], rows)
    _print_left_out(found["left_out"])
    if not rows:
        click.echo(
            "nothing to train on yet; lower --min-positive-score, --min-content-chars or --min-examples"
        )
        return
    click.echo(
        f"{found['neutral']['n']} neutral texts; `slowwave readout train {folder}` makes a readout of them"
    )


@readout.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--model", metavar="MODEL", help="embedded, a folder, a .gguf file or a hub id (default: the settings')."
)
@click.option(
    "--target-layers",
    metavar="N,N,...",
    default="",
    help="Layers to keep (default: the three with the best held-out AUROC).",
)
@click.option("--dtype", type=click.Choice(("auto", "bfloat16", "float32")), help="Default: the settings'.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="Texts read together, counted at 64 tokens each."
)
@click.option("--token-rule", type=click.Choice(TOKEN_RULES), default=MEAN, show_default=True)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default=LDA,
    show_default=True,
    help="Directions to read by: whitened, or plain differences of means. Those to steer by are always the latter.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the folds.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Default: FOLDER/readouts.")
@_json
@click.pass_obj
def train(
    state: State,
    folder: Path,
    model: str | None,
    target_layers: str,
    dtype: str | None,
    batch_size: int | None,
    token_rule: str,
    method: str,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Make a readout of the examples in FOLDER, on the plain base."""
    from consolidation.readout_training import How
    from service.entrances import readout as readout_entrance

    how = How(_layers(target_layers), token_rule, batch_size and batch_size * _TOKENS, method, seed)
    with state.services() as services, Bars() as bars:
        base = readout_entrance.Base(model, dtype)
        found = readout_entrance.train(services, folder, base, how, out, progress=bars.step("reading"))
        bars.finish("reading")
    if as_json:
        print_json(found)
        return
    _print_readout(found)
    click.echo(f"to read by it: SLOWWAVE_READOUT_VECTORS={found['vectors']}")
    click.echo(f"               SLOWWAVE_READOUT_MANIFEST={found['manifest']}")


def _layers(given: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in given.split(",") if part.strip())
    except ValueError as error:
        raise click.BadParameter(
            f"{given!r} is no list of layers; write 12,14,16", param_hint="--target-layers"
        ) from error


def _print_readout(found: dict[str, Any]) -> None:
    layers = ", ".join(map(str, found["layers"]))
    click.echo(
        f"model {found['model_hash'][:_SHORT]}, layers {layers}, {found['token_rule']}, {found['method']}"
    )
    import numpy as np

    norm_K, auroc_K = np.mean(found["raw_norms"], axis=0), np.mean(found["auroc"], axis=0)
    rows = [
        [
            concept,
            found["n_positive"][k],
            found["n_negative"][k],
            f"{auroc_K[k]:.3f}",
            f"{norm_K[k]:.3f}",
            _cosine([row[k] for row in found["stability"]]),
        ]
        for k, concept in enumerate(found["concepts"])
    ]
    print_table(["concept", "with it", "without", "held-out AUROC", "raw norm", "cosine with before"], rows)
    _print_left_out(found["left_out"])


def _cosine(by_layer: list[float | None]) -> str:
    known = [value for value in by_layer if value is not None]
    return f"{fmean(known):.3f}" if known else ""


def _print_left_out(left_out: dict[str, int]) -> None:
    if left_out:
        named = ", ".join(f"{concept} ({n})" for concept, n in left_out.items())
        click.echo(f"left out, too few examples: {named}")


for command in (score, picture, export):
    readout.add_command(command)

COMMANDS = (readout,)
