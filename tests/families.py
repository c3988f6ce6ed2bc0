"""A small tokenizer.json of every family, in the layout that the real models of that family have.

Every function is deterministic and cached: callers copy before they change anything. The vocabularies come
from the embedded sentences of sixteen languages, so that real text in each of them is cut into real pieces.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice

from tokenizers import Tokenizer, pre_tokenizers, trainers

from tests.tiny import SPECIAL, XLMR_CONFIG, e5_small_pieces, embedded_tokenizer, invented_words, tokenizer_json
from tests.tokenizer_parts import (
    added,
    assemble,
    bpe,
    byte_level,
    common_characters,
    common_text,
    numbered,
    sentences,
    template,
    trained,
    wordpiece,
)  # fmt: skip

BYTES = [f"<0x{value:02X}>" for value in range(256)]
META = "▁"
SUFFIX = "</w>"
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
UNSPACE = {"type": "Replace", "pattern": {"String": " "}, "content": META}
GEMMA_SPLIT = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
GEMMA_DECODER = {
    "type": "Sequence",
    "decoders": [
        {"type": "Replace", "pattern": {"String": META}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
    ],
}  # fmt: skip


@lru_cache(maxsize=4)
def unigram_pieces(count: int) -> tuple[tuple[str, float], ...]:
    """Frequent characters, then frequent pieces of the embedded vocabulary, with its scores; best score first.

    Not trained: that trainer's result differs from run to run in the last digits.
    """
    scores = dict(embedded_tokenizer()["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(embedded_tokenizer()))
    found = tokenizer.encode_batch(list(sentences()), add_special_tokens=False)  # the fast one leaves tokens empty
    seen = Counter(piece for encoding in found for piece in encoding.tokens)
    often = sorted(seen, key=lambda piece: (-seen[piece], piece))
    chosen = dict.fromkeys([META, *common_characters(900), *often])
    pieces = [piece for piece in chosen if piece in scores and piece not in (*SPECIAL, "<mask>")][:count]
    return tuple(sorted(((piece, scores[piece]) for piece in pieces), key=lambda pair: (-pair[1], pair[0])))


# --- Unigram --------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def unigram_xlmr() -> dict:
    """XLM-R: four special tokens first, `<mask>` last, no bytes."""
    return tokenizer_json(list(unigram_pieces(2500)))


@lru_cache(maxsize=1)
def unigram_mt5() -> dict:
    """mT5: byte pieces that are ordinary vocabulary, because the converted file does not fall back to them."""
    special = ["<pad>", "</s>", "<unk>"]
    extra = [f"<extra_id_{number}>" for number in reversed(range(10))]
    pieces = [[piece, 0.0] for piece in special + BYTES] + [list(pair) for pair in unigram_pieces(2000)]
    first_extra = len(pieces)
    pieces += [[piece, 0.0] for piece in extra]
    tokens = [added(piece, number) for number, piece in enumerate(special)]
    tokens += [added(piece, first_extra + number) for number, piece in enumerate(extra)]
    cuts = embedded_tokenizer()
    return assemble(
        {"type": "Unigram", "unk_id": 2, "vocab": pieces, "byte_fallback": False}, tokens,
        normalizer=cuts["normalizer"]["normalizers"][0], pre_tokenizer=cuts["pre_tokenizer"], decoder=cuts["decoder"],
        post_processor=template("$A </s>", "$A </s> $B </s>", {"</s>": 1}),
    )  # fmt: skip


@lru_cache(maxsize=1)
def unigram_gemma() -> dict:
    """Unigram as Gemma would have it: text as it is, `▁` by the normaliser, bytes for what is missing."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    known = [[META * length, -9.0 - length] for length in range(2, 9)] + [["\n", -7.0], ["\n\n", -8.0], ["\t", -9.0]]
    known += [list(pair) for pair in unigram_pieces(2000)]
    have, lowest = {piece for piece, _ in known}, min(score for _, score in known)
    known += [[piece, lowest] for piece in common_characters(900) if piece not in have]
    pieces = [[piece, 0.0] for piece in special + BYTES] + known
    return assemble(
        {"type": "Unigram", "unk_id": 3, "vocab": pieces, "byte_fallback": True},
        [added(piece, number) for number, piece in enumerate(special)],
        normalizer=UNSPACE, pre_tokenizer=GEMMA_SPLIT, decoder=GEMMA_DECODER,
        post_processor=template("<bos> $A", "<bos> $A <bos>:1 $B:1", {"<bos>": 2}),
    )  # fmt: skip


