"""A stand-in hub that takes uploads: repositories, branches, pull requests, large files, one commit or none.

It follows what huggingface_hub sends (HF_HUB_DISABLE_XET=1). A repository's `main` is the folder that the other
stand-in serves; every other branch is a folder of its own below `root/branches`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .card_rules import card_faults
from .server import COMMIT, Handler, HubError, Repo, StandInHub

WRITER, READER = "hf_writer", "hf_reader"
"""The tokens that it knows: of `me`, who may write below `me/`, and of one who may only read."""

EMPTY = "0" * 40
"""The head of a repository without a commit of ours."""


@dataclass
class Branch:
    """A branch: its folder, its head, and the messages of its commits."""

    folder: Path
    head: str = EMPTY
    messages: list[str] = field(default_factory=list)


class WritableHub(StandInHub):
    """Take uploads into `root/models/<org>/<name>`."""

    def __init__(self, root: Path, *, lfs_from: int = 10 << 20, part: int | None = None) -> None:
        """Serve `root`; files of `lfs_from` bytes are large, and sent in parts of `part` bytes where given."""
        super().__init__(root)
        self.lfs_from, self.part = lfs_from, part
        self.branches: dict[tuple[str, str], Branch] = {}
        self.private: set[str] = set()
        self.large: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.trouble: Callable[[str, str], int | None] = lambda method, path: None
        """Return a status to answer a request with, 0 to hang up without an answer, None for no trouble."""

    @property
    def handler(self) -> type[Handler]:
        """Return what answers its requests."""
        return UploadHandler

    def repo(self, kind: str, org: str, name: str, revision: str) -> Repo:
        """Find a repository at a branch or a commit of one."""
        found = super().repo(kind, org, name, "main")
        if kind != "models":
            return found
        for (repo_id, branch), it in self.branches.items():
            if repo_id == found.repo_id and revision in (branch, it.head):
                return Repo(kind, repo_id, it.folder.resolve(), it.head)
        if revision in ("main", COMMIT):
            return found
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def info(self, repo: Repo, blobs: bool) -> dict[str, Any]:
        """Describe a repository."""
        return {**super().info(repo, blobs), "private": repo.repo_id in self.private}

    def main(self, repo_id: str) -> Branch:
        """Return a repository's main branch."""
        return self.branches[repo_id, "main"]

    def create(self, repo_id: str, *, private: bool) -> None:
        """Make an empty repository."""
        folder = self.root / "models" / repo_id
        folder.mkdir(parents=True)
        self.branches[repo_id, "main"] = Branch(folder)
        if private:
            self.private.add(repo_id)

    def fork(self, repo_id: str, branch: str) -> Branch:
        """Make a branch as main is."""
        if (repo_id, branch) in self.branches:
            raise HubError(409, "BranchExists", f"Reference already exists: {branch}")
        folder = self.root / "branches" / repo_id / branch.replace("/", "__")
        shutil.copytree(self.main(repo_id).folder, folder)
        self.branches[repo_id, branch] = Branch(folder, self.main(repo_id).head)
        return self.branches[repo_id, branch]

    def is_large(self, name: str, size: int) -> bool:
        """Tell whether a file is kept apart, as the hub decides by name and size."""
        return size >= self.lfs_from or name.endswith(".safetensors")

    def commit(self, branch: Branch, lines: list[dict[str, Any]]) -> str:
        """Apply all lines of a commit, or none where one of them is wrong; return the new head."""
        files: dict[str, bytes] = {}
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile" and value["oid"] in self.large:
                files[value["path"]] = self.large[value["oid"]]
            else:
                raise HubError(400, "BadRequest", f"{value['path']} was not uploaded")
        for name, data in files.items():
            path = branch.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        branch.messages.append(lines[0]["value"]["summary"])
        parts = [branch.head, *branch.messages, *sorted(files)]
        branch.head = hashlib.sha1("\n".join(parts).encode(), usedforsecurity=False).hexdigest()
        return branch.head


