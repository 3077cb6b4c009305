"""`forget`: erase for good, and prove it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from memory.reasons import REASONS
from service.cli.output import Bars, State, print_json, print_table

if TYPE_CHECKING:
    from memory.erasure import Outcome, Plan, Scan, TargetKind

_Command = TypeVar("_Command", bound=Callable[..., Any])
_SHOWN = 2  # ids of a line that a table shows; --json has them all


@click.group(invoke_without_command=True)
@click.option("--certificate", "seq", type=int, metavar="SEQ", help="Print the certificate of an erasure.")
@click.pass_context
def forget(context: click.Context, seq: int | None) -> None:
    """Erase a person, a fact, a message or a source for good. Without --yes only what would go is shown."""
    if seq is not None:
        from memory.erasure import certificate

        with context.obj.services() as services:
            print_json(certificate(services.database, services.space_id, seq).as_json())
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())


def _how(command: _Command) -> _Command:
    """The options that every kind of erasure has."""
    options = (
        click.option("--dry-run", is_flag=True, help="Only show what would go (this is the default)."),
        click.option("--yes", is_flag=True, help="Erase."),
        click.option("--plan", metavar="HASH", help="Erase only if what would go is still what was shown."),
        click.option(
            "--reason",
            type=click.Choice(REASONS),
            default="request",
            show_default=True,
            help="Kept in the certificate.",
        ),
        click.option(
            "--leave-weights",
            is_flag=True,
            help="Serve an earlier recipe or the plain base; do not make the weights again, and do not test them.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON, with every id."),
        click.pass_obj,
    )
    decorated: Any = command
    for option in reversed(options):
        decorated = option(decorated)
    return cast(_Command, decorated)


@forget.command()
@click.argument("name")
@click.option(
    "--mentions",
    type=click.Choice(["keep", "redact", "erase"]),
    default="redact",
    show_default=True,
    help="What becomes of other people's messages that name the person.",
)
@click.option(
    "--spare", multiple=True, metavar="WORD", help="A form of the name that is an ordinary word here."
)
@_how
def person(state: State, name: str, mentions: str, spare: tuple[str, ...], **how: Any) -> None:
    """Erase what NAME said and what is said about them."""
    _run(state, "person", name, how, mentions=mentions, spare=spare)


@forget.command()
@click.argument("id_")
@click.option("--with-messages", is_flag=True, help="Erase the messages that it rests on as well.")
@_how
def fact(state: State, id_: str, with_messages: bool, **how: Any) -> None:
    """Erase the fact ID_ with all that was made of it; its messages stay."""
    _run(state, "fact", id_, how, with_messages=with_messages)


@forget.command()
@click.argument("id_")
@_how
def episode(state: State, id_: str, **how: Any) -> None:
    """Erase the message ID_ and what rests on it alone."""
    _run(state, "episode", id_, how)


@forget.command()
@click.argument("id_")
@_how
def source(state: State, id_: str, **how: Any) -> None:
    """Erase every message that the source ID_ brought; `forget sources` lists them."""
    _run(state, "source", id_, how)


def _run(state: State, kind: TargetKind, reference: str, how: dict[str, Any], **options: Any) -> None:
    from memory import erasure
    from service.entrances import forgetting

    if how["dry_run"] and how["yes"]:
        raise click.UsageError("--dry-run and --yes exclude each other")
    how_to = {name: how[name] for name in ("plan", "reason", "leave_weights")}
    asked = forgetting.Asked(kind, reference, **options, **how_to)
    with state.services() as services, Bars() as bars:
        found = forgetting.forget(services, asked, is_sure=how["yes"], watch=bars.step)
        if isinstance(found, erasure.Outcome):
            if not found.scan.is_clean:
                bars.erase()
            state.ids["seq"] = str(found.certificate.seq)
    if isinstance(found, erasure.Outcome):
        _print_outcome(found, as_json=how["as_json"])
    elif how["as_json"]:
        print_json(found.as_json())
    else:
        _print_plan(found)


def _print_plan(plan: Plan) -> None:
    rows = [
        [_called(line.kind), line.act, line.n, _some(line.kind, line.ids), line.why] for line in plan.lines
    ]
    print_table(["what", "", "n", "which", ""], rows)
    for form, n in plan.named.items():
        click.echo(f"others say {form!r} {n} times; --spare {form!r} leaves it where it is an ordinary word")
    for form in plan.left_out:
        click.echo(f"not looked for, because others have that name or it was spared: {form!r}")
    click.echo(f"nothing was erased; to do exactly this, add: --yes --plan {plan.sha256[:16]}")


def _called(kind: str) -> str:
    """A kind of row as people call it."""
    called = {"episode": "message", "embedding": "vector", "node": "person or thing", "person_merge": "merge"}
    return called.get(kind, kind.replace("_", " "))


def _some(kind: str, ids: tuple[str, ...]) -> str:
    """The first ids, where they are ones that other commands take."""
    if kind not in ("episode", "fact", "source", "artifact", "night", "path", "export"):
        return ""
    return ", ".join(ids[:_SHOWN]) + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")


def _print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    found = outcome.certificate
    if as_json:
        print_json(outcome.as_json())
    else:
        counted = ([*key.split(" ", 1), n] for key, n in found.begun["counts"].items())
        print_table(["what", "", "n"], [[_called(kind), act, n] for kind, act, n in counted])
        _print_scan(outcome.scan)
        _print_weights((found.done or {}).get("weights"))
        _print_exports((found.done or {}).get("exports", ()))
        click.echo(f"certificate: `slowwave forget --certificate {found.seq}`")
    if not outcome.scan.is_clean:
        raise click.ClickException(
            f"erased, but {len(outcome.scan.found) + len(outcome.scan.unread)} places hold words of it or could not "
            "be read; look at them, and delete what slowwave did not make"
        )


def _print_scan(scan: Scan) -> None:
    click.echo(
        f"searched {scan.n_files} files, {scan.n_bytes / 1e6:.1f} MB, for {scan.n_needles} stretches and names; "
        f"{scan.n_shared} more are said by others too"
    )
    rows = [[item.where, item.kind, item.n_texts, item.n_names] for item in scan.found]
    rows += [[where, "could not be read", "", ""] for where in scan.unread]
    if rows:
        print_table(["where", "kind", "texts", "names"], rows)


def _print_weights(told: dict[str, Any] | None) -> None:
    """Which weights serve now, and what the test says of them."""
    if told is None:
        return
    if told["serves"] == "unchanged":
        click.echo(f"weights: {told['why']}; nothing changes in what serves")
        return
    taken = told["vectors"]["tainted"]
    gone = f"{taken} task vectors taken out; " if taken else ""
    serving = {
        "rebuilt": f"the recipe of the other {told['vectors']['after']} serves",
        "earlier": f"an earlier recipe of {told['vectors']['after']} serves",
        "base": "the plain base serves",
    }[told["serves"]]
    click.echo(f"weights: {gone}{serving}" + (f" ({told['why']})" if told["why"] else ""))
    if refused := told["refused"]:
        click.echo(
            f"  a recipe without them was refused: {refused['why']}; `slowwave recipe revert --erased` serves it all the same"
        )
    if test := told["test"]:
        before, after = test["before"], test["after"]
        click.echo(
            f"  {test['facts']} erased facts among {test['controls']} controls each: mean rank {before['mean_rank']:.1f} "
            f"before, {after['mean_rank']:.1f} now, {test['base']['mean_rank']:.1f} under the base "
            f"(p {_smaller_p(before):.2g} before, {_smaller_p(after):.2g} now)"
        )
        if test["few"]:
            click.echo(f"  few facts: the least p they can give is {min(test['smallest_p'].values()):.2g}")
    else:
        click.echo(f"  not tested: {told['untested']}")


def _print_exports(exports: Sequence[dict[str, Any]]) -> None:
    """Weights outside the home that learnt it; without their places, which may hold a name."""
    if exports:
        n_there = sum(one["there"] is not False for one in exports)
        click.echo(
            f"{len(exports)} exports of weights hold it, {n_there} of them where they were written; "
            "`slowwave recipe exports` names the folders: delete them"
        )


def _smaller_p(standing: dict[str, Any]) -> float:
    return float(min(standing["p_rank"], standing["p_margin"]))


@forget.command()
@click.option("--name", "names", multiple=True, help="Look for this name afterwards; the words are gone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def resume(state: State, names: tuple[str, ...], as_json: bool) -> None:
    """Finish erasures that were cut off, and do again those that a restore undid."""
    from service.entrances import forgetting

    with state.services() as services, Bars() as bars:
        outcomes = forgetting.finish(services, names, watch=bars.step)
        if outcomes:
            state.ids["seq"] = str(outcomes[-1].certificate.seq)
    if as_json:
        print_json([outcome.as_json() for outcome in outcomes])
        return
    if not outcomes:
        click.echo("no erasure waits to be finished")
    for outcome in outcomes:
        _print_outcome(outcome, as_json=False)


@forget.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def sources(state: State, as_json: bool) -> None:
    """List the sources: imports and live channels, with the ids that erasing one takes."""
    from memory.sources import list_sources

    with state.services() as services:
        found = list_sources(services.database, services.space_id)
    if as_json:
        print_json([item.as_json() for item in found])
        return
    rows = [
        [item.id, item.kind, item.name, item.n_episodes, f"{item.created_at:%Y-%m-%d %H:%M}"]
        for item in found
    ]
    print_table(["source", "kind", "name", "messages", "imported"], rows)


COMMANDS = (forget,)
