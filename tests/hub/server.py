"""Serve a folder tree over loopback the way the Hugging Face hub serves repositories."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "5ba1e57a4d1d0123456789abcdef0123456789ab"
"""The commit that every branch and tag name resolves to."""

_COMMIT_HASH = re.compile(r"[0-9a-f]{40}")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_WHEN = "2024-01-01T00:00:00.000Z"
_CHUNK = 1 << 20
_KINDS = ("models", "datasets")


class HubError(Exception):
    """Carry the status and the hub error code of a refused request."""

    def __init__(self, status: int, code: str, message: str, commit: str | None = None) -> None:
        """Keep what the reply needs."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.commit = commit


@dataclass(frozen=True)
class Repo:
    """Point at one repository folder at one revision."""

    kind: str
    repo_id: str
    folder: Path
    commit: str

    def files(self) -> list[Path]:
        """List the repository's files in a stable order."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def relative(self, path: Path) -> str:
        """Name a path as the hub does."""
        return path.relative_to(self.folder).as_posix()

    def locate(self, name: str) -> Path:
        """Find a file or folder inside the repository or refuse."""
        parts = [part for part in name.split("/") if part]
        if any(part in (".", "..") or "\\" in part or "\0" in part for part in parts):
            raise self.missing(name)
        path = self.folder.joinpath(*parts).resolve()
        if not path.is_relative_to(self.folder) or not path.exists():
            raise self.missing(name)
        return path

    def missing(self, name: str) -> HubError:
        """Describe an entry that the repository does not hold."""
        return HubError(404, "EntryNotFound", f"Entry not found: {name!r}", self.commit)


class _BlobIds:
    """Compute git blob ids once per file state."""

    def __init__(self) -> None:
        """Start with an empty memory."""
        self._known: dict[tuple[str, int, int], str] = {}

    def __call__(self, path: Path) -> str:
        """Return the git blob id of a file."""
        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns)
        if key not in self._known:
            digest = hashlib.sha1(f"blob {stat.st_size}\0".encode(), usedforsecurity=False)
            with path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
            self._known[key] = digest.hexdigest()
        return self._known[key]


class StandInHub:
    """Serve `root/models/<org>/<name>` and `root/datasets/<org>/<name>` as a hub."""

    @property
    def handler(self) -> type[Handler]:
        """Return what answers its requests."""
        return Handler

    def __init__(self, root: Path) -> None:
        """Remember the folder to serve."""
        self.root = Path(root).resolve()
        self.requests: list[str] = []
        self.blob_id = _BlobIds()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        """Return the address to put in HF_ENDPOINT."""
        if self._server is None:
            raise RuntimeError("the stand-in hub is not running")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables a subprocess needs to talk to this hub only."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def __enter__(self) -> StandInHub:
        """Start serving on a free port."""
        handler = type("BoundHandler", (self.handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(timeout=5)
        self._server = self._thread = None

    def repo(self, kind: str, org: str, name: str, revision: str) -> Repo:
        """Find a repository at a revision or refuse."""
        folder = self.root / kind / org / name
        safe = all(re.fullmatch(r"[\w.-]+", part) and part not in (".", "..") for part in (org, name))
        if not safe or not folder.is_dir() or not folder.resolve().is_relative_to(self.root):
            raise HubError(404, "RepoNotFound", f"Repository not found: {org}/{name}")
        commit = revision if _COMMIT_HASH.fullmatch(revision) else COMMIT
        return Repo(kind, f"{org}/{name}", folder.resolve(), commit)

    def info(self, repo: Repo, blobs: bool) -> dict[str, Any]:
        """Describe a repository."""
        names = [repo.relative(path) for path in repo.files()]
        return {
            "_id": hashlib.sha1(repo.repo_id.encode(), usedforsecurity=False).hexdigest()[:24],
            "id": repo.repo_id,
            "author": repo.repo_id.split("/")[0],
            "sha": repo.commit,
            "createdAt": _WHEN,
            "lastModified": _WHEN,
            "private": False,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [self._sibling(repo, name, blobs) for name in names],
            **_model_fields(repo, names),
        }

    def _sibling(self, repo: Repo, name: str, blobs: bool) -> dict[str, Any]:
        """Describe one file in a repository's listing."""
        path = repo.folder / name
        sizes = {"size": path.stat().st_size, "blobId": self.blob_id(path)} if blobs else {}
        return {"rfilename": name, **sizes}

    def entry(self, repo: Repo, path: Path) -> dict[str, Any]:
        """Describe one file or folder in a repository's tree."""
        name = repo.relative(path)
        if path.is_dir():
            oid = hashlib.sha1(f"tree {name}".encode(), usedforsecurity=False).hexdigest()
            entry: dict[str, Any] = {"type": "directory", "oid": oid, "size": 0, "path": name}
        else:
            entry = {"type": "file", "oid": self.blob_id(path), "size": path.stat().st_size, "path": name}
        commit = {"id": repo.commit, "title": "stand-in", "date": _WHEN}
        return {**entry, "lastCommit": commit}

    def tree(self, repo: Repo, name: str, recursive: bool) -> list[dict[str, Any]]:
        """List a folder of a repository."""
        folder = repo.locate(name)
        if not folder.is_dir():
            raise repo.missing(name)
        paths = folder.rglob("*") if recursive else folder.iterdir()
        return [self.entry(repo, path) for path in sorted(paths)]

    def paths_info(self, repo: Repo, names: list[str]) -> list[dict[str, Any]]:
        """Describe those of the named paths that exist."""
        found: list[dict[str, Any]] = []
        for name in names:
            try:
                path = repo.locate(name)
            except HubError:
                continue
            if path != repo.folder:
                found.append(self.entry(repo, path))
        return found