# --- BPE ------------------------------------------------------------------------------------------


def byte_level_trainer(size: int, special: Iterable[str] = ()) -> trainers.BpeTrainer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )


def qwen(vocabulary: dict[str, int], merges: list[list[str]]) -> dict:
    """Qwen's frame round a byte-level vocabulary, as its embedding models have it: the end of text is appended.

    The added tokens lie behind the model's vocabulary, and two of them are not special.
    """
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>", "<tool_call>", "</tool_call>"]
    ids = {piece: len(vocabulary) + number for number, piece in enumerate(special)}
    cut = {"type": "Split", "pattern": {"Regex": QWEN_PATTERN}, "behavior": "Isolated", "invert": False}
    level = byte_level(trim_offsets=False, use_regex=False)
    end = {"<|endoftext|>": ids["<|endoftext|>"]}
    frame = template("$A <|endoftext|>", "$A <|endoftext|> $B:1 <|endoftext|>:1", end)
    return assemble(
        bpe(vocabulary, merges, continuing_subword_prefix="", end_of_word_suffix=""),
        [added(piece, number, special="tool_call" not in piece) for piece, number in ids.items()],
        normalizer={"type": "NFC"}, pre_tokenizer={"type": "Sequence", "pretokenizers": [cut, level]},
        post_processor={"type": "Sequence", "processors": [level, frame]}, decoder=level,
    )  # fmt: skip


def trained_qwen(size: int) -> dict:
    empty = qwen({}, [])
    cuts = {part: empty[part] for part in ("normalizer", "pre_tokenizer")}
    model = trained(byte_level_trainer(size), sentences(), bpe({}, []), **cuts)
    return qwen(model["vocab"], model["merges"])


@lru_cache(maxsize=1)
def bpe_bytelevel() -> dict:
    """GPT-2 and Qwen: byte level, nothing is ever unknown, special tokens behind the vocabulary."""
    return trained_qwen(2500)


@lru_cache(maxsize=1)
def bpe_roberta() -> dict:
    """RoBERTa: byte level with special tokens inside the vocabulary, and merges in their old form, one string."""
    model = trained(byte_level_trainer(2500, SPECIAL), sentences(), bpe({}, []), pre_tokenizer=byte_level())
    vocabulary = numbered(model["vocab"], ["<mask>"])
    tokens = [added(piece, vocabulary[piece], lstrip=piece == "<mask>") for piece in [*SPECIAL, "<mask>"]]
    frame = {"sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": False}
    return assemble(
        bpe(vocabulary, [" ".join(pair) for pair in model["merges"]], continuing_subword_prefix="",
            end_of_word_suffix=""),
        tokens, pre_tokenizer=byte_level(), post_processor={"type": "RobertaProcessing", **frame},
        decoder=byte_level(),
    )  # fmt: skip


def all_splits(vocabulary: dict[str, int], skip: set[str]) -> list[list[str]]:
    """Every way to put two pieces together to a third, by the third's id: what a SentencePiece conversion writes."""
    found = []
    for piece, rank in vocabulary.items():
        splits = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))] if piece not in skip else []
        known = [pair for pair in splits if vocabulary.keys() >= set(pair) and not skip & set(pair)]
        found += [(rank, -len(left), left, right) for left, right in known]
    return [[left, right] for _, _, left, right in sorted(found)]


