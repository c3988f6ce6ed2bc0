"""The browser of the other tests notices what they ask it for."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser


def test_a_quiet_page_says_nothing_and_asks_for_nothing(browser, tmp_path):
    (tmp_path / "page.html").write_text("<!doctype html><title>still</title><p>안녕", encoding="utf-8")
    assert browser.open(tmp_path / "page.html", width=390).title == "still"
    assert browser.driver.execute_script("return innerWidth") == 390
    assert (browser.console(), browser.network()) == ([], [])


def test_an_error_and_a_request_are_noticed(browser, tmp_path):
    page = "<!doctype html><title>loud</title><img src='http://127.0.0.1:9/a.png'><script>nothing()</script>"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    browser.open(tmp_path / "page.html")
    assert browser.network() == ["http://127.0.0.1:9/a.png"]
    assert any("nothing is not defined" in entry["message"] for entry in browser.console())
