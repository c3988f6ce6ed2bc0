from __future__ import annotations

import pytest

from tests.packaged import Tiny, make_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Never written to."""
    return make_tiny(tmp_path_factory.mktemp("packaged"))
