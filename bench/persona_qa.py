"""A chat's questions, asked of its people's personas in conversation: `python -m bench.persona_qa --chat DIR`.

The export is imported as `slowwave import` does, everybody who speaks agrees to be simulated, and a night decides about
its facts (`--train`: with weights, and a second night trains styles, with the constitutions there).
Each question is put to the persona whom it names first, in the second person
("where do you live?"), by somebody they talk with; a third person's to whoever told of them. A question seen from a person at
a date (`persona_view`, `as_of`) is put to their persona of that day, in a space that ends with it; other dates are said in the question.
Everything is asked twice, in two sessions an hour apart with other seeds. An answer is right by any-of matching
(`consolidation.scoring`), of what cannot be answered when it says so. Two answers agree when both are right, both decline,
or both tell the same. `--without-model` gives the plain words that stand in for replies which do not hold what is owed.
`control` is the same model and facts in the prompt, without stance and guards.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agents.turns import Turn, turn_messages
from bench.ask import share
from bench.chats import open_chat
from bench.gold import as_moment, read_list
from bench.persona import before, first_night, second_night, sleep
from bench.report import now_and_then, print_result
from consolidation.exam import spread
from consolidation.scoring import gives_any, refuses, tokens
from memory import consent
from memory.episodes import list_episodes
from memory.importers.detect import Export
from memory.people import get_or_create_node, list_people
from memory.search.timephrases import find_times
from memory.types import Episode, Person
from memory.wordings import Wordings, spoken
from service.settings import Settings
from service.wiring import Services
from simulator.knowing import related
from simulator.persona import in_second_person, own_words
from simulator.session import Session
from simulator.stance import Sight, stance
from simulator.tags import TagFilter

LATER = timedelta(hours=1)
BAR = 0.95
_NO = re.compile(
    r"^\W*(?:no|nope|nah|not|never|none|nobody|i (?:don't|do not|am not|didn't|haven't))\b", re.IGNORECASE
)
_ALIKE = 0.5  # share of the words that two answers tell, from which on they tell the same


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is put. `until`: the day that the persona lives on, None for the end of the chat."""

    id: str
    text: str
    kind: str
    gold: tuple[str, ...]
    person: str
    partner: str
    until: datetime | None = None
    is_unknowable: bool = False  # to that person on that day

    def is_right(self, answer: str) -> bool:
        is_no = bool(_NO.search(self.gold[0])) and bool(_NO.search(answer))
        if self.kind == "unanswerable":
            return refuses(answer) or is_no
        return not refuses(answer) and (is_no or gives_any(answer, self.gold))


@dataclass(slots=True)
class Answers:
    """What was said to one question, in the order of asking."""

    asked: Asked
    ours: list[str] = field(default_factory=list)
    control: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Hand:
    """A clock that is set by hand."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chat", type=Path, required=True, help="a chat folder with questions.json")
    parser.add_argument("--train", action="store_true", help="let the night train facts and styles")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, where it trains")
    parser.add_argument(
        "--part", choices=("all", "even", "odd"), default="all", help="of the questions, by place"
    )
    parser.add_argument("--limit", type=int, help="of the questions of each day, evenly chosen")
    parser.add_argument("--no-control", action="store_true")
    parser.add_argument(
        "--without-model", action="store_true", help="only what the stances say in plain words"
    )
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--cache", type=Path, help="a folder that keeps the converted model")
    parser.add_argument("--show", action="store_true", help="print what was said on standard error")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = run(args, Path(folder))
    print_result(
        numbers(found)
        | {"part": args.part, "trained": args.train, "model": None if args.without_model else args.model},
        seed=args.seed,
        started=started,
    )
    return 0


def run(args: argparse.Namespace, folder: Path) -> list[Answers]:
    """Each moment in a space of its own, the earliest first."""
    rows = read_list(args.chat / "questions.json")
    chosen = [row for i, row in enumerate(rows) if args.part == "all" or i % 2 == (args.part == "odd")]
    by_moment: dict[datetime | None, list[dict[str, Any]]] = defaultdict(list)
    for row in chosen:
        by_moment[_until(row)].append(row)
    found: list[Answers] = []
    in_order = sorted(by_moment, key=lambda until: (until is None, until or datetime.max.replace(tzinfo=UTC)))
    for place, until in enumerate(in_order):
        with opened(args, folder / str(place), until) as (services, clock):
            said = list_episodes(services.database, services.space_id)
            people = list_people(services.database, services.space_id)
            asked = [one for row in by_moment[until] if (one := put(row, people, said, until))]
            found += ask_all(
                services, clock, asked if args.limit is None else spread(asked, args.limit), args
            )
    return found


def _until(row: dict[str, Any]) -> datetime | None:
    return as_moment(row.get("as_of"), is_end=True) if row.get("persona_view") else None


@contextmanager
def opened(args: argparse.Namespace, home: Path, until: datetime | None) -> Iterator[tuple[Services, Hand]]:
    """A space with what was said until then, a night after it, and everybody's consent."""
    home.mkdir(parents=True)
    if args.cache:
        home.joinpath("cache").symlink_to(args.cache.resolve(), target_is_directory=True)
    settings = Settings(home=home)
    night = replace(settings.night, base_model=args.model, seed=args.seed)
    settings = replace(settings, night=night)
    export = before(open_chat(args.chat), until + timedelta(seconds=1) if until else None)
    times = [message.time for message in export.messages()]
    clock = Hand(until or max(times, default=datetime.now(UTC)) + timedelta(minutes=1))
    with Services(settings, clock=clock) as services:
        if times:
            services.bring_in(export, args.chat, read_step=now_and_then("reading"))
        people = list_people(services.database, services.space_id)
        present = [person for person in people if person.is_speaker]
        agree(services, present)  # before a night that trains how they write
        _sleep(services, args, len(present))
        known = {person.id for person in present}
        agree(services, [one for one in _present(services, open_chat(args.chat)) if one.id not in known])
        yield services, clock


