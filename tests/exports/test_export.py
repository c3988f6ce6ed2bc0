"""Exports of a folder: whole files with their parity inside the floor, or one line and nothing written."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file, save_file

from babelpress import api
from babelpress.architectures.encoders import load_encoder
from babelpress.errors import BabelpressError, ExportError, SourceError
from babelpress.exports.index import keep_exports, read_exports, remove_exports
from babelpress.exports.runtime import graph_encoder
from babelpress.recipe import Recipe
from babelpress.schema.exports import Export, Floor, FloorError, Parity
from babelpress.schema.formats import FORMATS, choose_formats
from tests.exports import good_parity
from tests.reports.figures import RECIPE
from tests.tiny import make_teacher


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    return make_teacher(tmp_path_factory.mktemp("export") / "student", hidden=32, feed_forward=64)


@pytest.fixture(scope="module")
def exported(student, tmp_path_factory) -> tuple[Path, list[Export]]:
    """Every format."""
    folder = tmp_path_factory.mktemp("exported")
    return folder, api.export(student, to=list(FORMATS), floor=None, output=folder)


def test_files_have_the_names_that_transformers_js_asks_for_d5(exported):
    folder, done = exported
    names = {one.name: one.file for one in done}
    assert names == {
        "onnx": "onnx/model.onnx", "onnx-fp16": "onnx/model_fp16.onnx", "onnx-int8": "onnx/model_quantized.onnx",
        "onnx-int8-vnni": "onnx/model_int8.onnx", "onnx-q4": "onnx/model_q4.onnx",
    }  # fmt: skip
    assert sorted(path.name for path in (folder / "onnx").iterdir()) == sorted(
        [*(Path(file).name for file in names.values()), "exports.json"]
    )


def test_sizes_are_those_of_the_files_and_fall_with_the_bits(exported):
    folder, done = exported
    assert [one.bytes for one in done] == [(folder / one.file).stat().st_size for one in done]
    fp32, fp16, int8, _, four = (one.bytes for one in done)
    assert fp16 < 0.65 * fp32
    assert int8 < fp16  # half of so small a graph is names
    assert four < int8


def adds_bytes_in_32_bits() -> bool:
    """Tell whether this processor has VNNI, or is an ARM, where sums of products of bytes cannot overflow."""
    facts = Path("/proc/cpuinfo")
    flags = facts.read_text(encoding="utf-8").split() if facts.is_file() else []
    return platform.machine() in {"aarch64", "arm64"} or bool({"avx512_vnni", "avx_vnni"} & set(flags))


def test_parity_is_that_of_the_file_read_again(student, exported):
    folder, done = exported
    model = load_encoder(student)
    texts = ["Hello, how are you?", "안녕하세요", "x y z"]
    whole_range = 0.99 if adds_bytes_in_32_bits() else 0.9  # elsewhere onnx-int8-vnni overflows
    for one, least in zip(done, (0.999999, 0.9999, 0.99, whole_range, 0.9), strict=True):
        vectors = graph_encoder(model, folder / one.file).encode(texts)
        assert (vectors * model.encode(texts)).sum(1).min() > least
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-3
        assert least < one.parity.mean <= 1 + 1e-6
        assert one.parity.p5 <= one.parity.mean
        assert one.parity.lowest_mean <= one.parity.mean
        assert one.parity.texts == 16 * 50
    assert done[0].parity.largest < 1e-5


def test_a_file_says_what_a_reader_has_to_know(exported, student):
    folder, _ = exported
    facts = {entry.key: entry.value for entry in onnx.load(folder / "onnx/model_quantized.onnx").metadata_props}
    assert facts["pooling"] == "mean"
    assert facts["normalized"] == "true"
    assert facts["max_length"] == "128"
    assert json.loads(facts["prompts"]) == load_encoder(student).prompts
    assert facts["babelpress"]


def test_sums_of_int8_products_stay_within_16_bits_unless_vnni_is_asked_for_d3(exported):
    folder, _ = exported

    def largest(name: str) -> int:
        """The largest sum of two neighbouring products, each with an unsigned byte."""
        graph = onnx.load(folder / FORMATS[name].file).graph
        products = {node.input[1] for node in graph.node if node.op_type == "MatMulInteger"}
        pairs = [
            onnx.numpy_helper.to_array(tensor).astype(np.int32).reshape(-1, 2, tensor.dims[1])
            for tensor in graph.initializer
            if tensor.name in products
        ]
        return 255 * max(int(np.maximum(sign * pair, 0).sum(axis=1).max()) for pair in pairs for sign in (1, -1))

    assert largest("onnx-int8") < 2**15
    assert largest("onnx-q4") < 2**15
    assert largest("onnx-int8-vnni") > 2**15


def test_the_pooling_of_fp16_stays_fp32_d6(exported):
    folder, _ = exported
    graph = onnx.load(folder / "onnx/model_fp16.onnx").graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.output}
    assert set(kinds.values()) == {onnx.TensorProto.FLOAT}
    halves = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
    assert any("word" in name for name in halves)
    pooling = [node for node in graph.node if node.name.startswith("/pooling.")]
    assert {"ReduceSum", "Div"} <= {node.op_type for node in pooling}
    turned = {name for node in graph.node if node.op_type == "Cast" and _casts_to(node, 10) for name in node.output}
    assert not any(set(node.input) & (halves | turned) for node in pooling)


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return any(attribute.name == "to" and attribute.i == kind for attribute in node.attribute)


def test_exporting_twice_gives_the_same_bytes(student, exported, tmp_path):
    folder, _ = exported
    api.export(student, to=["onnx-q4", "onnx-fp16"], floor=None, output=tmp_path)
    for name in ("model_q4.onnx", "model_fp16.onnx"):
        assert (tmp_path / "onnx" / name).read_bytes() == (folder / "onnx" / name).read_bytes()


def test_the_index_keeps_earlier_exports_and_renews_those_made_again(student, tmp_path):
    api.export(student, to=["onnx"], output=tmp_path)
    api.export(student, to=["onnx-fp16"], floor=None, output=tmp_path)
    (again,) = api.export(student, to=["onnx"], output=tmp_path)
    assert [one.name for one in read_exports(tmp_path)] == ["onnx-fp16", "onnx"]
    assert read_exports(tmp_path)[1] == again
    (tmp_path / "onnx/model_fp16.onnx").unlink()
    assert [one.name for one in read_exports(tmp_path)] == ["onnx"]


def test_an_index_that_points_outside_is_refused(student, tmp_path):
    (one,) = api.export(student, to=["onnx"], output=tmp_path / "in")
    (tmp_path / "in/onnx/exports.json").write_text(json.dumps([{**one.facts(), "file": "../secret"}]))
    with pytest.raises(BabelpressError, match="outside"):
        read_exports(tmp_path / "in")


def test_below_the_floor_nothing_is_written_and_the_next_best_is_named(student, tmp_path):
    with pytest.raises(ExportError) as error:
        api.export(student, to=["onnx-q4"], floor=Floor(mean=0.9999999), output=tmp_path)
    said = str(error.value)
    assert "onnx-q4 differs too much" in said
    assert "below 1" in said or "below 0.9999999" in said
    assert "try onnx-int8" in said
    assert not list((tmp_path / "onnx").iterdir())


def test_an_export_below_the_floor_leaves_the_old_file(student, tmp_path):
    old = tmp_path / "onnx/model_q4.onnx"
    old.parent.mkdir()
    old.write_bytes(b"old")
    with pytest.raises(ExportError):
        api.export(student, to=["onnx-q4"], floor=Floor(mean=0.9999999), output=tmp_path)
    assert old.read_bytes() == b"old"


def test_the_floor_knows_every_figure():
    floor = Floor(mean=0.9, p5=0.8, points=0.5)
    assert floor.faults(good_parity()) == []
    assert floor.faults(good_parity(mean=0.89)) == ["mean cosine 0.8900 is below 0.9"]
    assert floor.faults(good_parity(p5=0.79)) == ["5th percentile of the cosine 0.7900 is below 0.8"]
    assert floor.faults(good_parity(lost={"a": 0.0, "b": 1.2})) == ["scores lose 0.60 points, more than 0.5"]
    assert floor.faults(good_parity(lost={"a": -9.0})) == []
    nan = float("nan")
    assert len(floor.faults(good_parity(mean=nan, p5=nan, lost={"a": nan}))) == 3


def test_without_scores_no_points_are_lost():
    assert good_parity(lost={}).points == 0


def test_parity_counts_languages():
    from babelpress.exports.parity import measure_parity

    own = {"en": np.eye(2, dtype=np.float32), "ko": np.eye(2, dtype=np.float32)}
    turned = np.array([[0.6, 0.8], [0, 1]], dtype=np.float32)
    found = measure_parity(own, {"en": own["en"], "ko": turned})
    assert found == Parity(
        texts=4, largest=pytest.approx(0.8), mean=pytest.approx(0.9), p5=pytest.approx(0.66),
        lowest_language="ko", lowest_mean=pytest.approx(0.8), lost={},
    )  # fmt: skip


def test_unknown_formats_are_named_with_the_nearest():
    with pytest.raises(ExportError, match="'onxx'; did you mean onnx"):
        choose_formats(["onxx"])
    with pytest.raises(ExportError, match="name one of: onnx"):
        choose_formats([])
    assert [one.name for one in choose_formats(["onnx-q4", "onnx", "onnx-q4"])] == ["onnx-q4", "onnx"]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_what_brings_it(monkeypatch, student, tmp_path, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExportError, match=rf"exports need {package}, .*pip install 'babelpress\[onnx\]'"):
        api.export(student, to=["onnx"], output=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_student_is_refused(tmp_path):
    with pytest.raises(ExportError, match=r"no modules\.json"):
        api.export(tmp_path, to=["onnx"])


def test_a_missing_text_file_is_refused_before_any_work(student, tmp_path):
    with pytest.raises(SourceError, match="nowhere"):
        api.export(student, to=["onnx"], texts=[tmp_path / "nowhere.txt"], output=tmp_path)
    assert not (tmp_path / "onnx").exists()


def test_a_file_of_text_counts_as_a_language_of_its_own(student, tmp_path):
    (tmp_path / "own.txt").write_text("one\ntwo\nthree\n", encoding="utf-8")
    (one,) = api.export(student, to=["onnx"], texts=[tmp_path / "own.txt"], output=tmp_path)
    assert one.parity.texts == 16 * 50 + 3


def test_giants_are_refused_before_they_are_read(student, monkeypatch, tmp_path):
    monkeypatch.setattr("babelpress.exports.onnx._MOST_BYTES", 1000)
    monkeypatch.setattr("babelpress.exports.export.load_encoder", lambda *_, **__: pytest.fail("it is read"))
    with pytest.raises(ExportError, match="GiB in fp32; an ONNX file holds"):
        api.export(student, to=["onnx"], output=tmp_path)


def test_a_full_disk_is_one_line_and_leaves_nothing(student, tmp_path, monkeypatch):
    import errno

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BabelpressError, match="the disk is full"):
        api.export(student, to=["onnx"], output=tmp_path)
    monkeypatch.undo()
    assert not list((tmp_path / "onnx").iterdir())


def test_a_recipe_checks_its_exports():
    recipe = Recipe.parse(RECIPE, overrides=["export.formats=[onnx-int8, onnx, onnx]"])
    assert recipe.export.formats == ("onnx-int8", "onnx")
    with pytest.raises(BabelpressError, match="did you mean onnx-int8"):
        Recipe.parse(RECIPE, overrides=["export.formats=[onnx-int9]"])
    with pytest.raises(BabelpressError, match="STS17 is not among the tasks of the evaluation"):
        Recipe.parse(RECIPE, overrides=["export.tasks=[STS17]"])


# --- models that are not as most are --------------------------------------------------------------


def change_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def cls_teacher(folder: Path) -> Path:
    """A tiny model that pools by its first token."""
    make_teacher(folder)
    change_json(folder / "1_Pooling/config.json", pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
    return folder


def test_a_student_that_pools_by_its_first_token_is_scored_as_any_other(tmp_path):
    """torch's exporter leaves the width of such an embedding open; who scores an export asks for it."""
    folder = cls_teacher(tmp_path / "cls")
    api.export(folder, to=["onnx"])
    encoder = graph_encoder(load_encoder(folder), folder / "onnx/model.onnx")
    assert encoder.get_embedding_dimension() == 16
    assert onnx.load(folder / "onnx/model.onnx").graph.output[1].type.tensor_type.shape.dim[1].dim_value == 16


