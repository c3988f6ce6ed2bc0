"""The compiled kernels cut as the tokenizers library does, to the last choice between equals."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from babelpress.utils.tokenizer import load_tokenizer
from babelpress.vocabulary import segment
from babelpress.vocabulary.bpe import BpeLexicon
from babelpress.vocabulary.lexicon import Lexicon
from babelpress.vocabulary.lexicons import open_lexicon
from babelpress.vocabulary.segment import Strings, Trie
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, parse_tokenizer
from babelpress.vocabulary.unigram import UnigramLexicon
from babelpress.vocabulary.wordpiece import WordPieceLexicon
from tests.families import FAMILIES
from tests.tokenizer_parts import assemble, bpe, wordpiece
from tests.vocabulary import counts_for, file_of, plan_of, teacher_of

LETTERS = "abé한😀"
PIECES = st.text(st.sampled_from(LETTERS), min_size=1, max_size=5)
WORDS = st.lists(st.text(st.sampled_from(LETTERS + "cж"), min_size=1, max_size=12), min_size=1, max_size=8)
# Few different scores: many paths are equally good.
SCORES = st.sampled_from([-1.0, -2.0, -2.5, -3.0, -4.0, -6.0, -0.1])
DRAWN = settings(max_examples=150, deadline=None)


def tokens(tokenizer: Tokenizer, word: str) -> list[str]:
    return [token.value for token in tokenizer.model.tokenize(word)]


# --- Unigram ----------------------------------------------------------------------------------------


def unigram(pieces: dict[str, float], *, byte_fallback: bool = False) -> dict:
    vocabulary = [["<unk>", 0.0], *([[piece, -9.0] for piece in BYTE_PIECES] if byte_fallback else [])]
    vocabulary += [list(pair) for pair in pieces.items()]
    return assemble({"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": byte_fallback})


def used(lexicon: UnigramLexicon, words: list[str], times: list[int], alive: np.ndarray) -> dict[str, int]:
    """Return what the kernel counts."""
    flat, found = Strings.of(words), np.zeros(len(alive), dtype=np.int64)
    bytes_of = np.array(lexicon.file.byte_ids, dtype=np.int64)
    segment.usage_unigram(
        flat.points, flat.begins, flat.ends, np.array(times), lexicon.trie.edges, lexicon.file.scores, alive,
        lexicon.unknown, lexicon.file.unk_id, bytes_of, found,
    )  # fmt: skip
    return {lexicon.file.pieces[number]: int(found[number]) for number in np.flatnonzero(found)}


@DRAWN
@given(pieces=st.dictionaries(PIECES, SCORES, min_size=1, max_size=25), words=WORDS, byte_fallback=st.booleans())
def test_a_unigrams_best_path_is_the_librarys_among_many_equal_ones(pieces, words, byte_fallback):
    raw = unigram(pieces, byte_fallback=byte_fallback)
    lexicon, library = UnigramLexicon(parse_tokenizer(raw)), load_tokenizer(raw)
    times = list(range(1, len(words) + 1))
    expected: Counter[str] = Counter()
    for word, number in zip(words, times, strict=True):
        for token in library.encode(word).ids:
            expected[lexicon.file.pieces[token]] += number
    assert used(lexicon, words, times, np.ones(len(lexicon.file.pieces), dtype=np.bool_)) == dict(expected)


@DRAWN
@given(pieces=st.dictionaries(PIECES, SCORES, min_size=1, max_size=25), words=WORDS, data=st.data())
def test_masked_pieces_are_as_good_as_gone(pieces, words, data):
    dropped = data.draw(st.sets(st.sampled_from(sorted(pieces))))
    pieces |= {"lowest": -50.0}  # so that the unknown score stays
    lexicon = UnigramLexicon(parse_tokenizer(unigram(pieces)))
    alive = np.array([piece not in dropped for piece in lexicon.file.pieces])
    rest = UnigramLexicon(parse_tokenizer(unigram({piece: pieces[piece] for piece in pieces if piece not in dropped})))
    everything = np.ones(len(rest.file.pieces), dtype=np.bool_)
    times = [1] * len(words)
    assert used(lexicon, words, times, alive) == used(rest, words, times, everything)


@DRAWN
@given(pieces=st.dictionaries(PIECES, SCORES, max_size=20))
def test_what_a_piece_spares_is_what_its_text_takes_without_it(pieces):
    pieces = {**dict.fromkeys(LETTERS, -4.0), **pieces, "lowest": -50.0}
    lexicon = UnigramLexicon(parse_tokenizer(unigram(pieces)))
    numbers = np.arange(1, len(lexicon.file.pieces) - 1)
    found = lexicon.tokens_without(numbers, np.ones(len(lexicon.file.pieces), dtype=np.bool_))
    for number, length in zip(numbers.tolist(), found.tolist(), strict=True):
        piece = lexicon.file.pieces[number]
        library = load_tokenizer(unigram({other: score for other, score in pieces.items() if other != piece}))
        # a lone letter without its piece is its bytes
        assert length == (len(tokens(library, piece)) if len(piece) > 1 else len(piece.encode()))


def test_of_two_equal_paths_the_librarys_is_taken_by_hand():
    # ab + c, a + bc: -4 both; the first found for an end stays, and ends are reached from the left: a + bc
    raw = unigram({"ab": -2.0, "c": -2.0, "a": -2.0, "bc": -2.0})
    lexicon = UnigramLexicon(parse_tokenizer(raw))
    assert tokens(load_tokenizer(raw), "abc") == ["a", "bc"]
    assert used(lexicon, ["abc"], [1], np.ones(5, dtype=np.bool_)) == {"a": 1, "bc": 1}


def test_a_run_of_unknown_characters_is_one_piece_and_a_mark_between_makes_two():
    lexicon = UnigramLexicon(parse_tokenizer(unigram({"a": -1.0})))
    assert used(lexicon, ["жжaж", "a"], [3, 1], np.ones(2, dtype=np.bool_)) == {"<unk>": 6, "a": 4}


# --- WordPiece --------------------------------------------------------------------------------------


@DRAWN
@given(
    starts=st.sets(PIECES, max_size=15), inner=st.sets(PIECES, max_size=15), data=st.data(),
)  # fmt: skip
def test_a_wordpieces_longest_prefixes_are_the_librarys(starts, inner, data):
    """`q` begins a word and nothing goes on from it, so that what stands behind it is inside a word."""
    letters = [*LETTERS, *("##" + letter for letter in LETTERS), "q"]
    made = [*starts, *("##" + piece for piece in inner)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(["[UNK]", *letters, *made]))}
    lexicon = WordPieceLexicon(parse_tokenizer(assemble(wordpiece(vocabulary))))
    dropped = data.draw(st.sets(st.sampled_from(sorted(vocabulary.keys() - {*letters, "[UNK]"}) or [""])))
    alive = np.array([piece not in dropped for piece in lexicon.file.pieces])
    rest = {piece: number for number, piece in enumerate(each for each in vocabulary if each not in dropped)}
    library = load_tokenizer(assemble(wordpiece(rest)))
    expected: Counter[str] = Counter()
    weights = np.arange(len(vocabulary), dtype=np.float64) * lexicon.file.plain_ids
    for number, piece in enumerate(lexicon.file.pieces):
        parts = tokens(library, "q" + piece.removeprefix("##"))[1:] if piece[:2] == "##" else tokens(library, piece)
        for part in parts if weights[number] else []:
            expected[part] += number
    found = lexicon.usage(weights, alive)
    assert {lexicon.file.pieces[n]: found[n] for n in np.flatnonzero(found[:-1])} == dict(expected)
    assert found[-1] == 0


def test_what_a_wordpiece_cannot_spell_is_counted_in_bytes_by_hand():
    # without ##é and ##b: aéb is a, two bytes, one byte
    pieces = ["[UNK]", "a", "aéb", "##b", "##é"]
    lexicon = WordPieceLexicon(parse_tokenizer(assemble(wordpiece({piece: n for n, piece in enumerate(pieces)}))))
    alive = np.array([True, True, False, False, False])
    assert lexicon.usage(np.array([0.0, 0.0, 5.0, 0.0, 0.0]), alive).tolist() == [0, 5, 0, 0, 0, 15]
    assert lexicon.tokens_without(np.array([2, 1]), np.ones(5, dtype=np.bool_)).tolist() == [3, 1]


# --- BPE --------------------------------------------------------------------------------------------


@st.composite
def merge_lists(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Merges of letters and of what earlier ones made, in an order of their own, some of them twice."""
    pieces, merges = list(LETTERS[:3]), []
    for _ in range(draw(st.integers(1, 14))):
        left, right = draw(st.sampled_from(pieces)), draw(st.sampled_from(pieces))
        if len(left + right) <= 8:
            merges.append((left, right))
            pieces.append(left + right)
    return draw(st.permutations(merges)) + merges[: draw(st.integers(0, 2))]


