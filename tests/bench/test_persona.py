from __future__ import annotations

from pathlib import Path

from bench.chats import open_chat
from bench.persona import before, everything, part_of
from tests.conftest import HARBOR


def test_the_parts_share_no_message_and_development_leaves_the_last_fifth_unread(tmp_path: Path) -> None:
    whole, inner = part_of(HARBOR, develop=False), part_of(HARBOR, develop=True)
    assert whole.end is None
    assert inner.end == whole.cut
    assert inner.cut < whole.cut
    times = [message.time for message in before(open_chat(HARBOR), inner.cut).messages()]
    assert max(times) < inner.cut
    later = everything(HARBOR, tmp_path, inner)
    assert max(episode.time for episode in later) < whole.cut
    assert any(episode.time >= inner.cut for episode in later)
