"""The list of shipped suites."""

from __future__ import annotations

from babelpress.cli.app import app
from babelpress.cli.shared import AsJson, out, print_json


@app.command("suites", epilog="Example: [bold]babelpress suites --json[/bold]")
def suites_list(as_json: AsJson = False) -> None:
    """List the suites: named lists of mteb tasks for recipes and for compare."""
    from babelpress.schema.suites import shipped_suites

    found = shipped_suites()
    if as_json:
        print_json({name: suite.facts() for name, suite in found.items()})
        return
    from babelpress.reports.comparison import suites_view

    out.print(suites_view(found))
