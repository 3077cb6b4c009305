from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.turns import Turn
from simulator.blind_sheet import FORMAT, REAL, Pair, make_sheet, read_choices, read_key, win_rates
from simulator.errors import BadChoices
from tests.browser import Browser, a_browser

MADE = "adapter_memory"


def pairs(n: int = 12) -> list[Pair]:
    before = (Turn("Bo Rask", "did </script><b>you</b> see it?"),)
    return [Pair(f"p{i}", before, (REAL, (f"yes {i}",)), (MADE, (f"no {i}", "not yet"))) for i in range(n)]


def saved(key: dict[str, Any], chosen: str) -> dict[str, Any]:
    """The choices of a judge who always knows which one is of that condition."""
    sides = {
        pair: next(s for s, name in both.items() if name == chosen) for pair, both in key["sides"].items()
    }
    return {"format": FORMAT, "sheet": key["sheet"], "choices": sides}


def test_the_same_seed_gives_the_same_sheet_and_another_one_other_sides() -> None:
    one, again, other = (make_sheet("Ada Lund", pairs(), seed) for seed in (1, 1, 2))
    assert one == again
    assert one.key["sides"] != other.key["sides"]
    assert {sides["A"] for sides in one.key["sides"].values()} == {REAL, MADE}


def test_the_page_tells_no_condition_ends_no_script_and_asks_no_network() -> None:
    page = make_sheet("Ada Lund", pairs(), 1).page
    assert MADE not in page
    assert page.count("</script>") == 2
    assert not re.search(r"(src|href)=|https?:|@import|url\(", page)


def test_equal_replies_are_left_out() -> None:
    same = Pair("same", (), (REAL, ("ok",)), (MADE, ("ok",)))
    assert make_sheet("Ada Lund", [same, *pairs(1)], 1).key["sides"].keys() == {"p0"}


def test_who_always_knows_wins_every_pair() -> None:
    key = make_sheet("Ada Lund", pairs(), 1).key
    (found,) = win_rates(key, [saved(key, REAL)])
    assert (found.condition, found.other, found.wins, found.losses, found.ties) == (REAL, MADE, 12, 0, 0)
    assert found.rate == 1
    assert found.interval[0] == pytest.approx(12 / (12 + 1.959964**2))  # Wilson's lower bound of n of n
    assert found.p == pytest.approx(2 / 2**12)


def test_two_judges_and_ties_are_counted_together() -> None:
    key = make_sheet("Ada Lund", pairs(), 1).key
    ties = {"format": FORMAT, "sheet": key["sheet"], "choices": {"p0": "tie"}}
    (found,) = win_rates(key, [saved(key, REAL), saved(key, MADE), ties])
    assert (found.wins, found.losses, found.ties, found.rate) == (12, 12, 1, 0.5)


@pytest.mark.parametrize(
    "wrong", [{"sheet": "another"}, {"choices": {"p99": "A"}}, {"choices": {"p0": "C"}}, {"choices": []}]
)
def test_choices_of_another_sheet_are_refused(wrong: dict[str, Any]) -> None:
    key = make_sheet("Ada Lund", pairs(), 1).key
    with pytest.raises(BadChoices, match=r"key\.json"):
        win_rates(key, [saved(key, REAL) | wrong])


def test_a_file_that_is_no_key_or_choices_is_refused(tmp_path: Path) -> None:
    for name, content in (("a", "{"), ("b", "[]"), ("c", json.dumps({"format": FORMAT}))):
        path = tmp_path / name
        path.write_text(content)
        for read in (read_key, read_choices):
            with pytest.raises(BadChoices):
                read(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Browser]:
    with a_browser(folder) as found:
        if found is None:
            pytest.skip("no chromium and chromedriver on this machine")
        yield found


def test_a_judge_with_a_keyboard_or_a_finger_saves_choices_that_count(browser: Browser, folder: Path) -> None:
    sheet = make_sheet("Ada Lund", pairs(3), 1)
    page = folder / "sheet.html"
    page.write_text(sheet.page, encoding="utf-8")
    browser.open(page)
    assert browser.run("return document.querySelector('#talk').textContent") == (
        "Bo Rask: did </script><b>you</b> see it?"
    )
    browser.press("a")
    browser.click("#B")
    browser.press("\ue003\ue003b")  # twice back, and the first chosen anew
    browser.click("#next")
    browser.press("t")
    assert browser.run("return document.querySelector('#place').textContent").startswith("3 of 3 judged")
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    browser.click("#save")
    path = folder / f"choices-{sheet.key['sheet']}.json"
    until = time.monotonic() + 90
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.05)
    chosen = read_choices(path)
    shown = browser.run("return pairs.map((pair) => pair.id)")
    assert [chosen["choices"][pair] for pair in shown] == ["B", "B", "tie"]
    assert sum(rate.wins + rate.losses + rate.ties for rate in win_rates(sheet.key, [chosen])) == 3
    n_chosen = "return Object.keys(choices).length"
    kept = "return Object.keys(JSON.parse(localStorage.getItem(store) || '{}')).length"
    assert browser.run(kept) == 3
    browser.reload()  # what was chosen is still there
    assert browser.run(n_chosen) == 3
    assert any(opened(browser, page, n_chosen) == 3 for _ in range(12))  # storage is empty now and then


def opened(browser: Browser, page: Path, asked: str) -> object:
    """What the page says when it is opened anew, its address without choices."""
    browser.open(page)
    return browser.run(asked)


def test_the_page_fits_a_phone_and_every_control_has_a_name(browser: Browser, folder: Path) -> None:
    page = folder / "phone.html"
    long = Pair("long", (Turn("Bo", "w" * 400),), (REAL, ("x" * 400,)), (MADE, ("y",)))
    page.write_text(make_sheet("Ada Lund", [long], 1).page, encoding="utf-8")
    browser.open(page)
    frame = (
        "const f = document.createElement('iframe'); f.style.width = '360px'; f.srcdoc = "
        "document.documentElement.outerHTML; document.body.append(f);"
    )
    browser.run(frame)
    width = "const d = document.querySelector('iframe').contentDocument; return d.body ? d.documentElement.scrollWidth : 0"
    assert browser.wait(f"(() => {{ {width} }})()") <= 360
    assert browser.run("return [...document.querySelectorAll('button')].every((b) => b.textContent.trim())")
    assert browser.run("return document.documentElement.lang") == "en"
