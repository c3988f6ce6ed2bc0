"""A server for one folder, for this machine alone, with the headers that WebAssembly's threads want."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from babelpress.errors import BabelpressError

HOST = "127.0.0.1"
HEADERS = {
    # Both together isolate the page from others, which is the condition for shared memory, thus for threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    # The page promises to ask nobody else for anything; the browser holds it to that, the worker included.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
        "style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # asked again every time, sent again only when it changed
}


class _Handler(SimpleHTTPRequestHandler):
    """Files of the folder with fixed types; no lists of folders."""

    extensions_map = {  # noqa: RUF012 (the name and type are the base class's)
        "": "application/octet-stream",
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".mjs": "text/javascript; charset=utf-8",
        ".json": "application/json; charset=utf-8",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def open_server(folder: Path, *, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of a folder on 127.0.0.1, not yet serving; port 0 takes a free one.

    Raises BabelpressError for a port that is taken.
    """
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BabelpressError(f"port {port} cannot be opened: {reason}; try --port 0 for a free one") from None


def address(server: ThreadingHTTPServer) -> str:
    """Return where a server's page is."""
    return f"http://{HOST}:{server.server_address[1]}/"
