"""The characters that must never need bytes, as the tokenizer sees them (docs/pitfalls.md, A6, A14)."""

from __future__ import annotations

import unicodedata

import pytest

from babelpress.corpus.bundled import load_meanings
from babelpress.vocabulary.alphabet import alphabet
from babelpress.vocabulary.bytelevel import to_byte_level
from babelpress.vocabulary.tokenizer_file import parse_tokenizer
from tests.tokenizer_parts import bpe, byte_level, wordpiece
from tests.vocabulary import LANGUAGES, file_of, small_file, teacher_tokenizer

NORMALIZER = teacher_tokenizer().normalizer
TEACHER = file_of("embedded")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_whole_of_printable_ascii_a6(language):
    missing = {chr(code) for code in range(0x21, 0x7F)} - set(alphabet((language,), TEACHER))
    assert missing == set()


@pytest.mark.parametrize(
    ("language", "letters"),
    [
        ("es", "áéíóúüñ¿¡"), ("fr", "àâæçéèêëîïôœùûüÿ"), ("de", "äöüßÄÖÜ"), ("pt", "ãõâêôáéíóúç"), ("it", "àèéìòù"),
        ("pl", "ąćęłńóśźżŁŻ"), ("vi", "ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"), ("id", "é"),
        ("ru", "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"), ("uk", "іїєґ"), ("ar", "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأؤإئةى"),
        ("fa", "پچژگ"), ("hi", "अआइईउऊऋएऐओऔकखगघङािीुूृेैोौ्ंः।"), ("th", "กขคงจฉชซะาิีึืุูเแโใไ่้๊๋์"),
        ("ja", "あいうえおアイウエオっッー"), ("el", "αβγδωάέήίόύώΩ"), ("he", "אבגדהוזחטי"),
    ],
)  # fmt: skip
def test_a_languages_own_letters_are_listed(language, letters):
    wanted = {piece for letter in letters for piece in NORMALIZER.normalize_str(letter)}
    assert wanted - set(alphabet((language,), TEACHER)) == set()


def test_alphabets_of_several_languages_are_joined():
    both = set(alphabet(("ru", "th"), TEACHER))
    assert both == set(alphabet(("ru",), TEACHER)) | set(alphabet(("th",), TEACHER))


def test_a_region_does_not_change_the_script():
    assert alphabet(("ru-RU",), TEACHER) == alphabet(("ru",), TEACHER)


def test_an_unlisted_language_is_taken_for_latin():
    assert alphabet(("sw",), TEACHER) == alphabet(("en",), TEACHER)


def test_nothing_stands_there_that_the_normaliser_would_change_a14():
    changed = [c for c in alphabet(LANGUAGES, TEACHER) if NORMALIZER.normalize_str(c) != c]
    assert changed == []


def test_compatibility_forms_are_listed_as_what_they_become_a14():
    listed = set(alphabet(("en",), TEACHER))
    assert "½" not in listed
    assert "⁄" in listed  # ½ becomes 1⁄2


def test_no_spaces_no_controls_no_unassigned_characters():
    bad = [c for c in alphabet(LANGUAGES, TEACHER) if c.isspace() or unicodedata.category(c) in {"Cc", "Cn", "Zs"}]
    assert bad == []


def test_the_order_is_fixed_and_nothing_is_doubled():
    listed = alphabet(LANGUAGES, TEACHER)
    assert listed == sorted(set(listed))
    assert listed == alphabet(tuple(reversed(LANGUAGES)), TEACHER)


def test_a_tokenizer_without_normaliser_takes_the_characters_as_they_are():
    assert "½" in alphabet(("en",), small_file())


@pytest.mark.parametrize(
    ("kind", "piece"),
    [("Unigram", "ԥ"), ("Unigram", "▁ԥ"), ("WordPiece", "##ԥ"), ("BPE", "ԥ</w>"), ("byte level", to_byte_level(" ԥ"))],
)
def test_a_letter_in_no_list_is_there_if_the_teacher_has_any_form_of_it(kind, piece):
    ids = {"?": 0, piece: 1}
    files = {
        "Unigram": lambda: small_file([("▁", -1.0), (piece, -2.0)]),
        "WordPiece": lambda: parse_tokenizer({"model": wordpiece({"[UNK]": 2, **ids})}),
        "BPE": lambda: parse_tokenizer({"model": bpe(ids, [], end_of_word_suffix="</w>")}),
        "byte level": lambda: parse_tokenizer({"model": bpe(ids, []), "pre_tokenizer": byte_level()}),
    }
    file = files[kind]()
    assert "ԥ" not in alphabet(("ru",), small_file())
    assert "ԥ" in alphabet(("ru",), file)
    assert "ԥ" not in alphabet(("en",), file)


def test_alphabetic_languages_are_listed_down_to_the_last_letter_of_the_embedded_sentences():
    missing: dict[str, set[str]] = {}
    for language in set(LANGUAGES) - {"ko", "ja", "zh"}:  # their characters come from the counts
        listed = set(alphabet((language,), TEACHER))
        for meaning in load_meanings():
            text = NORMALIZER.normalize_str(meaning.texts[language]).replace("\ufe0f", "")  # part of an emoji
            letters = {character for character in text if unicodedata.category(character)[0] in "LM"}
            if letters - listed:
                missing.setdefault(language, set()).update(letters - listed)
    assert missing == {}
