"""What tests of examples share: the browser page, served with a tiny student."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import babelpress
from examples.browser.build import build_model, build_sentences
from examples.browser.fetch import is_complete
from examples.browser.server import address, open_server
from tests.distillation import write_recipe
from tests.reports.conftest import browser  # noqa: F401 (a fixture)

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "browser"
PAGE = ("index.html", "style.css", "app.js", "encoder.js", "pieces.js", "rows.js", "search.js", "worker.js")


@pytest.fixture(scope="session")
def tiny_student(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of 2 layers and 16 dimensions, pressed from the tiny teacher, not trained."""
    folder = tmp_path_factory.mktemp("pruned")
    return babelpress.press(write_recipe(folder, tiny_teacher), output=folder / "run")


@pytest.fixture(scope="session")
def model(tiny_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build makes of the tiny student."""
    folder = tmp_path_factory.mktemp("built") / "model"
    build_model(tiny_student, folder, floor=None)
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder from a thread; the block gets its address."""
    with open_server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield address(server)
        finally:
            server.shutdown()
            thread.join()


def lay_out(folder: Path, model: Path) -> Path:
    """Lay the page, its JavaScript and a built model into a folder, as they lie in the checkout."""
    if not is_complete(EXAMPLE / "vendor"):
        pytest.skip("examples/browser/vendor is not here; make browser-files fetches it")
    for name in PAGE:
        shutil.copyfile(EXAMPLE / name, folder / name)
    (folder / "vendor").symlink_to(EXAMPLE / "vendor")
    (folder / "model").symlink_to(model)
    build_sentences(folder / "sentences.json")
    return folder


@pytest.fixture(scope="session")
def site(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page with the tiny student; skipped where npm's files were not fetched."""
    with served(lay_out(tmp_path_factory.mktemp("site"), model)) as where:
        yield where
