"""What tests of pages share: a browser without a window, the pages of two runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from babelpress.teacher import Teacher, read_teacher
from tests.reports.browser import Browser
from tests.reports.figures import NAME
from tests.reports.html import Element
from tests.reports.page_figures import make_facts, make_plain_facts, read_page

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


@pytest.fixture(scope="session")
def teacher(tiny_teacher: Path) -> Teacher:
    """The tiny teacher under the name of a published one."""
    return read_teacher(str(tiny_teacher), name=NAME)


@pytest.fixture(scope="session")
def full_page(tiny_teacher: Path) -> Element:
    """The page of a run of which everything was measured."""
    return read_page(make_facts(tiny_teacher))


@pytest.fixture(scope="session")
def plain_page(tiny_teacher: Path) -> Element:
    """The page of a run of which nothing was measured that need not be."""
    return read_page(make_plain_facts(tiny_teacher))
