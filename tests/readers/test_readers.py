"""Every reader gives the vectors of sentence-transformers 6, from the same folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from babelpress.checks.golden import Golden, as_unknown, compare_golden
from tests.readers.reading import (
    GOLDEN_TEXTS,
    LONG,
    NORMALISED_OTHERWISE,
    OUTSIDE,
    READERS,
    REFERENCE,
    UNKNOWN,
    Answer,
    alone,
    farthest,
    languages,
    spelled_in_bytes,
)

pytestmark = [pytest.mark.readers, pytest.mark.timeout(900)]  # the first test of a reader waits for all its texts
OTHERS = [name for name in READERS if name != REFERENCE]
WITHOUT_BYTES = [name for name in READERS if not READERS[name].has_bytes]
PADDED, ALONE = tuple(languages()), tuple(map(alone, languages()))
GROUPS = {"padded": PADDED, "alone": ALONE, LONG: (LONG,), GOLDEN_TEXTS: (GOLDEN_TEXTS,), UNKNOWN: (UNKNOWN,)}
ALL = tuple(name for names in GROUPS.values() for name in names)

Ask = Callable[[str], Answer]


@pytest.fixture(scope="module")
def reference(answer_of: Ask) -> Answer:
    return answer_of(REFERENCE)


def skipped(name: str, reference: Answer, golden: Golden) -> set[tuple[str, int]]:
    """Texts, as (batch, row), that a reader without byte fallback cannot have the same vector of."""
    if READERS[name].has_bytes:
        return set()
    return spelled_in_bytes(reference, golden) | normalised_otherwise(golden)


def normalised_otherwise(golden: Golden) -> set[tuple[str, int]]:
    return {(GOLDEN_TEXTS, golden.texts.index(text)) for text in NORMALISED_OTHERWISE}


# --- the reference itself -----------------------------------------------------------------------


def test_the_reference_gives_unit_vectors_of_every_language(reference):
    assert len(languages()) == 16
    for code, lines in languages().items():
        assert reference.vectors[code].shape == (50, 192) == (len(lines), 192)
        assert np.abs(np.linalg.norm(reference.vectors[code], axis=1) - 1).max() < 1e-6


def test_the_reference_takes_512_tokens_of_a_longer_text(reference):
    assert [len(ids) for ids in reference.ids[LONG]] == [512, len(reference.ids["en"][0]), 2]


def test_the_tests_have_real_text_that_needs_byte_pieces_and_more_that_does_not(reference, golden):
    hidden = {row for row in spelled_in_bytes(reference, golden) if row[0] in languages()}
    assert 10 < len(hidden) < 100  # of 800


# --- the others ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "group"),
    # without byte pieces there is none of the last that could be compared
    [(name, group) for name in OTHERS for group in GROUPS if READERS[name].has_bytes or group != UNKNOWN],
)
def test_a_reader_gives_the_references_vectors(name, group, answer_of, reference, golden):
    skip = skipped(name, reference, golden)
    assert farthest(answer_of(name), reference, names=GROUPS[group], skip=skip) <= READERS[name].tolerance


@pytest.mark.parametrize("name", OTHERS)
def test_a_reader_gives_the_references_ids_but_for_one_unknown_piece_where_it_has_no_bytes(
    name, answer_of, reference, golden
):
    found, has_bytes = answer_of(name), READERS[name].has_bytes
    skip = set() if has_bytes else normalised_otherwise(golden)
    wrong = [
        (batch, row)
        for batch in ALL
        for row, ids in enumerate(reference.ids[batch])
        if found.ids[batch][row] != (ids if has_bytes else as_unknown(golden, ids)) and (batch, row) not in skip
    ]
    # text that is cut at 512 tokens ends later where bytes are fewer
    assert wrong == ([] if has_bytes else [(LONG, 0)])


@pytest.mark.parametrize("name", READERS)
def test_a_reader_agrees_with_the_golden_file_but_for_what_is_known_of_it(name, answer_of, golden):
    has_bytes = READERS[name].has_bytes
    found = compare_golden(golden, answer_of(name).ids[GOLDEN_TEXTS], bytes_as_unknown=not has_bytes)
    assert tuple(difference.case.text for difference in found) == (() if has_bytes else NORMALISED_OTHERWISE)


@pytest.mark.parametrize("name", READERS)
def test_characters_outside_the_vocabulary_are_bytes_or_one_unknown_piece_a_run(name, answer_of, reference, golden):
    for text, ids, own in zip(OUTSIDE, answer_of(name).ids[UNKNOWN], reference.ids[UNKNOWN], strict=True):
        assert set(golden.byte_ids) & set(own), text
        assert (golden.unk_id in ids) is not READERS[name].has_bytes, text
        assert (ids == own) is READERS[name].has_bytes, text


@pytest.mark.parametrize("name", WITHOUT_BYTES)
def test_without_byte_pieces_only_the_ids_are_others_and_the_graph_does_what_it_does_with_those(
    name, answer_of, reference, golden, student: Path
):
    """The vectors of transformers.js are the graph's, of the ids that it gives; nothing else is lost."""
    found, reader = answer_of(name), READERS[name]
    session = onnxruntime.InferenceSession(str(student / reader.weights), providers=["CPUExecutionProvider"])
    hidden = sorted(spelled_in_bytes(reference, golden))
    assert hidden
    for batch, row in hidden:
        ids = np.array([found.ids[batch][row]], dtype=np.int64)
        (vectors,) = session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        assert np.abs(vectors[0] - found.vectors[batch][row]).max() <= reader.tolerance, (batch, row)
    assert farthest(found, reference, names=[UNKNOWN]) > 0.01


# --- what was run -------------------------------------------------------------------------------


def test_onnx_runtime_and_tokenizers_need_nothing_else(answer_of):
    imported = set(answer_of("onnxruntime").versions)
    assert {"onnxruntime", "tokenizers", "numpy"} <= imported
    assert not imported & {"torch", "transformers", "sentence_transformers", "huggingface_hub", "babelpress"}


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if reader.environment.listed])
def test_a_reader_is_of_the_version_that_is_pinned(name, answer_of):
    environment = READERS[name].environment
    found = answer_of(name).versions
    pinned = environment.pins()
    assert pinned
    assert {package: found[package] for package in READERS[name].packages if package in pinned} == {
        package: version for package, version in pinned.items() if package in READERS[name].packages
    }