def bpe_of(merges: list[tuple[str, str]]) -> dict:
    vocabulary = dict.fromkeys([*LETTERS[:3], *(left + right for left, right in merges)])
    return assemble(bpe({piece: number for number, piece in enumerate(vocabulary)}, [list(pair) for pair in merges]))


@settings(max_examples=300, deadline=None)
@given(merges=merge_lists())
def test_a_bpes_pieces_come_out_whole_exactly_where_the_library_gives_them(merges):
    raw = bpe_of(merges)
    lexicon, library = BpeLexicon(parse_tokenizer(raw)), load_tokenizer(raw)
    reachable = lexicon.reachable()
    for number, piece in enumerate(lexicon.file.pieces):
        assert reachable[number] == (tokens(library, piece) == [piece]), piece
        parts = [lexicon.file.pieces[part] for part in lexicon.dependencies(number)]
        assert "".join(parts) == (piece if reachable[number] and len(piece) > 1 else "")
        assert not parts or tuple(parts) in merges


@DRAWN
@given(merges=merge_lists(), data=st.data())
def test_a_closed_set_of_pieces_is_reached_by_its_own_merges_a12(merges, data):
    lexicon = BpeLexicon(parse_tokenizer(bpe_of(merges)))
    reachable = lexicon.reachable()
    wanted = data.draw(st.sets(st.sampled_from(np.flatnonzero(reachable).tolist())))
    mask = np.zeros(len(reachable), dtype=np.bool_)
    mask[[*wanted, 0, 1, 2]] = True
    kept = {lexicon.file.pieces[number] for number in np.flatnonzero(lexicon.close(mask))}
    left = [pair for pair in merges if {*pair, "".join(pair)} <= kept]
    library = load_tokenizer(bpe_of(left))
    for number in wanted:
        assert tokens(library, lexicon.file.pieces[number]) == [lexicon.file.pieces[number]]