@lru_cache(maxsize=1)
def bpe_gemma() -> dict:
    """Gemma: BPE over characters with `▁` for the space, bytes for what is missing, more merges than pieces."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    others = ["<unused0>", "<unused1>", "<unused2>", "<start_of_turn>", "<end_of_turn>"]
    runs = [mark * length for mark in ("\n", META) for length in range(2, 9)]
    cut = {"type": "Split", "pattern": {"String": META}, "behavior": "MergedWithNext", "invert": False}
    trainer = trainers.BpeTrainer(vocab_size=2400, show_progress=False)
    texts = [" ".join(text.split()) for text in common_text(900)]
    model = trained(trainer, texts, bpe({}, []), normalizer=UNSPACE, pre_tokenizer=cut)
    longer = [left + right for left, right in model["merges"]]
    vocabulary = numbered(special, others, runs, BYTES, longer, [META, "\n", *common_characters(900)])
    merges = all_splits(vocabulary, {*special, *others, *BYTES})
    flags = {piece: piece not in others[:3] for piece in [*special, *others]}
    return assemble(
        bpe(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
        [added(piece, vocabulary[piece], special=flag) for piece, flag in flags.items()],
        normalizer=UNSPACE, pre_tokenizer=GEMMA_SPLIT, decoder=GEMMA_DECODER,
        post_processor=template("<bos> $A", "<bos> $A <bos>:1 $B:1", {"<bos>": 2}),
    )  # fmt: skip


@lru_cache(maxsize=1)
def bpe_suffix() -> dict:
    """BPE over characters with a mark at the end of a word, as GPT and HerBERT have it; a rare character is unknown."""
    special = [*SPECIAL, "<mask>"]
    letters = common_characters(500)
    # Given to the trainer in order: otherwise the marked ones would come in the order of a hash table.
    alphabet = [*letters, *(letter + SUFFIX for letter in letters)]
    trainer = trainers.BpeTrainer(
        vocab_size=2500, special_tokens=[*special, *alphabet], end_of_word_suffix=SUFFIX, show_progress=False
    )
    cut = {"type": "Whitespace"}
    model = trained(trainer, common_text(500), bpe({}, [], end_of_word_suffix=SUFFIX), pre_tokenizer=cut)
    return assemble(
        bpe(model["vocab"], model["merges"], unk_token="<unk>", end_of_word_suffix=SUFFIX),
        [added(piece, number) for number, piece in enumerate(special)],
        pre_tokenizer=cut, decoder={"type": "BPEDecoder", "suffix": SUFFIX},
        post_processor=template("<s> $A </s>", "<s> $A </s> $B:1 </s>:1", {"<s>": 0, "</s>": 2}),
    )  # fmt: skip


# --- WordPiece ------------------------------------------------------------------------------------

BERT_START = ["[PAD]", *(f"[unused{number}]" for number in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def bert(vocabulary: dict[str, int]) -> dict:
    """The frame of BERT multilingual cased round a vocabulary."""
    ids = {piece: vocabulary[piece] for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")}
    return assemble(
        wordpiece(vocabulary), [added(piece, number) for piece, number in ids.items()],
        normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                    "strip_accents": None, "lowercase": False},
        pre_tokenizer={"type": "BertPreTokenizer"}, decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
        post_processor=template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1",
                                {name: ids[name] for name in ("[CLS]", "[SEP]")}),
    )  # fmt: skip


def trained_bert(size: int, characters: int) -> dict:
    letters = common_characters(characters)
    alphabet = [*letters, *("##" + letter for letter in letters)]  # in order, as for the suffix
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=alphabet, show_progress=False)
    frame = bert(numbered(BERT_START))
    cuts = {part: frame[part] for part in ("normalizer", "pre_tokenizer")}
    model = trained(trainer, common_text(characters), wordpiece({}), **cuts)
    return bert(numbered(BERT_START, sorted(model["vocab"], key=model["vocab"].__getitem__)))


@lru_cache(maxsize=1)
def wordpiece_bert() -> dict:
    """BERT multilingual cased: the unused pieces are there too; characters alone and inside words are two pieces."""
    return trained_bert(2800, 700)


# --- real sizes -----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def big_unigram() -> dict:
    """250,002 pieces in XLM-R's layout."""
    return tokenizer_json(list(e5_small_pieces()))


@lru_cache(maxsize=1)
def joined_words() -> tuple[str, ...]:
    """Runs of letters of the sentences, two joined, in all scripts; the order mixes the languages."""
    runs = list(dict.fromkeys(run[:8] for text in sentences() for run in re.findall(r"[^\W\d_]{2,}", text)))
    return tuple(dict.fromkeys(run + runs[(place * 7 + turn) % len(runs)] for turn in (1, 2)
                               for place, run in enumerate(runs)))  # fmt: skip


