"""The page of a run: facts in, one HTML file as text out; nothing is read and nothing is asked of a network."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from babelpress.reports.page.asked import tell_recipe
from babelpress.reports.page.blocks import Prose, Section
from babelpress.reports.page.drawings import Figure
from babelpress.reports.page.exports import tell_exports
from babelpress.reports.page.facts import PageFacts
from babelpress.reports.page.head import measure_tiles, name_student, say_what_it_is
from babelpress.reports.page.kept import tell_kept, tell_sizes
from babelpress.reports.page.made import tell_contamination, tell_corpus, tell_cost
from babelpress.reports.page.measures import tell_measures
from babelpress.reports.page.origin import tell_limits, tell_origin
from babelpress.reports.page.pictures import draw_figure
from babelpress.reports.page.scores import tell_scores
from babelpress.reports.page.speed import tell_speed
from babelpress.reports.page.wording import link, mib

PAGE = "report.html"


@dataclass(frozen=True)
class Squares:
    """Two squares, one in the other, whose areas are as the weights; `side` is the small one's, of 1."""

    teacher: str
    student: str
    side: float


def render_page(facts: PageFacts) -> str:
    """Return the page as HTML. The same facts give the same bytes."""
    environment = Environment(
        loader=PackageLoader("babelpress.reports"), undefined=StrictUndefined, autoescape=True, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template("report.html.jinja").render(
        title=name_student(facts.recipe),
        recipe=facts.recipe.name,
        sentence=say_what_it_is(facts),
        notes=facts.recipe.card.notes.strip(),
        squares=compare_sizes(facts),
        tiles=measure_tiles(facts),
        sections=tell_all(facts),
        version=facts.results.versions.get("babelpress", ""),
    )


def tell_all(facts: PageFacts) -> list[Section]:
    """Return the sections of the page, in order; those without anything to tell are left out."""
    sections = [
        tell_recipe(facts),
        tell_kept(facts),
        tell_sizes(facts),
        tell_scores(facts),
        tell_measures(facts),
        tell_speed(facts),
        tell_exports(facts),
        tell_pictures(facts),
        tell_cost(facts),
        tell_contamination(facts),
        tell_corpus(facts),
        tell_limits(facts),
        tell_origin(facts),
    ]
    return [section for section in sections if section is not None]


def tell_pictures(facts: PageFacts) -> Section | None:
    """Return the section of pictures; None where the run drew none."""
    drawn: list[Figure | Prose] = [draw_figure(picture) for picture in facts.pictures]
    if facts.interactive:
        words = Markup("The same points, to be pointed at: {}.").format(link(facts.interactive, facts.interactive))
        drawn.insert(1, Prose(words))  # behind the picture of the same points, which is the first
    named = Prose('In the legends, "distilled" is the student.')
    return Section("pictures", "Pictures", (named, *drawn)) if drawn else None


def compare_sizes(facts: PageFacts) -> Squares:
    """Return the weights in fp32 as squares."""
    before, after = 4 * facts.original.parameters, 4 * facts.student.parameters
    return Squares(mib(before), mib(after), math.sqrt(min(after / before, 1.0)))
