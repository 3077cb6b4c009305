"""Two personas talk with each other for a thousand turns: `python -m bench.forever [--turns 1000] [--chat DIR] [--control]`.

The chat is imported into a fresh home, nothing is trained, and the two who wrote most of it talk on the embedded model.

loops: three turns in a row that were said in the same order before, anywhere in the conversation, case, marks and blanks
aside; found by this file, which knows nothing of the guard. `loops_near`: each of the three shares four fifths of its
words with the one before. distinct3: different triples of words among all, over the first and the last 100 turns.
main_word: the share of turns that hold the commonest content word (not the speakers' names), over the same turns, and
over the worst 100 of all. tokens_per_s counts every token drawn, those too that a guard threw away, while somebody speaks; tokens_per_cpu_s over
the processor time of everything that was done for the turns, which other programs do not touch.
rss_mb_start is taken after the first 50 turns, when models, indexes and caches are there.
false_alarms: messages of the chat, and with --locomo of those dialogues, that the guard would have objected to.
With `--control` nothing is done about loops and no topic is changed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from bench.chats import export_of, open_chat
from bench.locomo import read_locomo
from bench.report import ROOT, now_and_then, print_result
from memory import consent
from memory.episodes import list_episodes
from memory.search.words import content_words
from memory.types import Person
from service.settings import Settings
from service.wiring import Services
from simulator.company import Company
from simulator.inviting import Invitation, open_company
from simulator.loops import LoopGuard
from simulator.member import PersonaMember

CHAT = ROOT / "examples" / "harbor"
WINDOW = 100  # turns at either end
WARM = 50
NEAR = 0.8
TEMPERATURE = 0.7
REPETITION_PENALTY = 1.0  # off: DRY is on


@dataclass(frozen=True, slots=True)
class Row:
    """One turn as it is measured; `seconds` of speaking, `cpu_s` of this process for all of it, `rss_mb` after it."""

    speaker: str
    text: str
    n_tokens: int
    n_draws: int
    seconds: float
    cpu_s: float
    rss_mb: float
    topic: str | None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.forever", description=__doc__)
    parser.add_argument(
        "--home", type=Path, help="where the conversation is kept, and goes on; default: nowhere"
    )
    parser.add_argument(
        "--turns", type=int, default=1000, help="0: only what the guard says of real messages"
    )
    parser.add_argument("--locomo", type=Path, help="dialogues whose messages the guard is shown as well")
    parser.add_argument("--chat", type=Path, default=CHAT, help="a folder with one export")
    parser.add_argument("--control", action="store_true", help="without guard and topics")
    parser.add_argument("--chars", type=int, default=32, help="the most of one reply, about")
    parser.add_argument("--minutes", type=float, help="stop there, however many turns there were")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--cache", type=Path, help="a folder that keeps the converted model")
    parser.add_argument("--out", type=Path, help="a file for every turn, a JSON object a line")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        home = args.home or Path(folder) / "home"
        home.mkdir(parents=True, exist_ok=True)
        if args.cache and not (home / "cache").exists():
            (home / "cache").symlink_to(args.cache.resolve())
        settings = Settings(home=home)
        with Services(replace(settings, night=replace(settings.night, base_model=args.model))) as services:
            people = prepared(services, args.chat)
            found = alarms(services, args.locomo)
            if args.turns:
                company = opened(services, people, args)
                with args.out.open("w", encoding="utf-8") if args.out else _Nowhere() as out:
                    rows = talk(company, args.turns, out, started + 60 * (args.minutes or 1e9))
                found |= numbers(rows, company)
    print_result(found, seed=args.seed, started=started)
    return 0


def prepared(services: Services, chat: Path) -> list[Person]:
    """The two who wrote most of the chat, with a consent on record."""
    services.bring_in(open_chat(chat), export_of(chat))
    services.index.refresh()
    said = Counter(episode.speaker for episode in list_episodes(services.database, services.space_id))
    people = [services.person(name) for name, _ in said.most_common(2)]
    for person in people:
        consent.record(
            services.database, services.space_id, person.id, agreed_by=person.name, clock=services.clock
        )
    return people


def opened(services: Services, people: Sequence[Person], args: argparse.Namespace) -> Company:
    how = Invitation(
        seed=args.seed,
        temperature=TEMPERATURE,
        repetition_penalty=REPETITION_PENALTY,
        max_chars=args.chars,
        is_guarded=not args.control,
    )
    return open_company(services.simulator_tools(), people, how)


def talk(company: Company, n_turns: int, out: TextIO | None, until: float) -> list[Row]:
    rows: list[Row] = []
    show = now_and_then("turns")
    drawn, busy = 0, time.process_time()
    for said in company.turns(n_turns):
        total = sum(member.n_tokens for member in company.members if isinstance(member, PersonaMember))
        rows.append(
            Row(
                said.speaker,
                said.text,
                total - drawn,
                said.turn.n_draws,
                said.turn.seconds,
                time.process_time() - busy,
                rss_mb(),
                said.topic,
            )
        )
        drawn, busy = total, time.process_time()
        if out is not None:
            kept = {
                "speaker": said.speaker,
                "text": said.text,
                "topic": said.topic,
                "rss_mb": round(rows[-1].rss_mb, 1),
            }
            told = [reason for _, reason in said.turn.objections]
            print(json.dumps({**kept, "objections": told}, ensure_ascii=False), file=out, flush=True)
        show(len(rows), n_turns)
        if time.perf_counter() > until:
            break
    return rows


def numbers(rows: Sequence[Row], company: Company) -> dict[str, Any]:
    texts = [row.text for row in rows]
    names = [member.person.name for member in company.members]
    first, last = rows[:WINDOW], rows[-WINDOW:]
    worst = max(
        (main_word(texts[at : at + WINDOW], names) for at in range(0, max(1, len(texts) - WINDOW + 1), 20)),
        key=lambda found: found[1],
    )
    return {
        "turns": len(rows),
        "ended": company.ended or "time",
        "loops": repeated_triples(texts),
        "loops_near": near_cycles(texts),
        "turns_said_before": said_before(texts),
        "distinct3_start": distinct3(texts[:WINDOW]),
        "distinct3_end": distinct3(texts[-WINDOW:]),
        "distinct3_all": distinct3(texts),
        "main_word_start": main_word(texts[:WINDOW], names),
        "main_word_end": main_word(texts[-WINDOW:], names),
        "main_word_worst": worst,
        "rss_mb_start": round(rows[min(WARM, len(rows)) - 1].rss_mb, 1),
        "rss_mb_end": round(rows[-1].rss_mb, 1),
        "tokens_per_s_start": _speed(first),
        "tokens_per_s_end": _speed(last),
        "tokens_per_cpu_s_start": _cpu_speed(first),
        "tokens_per_cpu_s_end": _cpu_speed(last),
        "tokens_per_turn": round(sum(row.n_tokens for row in rows) / len(rows), 2),
        "draws_per_turn": round(sum(row.n_draws for row in rows) / len(rows), 3),
        "objections": dict(company.found),
        "topics": sum(len(member.turned_to) for member in company.members),
        "topics_different": len({topic for member in company.members for topic in member.turned_to}),
        "digests": company.record.digests.n_written,
        "chars_per_turn": round(sum(map(len, texts)) / len(texts), 1),
    }


def plain(text: str) -> str:
    """Letters and digits in one row of words."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def repeated_triples(texts: Sequence[str]) -> int:
    """Turns that end three in a row which were said in that order before."""
    said = [plain(text) for text in texts]
    seen: set[tuple[str, ...]] = set()
    n = 0
    for at in range(2, len(said)):
        three = tuple(said[at - 2 : at + 1])
        n += three in seen
        seen.add(three)
    return n