def test_the_rank_decides_not_the_place_by_hand():
    # b c is first: a bc; then no merge makes abc of a and bc, so it cannot be reached
    lexicon = BpeLexicon(parse_tokenizer(assemble(bpe(
        {piece: number for number, piece in enumerate(["a", "b", "c", "bc", "ab", "abc"])},
        [["b", "c"], ["a", "b"], ["ab", "c"]],
    ))))  # fmt: skip
    assert lexicon.reachable().tolist() == [True, True, True, True, True, False]
    assert [lexicon.dependencies(number) for number in range(6)] == [(), (), (), (1, 2), (0, 1), ()]


# --- every family -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_parts_are_what_use_counts(name):
    """Two ways to the same figures: pieces of each text, and their sums."""
    lexicon: Lexicon = open_lexicon(file_of(name))
    kept = np.zeros(len(file_of(name).pieces), dtype=np.bool_)
    kept[list(plan_of(name).kept)] = True
    weights = counts_for(name).total() * file_of(name).plain_ids * lexicon.reachable().astype(np.float64)
    which = np.flatnonzero(weights)
    parts, starts = lexicon.parts(which, kept)
    summed = np.zeros(len(kept) + 1)
    np.add.at(summed, parts, np.repeat(weights[which], np.diff(starts)))  # -1, a byte, is the last
    np.testing.assert_allclose(summed, lexicon.usage(weights, kept))


@pytest.mark.parametrize("name", [name for name in FAMILIES if name.startswith("bpe")])
def test_pieces_of_a_trained_bpe_come_out_whole_where_the_library_gives_them(name):
    file, library = file_of(name), teacher_of(name)
    suffix = file.model.get("end_of_word_suffix") or ""
    reachable, plain = open_lexicon(file).reachable(), file.plain_ids
    for number, piece in enumerate(file.pieces):
        if plain[number] and piece.endswith(suffix):
            assert reachable[number] == (tokens(library, piece.removesuffix(suffix)) == [piece]), piece


# --- the trie ---------------------------------------------------------------------------------------


@DRAWN
@given(pieces=st.lists(st.text(max_size=6), unique=True, max_size=40), words=st.lists(st.text(max_size=6), max_size=10))
def test_a_trie_finds_its_pieces_and_no_others(pieces, words):
    edges = Trie.of(Strings.of(pieces)).edges.tolist()
    table = {key: value for key, value in edges if key != -1}
    places = {piece: number for number, piece in enumerate(pieces) if piece}
    for word in [*pieces, *words, *(a + b for a, b in product(pieces[:3], words[:3]))]:
        node, value = 0, 0
        for place, character in enumerate(word):
            at_leaf = place > 0 and node == 0  # an edge to the root is one to a leaf
            value = -1 if at_leaf else table.get((node << 21) | ord(character), -1)
            if value < 0:
                break
            node = value >> 32
        assert (value & 0xFFFFFFFF) - 1 == places.get(word, -1) if value >= 0 else word not in places


def test_no_pieces_make_a_trie_of_nothing():
    assert (Trie.of(Strings.of([])).edges[:, 0] == -1).all()


@given(strings=st.lists(st.text(st.characters(), max_size=5), max_size=6))
def test_strings_are_laid_flat_and_back(strings):
    flat = Strings.of(strings)
    ends = flat.starts.tolist()
    assert len(flat) == len(strings)
    assert (flat.begins.tolist(), flat.ends.tolist()) == (ends[:-1], ends[1:])
    assert ["".join(map(chr, flat.points[a:b])) for a, b in pairwise(ends)] == strings