def test_a_default_prompt_stands_before_the_exports_text_too(tmp_path):
    folder = make_teacher(tmp_path / "prompted")
    prompts = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts), encoding="utf-8")
    (one,) = api.export(folder, to=["onnx"])
    assert one.parity.largest < 1e-5


def test_pooling_without_the_prompt_is_refused(tmp_path):
    folder = make_teacher(tmp_path / "p")
    change_json(folder / "1_Pooling/config.json", include_prompt=False)
    with pytest.raises(ExportError, match="leaves prompts out"):
        api.export(folder, to=["onnx"])
    assert not (folder / "onnx").exists()


def test_static_vectors_are_refused_in_one_line(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(make_teacher(tmp_path / "t") / "tokenizer.json"))
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=16)], device="cpu").save(
        str(tmp_path / "static")
    )
    with pytest.raises(ExportError, match="no transformer"):
        api.export(tmp_path / "static", to=["onnx"])


def test_what_the_exporter_cannot_trace_is_one_line(student, tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> bytes:
        raise RuntimeError("no operator\nof that kind")

    monkeypatch.setattr("babelpress.exports.onnx.trace_graph", fail)
    with pytest.raises(ExportError, match="cannot be traced: no operator of that kind"):
        api.export(student, to=["onnx"], output=tmp_path)


def test_a_table_of_odd_width_has_eight_bits(tmp_path):
    folder = make_teacher(tmp_path / "odd", hidden=15, heads=3)
    one, four = api.export(folder, to=["onnx-int8", "onnx-q4"], floor=None)
    assert four.bytes == one.bytes


# --- the index --------------------------------------------------------------------------------------


def test_each_export_is_in_the_index_as_soon_as_it_is_written(student, tmp_path):
    with pytest.raises(ExportError, match="onnx-q4"):
        api.export(student, to=["onnx", "onnx-q4"], floor=Floor(mean=0.9999999), output=tmp_path)
    assert [one.name for one in read_exports(tmp_path)] == ["onnx"]


def test_two_exports_of_one_folder_at_once_are_both_in_the_index(tmp_path, monkeypatch):
    (tmp_path / "onnx").mkdir()
    exports = [Export(name, f"onnx/{name}", 1, good_parity()) for name in ("a", "b")]
    for one in exports:
        (tmp_path / one.file).touch()
    both = threading.Barrier(2, timeout=0.5)  # where nobody waits, both have read before one of them writes

    def read(folder: Path) -> list[Export]:
        found = read_exports(folder)
        with suppress(threading.BrokenBarrierError):
            both.wait()
        return found

    monkeypatch.setattr("babelpress.exports.index.read_exports", read)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: keep_exports(tmp_path, [one]), exports))
    assert {one.name for one in read_exports(tmp_path)} == {"a", "b"}
    assert {path.name for path in (tmp_path / "onnx").iterdir()} == {"a", "b", "exports.json"}


