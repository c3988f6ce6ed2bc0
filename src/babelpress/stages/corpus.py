"""The stage that gathers the text: what it depends on and what it does, the test data that are kept out included."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from babelpress.corpus.build import build_corpus
from babelpress.corpus.bundled import held_out_meanings, load_meanings
from babelpress.corpus.contamination import BUNDLED, SuiteTexts
from babelpress.corpus.sentence import BadLine, Sentence, Split
from babelpress.corpus.sources import read_source, source_files
from babelpress.recipe import CITATION, FileSource, PiecesSource
from babelpress.stages.engine import Stage
from babelpress.stages.run import Run, copies, dump, first_texts
from babelpress.utils.files import hash_file, hash_json, write_json

logger = logging.getLogger(__name__)

_SAMPLE = 4096  # texts
_FEW = 0.001  # share of long texts below which a corpus counts as one of sentences alone


def settings(run: Run) -> Any:
    """Return what the corpus depends on, the content of every local file included."""
    recipe = run.recipe
    files = [
        [file.name, hash_file(file)]  # not by name: en/train.txt and ko/train.txt share theirs
        for source in recipe.corpus.sources
        if isinstance(source, FileSource)
        for file, _ in source_files(source, languages=recipe.languages, data_dir=run.data_dir)
    ]
    return {
        "corpus": _without_citations(dump(recipe.corpus)),
        "languages": recipe.languages,
        "seed": recipe.seed,
        "files": files,
        "copies": copies(run, [s for s in recipe.corpus.sources if not isinstance(s, FileSource)]),
        "test_data": _test_data(run),
        "embedded": hash_json([list(meaning.texts.items()) for meaning in load_meanings()]),
        "pieces": run.teacher.fingerprint if any(isinstance(s, PiecesSource) for s in recipe.corpus.sources) else None,
    }


def _without_citations(corpus: dict[str, Any]) -> dict[str, Any]:
    """Return the section without what is only said of its sources."""
    sources = [{key: value for key, value in source.items() if key not in CITATION} for source in corpus["sources"]]
    return {**corpus, "sources": sources}


def make(run: Run, folder: Path) -> dict[str, Any]:
    """Write the corpus."""
    recipe = run.recipe
    report = build_corpus(
        _items(run), folder, seed=recipe.seed, min_chars=recipe.corpus.min_chars, max_chars=recipe.corpus.max_chars,
        held_out=recipe.corpus.held_out, held_out_limit=recipe.corpus.held_out_limit, test_texts=_test_texts(run),
    )  # fmt: skip
    found = asdict(report) if recipe.corpus.decontaminate else {**asdict(report), "contamination": None}
    write_json(folder / "report.json", found)
    return {**found, "long_texts_of_sample": _look_for_long_texts(run, folder)}


def _look_for_long_texts(run: Run, folder: Path) -> int | None:
    """Count the texts of a sample that are longer than most texts are cut at, where the recipe wants long ones.

    A corpus without any still gives long texts, of sentences that follow each other in it; they say little of how
    the teacher reads a passage, and that is said before hours are spent on them.
    """
    from babelpress.utils.tokenizer import open_tokenizer

    settings = run.recipe.distillation
    if settings.long_length is None:
        return None
    tokenizer = open_tokenizer(run.teacher.folder / "tokenizer.json")
    texts = first_texts(folder, Split.TRAIN, _SAMPLE)
    longer = sum(len(found.ids) > settings.max_length for found in tokenizer.encode_batch_fast(texts))
    if longer < _FEW * len(texts):
        logger.warning(
            "distillation.long_share is %g, but %s of %s texts of the corpus have more than %s tokens: long texts will "
            "be made of sentences that follow each other by chance; add a source of passages, or set long_share to 0",
            settings.long_share, f"{longer:,}", f"{len(texts):,}", settings.max_length,
        )  # fmt: skip
    return longer


def _test_data(run: Run) -> Any:
    """Return what identifies the test data that are kept out of the corpus; the hub is not asked."""
    from babelpress.evaluation.tasks.test_data import identify_test_data

    settings = run.recipe.evaluation
    if not run.recipe.corpus.decontaminate:
        return None
    return identify_test_data(settings.chosen_tasks(), languages=settings.chosen_languages(), data_dir=run.data_dir)


def _test_texts(run: Run) -> SuiteTexts:
    """Read all that the student will be tested on; the bundled sentences are never trained on.

    Raises EvaluationError where a task's data are out of reach.
    """
    from babelpress.evaluation.tasks.test_data import read_test_data

    settings = run.recipe.evaluation
    tasks = settings.chosen_tasks() if run.recipe.corpus.decontaminate else ()
    bundled = [text for meaning in held_out_meanings() for text in meaning.texts.values()]
    texts = read_test_data(tasks, languages=settings.chosen_languages(), data_dir=run.data_dir)
    return SuiteTexts([(BUNDLED, bundled), *texts])


def _items(run: Run) -> Iterator[Sentence | BadLine]:
    from babelpress.vocabulary.surface import with_space_marks
    from babelpress.vocabulary.tokenizer_file import read_tokenizer_file

    sources = run.recipe.corpus.sources
    pieces: list[str] = []
    if any(isinstance(source, PiecesSource) for source in sources):
        pieces = with_space_marks(read_tokenizer_file(run.teacher.folder / "tokenizer.json"))
    for source in sources:
        yield from read_source(source, recipe=run.recipe, data_dir=run.data_dir, pieces=pieces)


STAGE = Stage("corpus", (), settings, make, version=2)
