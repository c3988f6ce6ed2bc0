"""What an export is compared with the student on: texts of every language, and scores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from babelpress.architectures.encoders import encode_texts
from babelpress.corpus.sources import first_lines
from babelpress.evaluation.fidelity.bundled import BITEXT, all_languages, bundled_texts, find_translations

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

GIVEN = "given text"
_GIVEN_LIMIT = 2_000


def parity_texts(paths: Sequence[Path] = ()) -> dict[str, list[str]]:
    """Return the bundled held-out sentences of every language, and the first lines of files.

    Raises SourceError for a file that is missing or damaged.
    """
    texts = bundled_texts(all_languages())
    given = [text for path in paths for text in first_lines(path, limit=_GIVEN_LIMIT // len(paths))]
    return {**texts, GIVEN: given} if given else texts


def translation_score(model: SentenceTransformer, languages: tuple[str, ...]) -> dict[str, float]:
    """Return how well a model finds translations among the bundled held-out sentences, in percent."""
    found = find_translations(partial(encode_texts, model, batch_size=32), languages)
    return {} if found is None else {BITEXT: found[0].score}
