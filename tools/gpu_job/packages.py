"""Which Python packages the other machine lacks, and these as a folder that it can import from."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from tools.gpu_job.portions import JobError

# What of babelpress's needs an image for deep learning with CUDA usually has. `--has FILE` says otherwise. Small pure
# Python packages that others want in a recent version (filelock, fsspec, typing-extensions, ...) travel all the same.
USUAL = (
    "accelerate", "huggingface-hub", "jinja2", "joblib", "llvmlite", "matplotlib", "numba", "numpy", "packaging",
    "pandas", "protobuf", "psutil", "pyarrow", "pyyaml", "regex", "requests", "rich", "safetensors", "scikit-learn",
    "scipy", "sentence-transformers", "tokenizers", "torch", "tqdm", "transformers", "typer",
)  # fmt: skip
# Large, and not needed before the evaluation: these travel last.
LATE = ("polars-runtime-32",)
_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17", "manylinux2014", "manylinux1")


def read_there(file: Path) -> dict[str, str | None]:
    """Read a list of packages, one a line, as `pip list --format=freeze` prints it; versions may be left out."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    found = [line.partition("==") for line in lines if line and not line.startswith(("#", "-"))]
    return {canonical(name): number or None for name, _, number in found}


def canonical(name: str) -> str:
    """Return a package's name as all its spellings have it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def needs(*, enter: Callable[[str], bool], python: str | None = None) -> Iterator[tuple[str, str, str]]:
    """Yield (package, versions that will do, who needs it) for babelpress and, where `enter` says so, what it needs.

    `python` is a version, 3.12: that of Linux on x86-64; this Python's own needs unless given.
    """
    from packaging.markers import default_environment
    from packaging.requirements import Requirement

    environment = dict(default_environment())
    if python is not None:
        environment |= {
            "python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux", "os_name": "posix",
            "platform_system": "Linux", "platform_machine": "x86_64", "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }  # fmt: skip
    seen = {("babelpress", "")}
    ahead = list(seen)
    while ahead:
        parent, extra = ahead.pop()
        try:
            texts = distribution(parent).requires or []
        except PackageNotFoundError:
            raise JobError(f"{parent} is not installed here, so nobody can say what it needs") from None
        for need in map(Requirement, texts):
            if need.marker is not None and not need.marker.evaluate({**environment, "extra": extra}):
                continue
            name = canonical(need.name)
            yield name, str(need.specifier), parent
            for one in ("", *need.extras):
                if (name, one) not in seen and enter(name):
                    seen.add((name, one))
                    ahead.append((name, one))


def lacking(there: dict[str, str | None], *, python: str) -> dict[str, str]:
    """Return the packages that have to travel, at the versions that are installed here."""
    found: dict[str, str] = {}
    for name, wanted, _ in needs(enter=lambda one: not _is_there(there, one, ""), python=python):
        if not _is_there(there, name, wanted):
            found[name] = version(name)
    return dict(sorted(found.items()))


def _is_there(there: dict[str, str | None], name: str, wanted: str) -> bool:
    from packaging.specifiers import SpecifierSet

    number = there.get(name)
    return name in there and (number is None or SpecifierSet(wanted).contains(number, prereleases=True))


def faults() -> list[str]:
    """Return what of babelpress's needs this Python has not, or has in another version, a line each."""
    from packaging.specifiers import SpecifierSet

    found = []
    for name, wanted, parent in needs(enter=_installed):
        if not _installed(name):
            found.append(f"{name} {wanted} is missing; {parent} needs it".replace("  ", " "))
        elif not SpecifierSet(wanted).contains(version(name), prereleases=True):
            found.append(f"{name} is {version(name)}; {parent} needs {wanted}")
    return sorted(set(found))


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def install(packages: dict[str, str], folder: Path, *, python: str) -> None:
    """Let pip fill a folder with the packages of another Python on Linux, x86-64, their scripts left out."""
    platforms = [word for name in _PLATFORMS for word in ("--platform", f"{name}_x86_64")]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps",
         "--no-compile", "--only-binary", ":all:", "--implementation", "cp", "--python-version", python, *platforms,
         "--target", str(folder), *(f"{name}=={number}" for name, number in packages.items())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise JobError(f"pip cannot have {', '.join(packages)}: {done.stderr.strip().splitlines()[-1:]}")
    shutil.rmtree(folder / "bin", ignore_errors=True)


def describe_package(root: Path, site: Path) -> None:
    """Let importlib.metadata find the checkout's babelpress, as an installed one would be found."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    number = re.search(r'(?m)^version = "(.+)"', text)
    wanted = re.search(r"(?ms)^dependencies = \[(.*?)^\]", text)
    if number is None or wanted is None:
        raise JobError(f"{root / 'pyproject.toml'} names no version or no dependencies")
    folder = site / f"babelpress-{number.group(1)}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"Requires-Dist: {one}" for one in re.findall(r'"(.+?)"', wanted.group(1))]
    head = ["Metadata-Version: 2.1", "Name: babelpress", f"Version: {number.group(1)}"]
    (folder / "METADATA").write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


def split_late(packages: dict[str, str], late: Iterable[str] = LATE) -> tuple[dict[str, str], dict[str, str]]:
    """Return the packages that travel first, and those that travel last."""
    last = {name: number for name, number in packages.items() if name in set(late)}
    return {name: number for name, number in packages.items() if name not in last}, last
