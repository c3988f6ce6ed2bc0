"""What others add in a module of their own is found wherever users meet it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from babelpress.architectures import FAMILIES, family_of, register
from babelpress.architectures.bert import FAMILY as BERT
from babelpress.distillation.loss import DistillationLoss
from babelpress.errors import RecipeError, TeacherError
from babelpress.recipe import Recipe, VocabularyMethod
from babelpress.reports.loss_plot import read_training
from babelpress.schema.exports import Missed
from babelpress.schema.formats import FORMATS, Format, register_format
from babelpress.schema.losses import LOSSES, LossTerm, loss_words, register_loss
from babelpress.schema.objectives import OBJECTIVES, Objective, register_objective
from babelpress.stages import STAGES, stages_of
from babelpress.stages.engine import Stage
from babelpress.stages.run import Run
from babelpress.teacher import read_teacher
from babelpress.utils.files import write_text
from babelpress.vocabulary.choose import plan_vocabulary
from babelpress.vocabulary.count import count_pieces
from babelpress.vocabulary.tokenizer_file import read_tokenizer_file
from tests.reports.figures import make_recipe
from tests.reports.page_figures import make_facts
from tests.reports.test_card import card
from tests.tiny import make_teacher

OURS = "tests.test_extending"


def absolute(_):
    """A loss term: the mean absolute difference."""
    return lambda student, teacher: (student - teacher).abs().mean()


def lowest_ids(lexicon, weights, *, must, room):
    """An objective: the first pieces of the vocabulary."""
    kept = must.copy()
    for number in range(len(weights)):
        if kept.sum() < room:
            kept[number] = True
    return kept


class CopyWriter:
    """A writer whose file is the student itself."""

    def __init__(self, folder):
        self.folder = folder

    def prepare(self, student, formats):
        self.student = student

    def write(self, chosen, file):
        file.write_bytes((self.folder / "model.safetensors").read_bytes())

    def open(self, file):
        return self.student


@pytest.fixture
def ours():
    """One of each, and nothing left of them afterwards."""
    registries = (LOSSES, OBJECTIVES, FORMATS, FAMILIES, STAGES)
    before = [dict(registry) for registry in registries]
    register_loss(LossTerm("absolute", "absolute distance", "length", "ours", f"{OURS}:absolute"))
    register_objective(Objective("lowest_ids", "the first of the vocabulary", f"{OURS}:lowest_ids"))
    register_format(
        Format("copy", "copy/model.copy", f"{OURS}:CopyWriter", ("numpy",), "pip install numpy", remedy="try harder")
    )
    register(replace(BERT, classes={"our-bert": "BertModel"}))
    STAGES["extra"] = Stage("extra", (), lambda run: {}, lambda run, folder: {"done": 1})
    yield
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content)


def refused(override: str) -> str:
    with pytest.raises(RecipeError) as error:
        make_recipe(override)
    return str(error.value)


def test_they_are_named_where_a_recipe_is_refused(ours):
    assert "absolute" in refused("distillation.loss.absolut=1")
    assert "lowest_ids" in refused("vocabulary.objective=other")
    assert "copy" in refused("export.formats=[other]")
    with pytest.raises(TeacherError, match="our-bert"):
        family_of("other", model="m")


def test_a_loss_term_is_trained_with_logged_and_drawn(ours, tmp_path):
    import torch

    section = make_recipe("distillation.loss={absolute: 2.0, mse: 0, cosine: 0}").distillation.loss
    parts = DistillationLoss(section, dimensions=3)(torch.eye(3)[:2], torch.eye(3)[1:])
    assert parts.terms["absolute"] == pytest.approx(2 / 3)
    assert parts.total == pytest.approx(4 / 3)
    log = tmp_path / "log.jsonl"
    write_text(log, "".join(f'{{"step": {n}, "loss": 1.0, "absolute": 0.5, "lr": 1e-4}}\n' for n in (20, 40)))
    assert "absolute" in read_training(log).training.figures


def test_a_loss_term_is_on_card_and_page(ours, tiny_teacher):
    recipe = make_recipe("distillation.loss={absolute: 2.0, mse: 0, cosine: 0}")
    assert loss_words(recipe.distillation.loss) == "absolute distance (2)"
    assert "absolute distance (2)" in card(read_teacher(str(tiny_teacher)), recipe=recipe)
    assert "absolute distance (2)" in _page(replace(make_facts(tiny_teacher), recipe=recipe))


def test_a_loss_term_that_is_not_used_leaves_the_keys_of_stages_as_they_are(ours, tmp_path, tiny_teacher):
    from babelpress.stages.distillation import dump_training

    run = Run(make_recipe(), tmp_path, read_teacher(str(tiny_teacher)), None)
    assert "absolute" not in dump_training(run)["loss"]
    used = Run(make_recipe("distillation.loss.absolute=1"), tmp_path, run.teacher, None)
    assert dump_training(used)["loss"]["absolute"] == 1.0


def test_an_objective_chooses_and_is_on_the_page(ours, tiny_teacher):
    tokenizer = read_tokenizer_file(tiny_teacher / "tokenizer.json")
    counts = count_pieces(tokenizer, [(["a b c", "Hello, world"] * 9, ["en"] * 18)])
    plan = plan_vocabulary(tokenizer, counts, method=VocabularyMethod.BUDGET, size=400, objective="lowest_ids")
    assert plan.rows == 400
    recipe = make_recipe("vocabulary.objective=lowest_ids", "vocabulary.size=400")
    assert "400 rows, the first of the vocabulary" in _page(replace(make_facts(tiny_teacher), recipe=recipe))


def test_a_format_is_exported_checked_and_published(ours, tmp_path, tiny_teacher):
    import shutil

    from babelpress import export
    from babelpress.exports.index import read_exports
    from babelpress.publishing.files import list_uploads
    from babelpress.schema.model_files import hash_model

    student = tmp_path / "student"
    shutil.copytree(tiny_teacher, student)
    before = hash_model(student)
    (written,) = export(student, to=["copy"])
    assert (student / "copy" / "model.copy").is_file()
    assert written.parity.mean == pytest.approx(1.0)
    assert [each.name for each in read_exports(student)] == ["copy"]
    assert hash_model(student) == before
    (student / "README.md").write_text("# a card\n", encoding="utf-8")
    assert "copy/model.copy" in [upload.path for upload in list_uploads(student)]
    missed = Missed("copy", "copy/model.copy", 1, written.parity, ("mean cosine 0.5 is below 0.9",))
    assert missed.words.endswith("; try harder")
    assert make_recipe("export.formats=[copy]").export.formats == ("copy",)


def test_a_format_is_in_the_help_of_export(tmp_path):
    module = tmp_path / "our_formats.py"
    module.write_text(
        "from babelpress.schema.formats import Format, register_format\n"
        "register_format(Format('copy', 'copy/model.copy', 'm:n', ('numpy',), 'pip install numpy'))\n"
        "from babelpress.cli import main\nmain()\n",
        encoding="utf-8",
    )
    shown = subprocess.run(
        [sys.executable, str(module), "export", "--help"], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert re.search(r"\bcopy\b", shown)


def test_a_stage_is_run_and_is_on_the_page(ours, tmp_path, tiny_teacher):
    run = Run(make_recipe(), tmp_path, read_teacher(str(tiny_teacher)), None)
    assert stages_of(run)[-1] == "extra"
    assert "extra" in _page(make_facts(tiny_teacher))


def test_a_family_is_read_and_pressed(ours, tmp_path):
    import json

    folder = make_teacher(tmp_path / "teacher")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "our-bert"}), encoding="utf-8")
    assert read_teacher(str(folder)).family is FAMILIES["our-bert"]


def test_every_shipped_recipe_is_the_same_with_a_term_more(ours):
    for name in ("demo", "me5s_v3", "me5s_cpu"):
        assert Recipe.load(name).distillation.loss.weight("absolute") == 0.0


def _page(facts) -> str:
    from babelpress.reports.page.page import render_page

    return render_page(facts)


def test_no_list_of_members_is_kept_by_hand():
    """Every description of a choice is beside its value, so that a new one cannot lack it."""
    from babelpress import recipe
    from babelpress.schema.choice import Choice

    described = [recipe.NewRows, recipe.KeptRows]
    assert all(member.words for choice in described for member in choice)
    assert all(issubclass(choice, Choice) for choice in described)
    source = Path(recipe.__file__).parent
    for name in LOSSES:
        listed = [file for file in source.rglob("*.py") if re.search(rf'^\s+"{name}",$', file.read_text("utf-8"), re.M)]
        assert {file.name for file in listed} <= {"losses.py"}
