"""The hub client's errors, explained in half a line each."""

from __future__ import annotations

import os


def explain(error: BaseException) -> str:
    """Say in half a line why a download from or an upload to the hub failed."""
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    meanings = {
        GatedRepoError: "the hub asks you to accept its terms first (log in with `hf auth login`)",
        RevisionNotFoundError: "the hub has no such revision of it",
        RepositoryNotFoundError: "the hub has no repository of that name (or it is private)",
        LocalTokenNotFoundError: "there is no token for it (log in with `hf auth login`, or set HF_TOKEN)",
    }
    causes = _chain(error)
    for kind, meaning in meanings.items():
        if any(isinstance(cause, kind) for cause in causes):
            return meaning
    if any("isk full" in str(cause) or "No space left" in str(cause) for cause in causes):
        return "the disk is full"
    if refused := _refusal(causes):
        return refused
    place = os.environ.get("HF_ENDPOINT", "the hub")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return "HF_HUB_OFFLINE forbids requests to the hub"
    return f"{place} cannot be reached ({type(error).__name__})"


_REFUSALS = {
    400: "the hub refuses the request",
    401: "the hub does not know the token (log in again with `hf auth login`; HF_TOKEN, where set, goes first)",
    403: "the hub forbids this (to publish, a token with write access is needed)",
    404: "the hub has nothing there",
    409: "the hub was busy with the same repository; try again",
    412: "it was changed meanwhile; try again",
    413: "it is too large for the hub",
    429: "too many requests to the hub; try again later",
}


def _refusal(causes: list[BaseException]) -> str | None:
    """Explain an HTTP status, with the hub's message; None where no reply was a refusal."""
    for cause in causes:
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if status in _REFUSALS or (status or 0) >= 500:
            said = " ".join(str(getattr(cause, "server_message", None) or "").split())[:200]
            meaning = _REFUSALS.get(status or 0, f"the hub has an internal error (HTTP {status}); try again later")
            return f"{meaning}: {said}" if said else meaning
    return None


def _chain(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in causes:
        causes.append(current)
        current = current.__cause__ or current.__context__
    return causes
