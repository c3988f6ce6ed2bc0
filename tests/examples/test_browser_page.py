"""The browser example in a real browser: it loads, searches, agrees with sentence-transformers, asks nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

import babelpress
from babelpress.architectures.encoders import load_encoder
from babelpress.corpus.bundled import held_out_meanings
from babelpress.evaluation.fidelity.bundled import score_bitext
from babelpress.utils.files import read_json
from babelpress.utils.tokenizer import open_tokenizer
from examples.browser.build import build_model
from tests.distillation import write_recipe
from tests.examples.conftest import lay_out, served

pytestmark = pytest.mark.browser

GERMAN = "Das Gate wurde von B12 auf C4 geändert."
ARABIC = "سقط هاتفي في المغسلة، والآن تصدر السماعة صوت خشخشة."
MEANINGS = {meaning.id: meaning.texts for meaning in held_out_meanings()}
DEMO = Path(__file__).resolve().parents[2] / "runs" / "demo" / "student"


class Page:
    """The page in a browser, as a user sees it."""

    def __init__(self, browser, where: str, *, state: str = "ready", width: int = 1280):
        self.browser, self.driver, self.where, self.width = browser, browser.driver, where, width
        self.open(state)

    def open(self, state: str = "ready") -> None:
        self.driver.get("about:blank")
        self.browser.console(), self.browser.network()  # what other pages left in the logs
        metrics = {"width": self.width, "height": 900, "deviceScaleFactor": 1, "mobile": self.width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.set_script_timeout(60)
        self.driver.get(self.where)
        self.until(lambda: self.run("return document.documentElement.dataset.state") is not None)
        assert self.run("return document.documentElement.dataset.state") == state, self.text("status")

    def until(self, holds) -> None:
        WebDriverWait(self.driver, 120, poll_frequency=0.05).until(lambda _: holds())

    def run(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait_for(self, script: str, *arguments):
        """Return what a promise of the page comes to."""
        wrapped = f"const done = arguments[arguments.length - 1]; ({script})(...arguments).then(done)"
        return self.driver.execute_async_script(wrapped, *arguments)

    def text(self, name: str) -> str:
        return self.driver.find_element(By.ID, name).text

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def search(self, words: str) -> None:
        """Type a query in place of the one that is there, and wait for its answer."""
        field = self.driver.find_element(By.ID, "query")
        field.clear()
        field.send_keys(words)
        self.until(lambda: self.run("return document.getElementById('results').dataset.query") == words)

    def rows(self) -> list[dict]:
        return self.run("""return [...document.querySelectorAll('#results li')].map((item) => ({
            language: item.querySelector('.words').lang, text: item.querySelector('.words').textContent,
            score: Number(item.querySelector('.value')?.textContent), same: item.classList.contains('same'),
            gloss: item.querySelector('.gloss')?.textContent ?? null }))""")

    def focus(self) -> str:
        """Return what has the keyboard: an id, or the text of a row."""
        script = "const at = document.activeElement; return at.id || at.querySelector('.words').textContent"
        return self.run(script)


@pytest.fixture(scope="module")
def loaded(browser, site):
    return Page(browser, site)


@pytest.fixture
def page(loaded, site):
    """The page as it is after loading; it is loaded again only where a test went elsewhere."""
    if loaded.driver.current_url != site or loaded.run("return innerWidth") != 1280:
        loaded.open()
    loaded.driver.execute_script("document.querySelector('[value=languages]').checked = true")
    loaded.press(Keys.ESCAPE)
    loaded.until(lambda: loaded.text("summary") == "Begin with one of these")
    loaded.run("document.activeElement.blur()")
    return loaded


def embed(page: Page, texts: list[str]) -> np.ndarray:
    return np.array(page.wait_for("(texts) => window.embed(texts)", texts))


def test_the_page_loads_quietly_and_from_its_own_folder_alone(browser, site):
    page = Page(browser, site)
    page.search(GERMAN)
    assert browser.console() == []
    assert {address for address in browser.network() if not address.startswith(site)} == set()
    assert page.text("count") == "800"
    assert page.text("size").endswith(" MiB")


def test_the_browser_keeps_the_page_from_asking_others(browser, page, site, tmp_path):
    (tmp_path / "there.txt").write_text("there")
    with served(tmp_path) as elsewhere:
        ask = "(url) => fetch(url, { mode: 'no-cors' }).then(() => 'asked', () => 'refused')"
        assert page.wait_for(ask, f"{elsewhere}there.txt") == "refused"
    assert page.wait_for(ask, f"{site}index.html") == "asked"


def test_a_sentence_finds_itself_and_one_of_every_language(page):
    page.search(GERMAN)
    rows = page.rows()
    assert (rows[0]["language"], rows[0]["text"], rows[0]["score"]) == ("de", GERMAN, 1.0)
    assert sorted(row["language"] for row in rows) == sorted(MEANINGS["b38"])
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)


def test_what_means_the_same_as_the_first_is_marked_and_the_rest_explained(page):
    page.search(GERMAN)
    for row in page.rows():
        same = row["text"] == MEANINGS["b38"][row["language"]]
        assert row["same"] is same
        meant = next(texts["en"] for texts in MEANINGS.values() if texts[row["language"]] == row["text"])
        assert row["gloss"] == (None if same or row["language"] == "en" else meant)
    count = sum(row["same"] for row in page.rows())
    assert page.text("summary") == f"{count} of 16 languages agree"
    assert page.text("meaning") == MEANINGS["b38"]["en"]


def test_all_sentences_can_be_searched_without_regard_to_language(page):
    page.search(GERMAN)
    page.driver.find_element(By.CSS_SELECTOR, "[value=all] + span").click()
    rows = page.rows()
    everything = [text for texts in MEANINGS.values() for text in texts.values()]
    scores = embed(page, everything) @ embed(page, [GERMAN])[0]
    np.testing.assert_allclose([row["score"] for row in rows], np.sort(scores)[::-1][:16], atol=0.00501)


def _agree(page: Page, student: Path, *, cosine: float) -> None:
    """Hold the page's embeddings of every sentence against those of sentence-transformers."""
    texts = [text for texts in MEANINGS.values() for text in texts.values()]
    theirs = load_encoder(student).encode(texts, show_progress_bar=False)
    cosines = np.einsum("sd,sd->s", embed(page, texts), theirs)
    assert cosines.min() > cosine, np.sort(cosines)[:10]


