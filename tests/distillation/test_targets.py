"""Targets: the teacher's embeddings in the corpus's order, of exactly the text that the student sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from babelpress.corpus.sentence import Split
from babelpress.distillation import targets as module
from babelpress.distillation.targets import check_length, compute_targets, open_targets
from babelpress.distillation.texts import cut_texts, prompt_of
from babelpress.distillation.tokens import build_token_store
from babelpress.encoders import embed, load_encoder, pad_batch
from babelpress.errors import TrainingError
from babelpress.teacher import read_teacher
from babelpress.vocabulary.count import open_tokenizer
from tests.distillation import write_corpus
from tests.tiny import make_teacher

LONG = "The doctor will see you after lunch, and then the train leaves the station in the morning."
TEXTS = [
    "The train leaves in the morning.", "Hello.", LONG, "안녕하세요, 오늘 날씨가 좋네요.", "a", "नमस्ते दोस्त।",
    f"{LONG} {LONG}", "I like tea.", "We have two cats.", "Où est la gare?",
]  # fmt: skip
HELD_OUT = ["The weather is nice today.", "She reads a book."]


@pytest.fixture(scope="module")
def teacher(tiny_teacher):
    return read_teacher(str(tiny_teacher))


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus", train=TEXTS, validation=HELD_OUT)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(module, "SHARD_ROWS", 4)


def compute(teacher, corpus, folder, *, max_length=32, prompts=("",), batch_size=3):
    folder.mkdir(exist_ok=True)
    return compute_targets(
        teacher, corpus, folder, max_length=max_length, prompts=prompts, batch_size=batch_size
    )  # fmt: skip


def alone(teacher, text: str, *, max_length: int = 32) -> np.ndarray:
    """Embed one text by itself, without padding."""
    tokenizer = open_tokenizer(teacher.folder / "tokenizer.json")
    tokenizer.enable_truncation(max_length)
    with torch.inference_mode():
        value = embed(load_encoder(teacher.folder), pad_batch([tokenizer.encode(text).ids], pad=1))[0].numpy()
    return value / np.linalg.norm(value)


def letters():
    """Pieces of one character each."""
    characters = sorted({character for text in [*TEXTS, *HELD_OUT, "query:"] for character in text if character != " "})
    return [("▁", -2.0)] + [(character, -3.0) for character in characters]


def with_words():
    """Pieces of one character each, and every word of the texts, which is likelier."""
    found = sorted({word for text in TEXTS for word in text.split()})
    return [*letters(), *(("▁" + word, -1.0) for word in found)]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("small_shards")
def test_every_row_is_the_target_of_its_own_sentence(teacher, corpus, tmp_path):
    """Batches go by length, shards by row: neither may move a target to another sentence."""
    assert compute(teacher, corpus, tmp_path / "targets") == 12
    found = open_targets(tmp_path / "targets", Split.TRAIN)
    assert (found.rows, found.dimensions) == (10, 16)
    expected = np.stack([alone(teacher, text) for text in TEXTS])
    np.testing.assert_allclose(found.gather(np.arange(10)), expected, atol=2e-3)


@pytest.mark.usefixtures("small_shards")
def test_rows_are_gathered_in_the_order_that_is_asked_for(teacher, corpus, tmp_path):
    compute(teacher, corpus, tmp_path / "targets")
    found = open_targets(tmp_path / "targets", Split.TRAIN)
    whole = found.gather(np.arange(10))
    wanted = np.array([9, 0, 5, 5, 3])
    np.testing.assert_array_equal(found.gather(wanted), whole[wanted])


def test_targets_are_unit_vectors_in_half_precision(teacher, corpus, tmp_path):
    compute(teacher, corpus, tmp_path / "targets")
    stored = np.load(tmp_path / "targets" / "train-00000.npy")
    assert stored.dtype == np.float16
    assert (tmp_path / "targets" / "train-00000.npy").stat().st_size == 128 + 10 * 16 * 2
    np.testing.assert_allclose(np.linalg.norm(stored.astype(np.float64), axis=1), 1.0, atol=2e-3)
    assert open_targets(tmp_path / "targets", Split.TRAIN).gather(np.array([0])).dtype == np.float32


def test_targets_do_not_depend_on_the_batch_size(teacher, corpus, tmp_path):
    for size in (1, 10):
        compute(teacher, corpus, tmp_path / str(size), batch_size=size)
    one, ten = (open_targets(tmp_path / str(size), Split.TRAIN).gather(np.arange(10)) for size in (1, 10))
    np.testing.assert_allclose(one, ten, atol=1e-3)


def test_targets_are_memory_mapped(teacher, corpus, tmp_path):
    compute(teacher, corpus, tmp_path / "targets")
    assert isinstance(open_targets(tmp_path / "targets", Split.TRAIN).shards[0], np.memmap)


@pytest.mark.usefixtures("small_shards")
def test_a_teacher_is_not_even_loaded_when_all_shards_are_there(teacher, corpus, tmp_path, monkeypatch):
    compute(teacher, corpus, tmp_path / "targets")

    def loaded(*_, **__):
        raise AssertionError("the teacher was loaded")

    monkeypatch.setattr(module, "load_encoder", loaded)
    assert compute(teacher, corpus, tmp_path / "targets") == 12


@pytest.mark.usefixtures("small_shards")
def test_only_the_missing_shard_is_computed_and_comes_out_the_same(teacher, corpus, tmp_path, monkeypatch):
    folder = tmp_path / "targets"
    compute(teacher, corpus, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "train-00001.npy").unlink()
    encoded = []
    encode = module._encode
    monkeypatch.setattr(module, "_encode", lambda *a, **k: encoded.append(a[2]) or encode(*a, **k))
    compute(teacher, corpus, folder)
    assert encoded == [TEXTS[4:8]]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.usefixtures("small_shards")
def test_a_kill_between_the_two_files_of_a_shard_does_not_pass_for_a_whole_shard(
    teacher, corpus, tmp_path, monkeypatch
):
    folder = tmp_path / "targets"
    write = module._write

    def killed(path, array):
        if path.name == "train-00001.npy":
            raise RuntimeError("killed")
        write(path, array)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", killed)
        with pytest.raises(RuntimeError):
            compute(teacher, corpus, folder)
    assert names(folder) == ["train-00000.ends.npy", "train-00000.npy", "train-00001.ends.npy"]
    compute(teacher, corpus, folder)
    expected = np.stack([alone(teacher, text) for text in TEXTS])
    np.testing.assert_allclose(open_targets(folder, Split.TRAIN).gather(np.arange(10)), expected, atol=2e-3)


@pytest.mark.usefixtures("small_shards")
def test_prompts_take_turns_also_across_shards(teacher, corpus, tmp_path):
    prompts = ("", "query: ", "passage: ")
    assert [prompt_of(row, prompts) for row in range(5)] == ["", "query: ", "passage: ", "", "query: "]
    compute(teacher, corpus, tmp_path / "targets", prompts=prompts)
    expected = np.stack([alone(teacher, prompts[row % 3] + text) for row, text in enumerate(TEXTS)])
    found = open_targets(tmp_path / "targets", Split.TRAIN).gather(np.arange(10))
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_text_ends_where_the_teacher_stopped_reading(teacher):
    tokenizer = open_tokenizer(teacher.folder / "tokenizer.json")
    whole = tokenizer.encode(LONG)
    tokenizer.enable_truncation(10)
    cut = cut_texts(tokenizer, [LONG, "Hello."])
    assert len(cut[0].ids) == 10
    assert cut[0].end == whole.offsets[8][1]  # <s>, eight pieces, </s>
    assert 0 < cut[0].end < len(LONG)
    assert cut[1].end == len("Hello.")


def test_a_cut_behind_a_lone_space_piece_does_not_add_the_character_that_it_claims(teacher):
    """`▁` and `l` of " leaves" both have the offsets of `l`; the teacher that stops between them saw no `l`."""
    tokenizer = open_tokenizer(teacher.folder / "tokenizer.json")
    tokenizer.enable_truncation(20)
    cut = cut_texts(tokenizer, ["query: The train leaves"])[0]
    assert "query: The train leaves"[: cut.end].rstrip() == "query: The train"


def test_the_last_spaces_of_a_short_text_are_not_cut(teacher):
    tokenizer = open_tokenizer(teacher.folder / "tokenizer.json")
    tokenizer.enable_truncation(30)
    assert cut_texts(tokenizer, ["tea  "])[0].end == 5


def test_the_student_sees_the_text_that_the_teacher_saw(corpus, tmp_path):
    """The student's pieces may be longer or shorter: it gets the same characters, not as many tokens."""
    teacher = read_teacher(str(make_teacher(tmp_path / "teacher", pieces=with_words())))
    compute(teacher, corpus, tmp_path / "targets", max_length=10)
    ends = open_targets(tmp_path / "targets", Split.TRAIN).ends
    student = make_teacher(tmp_path / "student", pieces=letters())
    (tmp_path / "tokens").mkdir()
    store = build_token_store(
        student, corpus, tmp_path / "tokens", split=Split.TRAIN, ends=ends, prompts=("",), max_length=126
    )
    whole = open_tokenizer(teacher.folder / "tokenizer.json")
    whole.enable_truncation(10)
    own = open_tokenizer(student / "tokenizer.json")
    for row, text in enumerate(TEXTS):
        seen = text[: ends[row]]
        assert whole.encode(seen).ids == whole.encode(text).ids
        assert store.sentence(row) == own.encode(seen).ids
    assert LONG[: ends[2]] == "The doctor will see you after lunch, and"  # eight words between <s> and </s>
    assert len(store.sentence(2)) == 2 + len(LONG[: ends[2]].replace(" ", "▁")) + 1
    assert ends[1] == len("Hello.")


