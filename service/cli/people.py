"""`people` and `person`: who is known, by which names, how they are related; merging two of them."""

from __future__ import annotations

import click

from service.cli.output import State, print_json, print_table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def people(state: State, as_json: bool) -> None:
    """List the people that the graph knows."""
    from memory.people import list_people

    with state.services() as services:
        found = list_people(services.database, services.space_id)
    if as_json:
        print_json(
            [{"id": p.id, "name": p.name, "aliases": list(p.aliases), "speaks": p.is_speaker} for p in found]
        )
    else:
        print_table(
            ["name", "also called", "speaks"],
            [[p.name, ", ".join(p.aliases), "yes" if p.is_speaker else ""] for p in found],
        )


COMMANDS = (people,)
