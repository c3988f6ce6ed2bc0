"""What 8 bits cannot hold is found, computed apart or balanced, and in fp32 nothing changes by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file

from babelpress import api
from babelpress.architectures.encoders import load_encoder
from babelpress.exports.calibration import LayerCalibration, balance, calibrate, choose_outliers
from babelpress.exports.graph import is_apart, trace_graph
from babelpress.exports.runtime import graph_encoder
from tests.architectures import family_teacher
from tests.tiny import make_teacher

UNIT, CHANNEL = 5, 3
TEXTS = ["Hello, how are you?", "안녕하세요", "x", "Где находится библиотека? " * 10]


def changed(folder: Path, **changes: object) -> Path:
    """A tiny student with other weights."""
    make_teacher(folder, hidden=32, feed_forward=64)
    weights = load_file(folder / "model.safetensors")
    for change in changes.values():
        change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def outgrow(weights: dict[str, np.ndarray]) -> None:
    """Make a unit hundreds of times as large as all others, as real students have one."""
    inner, outer = (f"encoder.layer.0.{part}.dense.weight" for part in ("intermediate", "output"))
    weights[inner][UNIT] = 0
    weights[inner.replace("weight", "bias")][UNIT] = 300.0
    weights[outer][:, UNIT] /= 300.0


def stand_out(weights: dict[str, np.ndarray]) -> None:
    """Make a channel of the states a hundred times as large as all others, which products make up for."""
    for part in ("weight", "bias"):
        weights[f"encoder.layer.0.attention.output.LayerNorm.{part}"][CHANNEL] *= 100
    weights["encoder.layer.0.intermediate.dense.weight"][:, CHANNEL] /= 100


@pytest.fixture(scope="module")
def massive(tmp_path_factory) -> Path:
    return changed(tmp_path_factory.mktemp("massive") / "student", unit=outgrow)


def test_a_massive_unit_is_found_where_it_is_and_the_student_is_as_before(massive):
    model = load_encoder(massive)
    before = model.encode(TEXTS)
    assert [layer.outliers for layer in calibrate(model)] == [(UNIT,), *[()] * (layers_of(model) - 1)]
    assert np.array_equal(model.encode(TEXTS), before)
    assert not any(module._forward_pre_hooks for module in model.modules())


def layers_of(model) -> int:
    return model[0].auto_model.config.num_hidden_layers


@pytest.mark.parametrize("change", [outgrow, stand_out])
def test_what_outgrows_the_rest_does_not_ruin_int8(change, tmp_path, monkeypatch):
    folder = changed(tmp_path / "student", change=change)
    (good,) = api.export(folder, to=["onnx-int8"], floor=None, output=tmp_path / "calibrated")
    monkeypatch.setattr("babelpress.exports.onnx.calibrate", lambda _: ())
    (bad,) = api.export(folder, to=["onnx-int8"], floor=None, output=tmp_path / "as-it-is")
    assert good.parity.mean > 0.999
    assert 1 - bad.parity.mean > 3 * (1 - good.parity.mean)


def test_calibration_changes_nothing_in_fp32(massive, tmp_path):
    model = load_encoder(massive)
    factors = np.random.default_rng(1).uniform(0.2, 5, size=(2, 32)).astype(np.float32)
    found = [LayerCalibration(units, *factors) for units in ((UNIT, 1), (63,), ())][: layers_of(model)]
    file = tmp_path / "model.onnx"
    file.write_bytes(trace_graph(model, calibration=found))
    assert np.abs(graph_encoder(model, file).encode(TEXTS) - model.encode(TEXTS)).max() < 1e-5


def test_units_apart_stay_fp32_and_leave_zeros_behind(massive, tmp_path):
    api.export(massive, to=["onnx-int8", "onnx"], floor=None, output=tmp_path)
    graph = onnx.load(tmp_path / "onnx/model_quantized.onnx").graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    apart = {name: value for name, value in tensors.items() if is_apart(name)}
    assert sorted(value.shape for value in apart.values()) == [(1,), (1, 32), (1, 32)]
    assert all(value.dtype == np.float32 for value in apart.values())
    (inner,) = (value for name, value in tensors.items() if "layers.0.inner" in name and name.endswith(".columns"))
    assert not inner[:, UNIT].any()
    plain = onnx.load(tmp_path / "onnx/model.onnx").graph
    assert not any(is_apart(tensor.name) for tensor in plain.initializer)


def test_an_encoder_without_a_packed_pass_is_not_calibrated(tmp_path):
    assert calibrate(load_encoder(family_teacher(tmp_path / "mpnet", "mpnet"))) == ()


def test_balanced_channels_are_as_large_as_their_weights():
    inputs, weights = np.array([8.0, 2.0, 0.0, 3.0], np.float32), np.array([2.0, 2.0, 1.0, 0.0], np.float32)
    factors = balance(inputs, weights)
    assert factors.tolist() == [2.0, 1.0, 1.0, 1.0]  # what has no inputs or no weights stays
    assert factors.dtype == np.float32
    assert np.array_equal((inputs / factors)[:2], (weights * factors)[:2])


@pytest.mark.parametrize(
    ("largest", "chosen"),
    [
        ([1.0] * 20, ()),
        ([1.0] * 19 + [2.0], ()),
        ([1.0] * 19 + [2.1], (19,)),
        ([3.0, 1.0, 9.0] + [1.0] * 17, (2, 0)),
        ([9.0] * 8 + [1.0] * 9, (0, 1, 2, 3, 4, 5, 6, 7)),
        ([9.0] * 9 + [1.0] * 9, ()),  # so many are no outliers
        ([9.0] + [1.0] * 7, ()),  # nor is any of so few
        ([9.0] + [0.0] * 19, (0,)),
        ([float("nan")] * 20, ()),
    ],
)
def test_outliers_are_few_and_twice_as_large_as_all_others(largest, chosen):
    assert choose_outliers(np.array(largest, dtype=np.float32)) == chosen
