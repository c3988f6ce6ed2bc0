"""Run a reader's script on a request: python answer.py SCRIPT REQUEST.json ANSWER.json

The request is {name: [text, ...]}. The answer holds, for each name, a list of vectors and of ids, and the versions
and names of what was imported. Only the standard library is imported here.
"""

import json
import runpy
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path


def main() -> None:
    script, request, answer = sys.argv[1:]
    batches = json.loads(Path(request).read_text(encoding="utf-8"))
    reader = runpy.run_path(script)
    vectors = {
        name: [[float(number) for number in row] for row in reader["encode"](texts)] for name, texts in batches.items()
    }
    ids = {name: [list(map(int, row)) for row in reader["ids"](texts)] for name, texts in batches.items()}
    imported = {name.partition(".")[0] for name in sys.modules}
    known = packages_distributions()
    versions = {name: version(known[name][0]) for name in imported & known.keys()}
    found = {"vectors": vectors, "ids": ids, "versions": versions}
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