def chained(tokenizer: Tokenizer, words: list[str]) -> Iterator[tuple[str, str]]:
    """Merges that lengthen a word piece by piece, from its start.

    The left side always starts with a space, so they never apply inside a word, and come after all merges
    that the tokenizer knows: a chain's every prefix is reached.
    """
    for start in range(0, len(words), 5000):
        batch = [" " + word for word in words[start : start + 5000]]
        for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
            prefix, *rest = encoding.tokens
            for piece in rest:
                yield prefix, piece
                prefix += piece


@lru_cache(maxsize=1)
def big_bpe() -> dict:
    """150,000 byte-level pieces: 20,000 trained ones, then prefixes of joined and of invented words."""
    base = trained_qwen(20_000)
    vocabulary, merges = dict(base["model"]["vocab"]), list(base["model"]["merges"])
    words = [word for pair in zip(joined_words(), invented_words(), strict=False) for word in pair]
    words += islice(invented_words(), len(joined_words()), 200_000)
    for left, right in chained(Tokenizer.from_str(json.dumps(base)), words):
        if len(vocabulary) == 150_000:
            break
        if left + right not in vocabulary:
            vocabulary[left + right] = len(vocabulary)
            merges.append([left, right])
    return qwen(vocabulary, merges)


@lru_cache(maxsize=1)
def big_wordpiece() -> dict:
    """120,000 pieces: 20,000 trained ones with every character, then joined and invented words, bare and with ##."""
    words = [*joined_words()[:20_000], *islice(invented_words(), 60_000)]
    forms = (form for word in words for form in (word, "##" + word))
    vocabulary = numbered(trained_bert(20_000, 4000)["model"]["vocab"], forms)
    return bert(dict(islice(vocabulary.items(), 120_000)))


# --- by name --------------------------------------------------------------------------------------

FAMILIES = {
    family.__name__: family
    for family in (
        unigram_xlmr, unigram_mt5, unigram_gemma, bpe_bytelevel, bpe_roberta, bpe_gemma, bpe_suffix, wordpiece_bert,
    )
}  # fmt: skip
BIG = {family.__name__: family for family in (big_unigram, big_bpe, big_wordpiece)}


def _roles(tokenizer_class: str, **tokens: str) -> dict:
    return {"tokenizer_class": tokenizer_class, **{f"{name}_token": token for name, token in tokens.items()}}


_FRAMED = {"bos": "<s>", "eos": "</s>", "cls": "<s>", "sep": "</s>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"}
_GEMMA = {"bos": "<bos>", "eos": "<eos>", "unk": "<unk>", "pad": "<pad>"}
_QWEN = _roles("Qwen2Tokenizer", eos="<|im_end|>", pad="<|pad|>")
_BERT = _roles("BertTokenizer", cls="[CLS]", sep="[SEP]", unk="[UNK]", pad="[PAD]", mask="[MASK]")
_BERT["do_lower_case"] = False
_CONFIGS = {
    "unigram_xlmr": XLMR_CONFIG,
    "unigram_mt5": {**_roles("T5Tokenizer", eos="</s>", unk="<unk>", pad="<pad>"), "extra_ids": 0},
    "unigram_gemma": _roles("PreTrainedTokenizerFast", **_GEMMA),
    "bpe_bytelevel": _QWEN,
    "bpe_roberta": _roles("RobertaTokenizer", **_FRAMED),
    "bpe_gemma": _roles("GemmaTokenizer", **_GEMMA, mask="<mask>"),
    "bpe_suffix": _roles("PreTrainedTokenizerFast", **_FRAMED),
    "wordpiece_bert": _BERT,
    "big_unigram": XLMR_CONFIG,
    "big_bpe": _QWEN,
    "big_wordpiece": _BERT,
}


def tokenizer_config_of(name: str) -> dict:
    """The special tokens' roles and the class, as the family's real models write them into tokenizer_config.json."""
    return dict(_CONFIGS[name])