def test_embeddings_are_those_of_sentence_transformers_but_for_int8(page, tiny_student):
    _agree(page, tiny_student, cosine=0.999)


def test_ids_are_those_of_the_tokenizers_library(page, tiny_student):
    odd = [
        "𓀀", "a 🦄𓀀 b", "鬱龘", "ﬁ ½ Ａ №", "e\u0301", "<unk> and <0xE4>", "",
        "  two\tspaces\u00a0", "x" * 2000, "€" * 90,
    ]  # fmt: skip
    texts = odd + [text for texts in MEANINGS.values() for text in texts.values()]
    script = """async (texts) => {
      const { AutoTokenizer, env } = await import('./vendor/transformers.min.js');
      const { idsOf } = await import('./pieces.js');
      Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: './' });
      const tokenizer = await AutoTokenizer.from_pretrained('model');
      return texts.map((text) => idsOf(tokenizer, text));
    }"""
    tokenizer = open_tokenizer(tiny_student / "tokenizer.json")
    tokenizer.enable_truncation(read_json(tiny_student / "tokenizer_config.json")["model_max_length"])
    assert page.wait_for(script, texts) == [encoding.ids for encoding in tokenizer.encode_batch(texts)]


def test_the_page_counts_translations_as_the_evaluation_does(page):
    vectors = {code: embed(page, [texts[code] for texts in MEANINGS.values()]) for code in MEANINGS["b38"]}
    expected = score_bitext(vectors)[0].score
    assert float(page.text("accuracy").removesuffix(" %")) == pytest.approx(expected, abs=0.051)


def test_search_knows_what_is_embedded_and_ranks_it(page):
    script = """async () => {
      const { nearest, nearestPerLanguage, similarities } = await import('./search.js');
      const sentences = [...'abcd'].map((text, row) => ({ text, language: 'xyxy'[row], meaning: text }));
      const scores = similarities(Float32Array.of(1, 0), Float32Array.of(0.6, 0.8, 0.8, 0.6, 1, 0, 0, 1));
      const known = [true, true, false, true];
      const texts = (found) => found.map(({ sentence }) => sentence.text).join('');
      return [texts(nearest(scores, sentences, known, 2)), texts(nearestPerLanguage(scores, sentences, known)),
        texts(nearestPerLanguage(scores, sentences, known.fill(true)))];
    }"""
    assert page.wait_for(script) == ["ba", "ba", "cb"]