def _model_fields(repo: Repo, names: list[str]) -> dict[str, Any]:
    """Return the fields that only a model's description has."""
    if repo.kind != "models":
        return {}
    library = "sentence-transformers" if "modules.json" in names else "transformers"
    return {"modelId": repo.repo_id, "library_name": library}


def _byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the asked first and last byte, or None for the whole file."""
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size - 1
    else:
        start, stop = int(first), min(int(last) if last else size - 1, size - 1)
    if start > stop:
        raise HubError(416, "RangeNotSatisfiable", f"bytes */{size}")
    return start, stop


def _chunks(stream: BinaryIO, length: int) -> Iterator[bytes]:
    """Yield the next bytes of a stream piecewise."""
    while length > 0 and (chunk := stream.read(min(_CHUNK, length))):
        length -= len(chunk)
        yield chunk


class Handler(BaseHTTPRequestHandler):
    """Answer hub requests for one stand-in."""

    hub: StandInHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the console quiet."""

    def do_GET(self) -> None:
        """Answer a GET request."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer a HEAD request."""
        self._answer()

    def do_POST(self) -> None:
        """Answer a POST request."""
        self._answer()

    def _answer(self) -> None:
        """Route a request and turn refusals into hub errors."""
        self.hub.requests.append(self.path)
        try:
            self._route(self._body())
        except HubError as error:
            self._refuse(error)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _body(self) -> bytes:
        """Read what was sent with the request."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _route(self, body: bytes) -> None:
        """Pick the endpoint for the request's path."""
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.split("/")[1:]]
        query = parse_qs(url.query)
        if parts[:1] == ["api"] and len(parts) >= 4 and parts[1] in _KINDS:
            self._route_api(parts[1:4], parts[4:], query, body)
        elif parts[:1] == ["datasets"] and parts[3:4] == ["resolve"] and len(parts) > 5:
            self._send_file("datasets", parts[1], parts[2], parts[4], "/".join(parts[5:]))
        elif parts[2:3] == ["resolve"] and len(parts) > 4:
            self._send_file("models", parts[0], parts[1], parts[3], "/".join(parts[4:]))
        else:
            raise HubError(404, "NotFound", f"no such page: {url.path!r}")

    def _route_api(self, place: list[str], rest: list[str], query: dict[str, list[str]], body: bytes) -> None:
        """Answer a repository's API endpoints."""
        verb, revision = (*rest, "", "")[:2]
        kind, org, name = place
        repo = self.hub.repo(kind, org, name, revision or "main")
        if verb == "" or (verb == "revision" and revision and len(rest) == 2):
            self._send_json(self.hub.info(repo, _flag(query, "blobs")))
        elif verb == "tree" and revision:
            self._send_json(self.hub.tree(repo, "/".join(rest[2:]), _flag(query, "recursive")))
        elif verb == "paths-info" and revision and self.command == "POST":
            self._send_json(self.hub.paths_info(repo, _posted_paths(body, self.headers.get("Content-Type"))))
        elif verb == "refs":
            main = {"name": "main", "ref": "refs/heads/main", "targetCommit": COMMIT}
            self._send_json({"branches": [main], "tags": [], "converts": [], "pullRequests": []})
        else:
            raise HubError(404, "NotFound", f"no such endpoint: {verb!r}")

    def _send_json(self, value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send a JSON reply."""
        data = json.dumps(value, ensure_ascii=False).encode()
        self._start(status, len(data), {"Content-Type": "application/json; charset=utf-8", **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(data)

    def _send_file(self, kind: str, org: str, name: str, revision: str, filename: str) -> None:
        """Send a file or the asked part of it."""
        repo = self.hub.repo(kind, org, name, revision)
        path = repo.locate(filename)
        if not path.is_file():
            raise repo.missing(filename)
        size = path.stat().st_size
        asked = _byte_range(self.headers.get("Range"), size)
        start, stop = asked or (0, size - 1)
        headers = self._file_headers(repo, path)
        if asked:
            headers["Content-Range"] = f"bytes {start}-{stop}/{size}"
        self._start(206 if asked else 200, stop - start + 1, headers)
        if self.command != "HEAD":
            self._send_bytes(path, start, stop - start + 1)

    def _file_headers(self, repo: Repo, path: Path) -> dict[str, str]:
        """Return the headers that identify a file."""
        return {
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            "ETag": f'"{self.hub.blob_id(path)}"',
            "X-Repo-Commit": repo.commit,
        }

    def _send_bytes(self, path: Path, start: int, length: int) -> None:
        """Send a part of a file."""
        with path.open("rb") as stream:
            stream.seek(start)
            for chunk in _chunks(stream, length):
                self.wfile.write(chunk)

    def _refuse(self, error: HubError) -> None:
        """Send a refusal as the hub words it."""
        data = json.dumps({"error": str(error)}).encode()
        headers = {"Content-Type": "application/json", "X-Error-Code": error.code}
        headers["X-Error-Message"] = str(error).encode("ascii", "replace").decode()
        if error.commit:
            headers["X-Repo-Commit"] = error.commit
        if error.status == 416:
            headers["Content-Range"] = str(error)
        self._start(error.status, len(data), headers)
        if self.command != "HEAD":
            self.wfile.write(data)

    def _start(self, status: int, length: int, headers: dict[str, str]) -> None:
        """Send the status line and the headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()


def _flag(query: dict[str, list[str]], name: str) -> bool:
    """Read a boolean query parameter."""
    return query.get(name, [""])[-1].lower() in ("true", "1")


def _posted_paths(body: bytes, content_type: str | None) -> list[str]:
    """Read the paths of a form or JSON body."""
    if "json" not in (content_type or ""):
        return parse_qs(body.decode()).get("paths", [])
    try:
        paths = json.loads(body)["paths"]
    except (ValueError, KeyError, TypeError) as error:
        raise HubError(400, "BadRequest", "the body names no paths") from error
    return [paths] if isinstance(paths, str) else [str(path) for path in paths]