def test_exports_of_another_student_leave_the_index(student, tmp_path):
    api.export(student, to=["onnx"], output=tmp_path / "out")
    other = make_teacher(tmp_path / "other", seed=7)
    api.export(other, to=["onnx-fp16"], floor=None, output=tmp_path / "out")
    assert [one.name for one in read_exports(tmp_path / "out")] == ["onnx-fp16"]


@pytest.mark.parametrize("text", ["{}", "[1]", '[{"file": "onnx/model.onnx"}]', "{"])
def test_a_damaged_index_is_one_line(tmp_path, text):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx/model.onnx").write_bytes(b"")
    (tmp_path / "onnx/exports.json").write_text(text, encoding="utf-8")
    with pytest.raises(BabelpressError, match=r"exports\.json"):
        read_exports(tmp_path)


def test_exports_of_another_student_leave_the_folder(tmp_path):
    """A setting is enough to make another student of it; its old exports would be loaded for it."""
    folder = make_teacher(tmp_path / "student", hidden=32, feed_forward=64)
    api.export(folder, to=["onnx", "onnx-int8"], floor=None)
    settings = folder / "sentence_bert_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "max_seq_length": 16}))
    with pytest.raises(ExportError, match="differs too much"):
        api.export(folder, to=["onnx-fp16"], floor=Floor(mean=1.1))
    assert [path.name for path in (folder / "onnx").iterdir() if path.suffix == ".onnx"] == []
    assert read_exports(folder) == []


