"""Keys: where they are read, what is refused, and that nothing shows them."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from memory.errors import BadKeyFile, KeyMissing
from memory.sealed.keys import HomeKey, KeySource, make_key_file

SECRET = bytes(range(32))


def test_each_purpose_and_home_has_a_key_of_its_own() -> None:
    key = HomeKey(SECRET)
    made = [key.derived(what, of) for what in ("store", "files", "names", "backups") for of in ("a", "b")]
    assert len({SECRET, *made}) == 9
    assert key.fits(key.check("a"), "a")
    assert not key.fits(key.check("a"), "b")
    assert not HomeKey(bytes(32)).fits(key.check("a"), "a")


def test_derivation_is_that_of_rfc_5869() -> None:
    drawn = hmac.new(b"home", SECRET, hashlib.sha256).digest()
    expected = hmac.new(drawn, b"slowwave store 1\x01", hashlib.sha256).digest()
    assert HomeKey(SECRET).derived("store", "home") == expected


def test_a_key_is_never_shown() -> None:
    shown = repr(HomeKey(SECRET))
    assert SECRET.hex() not in shown
    assert repr(SECRET) not in shown


def test_a_variable_holds_hex_digits(tmp_path: Path) -> None:
    source = KeySource("KEY_OF_A_TEST")
    environ = {"KEY_OF_A_TEST": f" {SECRET.hex()}\n"}
    assert source.is_set(environ)
    assert source.read(tmp_path, environ).secret == SECRET


def test_a_missing_key_says_where_it_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing, match=r"its key is not there; set NOWHERE_SET, or encryption\.key_file"):
        KeySource("NOWHERE_SET").read(tmp_path, {})


def test_a_new_key_file_is_its_owners_alone_and_read_again(tmp_path: Path) -> None:
    made = make_key_file(tmp_path / "key", tmp_path / "home")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert KeySource(file=str(tmp_path / "key")).read(tmp_path / "home") == made
    with pytest.raises(BadKeyFile, match="File exists"):
        make_key_file(tmp_path / "key", tmp_path / "home")


def test_raw_bytes_are_a_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(SECRET)
    file.chmod(0o600)
    assert KeySource(file=str(file)).read(tmp_path / "home").secret == SECRET


def test_a_key_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for path, content, mode, why in (
        (tmp_path / "open", SECRET.hex(), 0o644, "others may read it; run `chmod 600"),
        (tmp_path / "short", SECRET.hex()[2:], 0o600, "it takes 64 hex digits"),
        (tmp_path / "words", "correct horse battery staple", 0o600, "it takes 64 hex digits"),
        (home / "key", SECRET.hex(), 0o600, "it lies in the home"),
    ):
        path.write_text(content)
        path.chmod(mode)
        with pytest.raises(BadKeyFile, match=why) as refused:
            KeySource(file=str(path)).read(home)
        assert content not in str(refused.value)
    with pytest.raises(BadKeyFile, match="No such file"):
        KeySource(file=str(tmp_path / "none")).read(home)
    with pytest.raises(BadKeyFile, match="would lie in the home"):
        make_key_file(home / "new", home)
