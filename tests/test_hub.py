"""What is said of the hub client's errors: the cause, in half a line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from babelpress.hub import explain


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


def http(kind: type[HfHubHTTPError]) -> HfHubHTTPError:
    """An error of the client, whatever library it speaks HTTP with."""
    reply: Any = SimpleNamespace(headers={}, request=None)
    return kind("said\nthe hub", response=reply)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (http(GatedRepoError), "accept its terms"),
        (http(RepositoryNotFoundError), "no repository of that name"),
        (http(RevisionNotFoundError), "no such revision"),
        (OSError(28, "No space left on device"), "disk is full"),
        (LocalEntryNotFoundError("not here"), "cannot be reached"),
        (ConnectionError("refused"), "cannot be reached"),
    ],
)
def test_every_cause_has_its_own_words(error, words):
    assert words in explain(error)
    assert "\n" not in explain(error)


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
    assert explain(LocalEntryNotFoundError("x")) == "HF_HUB_OFFLINE forbids asking the hub"


def test_a_full_disk_is_told_also_where_the_hub_is_forbidden(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert explain(OSError(28, "No space left on device")) == "the disk is full"
