"""Time the example page in Chromium, without a window: loads, queries, and how near its embeddings are.

    python -m examples.browser --no-serve && python benchmarks/browser.py [--picture docs/images/browser.png]

A load is from the page's first request to a model that answers, read off the page; the first and the median of five
more. A query is from text to embedding in the page, 200 held-out sentences one by one. Cosines are to
sentence-transformers in fp32, over all 800 sentences. `chromium` and `chromedriver` must be on the path.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from selenium.webdriver.support.ui import WebDriverWait

from babelpress.architectures.encoders import load_encoder
from babelpress.corpus.bundled import held_out_meanings
from babelpress.utils.machine import describe_machine
from examples.browser.server import address, open_server
from tests.reports.browser import Browser

ROOT = Path(__file__).resolve().parents[1]
QUESTION = "Wie komme ich zum Fischmarkt?"
TIMED = """
const [texts, done] = arguments;
(async () => {
  const times = [];
  for (const text of texts) {
    const started = performance.now();
    await window.embed([text]);
    times.push(performance.now() - started);
  }
  return times;
})().then(done);
"""
EMBEDDED = "const [texts, done] = arguments; window.embed(texts).then(done);"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--student", type=Path, default=ROOT / "runs" / "demo" / "student")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    print(json.dumps(describe_machine()), file=sys.stderr)
    browser = Browser.start(shutil.which("chromium") or "", shutil.which("chromedriver") or "")
    with open_server(ROOT / "examples" / "browser") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        measure(browser.driver, address(server), given.student)
        if given.picture:
            draw(browser.driver, address(server), given.picture)
        server.shutdown()
    browser.driver.quit()


def measure(driver: Any, where: str, student: Path) -> None:
    texts = [text for meaning in held_out_meanings() for text in meaning.texts.values()]
    driver.set_script_timeout(120)
    loads = [load(driver, where) for _ in range(6)]
    print(f"load: {loads[0]:.2f} s the first time, then {statistics.median(loads[1:]):.2f} s (median of 5)")
    times = driver.execute_async_script(TIMED, texts[::4][:200])
    median, slow = np.percentile(times, [50, 90])
    print(f"query: {median:.1f} ms (median of {len(times)}), 90th percentile {slow:.1f} ms")
    for name in ("size", "count", "accuracy", "backend"):
        print(f"{name}: {read(driver, name)}; {read(driver, f'{name}-note')}")
    found = np.array(driver.execute_async_script(EMBEDDED, texts))
    cosines = (found * load_encoder(student, device="cpu").encode(texts)).sum(axis=1)
    print(f"cosine: {cosines.mean():.5f} on average, {cosines.min():.4f} at least, {len(texts)} sentences")


def load(driver: Any, where: str) -> float:
    """Open the page and return the seconds that it says its loading took."""
    driver.get("about:blank")
    driver.get(where)
    WebDriverWait(driver, 120, poll_frequency=0.05).until(
        lambda _: driver.execute_script("return document.documentElement.dataset.state") == "ready"
    )
    return float(read(driver, "load").removesuffix(" s"))


def read(driver: Any, name: str) -> str:
    text: str = driver.execute_script("return document.getElementById(arguments[0]).textContent", name)
    return text


def draw(driver: Any, where: str, file: Path) -> None:
    metrics = {"width": 1200, "height": 960, "deviceScaleFactor": 1.5, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    load(driver, where)
    driver.find_element("id", "query").send_keys(QUESTION)
    WebDriverWait(driver, 20).until(
        lambda _: driver.execute_script("return document.getElementById('results').dataset.query") == QUESTION
    )
    time.sleep(1)  # what fades out is gone
    picture = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    file.write_bytes(base64.b64decode(picture["data"]))


if __name__ == "__main__":
    main()
