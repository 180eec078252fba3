"""What holds for every page of the console, opened with data that is made to break it."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.hostile import fill
from tests.browser.pages import addresses, routes
from tests.browser.visitor import Visitor
from tests.browser.windows import Windows
from tests.e2e.conftest import Service
from tests.support.servers.npm import install_packages
from tests.support.servers.program import need_program

PHONE = ViewportSize(width=390, height=844)
# What 1280 pixels leave at 200 % zoom.
ZOOMED = ViewportSize(width=640, height=400)
DESK = ViewportSize(width=1280, height=800)
MAX_FIRST_PAGE_BYTES = 100 * 1024
# What would be there if a text had become markup.
MARKUP = "img[src='x'], script:not([src]), a[href^='javascript:'], [onerror]"
# Returns how often the Tab key is pressed to reach everything: one of the radio buttons with the same name, and each
# part of a date.
FIND_STOPS = """() => {
  const groups = new Set();
  window.reached = new Set();
  document.addEventListener("focusin", (event) => window.reached.add(event.target));
  window.stops = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter((one) => one.checkVisibility() && !one.disabled && one.type !== "hidden")
    .filter((one) => one.type !== "radio" || !groups.has(one.name) && groups.add(one.name));
  return window.stops.length + 9 * document.querySelectorAll("[type='date'], [type='datetime-local']").length;
}"""
MISSED = """() => window.stops
  .filter((one) => !window.reached.has(one))
  .filter((one) => one.type !== "radio" || ![...window.reached].some((other) => other.name === one.name))
  .map((one) => one.outerHTML.slice(0, 200))"""
Ids = Mapping[str, Mapping[str, str]]


@pytest.fixture(scope="module")
def ids(api: httpx.Client, service: Service) -> Ids:
    return fill(api, service)


@pytest.fixture(scope="module")
def reader(windows: Windows, ids: Ids) -> Visitor:
    """A window that is signed in with all scopes."""
    assert ids
    return windows.open(reduced_motion="reduce")


@pytest.mark.parametrize("route", routes())
def test_a_page_stands_hostile_data_and_serves_everyone(
    route: str, ids: Ids, reader: Visitor, windows: Windows
) -> None:
    """Nothing runs or loads, and the page is accessible, by keyboard alone too, and fits a phone."""
    for address in addresses(route, ids):
        reader.page.set_viewport_size(DESK)
        response = reader.page.goto(f"/console{address}")
        assert response is not None
        assert response.status == 200, address
        expect(reader.heading).to_have_count(1)
        expect(reader.page.locator(MARKUP)).to_have_count(0)
        assert reader.page.evaluate("window.ran") is None
        assert reader.page.evaluate("document.getAnimations().length") == 0
        reader.inspect()
        check_keyboard(reader.page)
        for size in (ZOOMED, PHONE):
            reader.page.set_viewport_size(size)
            reader.check_width()
        windows.check()


def test_the_skip_link_leads_past_the_menu(reader: Visitor) -> None:
    reader.go("/operations")
    reader.page.keyboard.press("Tab")
    expect(reader.page.get_by_role("link", name="Skip to the content")).to_be_focused()

    reader.page.keyboard.press("Enter")

    expect(reader.page.get_by_role("main")).to_be_focused()


def test_pages_are_valid_html(ids: Ids, reader: Visitor, tmp_path: Path) -> None:
    """The validator of the W3C reads the pages as they were sent, and the style sheet."""
    java = need_program("java", package="default-jre-headless")
    packages = install_packages(Path(__file__).with_name("html_validator"), tmp_path)
    names = {}
    for number, address in enumerate(address for route in routes() for address in addresses(route, ids)):
        response = reader.page.request.get(f"/console{address}")
        assert response.status == 200, address
        names[f"page-{number}.html"] = address
        (tmp_path / f"page-{number}.html").write_bytes(response.body())

    validated = subprocess.run(  # noqa: S603 - an installed program
        [
            java,
            "-jar",
            packages / "vnu-jar/build/dist/vnu.jar",
            "--format",
            "json",
            "--errors-only",
            "--exit-zero-always",
            *names,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    messages = json.loads(validated.stderr)["messages"]
    found = [f"{names[Path(one['url']).name]}: {one['message']} {one.get('extract')}" for one in messages]
    assert not found, "\n".join(found)


def test_the_first_page_is_light(windows: Windows) -> None:
    """All that a browser loads that has never been here."""
    visitor = windows.open()
    session = visitor.page.context.new_cdp_session(visitor.page)
    session.send("Network.enable")
    session.send("Network.clearBrowserCache")
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))

    visitor.go()
    visitor.page.wait_for_load_state("load")

    assert len(sizes) >= 4
    assert sum(sizes) <= MAX_FIRST_PAGE_BYTES


def check_keyboard(page: Page) -> None:
    """Check that the Tab key reaches all that can be used."""
    stops = page.evaluate(FIND_STOPS)
    for _ in range(stops + 1):
        page.keyboard.press("Tab")
    missed = page.evaluate(MISSED)
    assert not missed, f"{page.url}: the Tab key does not reach {missed}"