def near_cycles(texts: Sequence[str]) -> int:
    """Turns that end three in a row, each of which has NEAR of its words in common with the one three turns before."""
    words = [frozenset(plain(text).split()) for text in texts]
    near = [
        bool(words[at] | words[at - 3])
        and len(words[at] & words[at - 3]) >= NEAR * len(words[at] | words[at - 3])
        for at in range(3, len(words))
    ]
    return sum(all(near[at - 2 : at + 1]) for at in range(2, len(near)))


def said_before(texts: Sequence[str]) -> int:
    """Turns of four and more words that were said before in the same words."""
    seen: set[str] = set()
    n = 0
    for said in map(plain, texts):
        n += said in seen and len(said.split()) >= 4
        seen.add(said)
    return n


def distinct3(texts: Sequence[str]) -> float:
    """Different triples of words within turns, as a share of all (Li et al. 2016, arXiv:1510.03055)."""
    triples = [
        three
        for words in (plain(text).split() for text in texts)
        for three in zip(words, words[1:], words[2:], strict=False)
    ]
    return round(len(set(triples)) / max(1, len(triples)), 4)


def main_word(texts: Sequence[str], names: Sequence[str]) -> tuple[str, float]:
    """The content word that most turns hold, and their share."""
    left_out = {word for name in names for word in content_words(name)}
    counts = Counter(word for text in texts for word in set(content_words(text)) - left_out)
    word, n = min(counts.items(), key=lambda item: (-item[1], item[0]), default=("", 0))
    return word, round(n / max(1, len(texts)), 4)


def false_alarms(said: Sequence[tuple[str, str]]) -> tuple[int, Counter[str]]:
    """Messages (speaker, text) of people that were looked at, and objections to them by detector.

    Each is shown whole; entropies and what was written before are not looked at, for it is they who wrote it.
    """
    found: Counter[str] = Counter()
    for person in sorted({speaker for speaker, _ in said}):
        guard = LoopGuard(person)
        for speaker, text in said:
            if speaker == person:
                guard.objection("", text, ())
            guard.heard(speaker, text)
        found += guard.found
    return len(said), found


def alarms(services: Services, locomo: Path | None) -> dict[str, Any]:
    real = list_episodes(services.database, services.space_id)
    n, found = false_alarms([(episode.speaker, episode.text) for episode in real])
    told: dict[str, Any] = {"real_messages": n, "false_alarms": dict(found)}
    if locomo is not None:
        every = [
            false_alarms([(turn.speaker, turn.text) for turn in one.turns]) for one in read_locomo(locomo)
        ]
        told["locomo_messages"] = sum(n for n, _ in every)
        told["locomo_false_alarms"] = dict(sum((found for _, found in every), Counter()))
    return told


def rss_mb() -> float:
    """What this process holds now."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _speed(rows: Sequence[Row]) -> float:
    return round(sum(row.n_tokens for row in rows) / max(1e-9, sum(row.seconds for row in rows)), 2)


def _cpu_speed(rows: Sequence[Row]) -> float:
    return round(sum(row.n_tokens for row in rows) / max(1e-9, sum(row.cpu_s for row in rows)), 2)


class _Nowhere:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
