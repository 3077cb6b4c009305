"""A home with one imported chat, whose speakers agreed to be simulated."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from memory import consent
from service.settings import Settings
from service.wiring import Services


@contextmanager
def home_of(folder: Path, said: Sequence[tuple[str, str]], agreed: Collection[str]) -> Iterator[Services]:
    """Opened, with `said` (speaker, text) as a message a day and the consent of those who agreed; not indexed yet."""
    rows = [
        {"time": f"2025-03-{day:02}T10:00:00", "speaker": speaker, "text": text}
        for day, (speaker, text) in enumerate(said, start=1)
    ]
    (folder / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with Services(Settings(home=folder)) as opened:
        opened.import_file(folder / "chat.jsonl")
        for name in agreed:
            person_id = opened.person(name).id
            consent.record(opened.database, opened.space_id, person_id, agreed_by=name, clock=opened.clock)
        yield opened
