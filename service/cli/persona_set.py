"""`persona set`: how somebody's words are drawn where it is not said for a conversation."""

from __future__ import annotations

import click

from service.cli.output import State, print_json, print_table


@click.command("set")
@click.argument("name")
@click.argument("values", nargs=-1, metavar="[SETTING=VALUE]...")
@click.option("--clear", is_flag=True, help="Take back what was set before.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def set_(state: State, name: str, values: tuple[str, ...], clear: bool, as_json: bool) -> None:
    """Set how the words of NAME's persona are drawn, as in temperature=0.9 top_p=0.95; without a value show it."""
    from service.entrances import persona
    from simulator.drawing import parse_sampling

    wanted = dict(parse_sampling(value) for value in values)
    with state.services() as services:
        found = persona.set_(services, name, wanted, clear=clear)
    if as_json:
        print_json(found)
        return
    print_table(
        ("setting", "value", ""),
        [
            (field, f"{value:g}", "set" if field in found["set"] else "default")
            for field, value in found["sampling"].items()
        ],
    )
