"""What tests of pages share: a browser without a window."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.report.browser import Browser

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium; its tests carry the mark `browser` and are skipped where it or its driver is missing."""
    chromium = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not here")
    os.environ |= {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}  # selenium would look for drivers and count itself
    opened = Browser.start(chromium, driver)
    yield opened
    opened.driver.quit()
