"""The page in a real browser, on the daemon's application with a real space: every view, two widths, two colours.

Screenshots go into the folder that SLOWWAVE_SCREENSHOTS names, else into the test run's own.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import pytest

from bench.tiny_model import OPEN_GATE
from memory import consent
from service.settings import Settings
from service.wiring import Services
from tests.browser import ENTER, ESCAPE, TAB, Browser, a_browser
from tests.page_server import served
from tests.service.test_http import record_run

PLANTED = "<img src=x onerror='planted=1'>"
ORDER = "<script>planted=1</script> I live in <b>Oslo</b>."
ADA = "people/Ada%20Lund"
VIEWS = (
    "people",
    ADA,
    f"{ADA}/feelings",
    f"{ADA}/ties",
    f"{ADA}/character",
    "ask?q=Where%20does%20Ada%20live%3F",
    "talk",
    "talk/Ada%20Lund",
    "talk/Bo%20Rask",
    "graph",
    "nights",
    "review",
    "recipes",
    "import",
    "erase",
    "status",
    "more",
)
PHONE_DARK, DESK_LIGHT = (390, 844, True), (1280, 860, False)
PHONE_LIGHT, DESK_DARK = (390, 844, False), (1280, 860, True)
READY = (
    "document.querySelector('#main .view h1') && !document.querySelector('.loading, [aria-busy]')"
    " && document.title.endsWith('slowwave')"
)
SAME_OR_OTHER = (
    "document.title = ''; const [wanted] = arguments;"
    "if (location.hash === wanted) dispatchEvent(new Event('hashchange')); else location.hash = wanted"
)
BUSY_S = 90.0  # the first question loads the encoder, perhaps beside everybody else's tests
AXE = "return axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"


@dataclass(frozen=True)
class Visitor:
    """A browser on the page; `pictures` is where screenshots go."""

    browser: Browser
    address: str
    pictures: Path

    def open(self, view: str) -> None:
        """As a click on a link does, where the page is open; else with a load."""
        if not self.browser.run("return location.href").startswith(self.address):
            self.browser.open(f"{self.address}#/{view}")
        else:
            script = (
                "document.title = ''; location.hash = arguments[0]; dispatchEvent(new Event('hashchange'))"
            )
            self.browser.run(script, f"#/{view}")
        self.browser.wait(READY, seconds=BUSY_S)

    def look(self, width: int, height: int, is_dark: bool) -> None:
        self.browser.look(width=width, height=height, is_dark=is_dark)

    def troubles(self) -> list[str]:
        """What axe-core finds: rule, and the elements that break it."""
        if not self.browser.run("return window.axe !== undefined"):
            self.browser.run(files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
        found = self.browser.run(AXE)
        return [
            f"{rule['id']}: {node['target']} {node['any'][0]['message'] if node['any'] else ''}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]

    def text(self, selector: str = "#main") -> str:
        return str(self.browser.run("return document.querySelector(arguments[0]).innerText", selector))

    def press_button(self, label: str) -> None:
        script = (
            "const all = [...document.querySelectorAll('dialog[open] button, #toasts button, #main button, summary')];"
            "const found = all.filter(one => one.textContent.trim() === arguments[0] && one.offsetParent);"
            "if (!found.length) throw Error('no button ' + arguments[0]); found[0].click()"
        )
        self.browser.run(script, label)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with a_browser(tmp_path_factory.mktemp("downloads")) as opened:
        if opened is None:
            pytest.skip("no chromium with chromedriver on this machine")
        yield opened


@pytest.fixture(scope="module")
def services(imported: Path, talkative: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home = tmp_path_factory.mktemp("page") / "home"
    shutil.copytree(imported, home)
    settings = Settings(home=home)
    short = replace(settings.night.train, steps=2, rank=2, alpha=4, kl_per_step=0, dtype="float32")
    night = replace(settings.night, base_model=str(talkative), train=short, gate=OPEN_GATE)
    settings = replace(settings, night=night)
    with Services(settings) as opened:
        rows = [{"time": "2025-04-01T10:00:00", "speaker": PLANTED, "text": ORDER}]
        rows.append({"time": "2025-04-02T10:00:00", "speaker": "Ada Lund", "text": f"{PLANTED} hello"})
        (home / "planted.jsonl").write_text("\n".join(map(json.dumps, rows)))
        opened.import_file(home / "planted.jsonl")
        opened.index.refresh()
        ada = opened.person("Ada Lund")
        consent.record(opened.database, opened.space_id, ada.id, agreed_by="Ada Lund")
        record_run(opened)
        yield opened


@pytest.fixture(scope="module")
def visitor(
    browser: Browser, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Visitor]:
    named = os.environ.get("SLOWWAVE_SCREENSHOTS")
    pictures = Path(named) if named else tmp_path_factory.mktemp("pictures")
    pictures.mkdir(parents=True, exist_ok=True)
    with served(services) as address:
        yield Visitor(browser, address, pictures)


def _sweep(visitor: Visitor, width: int, height: int, is_dark: bool) -> None:
    """Every view: shown, accessible, within the width, without an error, from this daemon alone."""
    browser = visitor.browser
    visitor.look(width, height, is_dark)
    browser.open("about:blank")
    browser.console(), browser.requests()
    wrong: list[str] = []
    for view in VIEWS:
        visitor.open(view)
        name = view.replace("/", "-").replace("%20", "-").split("?")[0]
        browser.picture(visitor.pictures / f"{name}-{width}-{'dark' if is_dark else 'light'}.png")
        wrong += [f"{view}: {trouble}" for trouble in visitor.troubles()]
        wrong += browser.run("return [...document.querySelectorAll('.problem')].map(one => one.textContent)")
        if browser.run("return document.documentElement.scrollWidth") > width:
            wrong.append(f"{view} is wider than {width}")
    assert wrong == []
    assert browser.console() == []
    away = [url for url in browser.requests() if not url.startswith((visitor.address, "data:", "about:"))]
    assert away == []


def test_every_view_works_on_a_phone_in_the_dark(visitor: Visitor) -> None:
    _sweep(visitor, *PHONE_DARK)


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(DESK_LIGHT, id="desk, light", marks=pytest.mark.slow),
        pytest.param(PHONE_LIGHT, id="phone, light", marks=pytest.mark.slow),
        pytest.param(DESK_DARK, id="desk, dark", marks=pytest.mark.slow),
    ],
)
def test_every_view_works(visitor: Visitor, look: tuple[int, int, bool]) -> None:
    _sweep(visitor, *look)


def test_markup_in_names_and_messages_stays_text(visitor: Visitor) -> None:
    for view in ("people", "people/" + "%3Cimg%20src%3Dx%20onerror%3D'planted%3D1'%3E", "graph", "erase"):
        visitor.open(view)
    visitor.open("ask?q=Where%20does%20" + "%3Cimg%20src%3Dx%20onerror%3D'planted%3D1'%3E" + "%20live%3F")
    visitor.open("people")
    assert PLANTED in visitor.text()
    assert visitor.browser.run("return document.querySelectorAll('img, b, #main script').length") == 0
    assert visitor.browser.run("return window.planted === undefined")


def test_the_keyboard_reaches_everything_and_a_fact_opens_and_closes_with_it(visitor: Visitor) -> None:
    visitor.look(*DESK_LIGHT)
    for view in (ADA, "graph", "erase"):
        visitor.open(view)
        wanted = visitor.browser.run(
            "return [...document.querySelectorAll('#skip, a[href], button, input, select, textarea, summary, canvas')]"
            ".filter(one => one.offsetParent && !one.disabled && !one.closest('details:not([open]) > :not(summary)'))"
            ".map((one, place) => (one.dataset.place = place)).length"
        )
        visitor.browser.run("document.activeElement.blur(); document.getElementById('skip').focus()")
        reached = set()
        for _ in range(wanted + 3):
            reached.add(visitor.browser.run("return document.activeElement.dataset.place"))
            visitor.browser.press(TAB)
        assert len(reached - {None}) == wanted, view
    visitor.open(ADA)
    visitor.browser.run("document.querySelector('.fact').focus()")
    visitor.browser.press(ENTER)
    visitor.browser.wait("document.querySelector('dialog[open] .quote')")
    assert visitor.browser.run("return document.querySelector('dialog').contains(document.activeElement)")
    assert visitor.troubles() == []
    visitor.browser.press(ESCAPE)
    assert visitor.browser.run("return document.activeElement.classList.contains('fact')")


def test_a_fact_is_corrected_and_the_correction_undone(visitor: Visitor) -> None:
    visitor.open(ADA)
    assert "Lagos" in visitor.text(".topics")
    visitor.browser.run(
        "[...document.querySelectorAll('.topics .fact')].find(one => one.textContent.includes('Lagos')).click()"
    )
    visitor.browser.wait("document.querySelector('dialog[open] .quote')")
    visitor.press_button("Correct it")
    visitor.browser.run("document.querySelector('dialog form input').value = ''")
    visitor.browser.write("dialog form input", "Lisbon")
    visitor.press_button("Save the correction")
    visitor.browser.wait("document.querySelector('.topics')?.innerText.includes('Lisbon')")
    visitor.press_button("Undo")
    visitor.browser.wait("document.querySelector('.topics')?.innerText.includes('Lagos')")
    assert "Lisbon" not in visitor.text(".topics")


def test_the_slider_shows_what_held_on_another_day(visitor: Visitor) -> None:
    visitor.open(ADA)
    visitor.browser.run(
        "const range = document.querySelector('.asof input');"
        "range.value = 5; range.dispatchEvent(new Event('input'))"
    )
    visitor.browser.wait("document.querySelector('.topics').innerText.includes('Porto')")
    assert "Lagos" not in visitor.text(".topics")
    assert visitor.browser.run("return document.querySelectorAll('.bar-fact.off').length") > 0


def test_a_talk_is_marked_as_simulated_and_shows_what_it_rests_on(visitor: Visitor) -> None:
    visitor.open("talk/Ada%20Lund")
    visitor.browser.write(".say textarea", "Where do you live?")
    visitor.press_button("Send")
    visitor.browser.wait("document.querySelector('.under')", seconds=BUSY_S)
    visitor.browser.picture(visitor.pictures / "a-talk.png")
    assert (
        visitor.browser.run("return document.querySelector('.bubble.persona .badge').textContent")
        == "simulated"
    )
    assert visitor.text(".bubble.persona p").strip()
    assert visitor.troubles() == []


def test_nobody_is_simulated_before_consent_is_on_record(visitor: Visitor, services: Services) -> None:
    visitor.open("talk/Bo%20Rask")
    assert visitor.browser.run("return document.querySelector('.say') === null")
    visitor.browser.write(".view form input", "Bo Rask")
    visitor.browser.run("document.querySelector('.check input').click()")
    visitor.press_button("Record the consent")
    visitor.browser.wait("document.querySelector('.say textarea')")
    assert consent.has_consent(services.database, services.space_id, services.person("Bo Rask").id)
    visitor.press_button("Withdraw the consent")
    visitor.press_button("Withdraw")
    visitor.browser.wait("document.querySelector('.say') === null && document.querySelector('.check')")
    assert not consent.has_consent(services.database, services.space_id, services.person("Bo Rask").id)


def test_an_erasure_is_shown_first_and_needs_the_name_typed(visitor: Visitor, services: Services) -> None:
    visitor.open("erase")
    visitor.browser.write(".view form input", "Marta")
    visitor.press_button("Show what would happen")
    visitor.browser.wait("document.querySelector('.view button.danger')", seconds=BUSY_S)
    visitor.press_button("Erase …")
    assert visitor.browser.run("return document.querySelector('dialog button.danger').disabled")
    visitor.browser.write("dialog input", "Marta")
    assert not visitor.browser.run("return document.querySelector('dialog button.danger').disabled")
    assert visitor.troubles() == []
    visitor.press_button("Leave it as it is")
    assert services.person("Marta").name == "Marta"


def test_a_file_is_looked_into_before_it_is_imported(visitor: Visitor, tmp_path: Path) -> None:
    rows = [{"time": "2025-05-01T10:00:00", "speaker": "Cy Holm", "text": "I live in Turku."}]
    (tmp_path / "more.jsonl").write_text("\n".join(map(json.dumps, rows)))
    visitor.open("import")
    visitor.browser.write("input[type=file]", str(tmp_path / "more.jsonl"))
    visitor.press_button("Look into it")
    visitor.browser.wait("document.querySelector('.note')", seconds=BUSY_S)
    assert "Importing would add 1 message" in visitor.text(".note")
    assert "New here: Cy Holm" in visitor.text()
    assert visitor.troubles() == []
    visitor.press_button("Import it")
    visitor.browser.wait("document.querySelector('#main').innerText.includes('It is here')", seconds=BUSY_S)
    visitor.open("people")
    assert "Cy Holm" in visitor.text()


def test_a_daemon_with_a_token_asks_for_it_and_keeps_it_from_scripts(
    browser: Browser, services: Services, visitor: Visitor
) -> None:
    with served(services, token="a-long-token") as address:
        guest = Visitor(browser, address, visitor.pictures)
        browser.open(address)
        browser.wait("document.querySelector('.view.login input')", seconds=BUSY_S)
        assert guest.troubles() == []
        assert "Ada" not in browser.run("return document.body.innerText")
        browser.write(".login input", "wrong")
        guest.press_button("Sign in")
        browser.wait("document.querySelector('.toast.bad')")
        browser.run("document.querySelector('.login input').value = ''")
        browser.write(".login input", "a-long-token")
        guest.press_button("Sign in")
        browser.wait("document.querySelector('#main').innerText.includes('Ada Lund')", seconds=BUSY_S)
        assert browser.run("return document.cookie") == ""


def test_a_fresh_install_says_what_to_do_first(browser: Browser, visitor: Visitor, tmp_path: Path) -> None:
    with Services(Settings(home=tmp_path)) as nobody, served(nobody) as address:
        guest = Visitor(browser, address, visitor.pictures)
        guest.look(*PHONE_LIGHT)
        for view in ("people", "talk", "graph", "nights", "review", "erase"):
            guest.open(view)
            assert browser.run("return document.querySelector('.empty h2') !== null"), view
            assert guest.troubles() == [], view
        guest.open("people")
        browser.picture(visitor.pictures / "nobody-390-light.png")
        browser.click(".empty a")
        browser.wait("document.querySelector('input[type=file]')")


@pytest.mark.slow
def test_a_night_is_begun_followed_and_what_it_taught_taken_back(visitor: Visitor) -> None:
    visitor.look(*DESK_LIGHT)
    visitor.open("nights")
    visitor.press_button("Let it sleep now")
    visitor.press_button("Begin the night")
    visitor.browser.wait("document.querySelector('.stage.done')", seconds=400)
    visitor.browser.picture(visitor.pictures / "a-night-live.png")
    visitor.browser.wait("document.querySelector('#main').innerText.includes('published')", seconds=400)
    visitor.browser.picture(visitor.pictures / "a-night.png")
    assert visitor.browser.run("return document.querySelectorAll('.stage.done').length") >= 12
    assert visitor.troubles() == []
    visitor.open("recipes")
    visitor.press_button("What it is made of")
    visitor.browser.wait("document.querySelector('.view table')")
    visitor.browser.picture(visitor.pictures / "weights.png")
    assert visitor.troubles() == []
    visitor.press_button("Serve the plain model")
    visitor.press_button("Let it serve")
    visitor.browser.wait("!document.querySelector('#main').innerText.includes('serves now')", seconds=BUSY_S)
    visitor.press_button("Undo")
    visitor.browser.wait("document.querySelector('#main').innerText.includes('serves now')", seconds=BUSY_S)
