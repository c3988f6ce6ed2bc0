"""Perturbed text: examples by hand, and what holds for any Unicode."""

from __future__ import annotations

import random
import unicodedata

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.corpus.bundled import load_meanings
from babelpress.evaluation.fidelity.perturb import PERTURBATION_LABELS, PERTURBATIONS, perturb_texts, robustness, typos

# Any code point, lone surrogates included, and more of what can go wrong: marks, joiners, jamo, conjuncts, flags.
_HARD = "e\u0301\u0323\u200d\u200c\ufe0f\u20e3#👩👧🇰🇷가\u1100\u1161\u11a8क\u094dषิ\u0e33\u0600\u0915.,'’-– \u00a0йЙñßİ"
ANY_TEXT = st.text(st.one_of(st.characters(exclude_categories=()), st.sampled_from(_HARD)), max_size=40)
NAMES = st.sampled_from(sorted(PERTURBATIONS))
SEEDS = st.integers(0, 2**32)
many = settings(max_examples=400, deadline=None)


def clusters(text: str) -> list[str]:
    return regex.findall(r"\X", text)


def is_letter(cluster: str) -> bool:
    return unicodedata.category(cluster[0]).startswith("L")


def perturbed(name: str, text: str, *, seed: int = 0) -> str | None:
    return perturb_texts(name, {0: text}, seed=seed).get(0)


def test_every_perturbation_has_a_label_with_the_share_that_it_changes():
    assert list(PERTURBATION_LABELS) == list(PERTURBATIONS)
    assert (PERTURBATION_LABELS["typos"], PERTURBATION_LABELS["spaces"]) == (
        "typing errors in 5 % of the letters",
        "10 % of the spaces lost",
    )


# --- any Unicode --------------------------------------------------------------------------------


@many
@given(ANY_TEXT, NAMES, SEEDS)
def test_a_perturbed_text_depends_on_text_and_seed_alone(text, name, seed):
    beside = perturb_texts(name, {3: "something else", 7: text, 9: "and more"}, seed=seed)
    assert beside.get(7) == perturbed(name, text, seed=seed) == perturbed(name, text, seed=seed)


@many
@given(ANY_TEXT, NAMES, SEEDS)
def test_a_perturbed_text_is_changed_and_never_blank(text, name, seed):
    other = perturbed(name, text, seed=seed)
    assert other is None or (other != text and other.strip())


@many
@given(ANY_TEXT, st.sampled_from(["typos", "punctuation", "spaces"]), SEEDS)
def test_no_combining_sequence_is_broken_or_made(text, name, seed):
    other = PERTURBATIONS[name](text, random.Random(seed))
    assert set(clusters(other)) <= set(clusters(text))


@many
@given(ANY_TEXT, SEEDS)
def test_typing_errors_touch_letters_only(text, seed):
    other = typos(text, random.Random(seed))
    assert [c for c in clusters(other) if not is_letter(c)] == [c for c in clusters(text) if not is_letter(c)]


@many
@given(ANY_TEXT, SEEDS)
def test_so_many_errors_lengthen_or_shorten_a_text_by_no_more_letters(text, seed):
    letters = sum(map(is_letter, clusters(text)))
    assert abs(len(clusters(typos(text, random.Random(seed)))) - len(clusters(text))) <= max(1, round(0.05 * letters))


@many
@given(ANY_TEXT)
def test_dropped_accents_leave_every_letter_and_nothing_to_drop(text):
    bare = PERTURBATIONS["diacritics"](text, random.Random(0))
    assert len(clusters(bare)) == len(clusters(text))
    assert PERTURBATIONS["diacritics"](bare, random.Random(0)) == bare


@many
@given(ANY_TEXT)
def test_dropped_punctuation_is_all_that_is_dropped(text):
    other = PERTURBATIONS["punctuation"](text, random.Random(0))
    assert [c for c in clusters(other) if unicodedata.category(c[0])[0] != "P"] == [
        c for c in clusters(text) if unicodedata.category(c[0])[0] != "P"
    ]


@many
@given(ANY_TEXT, SEEDS)
def test_dropped_spaces_are_all_that_is_dropped(text, seed):
    other = PERTURBATIONS["spaces"](text, random.Random(seed))
    assert [c for c in clusters(other) if c != " "] == [c for c in clusters(text) if c != " "]
    spaces = clusters(text).count(" ")
    assert 0 <= spaces - clusters(other).count(" ") <= max(1, round(0.1 * spaces))


# --- by hand ------------------------------------------------------------------------------------


def test_a_word_of_two_letters_has_these_errors_and_no_others():
    found = {typos("ab", random.Random(seed)) for seed in range(200)}
    assert found == {"ba", "a", "b", "aab", "abb", "aa", "bb"}


def test_letters_that_stand_alone_are_left_alone():
    assert {typos("a b, c!", random.Random(seed)) for seed in range(50)} == {"a b, c!"}


