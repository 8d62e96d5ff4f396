"""The report in a real Chromium: drawn, readable, within its window, and alone."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from ecgbatch.report.page import render
from ecgbatch.report.view import view_of
from ecgbatch.terms import DEMONSTRATION_NOTICE, INTENDED_USE_NOTICE
from tests.support.browser import Page, opened_page
from tests.support.report_numbers import nothing, numbers

_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Contrast after WCAG 2.1 of every text with the paper below it; texts without contrast come back.
_PALE = """(() => {
  const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const paper = one => {
    for (let at = one; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pale = [];
  while (walk.nextNode()) {
    const one = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || one.closest('svg, .skip')) continue;
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(paper(one))];
    if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5)
      pale.push(walk.currentNode.data.trim().slice(0, 40));
  }
  return pale;
})()"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened_page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("full") / "report.html"
    path.write_text(render(view_of(numbers())), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quiet") / "report.html"
    path.write_text(render(view_of(nothing())), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["full", "quiet"])
def test_fits_its_window_and_can_be_read(
    tab: Page, name: str, width: int, scheme: str, request: pytest.FixtureRequest
) -> None:
    tab.show(request.getfixturevalue(name), width, scheme=scheme)
    assert tab.value("innerWidth") == width
    assert tab.value(_OVERFLOW) == 0
    assert tab.value(_PALE) == []
    text = " ".join(tab.value("document.body.innerText").split())
    assert DEMONSTRATION_NOTICE in text
    assert INTENDED_USE_NOTICE in text

    pixels = image.imread(BytesIO(tab.picture()), format="png")[:, :, :3]
    paper = np.median(pixels, axis=(0, 1))
    assert bool(paper.mean() > 0.9) is (scheme == "light")
    is_ink = np.abs(pixels - paper).max(axis=2) > 0.25
    assert 0.01 < is_ink.mean() < 0.5


def test_asks_for_nothing_and_complains_of_nothing(tab: Page, full: Path) -> None:
    tab.requests.clear()
    tab.show(full, 1280)
    tab.value("new Promise(done => setTimeout(done, 300))")
    asked = {url for url in tab.requests if not url.startswith("data:")}
    assert asked == {full.as_uri()}
    assert tab.complaints == []


def test_the_policy_would_stop_a_request(tab: Page, full: Path, tmp_path: Path) -> None:
    """The control of the test above: a picture from elsewhere is seen, and is refused."""
    spoilt = tmp_path / "spoilt.html"
    planted = '<img src="https://example.org/pixel.png" alt="planted here"></main>'
    spoilt.write_text(full.read_text(encoding="utf-8").replace("</main>", planted), "utf-8")
    tab.ask("Page.navigate", url=spoilt.as_uri())
    tab.value("new Promise(done => setTimeout(done, 500))")
    complaints = [one for one in tab.complaints if "example.org" in one]
    tab.complaints.clear()
    assert any("Content Security Policy" in one for one in complaints)


def test_figures_are_drawn_to_their_numbers(tab: Page, full: Path) -> None:
    """20 % high, 30 % intermediate and 50 % low of each column, in the pixels' own measure."""
    tab.show(full, 1280)
    heights = tab.value(
        "[...document.querySelector('#bundle-1 svg').querySelectorAll('rect')].slice(0, 3)"
        ".map(one => one.getBoundingClientRect().height)"
    )
    whole = tab.value("document.querySelector('#bundle-1 svg').getBoundingClientRect().height")
    assert whole > 100
    assert heights == pytest.approx([0.2 * whole, 0.3 * whole, 0.5 * whole], rel=0.01)


def test_tables_and_pages_are_reached_by_keyboard(tab: Page, full: Path) -> None:
    tab.show(full, 390)
    seen = []
    for _ in range(25):
        for kind in ("rawKeyDown", "keyUp"):
            tab.ask("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)
        seen.append(
            tab.value(
                "(one => one.getAttribute('aria-label') || one.textContent.trim())"
                "(document.activeElement)"
            )
        )
    assert seen[0] == "Skip to the report"
    assert "Worklist" in seen
    assert "Strata by task" in seen
    assert "ECG of recording 1" in seen


def test_prints_on_paper_in_light_colours(tab: Page, full: Path) -> None:
    tab.show(full, 1280, scheme="dark")
    tab.media("print", "dark")
    assert tab.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert tab.value(_PALE) == []
    document = tab.printed()
    assert document.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", document)) <= 12