def test_what_a_killed_export_was_writing_is_removed_and_what_others_write_stays(student, tmp_path):
    (tmp_path / "onnx").mkdir()
    dead, alive = (tmp_path / "onnx" / f".model.onnx.{process}.tmp" for process in (2**31 - 7, os.getpid()))
    nameless = tmp_path / "onnx" / ".x.tmp"
    dead.write_bytes(b"x"), alive.write_bytes(b"x"), nameless.write_bytes(b"x")
    api.export(student, to=["onnx-fp16"], floor=None, output=tmp_path)
    assert (dead.exists(), nameless.exists(), alive.exists()) == (False, False, True)


def test_a_student_that_gives_no_numbers_is_refused(tmp_path):
    folder = make_teacher(tmp_path / "student")
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.LayerNorm.bias"][:] = np.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ExportError, match=r"not numbers \(NaN\)"):
        api.export(folder, to=["onnx"], floor=None)
    assert not (folder / "onnx").exists()


def test_the_graph_says_its_width_and_its_maker(exported):
    folder, _ = exported
    for name in ("model.onnx", "model_quantized.onnx", "model_q4.onnx"):
        graph = onnx.load(folder / "onnx" / name)
        assert graph.graph.output[0].type.tensor_type.shape.dim[2].dim_value == 32
        assert graph.producer_name == "babelpress"


