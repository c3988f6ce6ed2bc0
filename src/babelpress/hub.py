"""What the hub client's many errors mean, each in half a line."""

from __future__ import annotations

import os


def explain(error: BaseException) -> str:
    """Say in half a line why something could not be had from the hub."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    causes = _chain(error)
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        return "the hub asks you to accept its terms first (log in with `hf auth login`)"
    if any(isinstance(cause, RevisionNotFoundError) for cause in causes):
        return "the hub has no such revision of it"
    if any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        return "the hub has no repository of that name (or it is private)"
    if any("isk full" in str(cause) or "No space left" in str(cause) for cause in causes):
        return "the disk is full"
    place = os.environ.get("HF_ENDPOINT", "the hub")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return "HF_HUB_OFFLINE forbids asking the hub"
    return f"{place} cannot be reached ({type(error).__name__})"


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found
