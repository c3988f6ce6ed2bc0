"""The page to explore: one file that a browser opens from the disk, whatever the sentences hold."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from babelpress.reports.style import LANGUAGE_COLOURS, sentence_colours
from babelpress.reports.umap_page import page_data, write_page
from tests.reports.browser import Browser

TEXTS = {
    "en": ["Hello </script><script>document.title = 'taken'</script>", "<b>Two</b> & 'three'", "Good night"],
    "ar": ["مرحبا يا صديقي", "اثنان", "تصبح على خير"],
    "ja": ["こんにちは、元気ですか?", "二つ", "おやすみなさい"],
    "ko": ["안녕하세요", "둘", "\u2028잘 자요"],
}
MODELS = ("teacher", "pruned", "distilled")
TITLE = "try: 4 languages & <3 sentences>"


def points() -> dict[str, np.ndarray]:
    """Points of a grid, far apart, another for each model."""
    grid = np.array([[x, y] for x in range(4) for y in range(3)], dtype=np.float32)
    return {name: grid[::-1] * 1.23456 if name == "pruned" else grid for name in MODELS}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "umap.html"
    write_page(path, points(), texts=TEXTS, title=TITLE)
    return path


# --- what is in the file ------------------------------------------------------------------------


def test_the_data_are_languages_texts_colours_and_rounded_points():
    found = page_data(points(), TEXTS)
    assert found["languages"][1] == {
        "code": "ar", "name": "Arabic", "colour": LANGUAGE_COLOURS[1], "symbol": "circle",
    }  # fmt: skip
    assert found["texts"] == list(TEXTS.values())
    assert found["colours"] == sentence_colours(3)
    assert [model["name"] for model in found["models"]] == list(MODELS)
    assert found["models"][1]["x"][0] == 3.704  # 3 x 1.23456
    assert json.loads(json.dumps(found)) == found


def test_texts_come_out_of_the_page_as_they_went_in(page):
    text = page.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, flags=re.DOTALL)
    assert json.loads(data)["texts"] == list(TEXTS.values())
    assert "<b>Two" not in text
    assert "<title>try: 4 languages &amp; &lt;3 sentences&gt;</title>" in text


def test_the_page_is_the_same_every_time(page, tmp_path):
    write_page(tmp_path / "again.html", points(), texts=TEXTS, title=TITLE)
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_the_page_allows_itself_no_network(page):
    text = page.read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


# --- what it does in a browser ------------------------------------------------------------------


@pytest.fixture
def opened(browser: Browser, page: Path) -> Browser:
    browser.open(page)
    return browser


def dots(browser: Browser, model: int) -> list[WebElement]:
    """Return the dots of a model's panel, language by language."""
    panel = browser.driver.find_elements(By.CSS_SELECTOR, ".plot")[model]
    return panel.find_elements(By.CSS_SELECTOR, ".trace:first-child .point")


def colours(browser: Browser, model: int = 0) -> list[str]:
    """Return the colours of a panel's dots, as #rrggbb."""
    numbers = [re.findall(r"\d+", dot.value_of_css_property("fill"))[:3] for dot in dots(browser, model)]
    return ["#" + "".join(f"{int(number):02x}" for number in three) for three in numbers]


def bright(browser: Browser, model: int) -> int:
    """Return how many dots a panel shows above the faded ones."""
    panel = browser.driver.find_elements(By.CSS_SELECTOR, ".plot")[model]
    return len(panel.find_elements(By.CSS_SELECTOR, ".trace:nth-child(2) .point"))


def eventually(ask, wanted) -> None:
    """Wait until a page that draws a moment later shows what is wanted."""
    for _ in range(100):
        if ask() == wanted:
            return
        time.sleep(0.1)
    assert ask() == wanted


def point_at(browser: Browser, dot: WebElement) -> None:
    ActionChains(browser.driver).move_to_element(dot).perform()


@pytest.mark.browser
def test_the_page_opens_from_the_disk_without_an_error_or_a_request(opened):
    assert opened.driver.title == TITLE
    assert [title.text for title in opened.driver.find_elements(By.TAG_NAME, "h2")] == list(MODELS)
    assert [len(dots(opened, model)) for model in range(3)] == [12, 12, 12]
    names = [button.text for button in opened.driver.find_elements(By.CSS_SELECTOR, "#legend button")]
    assert names == ["English", "Arabic", "Japanese", "Korean"]
    assert (opened.console(), opened.network()) == ([], [])


