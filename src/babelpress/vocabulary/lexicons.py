"""Which lexicon goes with which type of tokenizer."""

from __future__ import annotations

from collections.abc import Callable

from babelpress.vocabulary.bpe import BpeLexicon
from babelpress.vocabulary.lexicon import Lexicon
from babelpress.vocabulary.tokenizer_file import Family, TokenizerFile
from babelpress.vocabulary.unigram import UnigramLexicon
from babelpress.vocabulary.wordpiece import WordPieceLexicon

_LEXICONS: dict[Family, Callable[[TokenizerFile], Lexicon]] = {
    Family.UNIGRAM: UnigramLexicon,
    Family.WORDPIECE: WordPieceLexicon,
    Family.BPE: BpeLexicon,
}


def open_lexicon(file: TokenizerFile) -> Lexicon:
    """Return the lexicon of a tokenizer."""
    return _LEXICONS[file.family](file)