class UploadHandler(Handler):
    """Answer the requests of an upload; all others as before."""

    hub: WritableHub

    def do_PUT(self) -> None:
        """Answer a PUT request."""
        self._answer()

    def _body(self) -> bytes:
        """Read what was sent, also in chunks of unknown number."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return super()._body()
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _route(self, body: bytes) -> None:
        """Pick the endpoint for the request's path."""
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.split("/")[1:]]
        trouble = self.hub.trouble(self.command, url.path)
        if trouble == 0:
            raise ConnectionResetError
        if trouble is not None:
            raise HubError(trouble, "Trouble", "as the test wants it")
        if parts[0] == "large":
            self._take_large(parts, body)
        elif parts[:2] == ["api", "validate-yaml"]:
            self._validate(json.loads(body)["content"])
        elif parts[:2] == ["api", "whoami-v2"]:
            self._user()
            self._send_json({"type": "user", "name": "me", "orgs": []})
        elif parts == ["api", "repos", "create"]:
            self._create(json.loads(body))
        elif parts[-4:] == ["info", "lfs", "objects", "batch"]:
            self._may_write(parts[0], reading_is_enough=True)
            self._batch(json.loads(body))
        elif parts[:2] == ["api", "models"] and len(parts) == 6 and self.command == "POST":
            self._write(parts[2], parts[3], parts[4], parts[5], body, pull=bool(parse_qs(url.query).get("create_pr")))
        else:
            super()._route(body)

    def _write(self, org: str, name: str, verb: str, revision: str, body: bytes, *, pull: bool) -> None:
        """Answer what changes a repository."""
        repo_id = f"{org}/{name}"
        self._may_write(org, reading_is_enough=pull)
        if verb == "branch":
            self.hub.fork(repo_id, revision)
            self._send_json({})
        elif verb == "preupload":
            repo = self.hub.repo("models", org, name, revision)
            self._send_json({"files": [self._mode(repo, one) for one in json.loads(body)["files"]]})
        elif verb == "commit":
            self._commit(repo_id, revision, [json.loads(line) for line in body.splitlines()], pull=pull)
        else:
            super()._route(body)

    def _user(self) -> str:
        """Return the token's user or refuse."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in (WRITER, READER):
            raise HubError(401, "Unauthorized", "Invalid credentials in Authorization header")
        return "me" if token == WRITER else "reader"

    def _may_write(self, org: str, *, reading_is_enough: bool = False) -> None:
        """Refuse who may not write below a namespace."""
        if self._user() != org and not reading_is_enough:
            raise HubError(403, "Forbidden", f"you have no write access to the namespace {org}")

    def _create(self, wanted: dict[str, Any]) -> None:
        """Make a repository."""
        org = wanted.get("organization") or self._user()
        self._may_write(org)
        repo_id = f"{org}/{wanted['name']}"
        new = not (self.hub.root / "models" / repo_id).is_dir()
        if new:
            self.hub.create(repo_id, private=wanted.get("private") or wanted.get("visibility") == "private")
        said = {} if new else {"error": "You already created this model repo"}
        self._send_json({"url": f"{self.hub.endpoint}/{repo_id}", "name": repo_id, **said}, status=200 if new else 409)

    def _validate(self, content: str) -> None:
        """Judge a card's metadata."""
        faults = card_faults(content)
        reply = {"errors": [{"message": fault} for fault in faults], "warnings": []}
        self._send_json(reply, status=400 if faults else 200)

    def _mode(self, repo: Repo, wanted: dict[str, Any]) -> dict[str, Any]:
        """Say how a file is to be sent, and which content the repository has of it."""
        large = self.hub.is_large(wanted["path"], wanted["size"])
        path = repo.folder / wanted["path"]
        oid = None
        if path.is_file():
            oid = hashlib.sha256(path.read_bytes()).hexdigest() if large else self.hub.blob_id(path)
        mode = "lfs" if large else "regular"
        return {"path": wanted["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _batch(self, wanted: dict[str, Any]) -> None:
        """Say where large files are to be put; what is there already needs no sending."""
        objects = []
        for one in wanted["objects"]:
            oid, size = one["oid"], one["size"]
            place = f"{self.hub.endpoint}/large/{oid}"
            upload: dict[str, Any] = {"href": place}
            if self.hub.part is not None and size > self.hub.part:
                count = -(-size // self.hub.part)
                header = {str(number): f"{place}/{number}" for number in range(1, count + 1)}
                upload = {"href": f"{place}/whole", "header": {"chunk_size": str(self.hub.part), **header}}
            actions = {"upload": upload, "verify": {"href": f"{place}/verify"}}
            objects.append({"oid": oid, "size": size, **({} if oid in self.hub.large else {"actions": actions})})
        self._send_json({"transfer": "basic", "objects": objects})

    def _take_large(self, parts: list[str], body: bytes) -> None:
        """Take a large file, a part of one, or the word that all parts are there."""
        oid, step = parts[1], (*parts[2:], "")[0]
        if step.isdigit():
            self.hub.parts.setdefault(oid, {})[int(step)] = body
        elif step == "whole":
            known = self.hub.parts[oid]
            body = b"".join(known[part["partNumber"]] for part in json.loads(body)["parts"])
        if step in ("", "whole"):
            if hashlib.sha256(body).hexdigest() != oid:
                raise HubError(422, "Mismatch", "the content is not what its hash says")
            self.hub.large[oid] = body
        elif step == "verify" and len(self.hub.large[oid]) != json.loads(body)["size"]:
            raise HubError(422, "Mismatch", "the size is not what was said")
        self._send_json({}, headers={"ETag": f'"{step}"'})

    def _commit(self, repo_id: str, revision: str, lines: list[dict[str, Any]], *, pull: bool) -> None:
        """Make a commit, on a new branch where a pull request is wanted."""
        number = 1 + sum(name.startswith("refs/pr/") for _, name in self.hub.branches)
        self.hub.repo("models", *repo_id.split("/"), revision)
        branch = self.hub.fork(repo_id, f"refs/pr/{number}") if pull else self.hub.branches[repo_id, revision]
        head = self.hub.commit(branch, lines)
        page = f"{self.hub.endpoint}/{repo_id}"
        request = f"{page}/discussions/{number}" if pull else None
        self._send_json(
            {"success": True, "commitOid": head, "commitUrl": f"{page}/commit/{head}", "pullRequestUrl": request}
        )
