"""`export`, `load`, `graph`: a space in and out, and the graph for other programs and for the eye."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import IO

import click

from service.cli.output import Bars, Date, State, print_json

FILE = click.Path(path_type=Path, allow_dash=True)


@click.command("export")
@click.argument("file", type=FILE)
@click.option("--space", metavar="NAME", help="Which space (default: the one worked in).")
@click.option(
    "--format", "format_", type=click.Choice(["jsonl", "mcp-memory"]), default="jsonl", show_default=True
)
@click.option(
    "--vectors", is_flag=True, help="The vectors too; without them the other side makes them again."
)
@click.pass_obj
def export(state: State, file: Path, space: str | None, format_: str, vectors: bool) -> None:
    """Write the whole space to FILE (- for standard output), or its current facts for the MCP memory server."""
    from memory.exchange.dump import dump
    from memory.exchange.mcp_memory import write_mcp_memory

    with state.services(space) as services, Bars() as bars, whole_file(file) as output:
        database, space_id = services.database, services.space_id
        if format_ == "mcp-memory":
            written = write_mcp_memory(database, space_id, services.registry, output, clock=services.clock)
        else:
            step = bars.step("export")
            written = sum(dump(database, space_id, output, vectors=vectors, progress=step).values())
        bars.finish("export")
        if not written:
            raise click.ClickException(
                f"the space {services.settings.space} holds nothing; check its name, nothing was written"
            )
    if str(file) != "-":
        click.echo(f"{written} records of the space {services.settings.space} written to {file}")


@click.command("load")
@click.argument("file", type=FILE)
@click.option(
    "--space", metavar="NAME", help="Which space, an empty or a new one (default: the one worked in)."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def load(state: State, file: Path, space: str | None, as_json: bool) -> None:
    """Bring an export of slowwave's own from FILE (- for standard input) into an empty space."""
    from memory.exchange.load import load as load_file

    name = "standard input" if str(file) == "-" else file.name
    with _input(file) as source:
        n_bytes = 0 if str(file) == "-" else file.stat().st_size
        with state.services(space) as services, Bars() as bars:
            report = load_file(
                services.database,
                services.space_id,
                source,
                name,
                n_bytes=n_bytes,
                progress=bars.step("load"),
            )
            missing = services.missing_artifacts()
    if as_json:
        print_json(
            {
                "space": services.settings.space,
                "records": report.counts,
                "ledger_breaks": list(report.ledger_breaks),
                "missing_artifacts": missing,
            }
        )
        return
    click.echo(f"{sum(report.counts.values())} records loaded into the space {services.settings.space}")
    for line in report.ledger_breaks:
        click.echo(f"  {line}")
    if missing:
        click.echo(
            f"  {len(missing)} files of artifacts are not here; copy adapters, recipes, readouts and runs too"
        )


@contextmanager
def whole_file(file: Path) -> Iterator[IO[bytes]]:
    """Where an export goes: standard output, or a file that is there as a whole or not at all."""
    if str(file) == "-":
        yield sys.stdout.buffer
        return
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as output:
            yield output
        part.replace(file)
    except BaseException as error:
        if part.exists():
            part.unlink()
        if isinstance(error, OSError) and error.filename == str(part):
            raise type(error)(error.errno, error.strerror, str(file)) from error
        raise


def _input(file: Path) -> AbstractContextManager[IO[bytes]]:
    return nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb")


@click.group("graph")
def graph() -> None:
    """The graph for other programs, and as a picture."""


@graph.command("export")
@click.argument("file", type=FILE)
@click.option("--as-of", type=Date(), help="What held on that day.")
@click.option("--known-to", metavar="NAME", help="Only what that person can know.")
@click.option("--history", is_flag=True, help="Everything that ever held, and what was withdrawn.")
@click.option("--no-values", is_flag=True, help="Leave out facts whose object is a plain value.")
@click.option("--conversations", is_flag=True, help="Conversations as nodes, with who took part.")
@click.pass_obj
def graph_export(
    state: State,
    file: Path,
    as_of: datetime | None,
    known_to: str | None,
    history: bool,
    no_values: bool,
    conversations: bool,
) -> None:
    """Write people, places, things and facts as GraphML, for networkx, Gephi and their like."""
    from memory.exchange.graphml import write_graphml

    with state.services() as services, whole_file(file) as output:
        shown = {"is_history": history, "has_values": not no_values, "has_conversations": conversations}
        found = services.network(services.view(as_of, known_to, **shown))
        write_graphml(found, output)
    if str(file) != "-":
        click.echo(f"{len(found)} nodes and {found.number_of_edges()} edges written to {file}")


@graph.command("show")
@click.argument("file", type=FILE, default="graph.html")
@click.option("--person", metavar="NAME", help="One person and what is known about them.")
@click.option("--as-of", type=Date(), help="What held on that day.")
@click.option("--known-to", metavar="NAME", help="Only what that person can know.")
@click.option("--history", is_flag=True, help="Also what held once; dashed.")
@click.option("--json", "as_json", is_flag=True, help="Print nodes and edges as JSON; draw nothing.")
@click.pass_obj
def graph_show(
    state: State,
    file: Path,
    person: str | None,
    as_of: datetime | None,
    known_to: str | None,
    history: bool,
    as_json: bool,
) -> None:
    """Draw people and how they are related into FILE, an .html page or an .svg image."""
    from memory.exchange import picture
    from memory.exchange.network import node_link

    with state.services() as services:
        part = services.graph_part(person=person, as_of=as_of, known_to=known_to, is_history=history)
    if as_json:
        print_json(node_link(part.graph))
        return
    draw = picture.svg if file.suffix.lower() == ".svg" else picture.html
    with whole_file(file) as output:
        output.write(draw(part.graph, part.title).encode())
    if str(file) != "-":
        click.echo(f"{len(part.graph)} of {part.n_nodes} nodes drawn into {file}")


COMMANDS = (export, load, graph)
