"""Recipes: list, show, copy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from babelpress.cli.app import App, Group, app
from babelpress.cli.shared import AsJson, RecipeArgument, out, print_json
from babelpress.errors import BabelpressError
from babelpress.recipe import Recipe
from babelpress.schema.recipe_text import read_recipe_text, shipped_recipes

recipes_app = App(cls=Group, help="List, show and copy recipes.", no_args_is_help=True)
app.add_typer(recipes_app, name="recipes")


@recipes_app.command("list", epilog="Example: [bold]babelpress recipes list[/bold]")
def recipes_list(as_json: AsJson = False) -> None:
    """List the shipped recipes."""
    found = shipped_recipes()
    if as_json:
        print_json(found)
        return
    for name, description in found.items():
        out.print(Text.assemble((name, "bold"), f"  {description}"))


@recipes_app.command("show", epilog="Example: [bold]babelpress recipes show me5s_v3[/bold]")
def recipes_show(recipe: RecipeArgument, as_json: AsJson = False) -> None:
    """Print a recipe as it stands in its file; with --json, with every default filled in."""
    loaded = Recipe.load(recipe)
    if as_json:
        print_json(loaded.model_dump(mode="json"))
    else:
        sys.stdout.write(read_recipe_text(recipe))


@recipes_app.command("init", epilog="Example: [bold]babelpress recipes init my_recipe.yaml --from demo[/bold]")
def recipes_init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where the new recipe goes; nothing is overwritten.")],
    origin: Annotated[str, typer.Option("--from", metavar="RECIPE", help="The shipped recipe to start from.")] = "demo",
) -> None:
    """Copy a shipped recipe to start your own from."""
    import re

    from babelpress.utils.files import write_text

    if path.exists():
        raise BabelpressError(f"{path} is there already; give another name")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem) or "recipe"
    text = re.sub(r"(?m)^name: .*$", f"name: {name}", read_recipe_text(origin), count=1)
    Recipe.parse(text, origin=str(path))
    write_text(path, text)
    out.print(f"{path}  (edit it, then: babelpress plan {path})", highlight=False, markup=False)
