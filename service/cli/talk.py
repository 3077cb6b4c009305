"""`chat` and `consent`: the persona by day."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from memory.importers.bots import SIMULATED
from service.cli.options import SEED, sampling
from service.cli.output import State, print_json

if TYPE_CHECKING:
    from simulator.session import Session
    from simulator.spoken_turn import SpokenTurn


@click.command()
@click.argument("person")
@click.option(
    "--by",
    "agreed_by",
    required=True,
    metavar="WHO",
    help="Who agreed: the person, or who may decide for them.",
)
@click.option("--note", default="", help="Where the agreement is written down.")
@click.option("--withdraw", is_flag=True, help="Withdraw the consent instead.")
@click.pass_obj
def consent(state: State, person: str, agreed_by: str, note: str, withdraw: bool) -> None:
    """Record that a PERSON agreed to be simulated."""
    from service.entrances import persona

    if not agreed_by.strip():
        raise click.UsageError("--by needs the name of who agreed")
    with state.services() as services:
        if withdraw:
            found = persona.withdraw(services, person)
            click.echo(f"consent withdrawn; {found['person']} is no longer simulated")
        else:
            found = persona.agree(services, person, by=agreed_by, note=note)
            click.echo(f"consent of {found['person']} recorded, given by {agreed_by}")


@click.command()
@click.argument("person")
@click.option(
    "--as",
    "as_person",
    required=True,
    metavar="NAME",
    help="Who you are in this conversation; with --autocomplete whom PERSON writes to.",
)
@click.option("--once", metavar="TEXT", help="Say one thing, print the reply, end.")
@click.option(
    "--autocomplete",
    is_flag=True,
    help="Continue as PERSON would go on writing; TEXT is what they have begun.",
)
@click.option("--seed", type=SEED, help="Make the sampling repeatable.")
@sampling
@click.option("--think", is_flag=True, help="Let the model draw a thought before it speaks; -v shows it.")
@click.option("--no-weights", is_flag=True, help="Leave tonight's weights out: base model with retrieval.")
@click.option(
    "--steer",
    "steer",
    multiple=True,
    metavar="DIRECTION=DOSE",
    help="Steer what is said, as in joy=0.2 (`slowwave steer list`); can be given again.",
)
@click.option(
    "--force", "force_dose", is_flag=True, help="Steer with the whole dose, also where it breaks fluency."
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="After each turn, what was considered, the facts used and the readouts.",
)
@click.option("--json", "as_json", is_flag=True, help="With --once: print JSON.")
@click.option(
    "--entropies", is_flag=True, help="With --json: how unsure the model was at each token, in nats."
)
@click.pass_obj
def chat(
    state: State,
    /,
    person: str,
    as_person: str,
    once: str | None,
    autocomplete: bool,
    seed: int | None,
    think: bool,
    no_weights: bool,
    steer: tuple[str, ...],
    force_dose: bool,
    verbose: bool,
    as_json: bool,
    entropies: bool,
    **knobs: Any,
) -> None:
    """Talk with a PERSON's persona. Needs their consent on record; every message of it is kept as simulated."""
    from simulator.steering import Wish

    if as_json and once is None:
        raise click.UsageError("--json goes with --once")
    if entropies and not as_json:
        raise click.UsageError("--entropies goes with --json")
    with state.services() as services:
        session = services.open_session(
            person,
            as_person=as_person,
            seed=seed,
            think=think,
            use_weights=not no_weights,
            steer=tuple(Wish.parse(wish) for wish in steer),
            force_dose=force_dose,
            **knobs,
        )
        _tell_clamped(session)
        for notice in session.notices:
            click.echo(notice, err=True)
        try:
            if once is None:
                _converse(session, autocomplete=autocomplete, verbose=verbose)
                return
            turn = session.reply(once, autocomplete=autocomplete)
        finally:
            session.close()
        if as_json:
            print_json(turn.as_json(entropies=entropies))
        else:
            _show(turn.reply, session.person.name, verbose, turn)


def _tell_clamped(session: Session) -> None:
    """On stderr, so that JSON stays JSON."""
    if session.steering is None or session.steering.clamped_to == 1:
        return
    for part in session.steering.as_json():
        click.echo(
            f"{part['direction']}={part['wanted']:g} breaks fluency; steering at {part['dose']:g} instead "
            "(--force keeps the whole dose)",
            err=True,
        )


def _converse(session: Session, *, autocomplete: bool, verbose: bool) -> None:
    if sys.stdin.isatty():
        click.echo(
            f"{session.person.name} is simulated. Say something; an empty line or Ctrl-D ends it.", err=True
        )
    for line in iter(lambda: _read(session.partner.name), ""):
        click.echo(f"{session.person.name}{SIMULATED}: ", nl=False)
        for piece in session.stream(line, autocomplete=autocomplete):
            click.echo(piece, nl=False)
            sys.stdout.flush()
        click.echo()
        if verbose and session.last is not None:
            _details(session.last)


def _read(name: str) -> str:
    if sys.stdin.isatty():
        click.echo(f"{name}: ", nl=False)
    line = sys.stdin.readline().strip()
    if line and not sys.stdin.isatty():
        click.echo(f"{name}: {line}")
    return line


def _show(reply: str, name: str, verbose: bool, turn: SpokenTurn) -> None:
    click.echo(f"{name}{SIMULATED}: {reply}")
    if verbose:
        _details(turn)


def _details(turn: SpokenTurn) -> None:
    for line in turn.deliberation.lines:
        click.echo(f"    before   {line}")
    for fact in turn.facts:
        click.echo(f"    fact     {fact.subject} · {fact.predicate.replace('_', ' ')} · {fact.object}")
    for objection in turn.objections:
        click.echo(f"    drawn again: {objection.reason}")
    readings = (("heard", turn.heard), ("readouts", turn.readouts), ("mood", dict(turn.mood.felt)))
    for name, readouts in readings:
        strongest = sorted(readouts.items(), key=lambda item: -abs(item[1]))[:5]
        if strongest:
            numbers = "  ".join(f"{concept} {value:+.1f}" for concept, value in strongest)
            click.echo(f"    {name:<8} {numbers}")


COMMANDS = (consent, chat)
