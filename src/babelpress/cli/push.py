"""The verb that publishes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babelpress.cli.app import app
from babelpress.cli.shared import AsJson, Quiet, Verbose, interruptible, out, print_json, set_up

if TYPE_CHECKING:
    from babelpress.publishing.push import Pushed

_STOPPED = "stopped; the commit is made last and whole, so the hub has all of it or nothing; run the same command again"


@app.command("push", epilog="Example: [bold]babelpress push runs/demo me/demo --private --dry-run[/bold]")
def push_student(
    folder: Annotated[Path, typer.Argument(metavar="RUN|FOLDER", help="A run, whose student is meant, or a student.")],
    repo_id: Annotated[str, typer.Argument(metavar="REPO_ID", help="The model's name on the hub: NAMESPACE/NAME.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    revision: Annotated[
        str, typer.Option("--revision", metavar="BRANCH", help="Commit to this branch; made if it is not there.")
    ] = "main",
    message: Annotated[str | None, typer.Option("--message", metavar="TEXT", help="The commit's message.")] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open a pull request in a repository that is there.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and list all that would be sent; asks nobody.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Publish a student on the hub, as one commit, when it passes the quick checks.

    Log in first: hf auth login (or set HF_TOKEN).
    """
    set_up(quiet=quiet or as_json, verbose=verbose)
    with interruptible(_STOPPED):
        from babelpress import api

        pushed = api.push(
            folder, repo_id, private=private, revision=revision, message=message, create_pr=create_pr, dry_run=dry_run
        )
    if as_json:
        print_json(pushed.facts())
    elif not quiet:
        _show(pushed, dry_run=dry_run)


def _show(pushed: Pushed, *, dry_run: bool) -> None:
    for line in _lines(pushed, dry_run=dry_run):
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def _lines(pushed: Pushed, *, dry_run: bool) -> list[str]:
    """Return what is said of a push: every file in a dry run, else where it is."""
    push = pushed.push
    whole = f"{len(push.files)} files, {push.size / 2**20:.1f} MiB"
    named = [f"README.md calls the model {push.renamed}; the pushed copy calls it {push.to.repo_id}"]
    if dry_run:
        private = ", private if it is new" if push.to.private else ""
        way = f"a pull request to {push.to.revision}" if push.to.create_pr else f"branch {push.to.revision}"
        lines = [f"{upload.size:>13,}  {upload.path}" for upload in push.files]
        lines.append(f"{whole} would go to {pushed.url} ({way}{private}); nothing was sent")
    elif not pushed.changed:
        lines = [f"nothing to push: {pushed.url} has these {whole} already (commit {pushed.commit})"]
    else:
        lines = [f"{pushed.pull_request or pushed.url}  ({whole}, commit {pushed.commit})"]
    return [*lines, *(named if push.renamed else [])]
