"""The page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_crnn.watch.page.health import Health
from edge_crnn.watch.page.server import Page, serve
from edge_crnn.watch.page.settings import Settings
from edge_crnn.watch.page.state import State
from tests import browser as chromium
from tests.browser import Browser
from tests.edge_crnn.watch.page.examples import SQUARE, Loop, an_event

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.missing() is not None, reason=chromium.missing() or ""),
]

ROWS = "document.querySelectorAll('#rows tr').length"
CORNERS = "document.querySelectorAll('.corner').length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(state: State, browser: Browser) -> Iterator[Page]:
    state.put(an_event(1))
    state.put(an_event(2, text="123 가 4568", kind="end", listed="blocked"))
    browser.resize(1280, 900)
    with serve(state, Settings(port=0)) as page:
        yield page
        browser.open("about:blank")


def opened(browser: Browser, page: Page, query: str = "?lang=en") -> None:
    browser.open(page.address + query)
    browser.wait("document.body.dataset.state")


def test_the_page_shows_everything_without_a_complaint_of_the_console(
    browser: Browser, page: Page, feeding: None
) -> None:
    opened(browser, page)
    browser.wait(f"{ROWS} === 2")
    browser.wait("document.querySelector('#live').naturalWidth === 640")
    browser.wait("document.querySelector('.readings text')?.textContent === '서울 18 나 6897'")
    browser.wait("[...document.querySelectorAll('#rows img')].every((image) => image.naturalWidth === 160)")
    assert browser.run("return document.querySelector('#framesPerSecond').textContent") == "25.0"
    assert browser.console_errors() == []


def test_a_new_vehicle_appears_by_itself(browser: Browser, page: Page, state: State) -> None:
    opened(browser, page)
    browser.wait(f"{ROWS} === 2")
    state.put(an_event(3, text="07 마 5512"))
    browser.wait("document.querySelector('#rows .text').textContent === '07 마 5512'")
    assert browser.run("return document.querySelector('#rows tr').className") == "new"


def test_search_finds_hangul_and_says_when_nothing_fits(browser: Browser, page: Page) -> None:
    opened(browser, page)
    browser.wait(f"{ROWS} === 2")
    browser.type("#search", "나68")
    browser.wait(f"{ROWS} === 1")
    browser.type("#search", "99")
    browser.wait(f"{ROWS} === 0 && !document.querySelector('#noRows').hidden")
    assert "나6899" in browser.run("return document.querySelector('#noRows').innerText")


def test_the_theme_follows_the_system_until_one_is_chosen(browser: Browser, page: Page) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    opened(browser, page)
    grounds = []
    for theme in ("light", "dark"):
        browser.prefer(theme)
        grounds.append(browser.run(ground))
    assert grounds[0] != grounds[1]
    browser.run("const t = document.querySelector('#theme'); t.value = 'light'; t.dispatchEvent(new Event('change'))")
    assert browser.run(ground) == grounds[0]
    opened(browser, page)
    assert browser.run(ground) == grounds[0]
    browser.run("localStorage.clear()")


def test_the_language_is_switched_with_the_link(browser: Browser, page: Page) -> None:
    opened(browser, page, "?lang=en")
    browser.click("#language")
    browser.wait("document.documentElement.lang === 'ko' && document.body.dataset.state")
    assert browser.run("return document.querySelector('#eventsTitle').textContent") == "차량"
    assert browser.run("return document.querySelector('#stateText').textContent") == "인식 중"


def test_a_region_is_edited_and_saved_with_the_keyboard(browser: Browser, page: Page, loop: Loop) -> None:
    opened(browser, page)
    browser.wait("document.querySelector('.regions polygon')")
    browser.run("document.querySelector('#edit').focus()")
    browser.press("Enter")
    browser.wait(f"{CORNERS} === 4")
    while browser.run("return document.activeElement.getAttribute('class')") != "midpoint":
        browser.press("Tab")
    browser.press("Enter")
    browser.wait(f"{CORNERS} === 5")
    browser.press("Right", "Right", "Left")
    label = browser.run("return document.activeElement.getAttribute('aria-label')")
    assert "corner 2 of 5" in label
    assert "51% from the left" in label
    browser.run("document.querySelector('#regionName').focus()")
    browser.type("#regionName", "exit")  # what Tab has selected is replaced
    browser.press("Enter")
    browser.wait("document.querySelector('#editor').hidden")
    browser.wait("document.querySelector('#editorState').offsetParent !== null")
    assert browser.run("return document.querySelector('#editorState').textContent") == "The regions are saved."
    (region,) = loop.regions
    assert region.name == "exit"
    assert region.heights == (20.0, 80.0), "the page keeps what it does not edit"
    assert region.points == (SQUARE[0], (0.51, 0.25), *SQUARE[1:])


def test_a_region_is_edited_with_the_mouse_and_escape_cancels(browser: Browser, page: Page, loop: Loop) -> None:
    before = loop.regions
    opened(browser, page)
    browser.wait("document.querySelector('.regions polygon')")
    browser.click("#edit")
    browser.wait(f"{CORNERS} === 4")
    browser.drag(".corner", 40, 20)
    moved = browser.wait("document.querySelector('.corner').getAttribute('aria-label')")
    width, height = browser.run(
        "const b = document.querySelector('#overlay').getBoundingClientRect(); return [b.width, b.height]"
    )
    assert f"{round(25 + 4000 / width)}% from the left" in moved
    assert f"{round(25 + 2000 / height)}% from the top" in moved
    browser.drag(".midpoint", 0, -30)
    browser.wait(f"{CORNERS} === 5")
    browser.press("Delete")
    browser.wait(f"{CORNERS} === 4")
    browser.press("Escape")
    browser.wait("document.querySelector('#editor').hidden")
    assert browser.run("return document.activeElement.id") == "edit"
    assert loop.regions == before


def test_a_problem_and_a_lost_connection_are_shown(browser: Browser, page: Page, loop: Loop) -> None:
    opened(browser, page)
    loop.health = Health(problem="rtsp://camera.local: no route to host")
    browser.wait("document.body.dataset.state === 'problem'")
    assert "no route to host" in browser.run("return document.querySelector('#banner').textContent")
    page.close()
    browser.wait("document.body.dataset.state === 'lost'")


def test_the_page_recovers_when_the_board_returns(browser: Browser, page: Page, state: State) -> None:
    opened(browser, page)
    port = int(page.address.rstrip("/").rpartition(":")[2])
    page.close()
    browser.wait("document.body.dataset.state === 'lost'")
    state.put(an_event(5))
    with serve(state, Settings(port=port)):
        browser.wait(f"document.body.dataset.state === 'reading' && {ROWS} === 3", 20)


def test_the_phone_layout_fits_its_width(browser: Browser, page: Page, feeding: None) -> None:
    browser.resize(390, 844)
    for language in ("en", "ko"):
        opened(browser, page, f"?lang={language}")
        browser.wait(f"{ROWS} === 2")
        assert browser.run("return document.documentElement.scrollWidth") == 390


def test_every_control_has_a_name_and_a_visible_focus(browser: Browser, page: Page) -> None:
    opened(browser, page)
    browser.wait(f"{ROWS} === 2")
    browser.click("#edit")
    browser.wait(f"{CORNERS} === 4")
    browser.run("document.querySelector('.skip').focus()")
    nodes = browser.devtools("Accessibility.getFullAXTree")["nodes"]
    controls = [
        node
        for node in nodes
        if node.get("role", {}).get("value") in ("button", "link", "textbox", "searchbox", "combobox")
    ]
    assert len(controls) > 10
    assert all(node["name"]["value"].strip() for node in controls)
    for _ in range(15):
        browser.press("Tab")
        active = browser.run("return document.activeElement.outerHTML")
        style = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert style != "none" or active.startswith("<circle"), active  # circles change their colours


def test_the_token_opens_the_page_once_and_for_all(browser: Browser, state: State, tmp_path: Path) -> None:
    file = tmp_path / "token"
    settings = replace(Settings(port=0), token_file=file)
    with serve(state, settings) as page:
        browser.open(page.address)
        assert "token" in browser.run("return document.body.innerText").lower()
        browser.type("#token", file.read_text().strip())
        browser.click("button")
        browser.wait("document.body.dataset.state === 'reading' && location.search === ''")
        opened(browser, page)
        browser.open("about:blank")
