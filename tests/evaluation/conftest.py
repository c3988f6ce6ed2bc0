"""Where `datasets` keeps what it prepares, and two tiny models to be scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import make_teacher


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what `datasets` prepares out of the user's home."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets-cache"))


@pytest.fixture(scope="package")
def students(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models of one layer, of other weights."""
    root = tmp_path_factory.mktemp("students")
    return [make_teacher(root / f"s{seed}", layers=1, seed=seed) for seed in (1, 2)]
