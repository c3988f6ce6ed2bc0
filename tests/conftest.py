"""What all tests share: no network, no progress bars, threads that wait without spinning, one tiny teacher."""

from __future__ import annotations

import os

from babelpress.utils.threads import short_spin

os.environ.update(
    HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false", TQDM_DISABLE="1",
    TRANSFORMERS_VERBOSITY="error", **short_spin(os.environ),
)  # fmt: skip

from pathlib import Path

import pytest
import torch

from tests.tiny import make_teacher

SHARED = Path(__file__).resolve().parents[2] / "shared"

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED.is_dir():
        return
    for item in items:
        if "shared" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="../shared is not here"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real corpora and evaluation data beside the checkout."""
    return SHARED


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher of 3 layers and 16 dimensions; never written to."""
    return make_teacher(tmp_path_factory.mktemp("teacher") / "tiny-e5")
