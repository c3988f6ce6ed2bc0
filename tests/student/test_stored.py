"""Number formats of a student's weights on disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer

from babelpress.errors import TrainingError
from babelpress.recipe import Recipe, StoredAs
from babelpress.stages.pipeline import bring_up, open_run
from babelpress.student.build import replace_weights
from tests.distillation import RECIPE


def folders(tmp_path, value):
    pressed = tmp_path / "pruned"
    pressed.mkdir()
    save_file({"kept": np.float32([1.0]), "trained": np.float32([2.0])}, pressed / "model.safetensors")
    save_file({"trained": np.float32([value])}, tmp_path / "best.safetensors")
    return pressed, tmp_path / "best.safetensors", tmp_path / "model.safetensors"


def test_weights_in_fp16_are_those_in_fp32_rounded(tmp_path):
    pressed, trained, target = folders(tmp_path, 1 / 3)
    replace_weights(pressed, trained, target, stored_as=StoredAs.FP16)
    weights = load_file(target)
    assert {name: value.dtype for name, value in weights.items()} == {"kept": np.float16, "trained": np.float16}
    assert weights["trained"].item() == np.float16(1 / 3)
    assert weights["kept"].item() == 1.0


def test_a_weight_that_fp16_has_no_number_for_is_no_infinity(tmp_path):
    pressed, trained, target = folders(tmp_path, 70_000.0)
    with pytest.raises(TrainingError, match=r"trained has a weight of 7e\+04, fp16 ends at 65504; set student.stored"):
        replace_weights(pressed, trained, target, stored_as=StoredAs.FP16)
    assert not target.exists()


def test_a_student_stored_in_fp16_is_loaded_in_fp32_and_only_its_own_stage_is_made_again(tmp_path, tiny_teacher):
    recipe = Recipe.parse(RECIPE.format(teacher=tiny_teacher), overrides=["distillation.epochs=1"])
    run = open_run(recipe, output=tmp_path / "run")
    bring_up(run, ["student"])
    whole = SentenceTransformer(str(run.path("student"))).encode(["hello"])
    half = open_run(recipe.override(["student.stored_as=fp16"]), output=tmp_path / "run")
    assert bring_up(half, ["student"]) == ["student"]
    model = SentenceTransformer(str(half.path("student")))
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert np.abs(model.encode(["hello"]) - whole).max() < 2e-3
