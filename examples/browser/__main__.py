"""Build what the page needs, then serve it on this machine: `python -m examples.browser` in the checkout's root.

vendor/ (transformers.js and ONNX Runtime, by npm), model/ (the student in int8) and sentences.json are made beside the
page; what is there and still right is kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import babelpress
from babelpress.cli.shared import fail, interruptible, os_error, out, set_up
from babelpress.errors import BabelpressError
from examples.browser.build import build_model, build_sentences
from examples.browser.fetch import fetch_vendor
from examples.browser.server import address, open_server

HERE = Path(__file__).resolve().parent
DEMO = HERE.parents[1] / "runs" / "demo"


def main() -> None:
    """Build, then serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m examples.browser", description=__doc__)
    parser.add_argument("--student", type=Path, metavar="DIR", help="a student folder; the demo's unless given")
    parser.add_argument("--port", type=int, default=8000, help="where to serve, 8000 unless given; 0 takes a free one")
    parser.add_argument("--files", action="store_true", help="fetch vendor/ and stop")
    parser.add_argument("--no-serve", action="store_true", help="build all and stop")
    arguments = parser.parse_args()
    set_up(quiet=False, verbose=0)
    try:
        with interruptible():
            _work(arguments)
    except BabelpressError as error:
        fail(str(error))
    except OSError as error:
        fail(os_error(error))


def _work(arguments: argparse.Namespace) -> None:
    if fetch_vendor(HERE / "package.json", HERE / "vendor"):
        out.print("browser: fetched vendor/")
    if arguments.files:
        return
    student = arguments.student or _demo()
    if build_model(student, HERE / "model"):
        out.print(f"browser: exported {student} to model/", soft_wrap=True)
    build_sentences(HERE / "sentences.json")
    if arguments.no_serve:
        return
    with open_server(HERE, port=arguments.port) as server:
        out.print(f"browser: {address(server)} (Ctrl-C ends it)")
        server.serve_forever()


def _demo() -> Path:
    """Return the demo's student; the demo is run where it was not yet."""
    if not (DEMO / "results.json").is_file():
        out.print("browser: there is no student yet; running the demo, a few minutes")
        babelpress.run("demo", output=DEMO)
    return DEMO / "student"


if __name__ == "__main__":
    main()
