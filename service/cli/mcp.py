"""`mcp`: the memory as tools for agents, over standard input and output."""

from __future__ import annotations

import click

from service.cli.output import State


@click.command()
@click.option(
    "--memory-server",
    is_flag=True,
    help="The nine tools of the official MCP memory server, with its schemas and its answers, instead of our own.",
)
@click.option(
    "--exact", is_flag=True, help="With --memory-server: search by words alone, as that server does."
)
@click.pass_obj
def mcp(state: State, memory_server: bool, exact: bool) -> None:
    """Serve the memory to an agent as MCP tools, over standard input and output.

    An agent's program starts this itself. `slowwave serve` has the same tools at /mcp and /mcp/memory.
    """
    if exact and not memory_server:
        raise click.UsageError("--exact goes with --memory-server")
    from service.mcp.stdio import Served, run_stdio

    run_stdio(state.settings, Served(is_memory_server=memory_server, is_exact=exact))


COMMANDS = (mcp,)
