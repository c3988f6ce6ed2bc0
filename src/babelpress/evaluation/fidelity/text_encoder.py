"""A model as the measures see it: it embeds texts, and has a maximum length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from babelpress.errors import EvaluationError
from babelpress.evaluation.fidelity.intrinsic import Embeddings
from babelpress.utils.tokenizer import copy_tokenizer

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Encode = Callable[[list[str]], Embeddings]


@dataclass(frozen=True)
class TextEncoder:
    """Gives embeddings, shape (texts, dimensions).

    `max_length` is in tokens of `tokenizer`, including special tokens and the `prompt` before every text;
    None where it is unknown or unlimited.
    """

    encode: Encode
    tokenizer: Tokenizer | None = None
    max_length: int | None = None
    prompt: str = ""

    @classmethod
    def of(cls, model: SentenceTransformer | TextEncoder | Encode, *, batch_size: int) -> TextEncoder:
        """Wrap a SentenceTransformer, or a function from texts to embeddings, which has no maximum length."""
        if isinstance(model, TextEncoder):
            return model
        if not hasattr(model, "encode"):
            return cls(model)
        from babelpress.architectures.encoders import encode_texts

        loaded: Any = model
        encode = partial(encode_texts, loaded, batch_size=batch_size)
        longest = loaded.max_seq_length
        finite = longest is not None and longest < 1e9  # tokenizers say "no limit" with 1e30
        prompt = loaded.prompts.get(loaded.default_prompt_name or "") or ""
        return cls(encode, _tokenizer_of(loaded), int(longest) if finite else None, prompt)

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return embeddings in float32. Raises EvaluationError when one is not a number."""
        vectors = np.asarray(self.encode(list(texts)), dtype=np.float32)
        if not np.isfinite(vectors).all():
            bad = texts[int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])]
            raise EvaluationError(f"a model returned an embedding that is not a number, for the text {bad[:60]!r}")
        return vectors

    def reads_whole(self, texts: Sequence[str]) -> list[bool]:
        """Return, for each text, whether the model reads it without truncation."""
        if self.tokenizer is None or self.max_length is None:
            return [True] * len(texts)
        encodings = self.tokenizer.encode_batch([self.prompt + text for text in texts])
        return [len(encoding.ids) <= self.max_length for encoding in encodings]


def _tokenizer_of(model: Any) -> Tokenizer | None:
    """Return a copy of a model's tokenizer that neither truncates nor pads; None for one of another library."""
    try:
        tokenizer = model.tokenizer
    except AttributeError:
        return None
    tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
    return copy_tokenizer(tokenizer) if isinstance(tokenizer, Tokenizer) else None
