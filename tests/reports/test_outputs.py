"""What outputs are made of: finished stages that the recipe has."""

from __future__ import annotations

import pytest

from babelpress.stages.outputs import finished_stages
from babelpress.stages.run import Run
from babelpress.teacher import read_teacher
from babelpress.utils.files import write_json
from tests.reports.figures import make_recipe


@pytest.mark.parametrize(
    ("overrides", "stages"),
    [((), ["corpus", "layers"]), (("export.formats=[onnx]",), ["corpus", "layers", "export"])],
)
def test_an_export_that_the_recipe_no_longer_asks_for_is_not_told_of(tmp_path, tiny_teacher, overrides, stages):
    run = Run(make_recipe(*overrides), tmp_path, read_teacher(str(tiny_teacher)), None)
    for name in ("export", "corpus", "layers"):
        write_json(run.path(name) / "manifest.json", {"stage": name})
    assert list(finished_stages(run)) == stages