def agree(services: Services, people: Sequence[Person]) -> None:
    for person in people:
        consent.record(
            services.database, services.space_id, person.id, agreed_by=person.name, note="a benchmark",
            clock=services.clock,
        )  # fmt: skip


def _sleep(services: Services, args: argparse.Namespace, n_people: int) -> None:
    """A night for the graph alone; or one that trains facts, and one for everybody's style with the constitutions there."""
    night = services.settings.night
    if args.train:
        first_night(services, night.max_facts, args.minutes)
        second_night(services, args.minutes, n_people)
    else:
        style = replace(night.style, is_on=False)
        sleep(services, replace(night, max_facts=0, style=style, primer=False, readout_min_examples=10**9))


def _present(services: Services, export: Export) -> list[Person]:
    """Everybody who speaks in the whole chat: on a day before their first message they are there, and know nothing."""
    names = {message.speaker for message in export.messages()}
    with services.database.transaction() as session:
        ids = {
            get_or_create_node(session, services.space_id, name, is_speaker=True) for name in sorted(names)
        }
    return [one for one in list_people(services.database, services.space_id) if one.id in ids]


# ---- how a question is put


def put(
    row: dict[str, Any], people: Sequence[Person], said: Sequence[Episode], until: datetime | None
) -> Asked | None:
    """The question with whom it is put to and by whom; None where nobody talks with that person."""
    text = str(row["question"])
    person = _whom(row, text, people, said)
    partner = _partner(person, people, said) if person else None
    if person is None or partner is None:
        return None
    others = [form for one in people if one.id != person.id for form in _forms(one)]
    words = in_second_person(_dated(text, row), _forms(person), others=others)
    gold = row.get("answer")
    forms = [*(gold if isinstance(gold, list) else [gold]), *(row.get("answer_aliases") or ())]
    accepted = tuple(str(form) for form in forms if form not in (None, ""))
    return Asked(
        str(row.get("id", "")), words, str(row.get("kind", "other")), accepted or ("unknown",), person.name,
        partner.name, until, is_unknowable=until is not None and row.get("kind") == "unanswerable",
    )  # fmt: skip


def _whom(row: dict[str, Any], text: str, people: Sequence[Person], said: Sequence[Episode]) -> Person | None:
    """The person whose view it is, whom it names first, or who told of it."""
    speaking = {one.speaker_id for one in said}
    speakers = [one for one in people if one.id in speaking] or [one for one in people if one.is_speaker]
    if row.get("persona_view"):
        return next((one for one in people if str(row["persona_view"]) in _forms(one)), None)
    named = [(place, one) for one in speakers if (place := _first_place(text, _forms(one))) >= 0]
    if named:
        return min(named, key=lambda item: item[0])[1]
    told = {place for place in row.get("evidence") or () if isinstance(place, int)}
    teller = next((one.speaker_id for one in said if one.position in told), None)
    return next((one for one in speakers if one.id == teller), speakers[0] if speakers else None)


def _partner(person: Person, people: Sequence[Person], said: Sequence[Episode]) -> Person | None:
    """Who said most in the conversations that the person speaks in; whoever else there is where nobody did."""
    talks = {one.conversation_id for one in said if one.speaker_id == person.id}
    counts = Counter(
        one.speaker_id for one in said if one.conversation_id in talks and one.speaker_id != person.id
    )
    by_id = {one.id: one for one in people}
    known = [by_id[one] for one, _ in counts.most_common() if one in by_id]
    others = [one for one in people if one.id != person.id and one.is_speaker]
    return next(iter([*known, *others]), None)


def _forms(person: Person) -> tuple[str, ...]:
    return tuple(dict.fromkeys((person.name, person.name.split()[0], *person.aliases)))


def _first_place(text: str, forms: Sequence[str]) -> int:
    found = [match.start() for form in forms if (match := re.search(rf"\b{re.escape(form)}\b", text))]
    return min(found, default=-1)


def _dated(text: str, row: dict[str, Any]) -> str:
    """With the date that only `as_of` gives, as people say it."""
    moment = as_moment(row.get("as_of"))
    if moment is None or row.get("persona_view") or find_times(text, moment):
        return text
    first = text[:1].lower() if _OPENING.match(text) else text[:1]
    return f"On {spoken(moment.date().isoformat())}, {first}{text[1:]}"