def test_text_from_right_to_left_stands_so_in_the_field_and_in_the_list(page):
    page.search(ARABIC)
    first = page.rows()[0]
    assert (first["language"], first["text"]) == ("ar", ARABIC)
    assert page.run("return document.querySelector('#query').matches(':dir(rtl)')")
    aligned = """const words = document.querySelector('.words[lang=ar]'), range = document.createRange();
        range.selectNodeContents(words);
        const [text, box] = [range.getBoundingClientRect(), words.getBoundingClientRect()];
        return [getComputedStyle(words).direction, box.right - text.right, text.left - box.left]"""
    direction, right, left = page.run(aligned)
    assert direction == "rtl"
    assert right < 2 < left


def test_the_keyboard_is_enough(page):
    page.press("/")
    assert page.focus() == "query"
    page.search(GERMAN)
    rows = [row["text"] for row in page.rows()]
    page.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert page.focus() == rows[1]
    page.press(Keys.ARROW_UP, Keys.ARROW_UP)
    assert page.focus() == "query"
    page.press(*[Keys.ARROW_DOWN] * 20)
    assert page.focus() == rows[-1]
    page.press(Keys.ENTER)
    page.until(lambda: page.rows()[0]["text"] == rows[-1])
    assert page.focus() == "query"
    page.press(Keys.ESCAPE)
    page.until(lambda: page.text("summary") == "Begin with one of these")


def test_a_proposal_is_searched_with_at_a_click(page):
    proposed = page.rows()[2]
    assert proposed["language"] == "ar"
    page.driver.find_elements(By.CSS_SELECTOR, "#results button")[2].click()
    page.until(lambda: len(page.rows()) == 16)
    assert page.rows()[0]["text"] == proposed["text"]


def test_a_narrow_window_needs_no_sideways_scrolling(browser, site):
    page = Page(browser, site, width=390)
    page.search(MEANINGS["c52"]["th"])  # a long sentence without spaces
    assert page.run("return [document.documentElement.scrollWidth, innerWidth]") == [390, 390]


def test_every_field_has_a_name_and_every_id_is_there_once(page):
    page.search(GERMAN)
    tree = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    wanted = {"searchbox", "button", "radio", "listitem", "progressbar", "complementary", "group"}
    found = [node for node in tree if node.get("role", {}).get("value") in wanted - {"listitem"}]
    assert {node["role"]["value"] for node in found} == wanted - {"listitem"}
    assert all(node["name"]["value"] for node in found)
    ids = page.run("return [...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


def test_without_a_student_the_page_says_so(browser, model, tmp_path):
    folder = lay_out(tmp_path, model)
    (folder / "model").unlink()
    with served(folder) as where:
        page = Page(browser, where, state="failed")
        assert page.text("status") == "The page could not start: there is no student; make browser builds one"


def test_a_student_with_a_prompt_and_without_bytes(browser, tiny_teacher, tmp_path):
    changed = ["vocabulary.byte_fallback=false", "vocabulary.size=600"]
    recipe = write_recipe(tmp_path, tiny_teacher)
    student = babelpress.press(recipe, output=tmp_path / "run", overrides=changed)
    settings = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    (student / "config_sentence_transformers.json").write_text(json.dumps(settings))
    build_model(student, tmp_path / "model-of-it", floor=None)
    (tmp_path / "site").mkdir()
    with served(lay_out(tmp_path / "site", tmp_path / "model-of-it")) as where:
        page = Page(browser, where)
        _agree(page, student, cosine=0.999)
        page.search("𓀀")
        assert page.text("status").startswith("Part of this text is unknown to the student: ")
        page.search("train")
        assert "unknown" not in page.text("status")


@pytest.mark.full
@pytest.mark.skipif(not DEMO.is_dir(), reason="runs/demo is not here; make demo")
def test_the_demo_s_student_finds_translations(browser, tmp_path):
    build_model(DEMO, tmp_path / "model-of-it")
    (tmp_path / "site").mkdir()
    with served(lay_out(tmp_path / "site", tmp_path / "model-of-it")) as where:
        page = Page(browser, where)
        _agree(page, DEMO, cosine=0.999)
        page.search("Das Gate wurde geändert, von B12 zu C4")
        rows = page.rows()
        assert rows[0]["text"] == GERMAN
        assert sum(row["same"] for row in rows) >= 12
        assert float(page.text("accuracy").removesuffix(" %")) > 60
