"""What an export is compared with the student on: texts of every language, and scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from babelpress.checks.texts import read_texts
from babelpress.corpus.bundled import held_out_meanings
from babelpress.evaluation.embedded import BITEXT, bundled_texts, score_bitext
from babelpress.evaluation.evaluate import encode_texts

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

GIVEN = "given text"
_GIVEN_LIMIT = 2_000


def parity_texts(paths: Sequence[Path] = ()) -> dict[str, list[str]]:
    """Return the embedded held-out sentences of every language, and the first lines of files.

    Raises SourceError for a file that is missing or damaged.
    """
    texts = bundled_texts(all_languages())
    given = [text for path in paths for text in read_texts(path, limit=_GIVEN_LIMIT // len(paths))]
    return {**texts, GIVEN: given} if given else texts


def translation_score(model: SentenceTransformer, languages: tuple[str, ...]) -> dict[str, float]:
    """Return how well a model finds translations among the embedded held-out sentences, in percent."""
    texts = bundled_texts(languages)
    if len(texts) < 2:
        return {}
    vectors = {code: encode_texts(model, lines, batch_size=32) for code, lines in texts.items()}
    return {BITEXT: score_bitext(vectors)[0].score}


def all_languages() -> tuple[str, ...]:
    """Return the languages of the embedded sentences."""
    return tuple(sorted(held_out_meanings()[0].texts))
