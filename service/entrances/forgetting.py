"""Erasing with an opened space: names become ids, the lease is freed of the dead, the index is made again, and weights
without what was erased serve. CLI, HTTP and MCP erase by `forget`; the daemon and a restore finish by `finish`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation.lease import free_if_dead, this_process
from memory import erasure, tombstones
from memory.erasure import Mentions, Outcome, Plan, Reason, Target, TargetKind, Wish
from memory.erasure.residue import Progress
from memory.erasure.run import Watch, unwatched
from memory.errors import ModelMissing, PlanChanged, UnknownEpisode, UnknownFact, UnknownPerson, UnknownSource
from memory.spaces import list_spaces

if TYPE_CHECKING:
    from consolidation.erased_weights import Ground
    from db.engine import Database
    from service.wiring import Services


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks to be erased: a person by name, anything else by id; the rest as in Target and `erase`."""

    kind: TargetKind
    what: str
    mentions: Mentions = "redact"
    spare: tuple[str, ...] = ()
    with_messages: bool = False
    plan: str | None = None  # only if what would go is still what was shown
    reason: Reason = "request"
    leave_weights: bool = False


def forget(
    services: Services,
    asked: Asked,
    *,
    is_sure: bool,
    end_talks: Callable[[], None] = lambda: None,
    watch: Watch = unwatched,
) -> Plan | Outcome:
    """What would go; or, for who is sure, the erasure itself. `end_talks`: conversations in memory may hold what goes.

    Whoever shares the space with others holds its lock. Raises what `target` and `erase` do.
    """
    options = {"mentions": asked.mentions, "spare": asked.spare, "with_messages": asked.with_messages}
    wanted = target(services, asked.kind, asked.what, **options)
    if not is_sure:
        return plan(services, wanted)
    end_talks()
    return erase(
        services,
        wanted,
        expected=asked.plan,
        reason=asked.reason,
        leave_weights=asked.leave_weights,
        watch=watch,
    )


def target(services: Services, kind: TargetKind, reference: str, **options: Any) -> Target:
    """What is meant: a person by name, anything else by id. `options` as in Target. Raises UnknownPerson."""
    found = services.person(reference).id if kind == "person" else reference
    return Target(kind, found, **options)


def plan(services: Services, wanted: Target) -> Plan:
    """What erasing would do; nothing is changed."""
    return erasure.make_plan(services.database, services.space_id, services.settings.home, wanted)


def erase(
    services: Services,
    wanted: Target,
    *,
    expected: str | None = None,
    reason: Reason = "request",
    leave_weights: bool = False,
    watch: Watch = unwatched,
) -> Outcome:
    """Erase, and finish what was cut off before. Raises PlanChanged and LeaseHeld with nothing changed.

    Weights are made again without what went, examined and tested, unless they are to be left as the erasure leaves them:
    then what serves is untainted all the same, and the certificate says nothing of it.
    """
    _finish_cut_off(services, (), watch)
    return _erase(services, wanted, expected, reason, leave_weights, watch)


def _erase(
    services: Services,
    wanted: Target,
    expected: str | None,
    reason: Reason,
    leave_weights: bool,
    watch: Watch,
) -> Outcome:
    wish = _wish(services, watch, expected, reason)
    if not leave_weights:
        wish = _with_weights(services, wanted, wish, watch)
    return erasure.erase(
        services.database,
        services.space_id,
        services.settings.home,
        wanted,
        services.registry,
        wish,
        clock=services.clock,
        watch=watch,
    )


def _with_weights(services: Services, wanted: Target, wish: Wish, watch: Watch) -> Wish:
    """The wish with a witness of what serves, who is asked before anything is erased: exactly what was planned then may go."""
    from consolidation.erased_weights import NO_WEIGHTS, Witness, has_weights, settle, witness

    ground = _ground(services)
    if not has_weights(ground.place):
        return replace(wish, weights=partial(settle, ground, Witness(why=NO_WEIGHTS)))
    shown = plan(services, wanted)
    if wish.expected is not None and not shown.goes_by(wish.expected):
        raise PlanChanged
    seen = witness(ground, shown, watch("weights"))
    return replace(wish, expected=shown.sha256, weights=partial(settle, ground, seen))


def _ground(services: Services) -> Ground:
    from consolidation.erased_weights import Ground

    return Ground(services.place(), services.model_spec(), services.settings.night.gate, services.registry)


def waiting(database: Database, home: Path) -> dict[str, int]:
    """By space, where there are any: how many erasures were cut off, or were undone by a restore."""
    found = {}
    for space in list_spaces(database):
        with database.reading() as session:
            n_undone = len(tombstones.undone(session, home, space.id))
        n = n_undone + len(erasure.unfinished(database, space.id))
        if n:
            found[space.name] = n
    return found


def finish(services: Services, names: Iterable[str] = (), *, watch: Watch = unwatched) -> list[Outcome]:
    """Finish erasures that were cut off, of which `names` are looked for afterwards; do again those that a restore undid.

    Raises LeaseHeld.
    """
    outcomes = _finish_cut_off(services, names, watch)
    with services.database.reading() as session:
        undone = tombstones.undone(session, services.settings.home, services.space_id)
    for stone, ids in undone:
        for id_ in ids:
            wanted = Target(stone.target, id_, stone.mentions, with_messages=stone.with_messages)
            with suppress(*_GONE):  # with the one before it
                outcomes.append(_erase(services, wanted, None, "request", False, watch))
    return outcomes


_GONE = (UnknownPerson, UnknownFact, UnknownEpisode, UnknownSource)


def _finish_cut_off(services: Services, names: Iterable[str], watch: Watch) -> list[Outcome]:
    from consolidation.erased_weights import settle

    free_if_dead(services.database, services.space_id)
    return erasure.resume(
        services.database,
        services.space_id,
        services.settings.home,
        replace(_wish(services, watch), weights=partial(settle, _ground(services), None)),
        names=names,
        clock=services.clock,
        watch=watch,
    )


def _wish(services: Services, watch: Watch, expected: str | None = None, reason: Reason = "request") -> Wish:
    """The index is made again where there is one and its encoder is installed; else the next question makes it."""
    folder = services.settings.home / "index" / services.space_id
    reindex = (lambda: _reindex(services, watch("index"))) if folder.exists() else None
    return Wish(expected=expected, reason=reason, holder=this_process(), reindex=reindex)


def _reindex(services: Services, progress: Progress) -> int:
    opened = services.__dict__.pop("index", None)  # its files are gone
    if opened is not None:
        opened.close()
    try:
        return services.index.rebuild(progress)
    except ModelMissing:
        return 0
