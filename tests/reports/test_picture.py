"""The picture: the same bytes for a seed, legible labels, every language shown, parallel rows."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from babelpress.architectures.encoders import load_encoder
from babelpress.corpus.bundled import held_out_meanings
from babelpress.errors import BabelpressError, EvaluationError
from babelpress.evaluation.fidelity.parallel import measure_parallel
from babelpress.reports.picture import draw_run
from babelpress.reports.projection import parallel_texts, project
from babelpress.reports.umap_plot import draw_points, fitting_columns
from tests.hub.content import write_sources
from tests.reports.figures import make_recipe
from tests.tiny import make_teacher

SIXTEEN = ["ko", "en", "ja", "zh", "es", "fr", "de", "pt", "it", "ru", "ar", "hi", "th", "vi", "id", "pl"]
TITLE = "me5s_v3: 16 languages, 5 sentences each"


def cloud(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, 2)).astype(np.float32)


def draw(out: Path, languages: list[str], *, title: str = TITLE, models: int = 3) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    points = {f"model {number}": cloud(5 * len(languages), number) for number in range(models)}
    draw_points(points, languages=languages, out=out, title=title)
    return out


def test_the_same_points_give_the_same_bytes(tmp_path):
    one, two = draw(tmp_path / "one", SIXTEEN), draw(tmp_path / "two", SIXTEEN)
    for name in ("umap.png", "umap.svg"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_the_bytes_do_not_hang_on_what_was_drawn_before(tmp_path):
    import matplotlib.pyplot as plt

    one = draw(tmp_path / "one", SIXTEEN)
    with plt.rc_context({"savefig.dpi": 50, "font.family": "monospace", "figure.facecolor": "red"}):
        two = draw(tmp_path / "two", SIXTEEN)
    assert (one / "umap.svg").read_bytes() == (two / "umap.svg").read_bytes()


def test_no_label_lacks_a_glyph(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(tmp_path, SIXTEEN)


def test_every_language_is_in_the_legend(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    labels = []
    real = Figure.legend
    monkeypatch.setattr(Figure, "legend", lambda self, *, handles, **rest: (
        labels.extend(handle.get_label() for handle in handles), real(self, handles=handles, **rest))[1])  # fmt: skip
    draw(tmp_path, SIXTEEN)
    assert [label.split()[0] for label in labels] == SIXTEEN
    assert "ko  Korean" in labels
    assert len(set(labels)) == 16


def test_no_two_of_twenty_languages_look_alike(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    looks = []
    real = Figure.legend
    monkeypatch.setattr(Figure, "legend", lambda self, *, handles, **rest: (
        looks.extend((handle.get_color(), handle.get_marker()) for handle in handles),
        real(self, handles=handles, **rest))[1])  # fmt: skip
    draw(tmp_path, [*SIXTEEN, "nl", "tr", "sv", "uk"])
    assert len(set(looks)) == 20


def test_title_and_legend_are_not_cut_off(tmp_path):
    out = draw(tmp_path, SIXTEEN, models=3)
    pixels = np.asarray(Image.open(out / "umap.png").convert("L"))
    border = np.concatenate([pixels[:4].ravel(), pixels[-4:].ravel(), pixels[:, :4].ravel(), pixels[:, -4:].ravel()])
    assert (border == 255).all()


def test_a_legend_of_fifty_languages_is_not_cut_off(tmp_path):
    fifty = [
        *SIXTEEN, "zh-Hant", "nb", "az", "ml", "af", "am", "bn", "cy", "da", "el", "fa", "fi", "he", "hu", "hy", "is",
        "jv", "ka", "km", "kn", "lv", "mn", "ms", "my", "nl", "ro", "sl", "sq", "sv", "sw", "ta", "te", "tl", "tr",
    ]  # fmt: skip
    out = draw(tmp_path, fifty, models=2)
    pixels = np.asarray(Image.open(out / "umap.png").convert("L"))
    assert (np.concatenate([pixels[:, :4].ravel(), pixels[:, -4:].ravel()]) == 255).all()


def test_a_legend_has_as_many_columns_as_fit():
    # a column of 10 letters is 5.6 x 10 + 48 = 104 points wide
    labels = ["x" * 10] * 4
    assert [fitting_columns(labels, points=points) for points in (416, 415, 208, 207, 1)] == [4, 3, 2, 1, 1]
    assert fitting_columns(["x"] * 40, points=10_000) == 8


def test_one_language_and_one_model_can_be_drawn(tmp_path):
    assert (draw(tmp_path, ["ko"], models=1) / "umap.png").is_file()


def test_the_svg_carries_no_date_and_no_path(tmp_path):
    text = (draw(tmp_path, SIXTEEN) / "umap.svg").read_text(encoding="utf-8")
    assert not re.search(r"20\d\d-\d\d-\d\d", text)
    assert str(tmp_path) not in text


def test_a_seed_gives_the_same_projection():
    vectors = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    one, two = (project(vectors, seed=7, neighbours=15, min_distance=0.1) for _ in range(2))
    assert one.shape == (40, 2)
    assert np.array_equal(one, two)
    assert np.isfinite(one).all()


def test_fewer_sentences_than_neighbours_can_be_projected():
    vectors = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
    assert project(vectors, seed=7, neighbours=15, min_distance=0.1).shape == (6, 2)


def test_a_run_is_drawn_with_its_points_beside_it(tmp_path, tiny_teacher):
    recipe = make_recipe("visualization.sentences=3", "languages=[ko, en, pt]")
    shown = draw_run(recipe, {"teacher": tiny_teacher, "pruned": tiny_teacher}, tmp_path, data_dir=None)
    points = np.load(tmp_path / "umap.npz")
    assert list(points) == ["teacher", "pruned"]
    assert points["teacher"].shape == (3 * len(shown["languages"]), 2)
    assert shown["sentences"] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "parallel.json", "umap.html", "umap.npz", "umap.png", "umap.svg",
    ]  # fmt: skip


def test_a_run_has_the_numbers_of_its_picture_beside_it(tmp_path, tiny_teacher):
    recipe = make_recipe("visualization.sentences=4", "languages=[ko, en, pt]", "seed=3")
    other = make_teacher(tmp_path / "other", layers=1, seed=5)
    draw_run(recipe, {"teacher": tiny_teacher, "pruned": other}, tmp_path, data_dir=None)
    found = json.loads((tmp_path / "parallel.json").read_text())
    texts = parallel_texts(recipe, data_dir=None)
    for name, folder in (("teacher", tiny_teacher), ("pruned", other)):
        model = load_encoder(folder)
        truth = measure_parallel({code: model.encode(lines) for code, lines in texts.items()}, seed=3)
        assert found[name] == pytest.approx(truth.model_dump(), abs=1e-5)
    assert found["teacher"] != found["pruned"]


def test_one_language_is_drawn_and_has_no_numbers(tmp_path, tiny_teacher):
    recipe = make_recipe("visualization.sentences=4", "languages=[ko]")
    draw_run(recipe, {"teacher": tiny_teacher}, tmp_path, data_dir=None)
    assert json.loads((tmp_path / "parallel.json").read_text()) == {}
    assert (tmp_path / "umap.png").is_file()


def test_the_embedded_sentences_of_the_picture_are_held_out_and_parallel():
    texts = parallel_texts(make_recipe("visualization.sentences=10", "languages=[ko, en]"), data_dir=None)
    truth = held_out_meanings()[:10]
    assert texts == {code: [meaning.texts[code] for meaning in truth] for code in ("ko", "en")}


def test_languages_without_embedded_sentences_are_refused_with_the_remedy():
    with pytest.raises(EvaluationError, match=r"visualization\.source"):
        parallel_texts(make_recipe("languages=[eu, sw]"), data_dir=None)


SOURCE = "visualization.source={dataset: mteb/amazon_massive_intent, subsets: {ko: ko, zh-CN: zh, en: en}}"


def test_a_local_copy_of_a_hub_source_is_drawn_with_parallel_rows(tmp_path):
    write_sources(tmp_path, 16, ["mteb/amazon_massive_intent"])
    texts = parallel_texts(make_recipe(SOURCE, "visualization.sentences=8"), data_dir=tmp_path / "datasets")
    assert {code: len(lines) for code, lines in texts.items()} == {"ko": 8, "zh": 8, "en": 8}
    again = parallel_texts(make_recipe(SOURCE, "visualization.sentences=8"), data_dir=tmp_path / "datasets")
    assert texts == again


def test_rows_that_one_language_lacks_are_left_out_in_all(tmp_path):
    folder = tmp_path / "own" / "parallel"
    for code, ids in (("en", [1, 2, 3, 4, 5]), ("ko", [5, 4, 3, 1])):
        (folder / code).mkdir(parents=True)
        rows = [json.dumps({"id": number, "text": f"{code} {number}"}) for number in ids]
        (folder / code / "test.jsonl").write_text("\n".join(rows) + "\n")
    head = ["---", "configs:"]
    for code in ("en", "ko"):
        head += [f"- config_name: {code}", "  data_files:", "  - split: test", f"    path: {code}/test.jsonl"]
    (folder / "README.md").write_text("\n".join([*head, "---", ""]))
    recipe = make_recipe("visualization.source={dataset: own/parallel, subsets: {en: en, ko: ko}}")
    assert parallel_texts(recipe, data_dir=tmp_path) == {
        "en": ["en 1", "en 3", "en 4", "en 5"],
        "ko": ["ko 1", "ko 3", "ko 4", "ko 5"],
    }


def test_a_column_that_the_source_lacks_is_named_in_one_line(tmp_path):
    write_sources(tmp_path, 16, ["mteb/amazon_massive_intent"])
    recipe = make_recipe(SOURCE, "visualization.source.id_column=number")
    with pytest.raises(BabelpressError, match="number") as caught:
        parallel_texts(recipe, data_dir=tmp_path / "datasets")
    assert "\n" not in str(caught.value)
