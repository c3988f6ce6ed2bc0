from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.corpus import bundled
from babelpress.corpus.bundled import held_out_meanings, load_meanings, read_bundled, rewrite
from babelpress.corpus.clean import comparison_key
from babelpress.corpus.sentence import Sentence, Split

LANGUAGES = ("ko", "en", "ja", "zh", "es", "fr", "de", "pt", "it", "ru", "ar", "hi", "th", "vi", "id", "pl")
UNSPACED = {"ja", "zh", "th"}


@pytest.fixture(scope="module")
def sentences() -> list[Sentence]:
    return list(read_bundled(languages=LANGUAGES, variants=4, seed=20, held_out=0.05))


def test_every_meaning_is_there_in_all_sixteen_languages():
    assert len(load_meanings()) == 360
    assert [meaning.id for meaning in load_meanings() if set(meaning.texts) != set(LANGUAGES)] == []


def test_no_meaning_is_counted_twice():
    assert [id for id, count in Counter(meaning.id for meaning in load_meanings()).items() if count > 1] == []


def test_no_sentence_stands_under_two_meanings():
    meanings = defaultdict(set)
    for meaning in load_meanings():
        for text in meaning.texts.values():
            meanings[comparison_key(text)].add(meaning.id)
    assert [sorted(ids) for ids in meanings.values() if len(ids) > 1] == []


def test_fifty_meanings_are_held_out_of_several_topics():
    assert len(held_out_meanings()) == 50
    assert len({meaning.topic for meaning in held_out_meanings()}) >= 5


@pytest.mark.parametrize("seed", [0, 1, 20])
@pytest.mark.parametrize("held_out", [0.0, 0.01, 0.5])
def test_held_out_meanings_are_test_whatever_the_seed_and_share(seed: int, held_out: float):
    held = {meaning.id for meaning in held_out_meanings()}
    found = read_bundled(languages=("en", "ko"), variants=1, seed=seed, held_out=held_out)
    splits = [(sentence.group, sentence.split) for sentence in found if sentence.group in held]
    assert sorted(splits) == sorted((id, Split.TEST) for id in [*held, *held])


def test_translations_and_rewrites_of_one_meaning_never_straddle_splits(sentences: list[Sentence]):
    splits = defaultdict(set)
    for sentence in sentences:
        splits[sentence.group].add(sentence.split)
    assert len(splits) == 360
    assert [id for id, found in splits.items() if len(found) != 1] == []


def test_train_and_test_share_no_meaning(sentences: list[Sentence]):
    groups = {split: {s.group for s in sentences if s.split is split} for split in Split}
    assert groups[Split.TRAIN].isdisjoint(groups[Split.TEST] | groups[Split.VALIDATION])
    assert groups[Split.TEST].isdisjoint(groups[Split.VALIDATION])
    assert all(groups.values())


def test_rewrites_are_made_of_training_sentences_alone(monkeypatch: pytest.MonkeyPatch):
    used: dict[str, set[str]] = defaultdict(set)

    def spy(text: str, partners: list[str], *, language: str, draw: random.Random) -> str:
        used[language].update([text, *partners])
        return text

    monkeypatch.setattr(bundled, "rewrite", spy)
    found = list(read_bundled(languages=LANGUAGES, variants=1, seed=20, held_out=0.3))
    assert set(used) == set(LANGUAGES)
    for language in LANGUAGES:
        others = {s.text for s in found if s.language == language and s.split is not Split.TRAIN}
        assert used[language] & others == set()


def units(text: str, language: str) -> set[str]:
    """Words, or characters where words are not spaced; none with digits, which rewrites draw anew."""
    folded = text.casefold()
    found = set(folded) if language in UNSPACED else {word.strip(".,!?;:\"'«»“”„¿¡…؟،؛।()") for word in folded.split()}
    return {unit for unit in found if unit and not any(character.isdigit() for character in unit)}


@pytest.mark.parametrize("language", sorted({*LANGUAGES} - {"th"}))  # Thai has too few letters to tell
def test_no_word_of_a_held_out_sentence_reaches_training_through_a_rewrite(sentences: list[Sentence], language: str):
    texts = {meaning.id: meaning.texts[language] for meaning in load_meanings()}
    mine = [sentence for sentence in sentences if sentence.language == language]
    train_ids = {sentence.group for sentence in mine if sentence.split is Split.TRAIN}
    known = set().union(*(units(texts[id], language) for id in train_ids))
    secret = set().union(*(units(text, language) for id, text in texts.items() if id not in train_ids)) - known
    assert len(secret) >= 20
    trained = set().union(*(units(s.text, language) for s in mine if s.split is Split.TRAIN))
    assert trained & secret == set()


def test_no_rewrite_equals_a_sentence_outside_training(sentences: list[Sentence]):
    train = {comparison_key(sentence.text) for sentence in sentences if sentence.split is Split.TRAIN}
    others = {comparison_key(sentence.text) for sentence in sentences if sentence.split is not Split.TRAIN}
    assert train & others == set()


def test_only_training_sentences_are_rewritten():
    plain = Counter(s.split for s in read_bundled(languages=("en", "th"), variants=0, seed=20, held_out=0.2))
    rewritten = Counter(s.split for s in read_bundled(languages=("en", "th"), variants=3, seed=20, held_out=0.2))
    assert sum(plain.values()) == 720
    assert rewritten == {
        Split.TRAIN: 4 * plain[Split.TRAIN],
        Split.VALIDATION: plain[Split.VALIDATION],
        Split.TEST: plain[Split.TEST],
    }


def test_rewrites_do_not_depend_on_the_other_languages():
    alone = list(read_bundled(languages=("pl",), variants=2, seed=20, held_out=0.1))
    among = read_bundled(languages=("ko", "pl", "en"), variants=2, seed=20, held_out=0.1)
    assert [sentence for sentence in among if sentence.language == "pl"] == alone


def test_another_seed_gives_other_rewrites():
    first, second = (
        {s.text for s in read_bundled(languages=("en",), variants=1, seed=seed, held_out=0.0)} for seed in (1, 2)
    )
    originals = {meaning.texts["en"] for meaning in load_meanings()}
    assert len((first & second) - originals) < 20 < len(first - originals)


def test_a_language_without_sentences_gives_none():
    assert list(read_bundled(languages=("sv",), variants=3, seed=20, held_out=0.1)) == []


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.lists(st.text(max_size=30), min_size=1, max_size=4), st.integers(), st.booleans())
def test_a_rewrite_uses_only_characters_of_the_sentences_given(text: str, partners: list[str], seed: int, spaced: bool):
    made = rewrite(text, partners, language="en" if spaced else "th", draw=random.Random(seed))
    given_characters = set("".join([text, text.lower(), text.upper(), *partners, " 0123456789"]))
    assert set(made) <= given_characters
