"""The reference job's shape, proven on a random-weight teacher of exactly multilingual-e5-small's."""

from __future__ import annotations

import numpy as np
import pytest

from babelpress import load_run, press
from babelpress.evaluation.model_folders import model_facts
from babelpress.stages.run import read_plans
from babelpress.utils.files import read_json
from babelpress.utils.tensors import open_checkpoint
from tests.tiny import make_e5_small_shape

GREETINGS = ["Hello, how are you?", "안녕하세요, 잘 지내세요?", "こんにちは、元気ですか?", "你好,你好吗?"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("reference")
    teacher = make_e5_small_shape(root / "multilingual-e5-small")
    run = load_run(
        "me5s_v3",
        output=root / "run",
        teacher=str(teacher),
        overrides=["corpus.sources=[{kind: bundled}]", "corpus.held_out=0.1", "evaluation.tasks=[]"],
    )
    return run, press(run)


def test_the_teacher_has_the_traps_of_the_real_one(reference):
    teacher = reference[0].teacher
    assert (teacher.rows, teacher.pieces, teacher.layers, teacher.hidden) == (250_037, 250_002, 12, 384)
    assert teacher.parameters_without_pooler == 117_505_920
    assert read_json(teacher.folder / "config.json")["pad_token_id"] == 0


def test_press_gives_13_218_816_parameters_in_15_424_rows_and_4_layers(reference):
    facts = model_facts(reference[1])
    assert (facts["layers"], facts["vocab_size"], facts["dimensions"]) == (4, 15_424, 384)
    assert facts["parameters_without_pooler"] == 13_218_816
    assert facts["parameters"] == 13_366_656
    assert facts["weight_bytes"] == pytest.approx(51.0 * 2**20, rel=0.002)


def test_the_kept_rows_are_the_teachers_rows(reference):
    run, folder = reference
    _, vocabulary = read_plans(run)
    name = "embeddings.word_embeddings.weight"
    student = open_checkpoint(folder).read(name)
    kept = np.array(vocabulary.kept)
    assert len(kept) == 15_168
    assert vocabulary.kept[:4] == (0, 1, 2, 3)
    assert vocabulary.kept[-1] == 250_001  # <mask>
    np.testing.assert_array_equal(student[:15_168], open_checkpoint(run.teacher.folder).read(name, rows=kept))


def test_layers_0_4_7_11_become_0_1_2_3(reference):
    run, folder = reference
    teacher, student = open_checkpoint(run.teacher.folder), open_checkpoint(folder)
    for new, old in enumerate((0, 4, 7, 11)):
        for tail in ("attention.self.query.weight", "output.LayerNorm.bias"):
            np.testing.assert_array_equal(
                student.read(f"encoder.layer.{new}.{tail}"), teacher.read(f"encoder.layer.{old}.{tail}")
            )


def test_the_folder_loads_and_encodes_the_four_greetings(reference):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(reference[1]))
    vectors = model.encode(GREETINGS)
    assert vectors.shape == (4, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert model.prompts["query"] == "query: "
    assert model.prompts["passage"] == "passage: "
    assert model.max_seq_length == 512


def test_a_text_of_512_tokens_fits_the_positions(reference):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(reference[1]))
    assert np.isfinite(model.encode("word " * 2000)).all()
