"""The page of a run in a real browser: quiet, narrow, dark, on paper."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from babelpress.reports.page.page import render_page
from tests.reports.page_figures import make_facts, make_plain_facts

pytestmark = pytest.mark.browser

# The contrast of WCAG 2.2 between a text's colour and the first ground behind it that is not transparent.
CONTRAST = """
const light = text => {
  const parts = text.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const [r, g, b] = parts.slice(0, 3).map(v => linear(v / 255));
  return {alpha: parts.length > 3 ? parts[3] : 1, value: 0.2126 * r + 0.7152 * g + 0.0722 * b};
};
const ground = node => {
  for (let own = node; own; own = own.parentElement) {
    const found = light(getComputedStyle(own).backgroundColor);
    if (found.alpha === 1) return found.value;
  }
  return 1;
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), low = [];
let seen = 0;
while (walker.nextNode()) {
  const owner = walker.currentNode.parentElement, words = walker.currentNode.textContent.trim();
  if (!words || owner.closest("style, .skip")) continue;
  const drawn = owner.namespaceURI.endsWith("svg"), style = getComputedStyle(owner);
  const box = drawn && owner.previousElementSibling ? getComputedStyle(owner.previousElementSibling).fill : "none";
  const behind = box.startsWith("rgb") && owner.closest(".strip") ? light(box).value : ground(owner);
  const front = light(drawn ? style.fill : style.color).value;
  const ratio = (Math.max(front, behind) + 0.05) / (Math.min(front, behind) + 0.05);
  seen += 1;
  if (ratio < 4.5) low.push([words.slice(0, 40), ratio]);
}
return [seen, low];
"""


@pytest.fixture(scope="module", params=[make_facts, make_plain_facts], ids=["full", "plain"])
def page(request, tmp_path_factory, tiny_teacher) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(request.param(tiny_teacher)), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _emulates_nothing_afterwards(browser):
    yield
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def emulate(browser, *, media: str = "", scheme: str = "light") -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def test_it_says_nothing_on_the_console_and_asks_for_nothing(browser, page):
    browser.open(page)
    assert browser.console() == []
    assert browser.network() == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_does_not_scroll_sideways(browser, page, width):
    driver = browser.open(page, width=width, height=844)
    driver.execute_script("document.querySelectorAll('details').forEach(own => own.open = true)")
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_wide_tables_scroll_inside_their_box_and_can_be_reached_by_keyboard(browser, page):
    driver = browser.open(page, width=390)
    boxes = driver.execute_script(
        "return [...document.querySelectorAll('.scroll')].map(own => [own.scrollWidth > own.clientWidth, own.tabIndex])"
    )
    assert any(wide for wide, _ in boxes)
    assert all(index == 0 for _, index in boxes)


def test_every_image_can_be_decoded(browser, page):
    driver = browser.open(page)
    sizes = driver.execute_script("return [...document.images].map(own => [own.complete, own.naturalWidth])")
    assert all(complete and width > 0 for complete, width in sizes)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(browser, page, scheme):
    emulate(browser, scheme=scheme)
    driver = browser.open(page)
    driver.execute_script("document.querySelectorAll('details').forEach(own => own.open = true)")
    seen, low = driver.execute_script(CONTRAST)
    assert seen > 300
    assert low == []


def test_the_dark_page_is_dark(browser, page):
    grounds = {}
    for scheme in ("light", "dark"):
        emulate(browser, scheme=scheme)
        driver = browser.open(page)
        ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        grounds[scheme] = sum(map(int, re.findall(r"\d+", ground)))
    assert grounds["dark"] < 200
    assert grounds["light"] > 600


def test_it_can_be_printed_on_pages_light_even_where_the_screen_is_dark(browser, page):
    emulate(browser, scheme="dark")
    driver = browser.open(page)
    printed = driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
    pages = re.findall(rb"/Type\s*/Page\b", base64.b64decode(printed["data"]))
    assert len(pages) >= 5
    emulate(browser, media="print", scheme="dark")
    assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_no_table_is_cut_off_on_paper_and_folded_parts_are_open(browser, page):
    paper = 186 * 96 // 25  # A4 less its margins of 12 mm
    emulate(browser, media="print")
    driver = browser.open(page, width=paper)
    wide = driver.execute_script(
        "return [...document.querySelectorAll('table, pre, figure')].filter("
        "own => own.getBoundingClientRect().right > innerWidth + 1).map(own => own.id || own.className)"
    )
    assert wide == []
    heights = driver.execute_script(
        "return [...document.querySelectorAll('details')].map(own => own.getBoundingClientRect().height)"
    )
    assert min(heights) > 40
