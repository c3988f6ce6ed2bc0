"""The students in the repository, as a clone has them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

from babelpress import OnnxEncoder
from babelpress.api import check
from babelpress.corpus.bundled import held_out_meanings
from babelpress.recipe import FileSource, Recipe

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "models" / "me5s-16"
GREETINGS = ["Hello, how are you?", "안녕하세요, 잘 지내세요?", "こんにちは、元気ですか?", "你好,你好吗?"]


@pytest.fixture(scope="module")
def model():
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(FOLDER), device="cpu")


def test_the_student_loads_in_fp32_with_the_size_that_readme_names(model):
    assert model.encode(GREETINGS).shape == (4, 384)
    assert {str(value.dtype) for value in model.parameters()} == {"torch.float32"}
    assert sum(value.numel() for value in model.parameters()) == 13_218_816
    assert (FOLDER / "model.safetensors").stat().st_size < 27_000_000


def test_the_int8_file_gives_the_students_embeddings_in_every_language(model):
    encoder = OnnxEncoder(FOLDER)
    for code in ("ko", "en", "ja", "zh", "es", "fr", "de", "pt", "it", "ru", "ar", "hi", "th", "vi", "id", "pl"):
        texts = [meaning.texts[code] for meaning in held_out_meanings()][:12]
        whole = model.encode(texts, normalize_embeddings=True)
        cosines = (np.asarray(encoder.encode(texts)) * whole).sum(axis=1)
        assert cosines.mean() > 0.99, code


def test_a_translation_is_nearer_than_other_sentences(model):
    meanings = held_out_meanings()[:16]
    english, german = (
        model.encode([meaning.texts[code] for meaning in meanings], normalize_embeddings=True) for code in ("en", "de")
    )
    assert ((english @ german.T).argmax(axis=1) == np.arange(16)).mean() > 0.8


def test_its_tokenizer_gives_the_ids_of_its_golden_file_and_no_unknown_piece():
    report = check(FOLDER, golden=True)
    assert report.passed, report


def test_the_card_names_languages_licence_and_the_teacher():
    card = ModelCard.load(FOLDER / "README.md")
    assert card.data.license == "mit"
    assert card.data.base_model == "intfloat/multilingual-e5-small"
    assert len(card.data.language) == 16


def test_nothing_in_the_folder_runs_or_tells_of_a_machine():
    for path in FOLDER.rglob("*"):
        assert path.suffix in {".json", ".md", ".png", ".safetensors", ".onnx", ""}, path
        if path.suffix in {".json", ".md"}:
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w.])/(home|root|work|tmp|Users)/", text), path
            assert "auto_map" not in text or path.suffix == ".md"
    json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))


def test_every_source_of_its_recipe_has_a_licence_that_allows_any_use():
    for source in Recipe.load("me5s_cpu").corpus.sources:
        assert isinstance(source, FileSource)
        assert source.licence and source.attribution
        assert not re.search("nc|gpl|research", f"{source.licence} {' '.join(source.paths)}", re.IGNORECASE)
