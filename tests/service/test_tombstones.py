"""What was erased and withdrawn after a backup was made, and what a restore of it does about it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from memory import consent, ledger, tombstones
from memory.erasure import certificates
from memory.people import list_people
from service.daemon import lasting
from service.daemon.scheduling import Scheduler
from service.doctor import examine
from service.entrances import forgetting, persona
from service.entrances.forgetting import Asked, forget
from service.entrances.proving import verify_home
from service.settings import Settings
from service.spaces import Spaces
from service.wiring import Services

SAID = (("Ada", "I live in Porto."), ("Bo", "I live in Faro."), ("Ada L.", "the ferry is late again"))


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `before` and `after`, a home on two days, and `before.zip`. Of three people two agreed to be simulated; then
    one withdrew, and one was erased with who was found to be the same. To be copied, not changed.
    """
    folder = tmp_path_factory.mktemp("days")
    chat = folder / "chat.jsonl"
    rows = [
        {"time": f"2025-03-0{i + 1}T10:00:00", "speaker": who, "text": text}
        for i, (who, text) in enumerate(SAID)
    ]
    chat.write_text("\n".join(map(json.dumps, rows)))
    with Services(Settings(home=folder / "before")) as services:
        services.import_file(chat)
        for name in ("Ada", "Bo"):
            persona.agree(services, name, by=name)
        lasting.back_up(services, folder / "before.zip")
    shutil.copytree(folder / "before", folder / "after")
    with Services(Settings(home=folder / "after")) as services:
        persona.withdraw(services, "Bo")
        services.merge("Ada", "Ada L.", force=True)
        forget(services, Asked("person", "Ada", leave_weights=True), is_sure=True)
    return folder


@pytest.fixture
def home(days: Path, tmp_path: Path) -> Path:
    return shutil.copytree(days / "after", tmp_path / "home")


@pytest.fixture
def backup(days: Path, tmp_path: Path) -> Path:
    (tmp_path / "disk").mkdir()
    return Path(shutil.copy(days / "before.zip", tmp_path / "disk"))


def names(home: Path) -> list[str]:
    with Services(Settings(home=home)) as services:
        return sorted(person.name for person in list_people(services.database, services.space_id))


def may_be_simulated(home: Path, name: str) -> bool:
    with Services(Settings(home=home)) as services:
        return consent.has_consent(services.database, services.space_id, services.person(name).id)


def assert_whole(home: Path) -> None:
    with Services(Settings(home=home)) as services:
        assert verify_home(services).problems == []
        assert ledger.verify(services.database, services.space_id) == []


def test_a_restore_brings_nobody_back_who_was_erased_and_no_consent_that_was_withdrawn(
    home: Path, backup: Path
) -> None:
    done = lasting.restore(Settings(home=home), backup, force=True)
    assert done.report.n_withdrawn == 1
    assert (len(done.erased), done.left) == (2, {})  # Ada, and who was merged into her
    assert names(home) == ["Bo"]
    assert not may_be_simulated(home, "Bo")
    assert_whole(home)


def test_the_list_tells_it_where_the_store_is_damaged(home: Path, backup: Path) -> None:
    for path in home.glob("graph.db*"):
        path.write_bytes(b"damaged" * 1000)
    lasting.restore(Settings(home=home), backup, force=True)
    assert names(home) == ["Bo"]
    assert not may_be_simulated(home, "Bo")


def test_a_newer_backup_beside_it_tells_it_where_the_home_is_lost(
    home: Path, backup: Path, tmp_path: Path
) -> None:
    with Services(Settings(home=home)) as services:
        lasting.back_up(services, backup.with_name("after.zip"))
    backup.with_name("damaged.zip").write_bytes(b"PK no backup")
    shutil.rmtree(home)
    done = lasting.restore(Settings(home=tmp_path / "other"), backup)
    assert (done.report.n_withdrawn, len(done.erased)) == (1, 2)
    assert names(tmp_path / "other") == ["Bo"]


def test_elsewhere_nobody_knows_of_it(backup: Path, tmp_path: Path) -> None:
    done = lasting.restore(Settings(home=tmp_path / "other"), backup)
    assert (done.report.n_withdrawn, done.erased) == (0, ())
    assert names(tmp_path / "other") == ["Ada", "Ada L.", "Bo"]


def test_what_is_wanted_back_stays_and_consent_is_asked_for_anew(home: Path, backup: Path) -> None:
    done = lasting.restore(Settings(home=home), backup, force=True, brings_back=True)
    assert (done.report.n_withdrawn, done.erased, done.left) == (1, (), {})
    assert names(home) == ["Ada", "Ada L.", "Bo"]
    again = lasting.restore(Settings(home=home), backup, force=True)
    assert again.erased == ()
    assert_whole(home)


@pytest.fixture
def undone(home: Path, backup: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose restore was cut off before it had erased again."""
    with monkeypatch.context() as patched:
        patched.setattr(lasting, "_erase_again", lambda settings, watch: ([], {}))
        lasting.restore(Settings(home=home), backup, force=True)
    return home


def test_what_a_restore_undid_is_named_and_the_daemon_does_it_again(undone: Path) -> None:
    with Services(Settings(home=undone)) as services:
        told = [problem.what for _, problem in verify_home(services, is_quick=True).problems]
        assert [line.partition(" of ")[0] for line in told] == ["a restore undid the erasure"]
    found = [item for item in examine(undone, lambda: Settings(home=undone)) if item.check == "erasures"]
    assert [item.severity for item in found] == ["warning"]
    spaces = Spaces(Settings(home=undone))
    Scheduler(spaces).finish_erasures()
    spaces.close()
    assert names(undone) == ["Bo"]
    assert_whole(undone)


def test_an_erasure_that_was_cut_off_is_finished_by_the_daemon(days: Path, tmp_path: Path) -> None:
    home = shutil.copytree(days / "before", tmp_path / "home")

    class Killed(Exception):
        pass

    def watch(step: str) -> Any:
        if step == "files":
            raise Killed
        return lambda done, total, note="": None

    with Services(Settings(home=home)) as services:
        with pytest.raises(Killed):
            forget(services, Asked("person", "Ada", leave_weights=True), is_sure=True, watch=watch)
        assert forgetting.waiting(services.database, home) == {"default": 1}
    spaces = Spaces(Settings(home=home))
    Scheduler(spaces).finish_erasures()
    with spaces.use() as app:
        assert all(item.done for item in certificates(app.services.database, app.services.space_id))
    spaces.close()


def test_the_list_holds_no_words_and_grows_once(home: Path, backup: Path) -> None:
    before = (home / tombstones.NAME).read_text()
    with Services(Settings(home=home)) as services:
        tombstones.keep(services.database, home)
    assert (home / tombstones.NAME).read_text() == before
    assert [line["what"] for line in tombstones.read(home)] == ["withdrawn", "erased"]
    assert all(word not in before for word in ("Ada", "Bo", "Porto"))
