"""The JavaScript and WebAssembly of the page, fetched with npm: exactly what package.json pins, nothing else.

`npm pack` brings the two packages as they were published; `npm install` would bring native libraries for Node.js as
well, 300 MiB that no browser reads.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from babelpress.errors import BabelpressError
from babelpress.utils.files import read_json, replace_file, write_json

_STAMP = "versions.json"
FILES = {
    "@huggingface/transformers": ("dist/transformers.min.js",),
    # The plain build: int8 runs on the processor, and the builds for graphics cards are twice as large.
    "onnxruntime-web": ("dist/ort-wasm-simd-threaded.mjs", "dist/ort-wasm-simd-threaded.wasm"),
}


def fetch_vendor(package: Path, vendor: Path) -> bool:
    """Fill `vendor` with the files of the packages that a package.json pins; False where they are there already.

    Raises BabelpressError where npm is missing or fails, or where a package is not the one that was tested.
    """
    wanted = read_json(package)["integrity"]
    if is_complete(vendor) and read_json(vendor / _STAMP) == wanted:
        return False
    npm = shutil.which("npm")
    if npm is None:
        raise BabelpressError("npm is missing; it comes with Node.js (apt install npm, brew install node, nodejs.org)")
    for name, version in read_json(package)["dependencies"].items():
        with tempfile.TemporaryDirectory() as folder:
            archive = _pack(npm, f"{name}@{version}", Path(folder))
            _verify(archive, name, wanted[name])
            _unpack(archive, FILES[name], vendor)
    write_json(vendor / _STAMP, wanted)
    return True


def is_complete(vendor: Path) -> bool:
    """Tell whether a folder was filled to the end."""
    names = [_STAMP, *(Path(file).name for files in FILES.values() for file in files)]
    return all((vendor / name).is_file() for name in names)


def _pack(npm: str, spec: str, folder: Path) -> Path:
    """Download a package's archive into an empty folder."""
    command = [npm, "pack", spec, "--silent", "--ignore-scripts", "--pack-destination", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = next(folder.glob("*.tgz"), None)
    if done.returncode or found is None:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BabelpressError(f"npm could not fetch {spec}: {said[-1] if said else 'it did not say why'}")
    return found


def _verify(archive: Path, name: str, integrity: str) -> None:
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != integrity:
        raise BabelpressError(f"npm brought another {name} than package.json names: {found}, not {integrity}")


def _unpack(archive: Path, names: tuple[str, ...], vendor: Path) -> None:
    """Copy files of an archive, by their names there, into one flat folder."""
    with tarfile.open(archive) as packed:
        for name in names:
            try:
                member = packed.extractfile(f"package/{name}")
            except KeyError:
                member = None
            if member is None:
                raise BabelpressError(f"there is no {name} in {archive.name}; has package.json another version?")
            content = member.read()
            replace_file(vendor / Path(name).name, lambda file, content=content: file.write_bytes(content))
