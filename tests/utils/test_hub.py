"""What is said of the hub client's errors: the cause, in half a line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from babelpress.utils.hub import explain


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


def http(kind: type[HfHubHTTPError], *, status: int = 404, said: str | None = None) -> HfHubHTTPError:
    """An error of the client, whatever library it speaks HTTP with."""
    reply: Any = SimpleNamespace(headers={}, request=None, status_code=status)
    return kind("said\nthe hub", response=reply, server_message=said)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (http(GatedRepoError), "accept its terms"),
        (http(RepositoryNotFoundError), "no repository of that name"),
        (http(RevisionNotFoundError), "no such revision"),
        (OSError(28, "No space left on device"), "disk is full"),
        (LocalEntryNotFoundError("not here"), "cannot be reached"),
        (ConnectionError("refused"), "cannot be reached"),
        (LocalTokenNotFoundError("no token"), "hf auth login"),
        *(
            (http(HfHubHTTPError, status=status), words)
            for status, words in {
                400: "refuses the request",
                401: "does not know the token",
                403: "write access",
                404: "nothing there",
                409: "try again",
                412: "changed meanwhile",
                413: "too large",
                429: "too many requests",
                500: "HTTP 500",
                503: "HTTP 503",
            }.items()
        ),
    ],
)
def test_every_cause_has_its_own_words(error, words):
    assert words in explain(error)
    assert "\n" not in explain(error)


def test_the_hubs_own_words_are_given_in_one_line_and_not_at_any_length():
    said = explain(http(HfHubHTTPError, status=403, said="you may\nnot " + 1000 * "x"))
    assert "(to publish, a token with write access is needed): you may not xxx" in said
    assert len(said) < 300


def test_a_status_that_means_nothing_here_is_no_refusal():
    assert "cannot be reached" in explain(http(HfHubHTTPError, status=418))


def test_the_cause_below_is_found():
    try:
        try:
            raise http(GatedRepoError)
        except GatedRepoError as inner:
            raise ValueError("could not load") from inner
    except ValueError as outer:
        assert "accept its terms" in explain(outer)


def test_a_chain_that_bites_its_tail_ends():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert "cannot be reached" in explain(one)


def test_a_gated_repository_is_not_called_missing():
    """GatedRepoError is a RepositoryNotFoundError."""
    assert "no repository" not in explain(http(GatedRepoError))


def test_the_endpoint_that_was_asked_is_named(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert explain(ConnectionError("refused")).startswith("http://127.0.0.1:9 cannot be reached")


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_a_hub_that_was_forbidden_is_not_called_unreachable(monkeypatch, value):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert explain(LocalEntryNotFoundError("x")) == "HF_HUB_OFFLINE forbids requests to the hub"


def test_a_full_disk_is_told_also_where_the_hub_is_forbidden(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert explain(OSError(28, "No space left on device")) == "the disk is full"