def test_prompts_count_when_texts_are_cut_and_reach_the_student_too(teacher, corpus, tmp_path):
    prompts = ("query: ",)
    compute(teacher, corpus, tmp_path / "targets", max_length=20, prompts=prompts)
    ends = open_targets(tmp_path / "targets", Split.TRAIN).ends
    (tmp_path / "tokens").mkdir()
    store = build_token_store(
        teacher.folder, corpus, tmp_path / "tokens", split=Split.TRAIN, ends=ends, prompts=prompts, max_length=126
    )
    own = open_tokenizer(teacher.folder / "tokenizer.json")
    own.enable_truncation(20)
    assert ends[2] < len(LONG)
    assert ends[1] == len("query: Hello.")
    for row, text in enumerate(TEXTS):
        seen = own.encode("query: " + text).ids
        cut_behind_a_space = ends[row] < len("query: " + text) and seen[-2] == own.token_to_id("▁")
        assert store.sentence(row) == (seen[:-2] + seen[-1:] if cut_behind_a_space else seen)


def test_the_student_never_gets_more_tokens_than_it_has_positions(teacher, corpus, tmp_path):
    compute(teacher, corpus, tmp_path / "targets", max_length=64)
    ends = open_targets(tmp_path / "targets", Split.TRAIN).ends
    student = make_teacher(tmp_path / "student", pieces=letters())
    (tmp_path / "tokens").mkdir()
    store = build_token_store(
        student, corpus, tmp_path / "tokens", split=Split.TRAIN, ends=ends, prompts=("",), max_length=40
    )
    assert max(store.lengths(np.arange(10))) == 40


