"""Three models in one run: the same texts, figures from the files, the teacher as the measure."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from babelpress.architectures.encoders import load_encoder
from babelpress.corpus.bundled import held_out_meanings
from babelpress.evaluation import evaluate
from babelpress.evaluation.evaluate import RunModel, average, evaluate_models
from babelpress.evaluation.fidelity.bundled import BITEXT, SIMILARITY, bundled_texts, find_translations
from babelpress.evaluation.model_folders import model_facts
from babelpress.recipe import EvaluationSection
from babelpress.schema.results import ModelResult, Score
from tests.evaluation.local import write_stsbenchmark
from tests.reports.figures import make_speed
from tests.tiny import make_teacher

HELD_OUT = {"en": ["The dog runs", "A cat sleeps on the table", "Hello, how are you?"], "de": ["Heute regnet es"]}
FLAT = [text for texts in HELD_OUT.values() for text in texts]


@pytest.fixture(scope="module")
def measured(tiny_teacher, tmp_path_factory) -> tuple[dict[str, ModelResult], dict[str, Path]]:
    import datasets

    root = tmp_path_factory.mktemp("measured")
    write_stsbenchmark(root / "data")
    folders = {"teacher": tiny_teacher, "distilled": make_teacher(root / "other", layers=1, seed=5)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(root / "datasets-cache"))
        found = evaluate_models(
            {name: RunModel(folder, f"babelpress/{name}") for name, folder in folders.items()},
            settings=EvaluationSection(tasks=("STSBenchmark",), speed_sentences=0), held_out=HELD_OUT,
            languages=("ko", "en", "eu"), data_dir=root / "data", cache=root / "mteb",
        )  # fmt: skip
    return found, folders


def test_the_teacher_is_measured_as_its_own_equal(measured):
    teacher = measured[0]["teacher"]
    assert teacher.fidelity_mean == pytest.approx(1.0)
    assert teacher.fidelity_p5 == pytest.approx(1.0)
    assert teacher.retention == 1.0
    assert teacher.scores[SIMILARITY].score == pytest.approx(100.0)


def test_another_model_is_not(measured):
    assert measured[0]["distilled"].fidelity_mean < 0.99
    assert measured[0]["distilled"].scores[SIMILARITY].score < 99


def test_fidelity_is_over_the_held_out_texts(measured):
    found, folders = measured
    own, theirs = (load_encoder(folders[name]).encode(FLAT) for name in ("distilled", "teacher"))
    assert found["distilled"].fidelity_mean == pytest.approx((own * theirs).sum(axis=1).mean(), abs=1e-5)


def test_all_models_have_the_same_scores_in_the_same_order(measured):
    assert [list(model.scores) for model in measured[0].values()] == [[SIMILARITY, BITEXT, "STSBenchmark"]] * 2


def test_the_subsets_of_retrieval_are_the_pairs_of_languages_that_have_embedded_sentences(measured):
    for model in measured[0].values():
        assert model.scores[BITEXT].subsets == {"en-ko": model.scores[BITEXT].score}


def test_retention_is_the_share_of_the_teachers_average(measured):
    found = measured[0]
    assert found["distilled"].retention == pytest.approx(found["distilled"].average / found["teacher"].average)


def test_every_figure_is_finite(measured):
    for model in measured[0].values():
        figures = [value for value in vars(model).values() if isinstance(value, int | float)]
        assert all(math.isfinite(value) for value in figures)


def test_tokens_are_counted_without_the_two_marks_at_the_ends(measured):
    found, folders = measured
    tokenizer = load_encoder(folders["teacher"]).tokenizer
    truth = np.mean([len(tokenizer.tokenize(text)) for text in FLAT])
    assert found["teacher"].tokens_per_sentence == pytest.approx(truth)


def test_speed_is_left_out_where_no_sentences_are_given_to_it(measured):
    assert [model.speed for model in measured[0].values()] == [None, None]


def test_speed_is_measured_on_the_folders_with_texts_of_all_held_out_ones(tiny_teacher, tmp_path, monkeypatch):
    given = []

    def measure(folders, texts, *, trust_remote_code):
        given.append((folders, texts, trust_remote_code))
        return {"teacher": make_speed(7)}

    monkeypatch.setattr(evaluate, "measure_speed", measure)
    found = evaluate_models(
        {"teacher": RunModel(tiny_teacher, "babelpress/teacher")},
        settings=EvaluationSection(tasks=(), bundled=False, speed_sentences=2), held_out=HELD_OUT, languages=("en",),
        data_dir=None, cache=tmp_path, trust_remote_code=True,
    )  # fmt: skip
    assert given == [({"teacher": tiny_teacher}, ["The dog runs", "Hello, how are you?"], True)]
    assert found["teacher"].speed == make_speed(7)


def test_facts_are_those_of_the_files(tiny_teacher):
    from safetensors.numpy import load_file

    facts = model_facts(tiny_teacher)
    weights = load_file(tiny_teacher / "model.safetensors")
    pooler = sum(tensor.size for name, tensor in weights.items() if name.startswith("pooler."))
    assert facts["parameters"] == sum(tensor.size for tensor in weights.values())
    assert facts["parameters_without_pooler"] == facts["parameters"] - pooler
    assert pooler == 16 * 16 + 16
    assert facts["weight_bytes"] == (tiny_teacher / "model.safetensors").stat().st_size
    files = [path for path in tiny_teacher.rglob("*") if path.is_file() and path.name != "README.md"]
    assert facts["folder_bytes"] == sum(path.stat().st_size for path in files)
    assert (facts["layers"], facts["dimensions"]) == (3, 16)
    assert facts["vocab_size"] == len(weights["embeddings.word_embeddings.weight"])


def test_what_a_student_gains_after_it_is_made_changes_no_fact(tmp_path):
    folder = make_teacher(tmp_path / "student", layers=1)
    before = model_facts(folder)
    for name in ("README.md", "umap.png", "umap.svg", "manifest.json", "onnx/model.onnx", ".key.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("more")
    assert model_facts(folder) == before
    (folder / "tokenizer-golden.json").write_text("{}")
    assert model_facts(folder) == before | {"folder_bytes": before["folder_bytes"] + 2}


def test_the_average_counts_every_score_but_the_correlation_with_the_teacher():
    scores = {
        SIMILARITY: Score(kind="Similarity", score=100),
        BITEXT: Score(kind="Bitext", score=50),
        "STS12": Score(kind="STS", score=70),
    }
    assert average(scores) == 60


def test_the_average_of_nothing_is_0():
    assert average({SIMILARITY: Score(kind="Similarity", score=100)}) == 0.0


def test_bundled_texts_are_parallel_and_held_out():
    texts = bundled_texts(("ko", "en"), sentences=7)
    assert texts["en"] == [meaning.texts["en"] for meaning in held_out_meanings()[:7]]
    assert len(texts["ko"]) == 7


def test_a_language_without_bundled_texts_is_left_out():
    assert list(bundled_texts(("en", "eu"))) == ["en"]


def test_of_one_language_there_is_no_retrieval():
    assert find_translations(lambda texts: np.eye(len(texts), dtype=np.float32), ("en", "eu")) is None


def test_a_run_without_bundled_texts_and_tasks_still_gives_fidelity(tiny_teacher, tmp_path):
    found = evaluate_models(
        {"teacher": RunModel(tiny_teacher, "babelpress/t")},
        settings=EvaluationSection(bundled=False, speed_sentences=0), held_out=HELD_OUT, languages=("en",),
        data_dir=None, cache=tmp_path / "mteb",
    )  # fmt: skip
    assert found["teacher"].scores == {}
    assert (found["teacher"].average, found["teacher"].retention) == (0.0, 0.0)
    assert found["teacher"].fidelity_mean == pytest.approx(1.0)