def test_cosines_below_the_floor_end_an_export_before_its_tasks(student, tmp_path):
    from babelpress.exports.export import export_student

    asked: list[Path | None] = []

    def scorer(_: object, file: Path | None) -> dict[str, float]:
        asked.append(file)
        return {"task": 50.0}

    made = export_student(
        student, choose_formats(["onnx-q4"]), texts={"en": ["a b c", "d"]}, scorer=scorer,
        floor=Floor(mean=0.9999999), into=tmp_path,
    )  # fmt: skip
    assert asked == [None]
    (missed,) = made.missed
    assert "mean cosine" in missed.faults[0]
    assert missed.parity.lost == {}


def test_an_export_below_the_floor_keeps_none_of_the_others_from_being_written(student, tmp_path):
    with pytest.raises(FloorError) as error:
        api.export(student, to=["onnx-q4", "onnx-int8", "onnx"], floor=Floor(mean=0.999999), output=tmp_path)
    assert [one.name for one in error.value.missed] == ["onnx-q4", "onnx-int8"]
    assert [one.name for one in error.value.written] == ["onnx"]
    assert "onnx-q4 differs too much" in str(error.value)
    assert "onnx-int8 differs too much" in str(error.value)
    assert read_exports(tmp_path) == list(error.value.written)
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == ["exports.json", "model.onnx"]
    assert error.value.missed[1].bytes > 0


def test_an_export_that_gives_no_numbers_has_figures_that_json_can_hold():
    from babelpress.exports.parity import measure_parity

    own = {"en": np.eye(2, dtype=np.float32)}
    found = measure_parity(own, {"en": np.array([[np.nan, np.inf], [0, 1]], dtype=np.float32)})
    assert (found.mean, found.largest) == (0.5, 1.0)
    json.dumps(dataclasses.asdict(found), allow_nan=False)


def test_removed_exports_leave_folder_and_index(student, tmp_path):
    api.export(student, to=["onnx", "onnx-fp16"], floor=None, output=tmp_path)
    remove_exports(tmp_path, ["onnx-fp16", "onnx-q4"])
    assert [one.name for one in read_exports(tmp_path)] == ["onnx"]
    assert not (tmp_path / "onnx/model_fp16.onnx").exists()
    remove_exports(tmp_path / "nowhere", ["onnx"])
    assert not (tmp_path / "nowhere").exists()
