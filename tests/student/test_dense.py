"""A projection that was learned for a student of other dimensions becomes a part of its folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from babelpress.architectures.encoders import load_encoder
from babelpress.errors import TeacherError
from babelpress.student.dense import fold_projection
from babelpress.utils.files import read_json
from tests.tiny import make_teacher

TEXTS = ["The train leaves in the morning.", "안녕하세요", "a"]


def projection(folder, *, rows=24, columns=16):
    weight = np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
    save_file({"projection.weight": weight}, folder / "projection.safetensors")
    return folder / "projection.safetensors", weight


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("normalised", [True, False])
def test_embeddings_of_the_folder_are_the_projected_ones(tmp_path, normalised):
    folder = make_teacher(tmp_path / "student")
    if not normalised:
        modules = [each for each in read_json(folder / "modules.json") if not each["type"].endswith("Normalize")]
        (folder / "modules.json").write_text(json.dumps(modules))
    before = load_encoder(folder).encode(TEXTS)
    path, weight = projection(tmp_path)
    fold_projection(folder, path)
    model = load_encoder(folder)
    assert model.get_embedding_dimension() == 24
    np.testing.assert_allclose(model.encode(TEXTS), unit(unit(before) @ weight.T), atol=1e-5)


def test_a_saved_and_reloaded_folder_keeps_it(tmp_path):
    folder = make_teacher(tmp_path / "student")
    fold_projection(folder, projection(tmp_path)[0])
    model = load_encoder(folder)
    model.save_pretrained(str(tmp_path / "again"), create_model_card=False)
    np.testing.assert_allclose(load_encoder(tmp_path / "again").encode(TEXTS), model.encode(TEXTS), atol=1e-6)


def test_nothing_but_safetensors_is_written(tmp_path):
    folder = make_teacher(tmp_path / "student")
    fold_projection(folder, projection(tmp_path)[0])
    dense = next(folder.glob("*_Dense"))
    assert sorted(path.name for path in dense.iterdir()) == ["config.json", "model.safetensors"]
    assert set(load_file(dense / "model.safetensors")) == {"linear.weight"}


def test_a_projection_for_other_dimensions_is_refused(tmp_path):
    folder = make_teacher(tmp_path / "student")
    before = read_json(folder / "modules.json")
    with pytest.raises(TeacherError, match=r"is for embeddings of 12 dimensions, those of .* have 16"):
        fold_projection(folder, projection(tmp_path, columns=12)[0])
    assert read_json(folder / "modules.json") == before
