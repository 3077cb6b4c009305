"""`readout`: directions of concepts in the residual stream: their examples, their training, and which serve."""

from __future__ import annotations

import click
import numpy as np

from service.cli.output import State, print_json, print_table

_SHORT = 12  # digits of a hash that a table shows
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def readout() -> None:
    """Directions of concepts in the residual stream, by which emotions are read."""


@readout.command(name="list")
@_json
@click.pass_obj
def list_(state: State, as_json: bool) -> None:
    """Those on record, the newest first, and which serves."""
    from service import readout_entrance

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
    from service import readout_entrance

    with state.services() as services:
        found = readout_entrance.show(services, name)
    if as_json:
        print_json(found)
        return
    layers = ", ".join(map(str, found["layers"]))
    click.echo(f"model {found['model_hash'][:_SHORT]}, layers {layers}, {found['token_rule']}")
    norm_K, auroc_K = np.mean(found["raw_norms"], axis=0), np.mean(found["auroc"], axis=0)
    rows = [
        [concept, found["n_positive"][k], found["n_negative"][k], f"{auroc_K[k]:.3f}", f"{norm_K[k]:.3f}"]
        for k, concept in enumerate(found["concepts"])
    ]
    print_table(["concept", "with it", "without", "held-out AUROC", "raw norm"], rows)
    if found["left_out"]:
        named = ", ".join(f"{concept} ({n})" for concept, n in found["left_out"].items())
        click.echo(f"left out, too few examples: {named}")


COMMANDS = (readout,)
