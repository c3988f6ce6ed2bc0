"""Models measured on any text: functions whose figures are known, and tiny models through the real library."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from babelpress.architectures.encoders import load_encoder
from babelpress.corpus.bundled import load_meanings
from babelpress.errors import EvaluationError
from babelpress.evaluation.fidelity import measures
from babelpress.evaluation.fidelity.measures import measure_models, sample_texts
from babelpress.evaluation.fidelity.perturb import PERTURBATIONS
from babelpress.evaluation.fidelity.text_encoder import TextEncoder
from babelpress.schema.results import TEACHER, Measures
from tests.tiny import make_teacher

LANGUAGES = ("en", "ko", "ja", "ru")
TURN = np.linalg.qr(np.random.default_rng(1).standard_normal((16, 16)))[0].astype(np.float32)


def vector(text: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(16, dtype=np.float32)


def hashing(texts: list[str]) -> np.ndarray:
    """Unlike embeddings for unlike texts, however little they differ."""
    return np.stack([vector(text) for text in texts])


def turned(texts: list[str]) -> np.ndarray:
    return hashing(texts) @ TURN


def deaf_to_case(texts: list[str]) -> np.ndarray:
    return hashing([text.casefold() for text in texts])


def nowhere(_: list[str]) -> np.ndarray:
    raise AssertionError("nothing is embedded to choose texts")


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    return {code: [meaning.texts[code] for meaning in load_meanings()[:40]] for code in LANGUAGES}


def sample_of(texts, *, teacher=None, **settings):
    limits = {"sample": 1000, "perturbed": 1000, "per_length": 64, "seed": 0} | settings
    return sample_texts(teacher or TextEncoder(nowhere), texts, **limits)


# --- functions ----------------------------------------------------------------------------------


def test_the_teacher_is_as_near_to_itself_as_can_be(texts):
    found = measure_models({TEACHER: hashing}, texts)[TEACHER]
    for near in (found.overall, *found.by_language.values()):
        assert (near.overlap, near.student_queries, near.teacher_queries) == (1, 1, 1)
        assert near.cosine == pytest.approx(1)
        assert near.cosine_p5 == pytest.approx(1)


def test_a_turned_teacher_has_its_neighbours_in_another_space(texts):
    own = measure_models({TEACHER: hashing, "turned": turned}, texts)["turned"]
    assert own.overall.overlap == 1
    assert all(near.overlap == 1 for near in own.by_language.values())
    assert own.overall.student_queries < 0.2
    assert own.overall.cosine == pytest.approx(np.trace(TURN) / 16, abs=0.05)


def test_robustness_is_measured_in_each_models_own_space(texts):
    found = measure_models({TEACHER: hashing, "turned": turned, "deaf": deaf_to_case}, texts)
    for name in ("lower", "upper"):
        assert found["deaf"].perturbed[name].found == 1
        assert found["deaf"].perturbed[name].cosine == pytest.approx(1)
        assert found[TEACHER].perturbed[name].found < 0.1
        assert found[TEACHER].perturbed[name].cosine == pytest.approx(0, abs=0.1)
    for name, changed in found[TEACHER].perturbed.items():
        assert found["turned"].perturbed[name].found == pytest.approx(changed.found, abs=1e-6)
        assert found["turned"].perturbed[name].cosine == pytest.approx(changed.cosine, abs=1e-5)


def test_only_texts_that_a_perturbation_changes_are_counted(texts):
    found = measure_models({TEACHER: hashing}, texts, perturbed=1000)[TEACHER].perturbed
    assert list(found) == list(PERTURBATIONS)
    changed = sum(text != text.upper() for lines in texts.values() for text in lines)
    assert found["upper"].texts == changed < found["typos"].texts == 160


def test_a_perturbation_that_changes_nothing_is_left_out(texts):
    found = measure_models({TEACHER: hashing}, {"ja": ["雨" * number for number in range(2, 30)]})[TEACHER].perturbed
    assert set(found) == {"typos"}


def test_figures_by_language_are_those_of_its_texts_alone(texts):
    found = measure_models({TEACHER: hashing, "turned": turned}, texts)["turned"].by_language
    alone = measure_models({TEACHER: hashing, "turned": turned}, {"ko": texts["ko"]})["turned"]
    assert list(found) == list(LANGUAGES)
    # products of other shapes may differ in the last digit of fp32
    for own in (alone.overall, alone.by_language["ko"]):
        assert found["ko"].model_dump() == pytest.approx(own.model_dump(), abs=1e-6)
    assert found["ko"].texts == 40


def test_a_language_with_few_texts_has_no_neighbour_figures(texts):
    found = measure_models({TEACHER: hashing}, {"en": texts["en"], "ko": texts["ko"][:19]})[TEACHER]
    assert found.by_language["ko"].overlap is None
    assert found.by_language["ko"].texts == 19
    assert found.by_language["en"].overlap == found.overall.overlap == 1


def test_every_model_embeds_the_same_texts_once(texts):
    seen: dict[str, Counter[str]] = {"a": Counter(), TEACHER: Counter()}

    def counting(name):
        def encode(some):
            seen[name].update(some)
            return hashing(some)

        return encode

    measure_models({"a": counting("a"), TEACHER: counting(TEACHER)}, texts)
    assert seen["a"] == seen[TEACHER]
    first = next(iter(seen["a"]))
    plain = [text for lines in texts.values() for text in lines]
    assert {seen["a"][text] for text in plain if text != first} == {1}
    assert seen["a"][first] == 2, "once more, to see that dimensions agree"


def test_the_teachers_neighbours_are_searched_once_for_all_models(texts, monkeypatch):
    sought = []
    real = measures.nearest
    monkeypatch.setattr(measures, "nearest", lambda own, index: sought.append(len(own)) or real(own, index))
    measure_models({TEACHER: hashing, "a": turned, "b": deaf_to_case}, {"en": texts["en"], "ko": texts["ko"]})
    # of all 80 texts and of two languages' 40: once the teacher's, then three searches for each model
    assert Counter(sought) == {80: 1 + 3 * 3, 40: 2 * (1 + 3 * 3)}


def test_the_order_of_models_is_kept_and_changes_nothing(texts):
    one = measure_models({TEACHER: hashing, "turned": turned}, texts)
    other = measure_models({"turned": turned, TEACHER: hashing}, texts)
    assert list(one) == [TEACHER, "turned"]
    assert list(other) == ["turned", TEACHER]
    assert one == other


def test_figures_survive_json(texts):
    found = measure_models({TEACHER: hashing}, texts)[TEACHER]
    assert Measures.model_validate_json(found.model_dump_json()) == found


# --- the texts ----------------------------------------------------------------------------------


def test_a_sample_is_balanced_across_languages_and_spread_over_each(texts):
    sample = sample_of({"en": texts["en"], "ko": texts["ko"], "ja": texts["ja"][:5]}, sample=25)
    assert {code: len(rows) for code, rows in sample.rows.items()} == {"en": 10, "ko": 10, "ja": 5}
    assert [sample.texts[row] for row in sample.rows["ko"]] == texts["ko"][::4]


def test_perturbed_texts_are_balanced_across_languages(texts):
    sample = sample_of(texts, perturbed=12)
    rows = list(sample.perturbed["typos"])
    assert [sum(row in own for row in rows) for own in sample.rows.values()] == [3, 3, 3, 3]
    assert all(sample.texts[row] != text for row, text in sample.perturbed["typos"].items())


def test_a_duplicate_text_counts_once():
    sample = sample_of({"en": ["a", "b", "a", " ", ""], "de": ["b", "c"]})
    assert sample.texts == ["a", "b", "c"]
    assert {code: rows.tolist() for code, rows in sample.rows.items()} == {"en": [0, 1], "de": [2]}


def test_a_language_without_text_is_left_out(texts):
    assert list(measure_models({TEACHER: hashing}, {"en": texts["en"], "ko": []})[TEACHER].by_language) == ["en"]


# --- what cannot be -----------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [{}, {"en": []}, {"en": ["", " \n"]}])
def test_no_text_is_refused(texts):
    with pytest.raises(EvaluationError, match="there is no text to measure models on"):
        measure_models({TEACHER: hashing}, texts)


def test_other_dimensions_are_refused_before_the_texts_are_embedded(texts):
    asked = []

    def narrow(some):
        asked.append(len(some))
        return hashing(some)[:, :8]

    with pytest.raises(EvaluationError, match="small has 8 dimensions, the teacher 16"):
        measure_models({TEACHER: hashing, "small": narrow}, texts)
    assert asked == [1]


def test_an_embedding_that_is_not_a_number_is_refused(texts):
    def broken(some):
        vectors = hashing(some)
        vectors[[text == texts["ko"][7] for text in some]] = np.nan
        return vectors

    with pytest.raises(EvaluationError, match="not a number, for the text '" + texts["ko"][7][:10]):
        measure_models({TEACHER: hashing, "broken": broken}, texts)


# --- models -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tiny_teacher, tmp_path_factory):
    other = make_teacher(tmp_path_factory.mktemp("other") / "student", layers=2, seed=5)
    short = load_encoder(other)
    short.max_seq_length = 40
    return {TEACHER: load_encoder(tiny_teacher), "same": load_encoder(tiny_teacher), "short": short}


@pytest.fixture(scope="module")
def measured(models, texts):
    return measure_models(models, texts)


def test_a_model_that_is_its_teacher_is_so_at_every_length(measured):
    same = measured["same"]
    assert [at.tokens for at in same.by_length] == [8, 16, 32, 64, 128]
    assert all(at.cosine == pytest.approx(1, abs=1e-5) for at in same.by_length)
    assert same.overall.overlap == 1
    assert same.perturbed == measured[TEACHER].perturbed


def test_lengths_that_a_model_does_not_read_whole_are_left_out(measured):
    assert [at.tokens for at in measured["short"].by_length] == [8, 16, 32]
    assert measured["short"].overall.cosine < 0.9


def test_a_length_that_no_student_reads_is_left_out_for_the_teacher(models, texts):
    found = measure_models({TEACHER: models[TEACHER], "short": models["short"]}, texts)
    assert [at.tokens for at in found[TEACHER].by_length] == [8, 16, 32]


def test_texts_that_a_model_cuts_are_not_counted(models, texts):
    """A model that takes a word for a token reads most texts of 32 teacher tokens up to so many words."""
    teacher = TextEncoder.of(models[TEACHER], batch_size=8)
    spaced = {code: texts[code] for code in ("en", "ko", "ru")}
    words = sorted(len(text.split()) for text in sample_of(spaced, teacher=teacher).long[32])
    counter = Tokenizer(WordLevel({"word": 0}, unk_token="word"))
    counter.pre_tokenizer = WhitespaceSplit()
    most, half = words[-1] - 1, words[len(words) // 2] - 1
    limits = {f"{limit} words": TextEncoder(hashing, counter, limit) for limit in (most, half)}
    found = measure_models({TEACHER: TextEncoder(hashing, teacher.tokenizer, 128), **limits}, spaced)
    (at,) = [at for at in found[f"{most} words"].by_length if at.tokens == 32]
    assert at.texts == sum(count <= most for count in words) < len(words)
    assert 32 not in [at.tokens for at in found[f"{half} words"].by_length]


def test_the_same_models_give_the_same_figures(models, texts, measured):
    assert measure_models({name: models[name] for name in (TEACHER, "short")}, texts)["short"] == measured["short"]


def test_a_default_prompt_is_read_as_well(tiny_teacher, texts):
    model = load_encoder(tiny_teacher)
    model.prompts = {"query": "query: "}
    model.default_prompt_name = "query"
    reader = TextEncoder.of(model, batch_size=8)
    assert reader.prompt == "query: "
    plain = load_encoder(tiny_teacher)
    text = texts["en"][0]
    assert np.allclose(reader.embed([text]), plain.encode(["query: " + text]), atol=1e-6)
    assert measure_models({TEACHER: model}, texts)[TEACHER].overall.texts == 160


def test_a_model_of_static_vectors_reads_texts_of_any_length(tiny_teacher, texts):
    tokenizer = Tokenizer.from_file(str(tiny_teacher / "tokenizer.json"))
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=16)], device="cpu")
    found = measure_models({TEACHER: load_encoder(tiny_teacher), "static": static}, texts)["static"]
    assert [at.tokens for at in found.by_length] == [8, 16, 32, 64, 128]
    assert found.overall.texts == 160