@pytest.mark.parametrize("text", ["\u1100a\u1161", "\u1100b", "가b\u11a8", "क\u094dbष"])
def test_letters_that_would_become_one_character_are_kept_apart(text):
    for seed in range(200):
        assert set(clusters(typos(text, random.Random(seed)))) <= set(clusters(text))


def test_no_word_is_lost():
    text = "a " * 38 + "xy"
    assert all(len(typos(text, random.Random(seed)).split()) == 39 for seed in range(200))


def test_a_letter_is_replaced_by_one_of_its_script_and_case():
    # Each letter is the only one of its kind, so that nothing can be replaced: what is new is a swap, a drop or a twin.
    found = {typos("Aя", random.Random(seed)) for seed in range(200)}
    assert found == {"яA", "A", "я", "AAя", "Aяя"}


def test_one_letter_of_twenty_is_hit():
    class Counting(random.Random):
        def sample(self, population, k, **settings):
            asked.append(k)
            return super().sample(population, k, **settings)

    for letters, expected in ((2, 1), (29, 1), (31, 2), (200, 10)):
        asked: list[int] = []
        typos("x" * letters, Counting(0))
        assert asked[0] == expected


@pytest.mark.parametrize("language", ["ko", "hi", "th", "ar", "ja", "vi"])
def test_typing_errors_of_every_script_change_every_sentence(language):
    texts = dict(enumerate(meaning.texts[language] for meaning in load_meanings()))
    found = perturb_texts("typos", texts, seed=0)
    assert len(found) == len(texts)
    scripts = {unicodedata.name(c[0]).split()[0] for text in texts.values() for c in clusters(text) if is_letter(c)}
    assert {
        unicodedata.name(c[0]).split()[0] for text in found.values() for c in clusters(text) if is_letter(c)
    } == scripts


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("lower", "Der Ärger, ΣΑΣ", "der ärger, σας"),
        ("lower", "한국어 日本語 ไทย हिन्दी", None),
        ("upper", "Straße", "STRASSE"),
        ("upper", "한국어 日本語 ไทย हिन्दी العربية", None),
        ("diacritics", "Việt Nam, señor, Łódź", "Viet Nam, senor, Łodz"),
        ("diacritics", "Ёлка, мой їжак, ήλιος", "Елка, мой їжак, ηλιος"),
        ("diacritics", "e\u0301te\u0301", "ete"),
        ("diacritics", "قُلْ آمين أهلًا", "قل آمين أهلا"),
        ("diacritics", "हिन्दी ไม่ がぎぐ 한국", None),
        ("diacritics", unicodedata.normalize("NFD", "한국"), None),
        ("punctuation", "Don't go (yet), well-known: 3.5 km!", "Don't go yet well-known 3.5 km"),
        ("punctuation", "雨です。でも、行く！", "雨ですでも行く"),
        ("punctuation", "क्या? हाँ।", "क्या हाँ"),
        ("punctuation", "at 10:30, 1,000 -5", "at 10:30 1,000 5"),
        ("punctuation", "?!…", None),
        ("punctuation", "🇰.🇷, 🇰,,🇷", "🇰.🇷 🇰,🇷"),
        ("punctuation", "no marks", None),
        ("spaces", "one two", "onetwo"),
        ("spaces", "日本語ไทย", None),
        ("spaces", "🇰 🇷", None),
    ],
)
def test_perturbations_by_hand(name, text, expected):
    assert perturbed(name, text) == expected


def test_one_space_of_ten_is_dropped():
    text = " ".join(["word"] * 31)
    assert perturbed("spaces", text).count(" ") == 27


def test_another_seed_makes_other_errors():
    text = "The doctor will see you after lunch"
    assert len({perturbed("typos", text, seed=seed) for seed in range(20)}) > 15


# --- robustness ---------------------------------------------------------------------------------


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_a_perturbed_text_counts_as_found_where_the_original_is_nearest():
    # the originals are at 0, 90 and 180; the second perturbed one is nearer to the third text
    found = robustness(at(30, 150, 180), [0, 1, 2], at(0, 90, 180))
    assert found.found == pytest.approx(2 / 3)
    assert found.cosine == pytest.approx((np.cos(np.radians(30)) + 0.5 + 1) / 3)
    assert found.texts == 3


def test_only_the_changed_texts_count_and_all_are_looked_through():
    assert robustness(at(95), [2], at(0, 90, 100, 180)).found == pytest.approx(0.5), "90 is as near as 100"
    assert robustness(at(99), [2], at(0, 90, 100, 180)).found == 1
    assert robustness(at(94), [2], at(0, 90, 100, 180)).found == 0


def test_a_collapsed_model_finds_by_chance():
    same = np.ones((4, 3), dtype=np.float32)
    assert robustness(same[:2], [0, 3], same).found == pytest.approx(0.25)