@pytest.mark.browser
@pytest.mark.parametrize(
    ("place", "about"),
    [
        (0, "English (en), sentence 1"), (5, "Arabic (ar), sentence 3"), (6, "Japanese (ja), sentence 1"),
        (10, "Korean (ko), sentence 2"),
    ],
)  # fmt: skip
def test_pointing_at_a_dot_shows_its_sentence_and_its_translations_everywhere(opened, place, about):
    point_at(opened, dots(opened, 0)[place])
    tip = opened.driver.find_element(By.ID, "tip")
    eventually(lambda: tip.text.splitlines()[-1:], [about])
    text = opened.driver.execute_script("return document.querySelector('#tip p').textContent")
    assert text == [text for lines in TEXTS.values() for text in lines][place]
    eventually(lambda: [bright(opened, model) for model in range(3)], [4, 4, 4])
    point_at(opened, opened.driver.find_element(By.TAG_NAME, "h1"))
    eventually(lambda: (tip.is_displayed(), bright(opened, 0)), (False, 0))
    assert (opened.console(), opened.driver.title) == ([], TITLE)


@pytest.mark.browser
def test_a_sentence_from_right_to_left_is_shown_so(opened):
    for place, direction in ((3, "rtl"), (6, "ltr")):
        point_at(opened, dots(opened, 0)[place])
        shown = "return getComputedStyle(document.querySelector('#tip p')).direction"
        eventually(lambda ask=shown: opened.driver.execute_script(ask), direction)


@pytest.mark.browser
def test_the_switch_recolours_every_panel(opened):
    by_language = [colour for colour in LANGUAGE_COLOURS[:4] for _ in range(3)]
    assert colours(opened) == by_language
    by_sentence, back = (
        opened.driver.find_element(By.CSS_SELECTOR, f"[data-by={name}]") for name in ("sentence", "language")
    )
    by_sentence.click()
    assert colours(opened, 0) == colours(opened, 2) == sentence_colours(3) * 4
    assert (by_sentence.get_attribute("aria-pressed"), back.get_attribute("aria-pressed")) == ("true", "false")
    back.click()
    assert colours(opened) == by_language
    assert opened.console() == []


@pytest.mark.browser
def test_choosing_a_dot_lists_its_translations_and_choosing_it_again_lets_go(opened):
    dot = dots(opened, 1)[4]
    ActionChains(opened.driver).move_to_element(dot).click().perform()
    cells = "return [...document.querySelectorAll('#said tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    wanted = [[name, lines[1]] for name, lines in zip(("English", "Arabic", "Japanese", "Korean"), TEXTS.values(),
                                                      strict=True)]  # fmt: skip
    eventually(lambda: opened.driver.execute_script(cells), wanted)
    assert [bright(opened, model) for model in range(3)] == [4, 4, 4]
    ActionChains(opened.driver).move_to_element(dot).click().perform()
    eventually(lambda: opened.driver.execute_script(cells), [])


@pytest.mark.browser
def test_choosing_a_language_shows_its_dots_and_lists_its_sentences(opened):
    button = opened.driver.find_elements(By.CSS_SELECTOR, "#legend button")[3]
    button.click()
    assert [bright(opened, model) for model in range(3)] == [3, 3, 3]
    assert button.get_attribute("aria-pressed") == "true"
    rows = opened.driver.find_elements(By.CSS_SELECTOR, "#said tr")
    assert [row.text for row in rows] == ["1 안녕하세요", "2 둘", "3 잘 자요"]


@pytest.mark.browser
@pytest.mark.parametrize(("width", "beside"), [(1280, 3), (390, 1)])
def test_panels_stand_beside_each_other_or_below_as_there_is_room(browser, page, width, beside):
    driver = browser.open(page, width=width, height=844)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    places = [panel.rect for panel in driver.find_elements(By.CSS_SELECTOR, ".plot")]
    assert sum(place["y"] == places[0]["y"] for place in places) == beside
    drawn = [drawing.rect for drawing in driver.find_elements(By.CSS_SELECTOR, ".plot .main-svg:first-child")]
    assert len(drawn) == 3
    for place, drawing in zip(places, drawn, strict=True):
        assert place["width"] == pytest.approx(place["height"], abs=1)
        assert (drawing["width"], drawing["height"]) == pytest.approx((place["width"], place["height"]), abs=1)
