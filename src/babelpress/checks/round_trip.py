"""Whether decoding gives the text back, and every reader the same ids."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING

from babelpress.checks.readers import Reader
from babelpress.checks.result import CheckResult, judge
from babelpress.checks.surface import Spaces, marks_spaces, normalised, respace, space_rule, special_texts
from babelpress.vocabulary.tokenizer_file import META, TokenizerFile, parts_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def check_round_trip(texts: Sequence[str], *, tokenizer: Tokenizer, file: TokenizerFile) -> CheckResult:
    """Encode and decode texts; what comes back is the normalised text under the tokenizer's rule for spaces.

    Left out are texts that name a special token, and, where spaces are written as ▁, texts with that sign.
    """
    rule, hidden = space_rule(file), special_texts(file)
    marked = marks_spaces(file)
    normal = [normalised(text, file=file, normalizer=tokenizer.normalizer) for text in texts]
    fits = [
        not (marked and (META in text or META in plain)) and not any(name in text or name in plain for name in hidden)
        for text, plain in zip(texts, normal, strict=True)
    ]
    tried, wanted = list(compress(texts, fits)), list(compress(normal, fits))
    encodings = tokenizer.encode_batch_fast(tried, add_special_tokens=False)
    decoded = tokenizer.decode_batch([encoding.ids for encoding in encodings])
    tidies = any(part["type"] == "WordPiece" and part.get("cleanup") for part in parts_of(file.raw.get("decoder")))

    def plain(text: str) -> str:
        spaced = respace(text, rule)
        # A WordPiece decoder's clean-up contracts "do not"; all else that it does is to white space.
        return spaced.replace("donot", "don't") if tidies and rule is Spaces.DROPPED else spaced

    failures = [
        (text, f"decoding gives {_cut(got)}")
        for text, want, got in zip(tried, wanted, decoded, strict=True)
        if plain(want) != plain(got)
    ]
    return judge("round trip", tested=len(tried), failures=failures, note=f"white space is {rule.value}")


def check_agreement(texts: list[str], *, tokenizer: Tokenizer, readers: Sequence[Reader]) -> CheckResult:
    """Hold the ids of every reader against tokenizer.json's own."""
    expected = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    failures = [
        (text, f"{reader.name} gives other ids than tokenizer.json")
        for reader in readers
        for text, ids, own in zip(texts, reader.encode(texts), expected, strict=True)
        if ids != own
    ]
    return judge("same ids", tested=len(texts), failures=failures, note=f"{len(readers)} readers agree")


def _cut(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 120 else shown[:119] + "…"