def test_tokens_of_another_corpus_are_refused_not_trained_on(teacher, corpus, tmp_path):
    (tmp_path / "tokens").mkdir()
    for rows, message in ((9, "the corpus has more"), (11, "the corpus has 10")):
        with pytest.raises(TrainingError, match=message):
            build_token_store(
                teacher.folder, corpus, tmp_path / "tokens", split=Split.TRAIN,
                ends=np.full(rows, 50, dtype=np.uint32), prompts=("",), max_length=40,
            )  # fmt: skip


def test_a_token_store_that_is_there_is_not_built_again(teacher, corpus, tmp_path):
    compute(teacher, corpus, tmp_path / "targets")
    ends = open_targets(tmp_path / "targets", Split.TRAIN).ends
    (tmp_path / "tokens").mkdir()
    stores = []
    for _ in range(2):
        stores.append(
            build_token_store(
                teacher.folder, corpus, tmp_path / "tokens", split=Split.TRAIN, ends=ends, prompts=("",), max_length=99
            )
        )
        stamp = (tmp_path / "tokens" / "train.ids").stat().st_mtime_ns
    assert stamp == (tmp_path / "tokens" / "train.ids").stat().st_mtime_ns
    assert [stores[0].sentence(row) for row in range(10)] == [stores[1].sentence(row) for row in range(10)]


def test_a_teacher_that_gives_nan_is_a_clear_error(tmp_path, corpus):
    folder = make_teacher(tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.1.output.dense.bias"][:] = np.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match=r"the teacher gives NaN or infinity for a batch with '"):
        compute(read_teacher(str(folder)), corpus, tmp_path / "targets")
    assert names(tmp_path / "targets") == []


def test_a_length_beyond_the_teachers_is_refused_with_both_numbers(teacher):
    check_length(teacher, 128)
    with pytest.raises(TrainingError, match=r"distillation\.max_length is 129, but .* takes 128 tokens at most"):
        check_length(teacher, 129)


def test_targets_that_are_not_there_are_an_error_with_the_folder(tmp_path):
    with pytest.raises(TrainingError, match=r"holds no targets of the validation split"):
        open_targets(tmp_path, Split.VALIDATION)
