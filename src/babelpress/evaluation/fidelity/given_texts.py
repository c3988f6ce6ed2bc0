"""The user's own texts, by language, to measure models on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from babelpress.corpus.clean import Rejected, clean
from babelpress.corpus.sentence import Sentence
from babelpress.corpus.sources import read_text_file, source_files
from babelpress.errors import EvaluationError, SourceError
from babelpress.evaluation.fidelity.neighbours import LEAST_TEXTS
from babelpress.recipe import FileSource
from babelpress.utils.progress import track

FILE_LIMIT = 10_000  # texts read from a file
_LONGEST = 1 << 16  # characters; no model reads more
_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")


def read_given(paths: Sequence[str], *, languages: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return the first 10,000 texts of each file by language, cleaned as a corpus is, each text once.

    Paths may be globs and may hold `{language}`, which each of several languages replaces. Plain text has one text per
    line; tables (jsonl, csv, tsv, parquet) have a column `text` and maybe `language`. A text without a language gets
    the one of `languages`, or und.

    Raises EvaluationError for no path, invalid languages and fewer than 20 texts, SourceError for a missing or
    damaged file.
    """
    if not paths:
        raise EvaluationError("no file of texts was given; give at least one: --text FILE")
    for code in languages:
        if not _CODE.fullmatch(code):
            raise EvaluationError(f"--language {code!r} is not a language code; write it like en, pt or zh-Hant")
    several = any("{language}" in path for path in paths)
    if several and not languages:
        raise EvaluationError("{language} in --text needs the languages that replace it: --language en,ko")
    if len(languages) > 1 and not several:
        raise EvaluationError(
            f"--language names {len(languages)} languages; give one, or write {{language}} in the name of --text"
        )
    files = source_files(_source(paths, languages), languages=tuple(languages), data_dir=None)
    by_language: dict[str, dict[str, None]] = {}
    for file, of_file in track(files, "measures: reading", total=len(files), unit="files"):
        texts = _read(file, of_file)
        if not texts:
            raise SourceError(f"{file} holds no text; give a file with one text a line, or jsonl with text")
        for text, language in texts.items():
            by_language.setdefault(language, {}).setdefault(text)
    distinct = len({text for texts in by_language.values() for text in texts})
    if distinct < LEAST_TEXTS:
        raise EvaluationError(f"{distinct} different texts are too few to measure; give at least {LEAST_TEXTS}")
    return {language: list(texts) for language, texts in by_language.items()}


def _source(paths: Sequence[str], languages: Sequence[str]) -> FileSource:
    only = languages[0] if len(languages) == 1 else None
    return FileSource(kind="files", paths=tuple(paths), language=only)


def _read(file: Path, language: str | None) -> dict[str, str]:
    """Return text → language."""
    languages: dict[str, str] = {}
    for item in read_text_file(file, language=language):
        if not isinstance(item, Sentence):
            continue
        try:
            languages.setdefault(clean(item.text, min_chars=1, max_chars=_LONGEST), item.language)
        except Rejected:
            continue
        if len(languages) == FILE_LIMIT:
            break
    return languages
