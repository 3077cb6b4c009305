"""`chat` and `consent`: the persona by day."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from memory.importers.bots import SIMULATED
from service.cli.options import SEED, sampling
from service.cli.output import State, print_json

if TYPE_CHECKING:
    from memory.sessions import NewTurn
    from simulator.company import Company, SaidTurn
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
@click.argument("people", nargs=-1, required=True, metavar="PERSON [PERSON]")
@click.option(
    "--as",
    "as_person",
    required=True,
    metavar="NAME",
    help="Who you are in this conversation; with --autocomplete whom PERSON writes to.",
)
@click.option("--once", metavar="TEXT", help="Say one thing, print the reply or replies, end.")
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
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="With --once, or with two people: print JSON, at the end.",
)
@click.option(
    "--entropies", is_flag=True, help="With --json: how unsure the model was at each token, in nats."
)
@click.pass_obj
def chat(
    state: State,
    /,
    people: tuple[str, ...],
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
    """Talk with a PERSON's persona, or with those of two people at once. Needs their consent on record; every message of it
    is kept as simulated.

    Of two, who is called by name answers, and a talk of the same three goes on where it was left. Autocompletion, thoughts,
    steering and entropies go with one.
    """
    from simulator.session import check_said
    from simulator.steering import Wish

    if len(people) > 2:
        raise click.UsageError("name one person or two; with --as that makes three at most")
    if as_json and once is None and len(people) == 1:
        raise click.UsageError("--json goes with --once")
    if entropies and not as_json:
        raise click.UsageError("--entropies goes with --json")
    if len(people) == 2 and (autocomplete or think or steer or force_dose or entropies):
        raise click.UsageError("--autocomplete, --think, --steer, --force and --entropies go with one person")
    if once is not None:
        check_said(once, autocomplete=autocomplete)
    options = {"as_person": as_person, "use_weights": not no_weights, **knobs}
    with state.services() as services:
        if len(people) == 2:
            company = services.open_company(people, seed=seed or 0, **options)
            _in_company(company, once, as_json=as_json, verbose=verbose)
            return
        wishes = tuple(Wish.parse(wish) for wish in steer)
        session = services.open_session(
            people[0], seed=seed, think=think, steer=wishes, force_dose=force_dose, **options
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


def _in_company(company: Company, once: str | None, *, as_json: bool, verbose: bool) -> None:
    """What is said once or line by line, and all that is answered."""
    from service.entrances.company import company_json

    for notice in company.notices:
        click.echo(notice, err=True)
    said: list[SaidTurn] = []
    try:
        for line in [once] if once is not None else _lines(company, is_shown=not as_json):
            for turn in company.answer(line):
                said.append(turn)
                if not as_json:
                    _show_turn(turn, verbose=verbose)
    except KeyboardInterrupt:
        company.ended = "interrupted"
    finally:
        company.record.end()
    if as_json:
        print_json(company_json(company, said))


def _lines(company: Company, *, is_shown: bool) -> Iterator[str]:
    assert company.human is not None
    if sys.stdin.isatty():
        names = " and ".join(member.person.name for member in company.members)
        click.echo(f"{names} are simulated. Say something; an empty line or Ctrl-D ends it.", err=True)
    name = company.human.name
    return iter(lambda: _read(name, is_shown=is_shown), "")


def _show_turn(said: SaidTurn, *, verbose: bool) -> None:
    click.echo(f"{said.speaker}{SIMULATED}: {said.text}")
    if verbose:
        _considered(said.turn)
    sys.stdout.flush()


def _considered(turn: NewTurn) -> None:
    for line in turn.deliberation.splitlines():
        click.echo(f"    before   {line}")
    for _, reason in turn.objections:
        click.echo(f"    drawn again: {reason}")


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


def _read(name: str, *, is_shown: bool = True) -> str:
    """The next line of standard input, "" at its end; prompted for at a terminal, else shown."""
    if sys.stdin.isatty():
        click.echo(f"{name}: ", nl=False, err=not is_shown)
    line = sys.stdin.readline().strip()
    if line and is_shown and not sys.stdin.isatty():
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
