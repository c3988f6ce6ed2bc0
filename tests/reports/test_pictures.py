"""The pictures of a run's figures: those that there are figures for, and the stage that draws them."""

from __future__ import annotations

import json

import pytest

from babelpress.reports.pictures import draw_pictures
from babelpress.schema.results import AtLength, Closeness, Measures
from babelpress.stages import STAGES
from babelpress.stages.pictures import make as make_pictures
from babelpress.stages.pictures import settings as pictures_settings
from babelpress.stages.run import Run
from babelpress.teacher import read_teacher
from babelpress.utils.files import read_json, write_json, write_text
from tests.reports.figures import make_recipe, make_results

LINE = {"step": 20, "epoch": 0, "lr": 1e-4, "loss": 0.5, "mse": 0.4}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def both(*stems):
    return sorted(f"{stem}.{ending}" for stem in stems for ending in ("png", "svg"))


def draw(folder, results, *, log=True):
    if log:
        (folder / "log.jsonl").write_text(json.dumps(LINE) + "\n")
    out = folder / "out"
    out.mkdir()
    drawn = draw_pictures(
        out, recipe="try", teacher_id=results.teacher_id, models=results.models, log=folder / "log.jsonl"
    )
    assert names(out) == both(*drawn)
    return drawn


def measured(results, **more):
    """The results of a run whose models have measures, these among them."""
    measures = Measures(overall=Closeness(texts=9, cosine=0.8, cosine_p5=0.5), **more)
    models = {name: model.model_copy(update={"measures": measures}) for name, model in results.models.items()}
    return results.model_copy(update={"models": models})


def test_a_run_with_everything_has_every_picture(tmp_path):
    lengths = tuple(AtLength(tokens=tokens, texts=9, cosine=0.8, cosine_p5=0.5) for tokens in (16, 128))
    drawn = draw(tmp_path, measured(make_results(), by_length=lengths))
    assert drawn == ("loss", "languages", "lengths", "pareto")


def test_a_run_without_tasks_shows_nearness_by_language(tmp_path):
    near = {"ko": Closeness(texts=9, cosine=0.8, cosine_p5=0.5)}
    assert draw(tmp_path, measured(make_results(tasks=False), by_language=near)) == ("loss", "languages", "pareto")


def test_what_there_are_no_figures_for_is_not_drawn(tmp_path):
    assert draw(tmp_path, make_results(tasks=False), log=False) == ("pareto",)


def needs_of(name: str) -> set[str]:
    own = {need.name for need in STAGES[name].needs}
    return own.union(*(needs_of(need) for need in own)) if own else own


def test_the_umap_needs_no_evaluation():
    assert "evaluation" not in needs_of("umap")
    assert {"evaluation", "distillation"} <= needs_of("pictures")


@pytest.fixture
def run(tmp_path, tiny_teacher):
    """A run whose training and evaluation are finished, as far as the pictures look."""
    results = make_results()
    run = Run(make_recipe(), tmp_path, read_teacher(str(tiny_teacher), name=results.teacher_id), None)
    models = {name: model.model_dump(mode="json") for name, model in results.models.items()}
    write_json(run.path("evaluation") / "models.json", models)
    write_text(run.path("distillation") / "log.jsonl", json.dumps(LINE) + "\n")
    return run


def test_the_stage_draws_from_what_finished_stages_left(run):
    folder = run.path("pictures")
    assert make_pictures(run, folder) == {"drawn": ["loss", "languages", "pareto"]}
    assert names(folder) == both("loss", "languages", "pareto")


def test_the_stages_key_holds_the_published_scores(run, monkeypatch):
    from babelpress.evaluation.compare import published

    before = pictures_settings(run)
    told = read_json(published._FILE)
    told["models"]["multilingual-e5-small"]["parameters"] += 1
    monkeypatch.setattr(published, "_data", lambda: told)
    assert pictures_settings(run) != before