_OPENING = re.compile(
    r"(?:what|who|whom|whose|where|when|which|how|was|were|did|does|do|is|are|had|has|have)\b", re.IGNORECASE
)


# ---- asking


def ask_all(
    services: Services, clock: Hand, asked: Sequence[Asked], args: argparse.Namespace
) -> list[Answers]:
    """Everything in one session for each pair of people, and in another one an hour later."""
    found = [Answers(one) for one in asked]
    pairs = list(dict.fromkeys((one.asked.person, one.asked.partner) for one in found))
    step = now_and_then("asking")
    begun, done = clock.now, 0
    for later in range(2):
        clock.now = begun + later * LATER
        for person, partner in pairs:
            mine = [one for one in found if (one.asked.person, one.asked.partner) == (person, partner)]
            if args.without_model:
                _plain(services, mine, args)
                continue
            session = services.open_session(person, as_person=partner, seed=args.seed + 7907 * later)
            for one in mine:
                one.ours.append(session.reply(one.asked.text).reply)
                if not args.no_control:
                    one.control.append(_plainly(session, one.asked.text))
                if args.show:
                    show(one)
                done += 1
                step(done, 2 * len(found))
            session.close()
    return found


def _plain(services: Services, found: Sequence[Answers], args: argparse.Namespace) -> None:
    """What the persona owes, said without a model; nothing is kept."""
    services.index.refresh()
    people = tuple(list_people(services.database, services.space_id))
    for one in found:
        person, partner = services.person(one.asked.person), services.person(one.asked.partner)
        sight = Sight(
            services.database, services.space_id, services.index, services.registry, services.clock, person,
            partner, people,
        )  # fmt: skip
        one.ours.append(stance(sight, one.asked.text).plain)
        if args.show:
            show(one)


def _plainly(session: Session, text: str) -> str:
    """What the model says with the persona's prompt and the facts that the search finds, drawn once."""
    composer, tools = session.composer, session.tools
    facts = related(tools, session.person, session.partner, text)
    wordings = Wordings.load()
    known = [own_words(fact, composer.persona, wordings) for fact in facts]
    turns = [Turn(session.partner.name, text)]
    messages = turn_messages(composer.persona, turns, known, now=tools.clock())
    sampling = replace(composer.sampling, seed=(session.settings.seed or 0) + len(text))
    pieces = (piece.text for piece in composer.engine.stream(messages, sampling))
    return "".join(TagFilter(composer.persona.tag).run(pieces)).strip()


# ---- what came of it


def numbers(found: Sequence[Answers]) -> dict[str, Any]:
    """The shares that are wanted, by kind, and the same of the control."""
    return {
        **_shares([(one.asked, one.ours) for one in found]),
        "questions": len(found),
        "unknowable": sum(one.asked.is_unknowable for one in found),
        "bar": BAR,
        "by_kind": _by_kind(found),
        "control": _shares([(one.asked, one.control) for one in found if one.control]),
    }


def _shares(said: Sequence[tuple[Asked, Sequence[str]]]) -> dict[str, Any]:
    return {
        "right": share([one.is_right(answers[0]) for one, answers in said]),
        "unknowable_declined": share([refuses(answers[0]) for one, answers in said if one.is_unknowable]),
        "unanswerable_right": share(
            [one.is_right(answers[0]) for one, answers in said if one.kind == "unanswerable"]
        ),
        "same_answer_later": share([is_same(one, *answers[:2]) for one, answers in said]),
    }


def _by_kind(found: Sequence[Answers]) -> dict[str, Any]:
    kinds: dict[str, list[bool]] = defaultdict(list)
    for one in found:
        kinds[one.asked.kind].append(one.asked.is_right(one.ours[0]))
    return {kind: share(rows) for kind, rows in sorted(kinds.items())}


def is_same(asked: Asked, first: str, second: str) -> bool:
    """Whether two answers to one question agree."""
    if refuses(first) or refuses(second):
        return refuses(first) and refuses(second)
    if asked.is_right(first) or asked.is_right(second):
        return asked.is_right(first) and asked.is_right(second)
    if bool(_NO.search(first)) != bool(_NO.search(second)):
        return False
    known = set(map(str, tokens(asked.text)))
    told, again = (
        {word for token in tokens(text) if len(word := str(token)) > 2 and word not in known}
        for text in (first, second)
    )
    return told == again or len(told & again) >= _ALIKE * min(len(told), len(again)) > 0


def show(one: Answers) -> None:
    asked, said = one.asked, one.ours[-1]
    mark = "right" if asked.is_right(said) else "wrong"
    print(f"\n{mark} {asked.id} {asked.kind} [{asked.person}] {asked.text}", file=sys.stderr)
    print(f"  wanted {asked.gold}\n  ours {said!r}", file=sys.stderr)
    for text in one.control[-1:]:
        print(f"  control {text!r}", file=sys.stderr)
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
