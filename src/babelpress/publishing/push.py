"""Publish a student on the hub: check everything locally, then send it as one commit."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.errors import BabelpressError, HubError
from babelpress.publishing.card import check_card, rename_card
from babelpress.publishing.files import CARD, Upload, find_student, list_uploads
from babelpress.utils.hub import explain

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)

MAIN = "main"


@dataclass(frozen=True)
class Destination:
    """Where a student goes: `revision` is a branch, created unless it exists; `private` applies to a new repository."""

    repo_id: str
    revision: str = MAIN
    private: bool = False
    create_pr: bool = False


@dataclass(frozen=True)
class Push:
    """A planned push: the files, and the model name on the local card where the pushed card gets another one."""

    folder: Path
    to: Destination
    files: tuple[Upload, ...]
    renamed: str | None

    @property
    def size(self) -> int:
        """All files' bytes."""
        return sum(upload.size for upload in self.files)


@dataclass(frozen=True)
class Pushed:
    """The result of a push; `commit` and `pull_request` are None where nothing was sent (a dry run)."""

    push: Push
    endpoint: str
    commit: str | None = None
    changed: bool = False
    pull_request: str | None = None

    @property
    def url(self) -> str:
        """The model's page on the hub."""
        return f"{self.endpoint}/{self.push.to.repo_id}"

    def facts(self) -> dict[str, Any]:
        """Return all of it as JSON-able values."""
        to = self.push.to
        return {
            "folder": str(self.push.folder),
            "repository": to.repo_id,
            "url": self.url,
            "revision": to.revision,
            "private": to.private,
            "sent": self.commit is not None,
            "changed": self.changed,
            "commit": self.commit,
            "pull_request": self.pull_request,
            "renamed_from": self.push.renamed,
            "files": [{"path": upload.path, "bytes": upload.size} for upload in self.push.files],
        }


def plan_push(folder: Path, to: Destination) -> Push:
    """Decide what is sent. Raises BabelpressError for a name, a folder, a file or a card that cannot be published."""
    _check_destination(to)
    student = find_student(folder)
    uploads = list_uploads(student)
    text = _read_card(student / CARD)
    check_card(text, origin=str(student / CARD))
    text, renamed = rename_card(text, to.repo_id)
    if renamed is not None:
        uploads = tuple(Upload(CARD, text.encode()) if upload.path == CARD else upload for upload in uploads)
    return Push(student, to, uploads, renamed)


def _read_card(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        raise BabelpressError(f"{path} is not UTF-8 text") from None


def check_student(folder: Path) -> None:
    """Raise BabelpressError with the first quick check that a folder fails."""
    from babelpress.checks.result import Status
    from babelpress.checks.run import run_checks

    failed = [result for result in run_checks(folder).results if result.status is Status.FAIL]
    if failed:
        raise BabelpressError(
            f"{folder} is not published: the check {failed[0].name} fails ({failed[0].detail}); "
            f"for the whole report: babelpress check {folder}"
        )


def check_login() -> None:
    """Raise HubError where the hub's client has no token; nothing asks for one interactively."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise HubError("there is no token for the hub; log in with `hf auth login`, or set HF_TOKEN")


def send(push: Push, *, message: str | None = None) -> Pushed:
    """Send a planned push as one commit, or as a pull request. Raises HubError; the repository is then unchanged.

    The hub validates the card's metadata before a repository is created.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api, to = HfApi(), push.to
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # else ten lines about retries precede our one line
    with _explained(to.repo_id), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        api.whoami()
        _ask_about_card(push)
        if not to.create_pr:
            _open_repository(api, to)
        before = api.model_info(to.repo_id, revision=to.revision).sha
        operations = [CommitOperationAdd(upload.path, upload.content) for upload in push.files]
        logger.info("sending %d files, %.1f MiB", len(push.files), push.size / 2**20)
        done = api.create_commit(
            to.repo_id, operations, commit_message=message or f"Student of babelpress {version('babelpress')}",
            revision=to.revision, create_pr=to.create_pr,
        )  # fmt: skip
    return Pushed(push, api.endpoint, done.oid, changed=done.oid != before, pull_request=done.pr_url)


def _check_destination(to: Destination) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(to.repo_id)
    except HFValidationError:
        named = False
    else:
        named = to.repo_id.count("/") == 1
    if not named:
        raise BabelpressError(
            f"{to.repo_id!r} is not a valid repository name; give NAMESPACE/NAME, of letters, digits, '-', '_' and "
            "'.', at most 96 characters"
        )
    if to.private and to.create_pr:
        raise BabelpressError("--private is for a new repository, --create-pr for an existing one; give one of them")


def _ask_about_card(push: Push) -> None:
    """Raise HubError with the hub's message where its validator refuses the card's metadata."""
    from huggingface_hub import ModelCard

    content = next(upload.content for upload in push.files if upload.path == CARD)
    text = content.decode() if isinstance(content, bytes) else content.read_text(encoding="utf-8")
    try:
        ModelCard(text).validate()
    except ValueError as error:  # the body of the hub's reply
        raise HubError(f"the hub refuses the metadata of {push.folder / CARD}: {_messages(str(error))}") from None


def _messages(body: str) -> str:
    """Return the messages of the hub's validator, in one line."""
    try:
        said = "; ".join(str(fault["message"]) for fault in json.loads(body)["errors"])
    except (ValueError, KeyError, TypeError):
        said = body
    return " ".join(said.split())[:300]


def _open_repository(api: HfApi, to: Destination) -> None:
    """Create the repository and the branch, unless they exist."""
    api.create_repo(to.repo_id, private=to.private or None, exist_ok=True)
    if to.private and not api.model_info(to.repo_id).private:
        raise HubError(f"{to.repo_id} exists and is public; make it private in its settings, or push without --private")
    if to.revision != MAIN and not to.revision.startswith("refs/"):
        api.create_branch(to.repo_id, branch=to.revision, exist_ok=True)


@contextmanager
def _explained(repo_id: str) -> Iterator[None]:
    try:
        yield
    except BabelpressError:
        raise
    except Exception as error:
        # a plain ValueError carries the hub's message about the card or a large file
        why = " ".join(str(error).split())[:300] if type(error) is ValueError else explain(error)
        raise HubError(f"{repo_id} was not pushed: {why}") from error
