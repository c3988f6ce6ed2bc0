"""What a model is tested on is never trained on: planted test texts are found, other sentences are left alone."""

from __future__ import annotations

import random
import tracemalloc
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest

from babelpress.corpus import build as build_module
from babelpress.corpus import contamination
from babelpress.corpus.build import CorpusReport, TaskMatches, build_corpus, read_texts
from babelpress.corpus.bundled import held_out_meanings, load_meanings
from babelpress.corpus.clean import comparison_key
from babelpress.corpus.contamination import Likeness, Match, SuiteTexts
from babelpress.corpus.sentence import Sentence, Split

# Not among the embedded sentences: language, a test text, a word more, the text with one word changed.
PLANTED = {
    "en": (
        "The harbour master closed the old lighthouse after the storm.", " yesterday",
        "The harbour master closed the new lighthouse after the storm.",
    ),
    "hi": (
        "तूफ़ान के बाद बंदरगाह के अधिकारी ने पुराना प्रकाशस्तंभ बंद कर दिया।", " कल",
        "तूफ़ान के बाद बंदरगाह के अधिकारी ने नया प्रकाशस्तंभ बंद कर दिया।",
    ),
    "th": (
        "นายท่าเรือสั่งปิดประภาคารเก่าหลังพายุพัดผ่านไปเมื่อคืนนี้", "แล้ว",
        "นายท่าเรือสั่งปิดประภาคารใหม่หลังพายุพัดผ่านไปเมื่อคืนนี้",
    ),
    "zh": (
        "暴风雨过后，港务长下令关闭了海边那座古老的灯塔。", "昨天",
        "暴风雨过后，港务长下令关闭了海边那座崭新的灯塔。",
    ),
    "ja": (
        "嵐が過ぎたあと、港長は海辺の古い灯台を閉めることにした。", "昨日",
        "嵐が過ぎたあと、港長は海辺の白い灯台を閉めることにした。",
    ),
    "ko": (
        "폭풍이 지나간 뒤 항만장은 바닷가의 오래된 등대를 닫기로 했다.", " 어제",
        "폭풍이 지나간 뒤 항만장은 바닷가의 낡은 등대를 닫기로 했다.",
    ),
    "ar": (
        "أغلق مدير الميناء المنارة القديمة على الشاطئ بعد مرور العاصفة.", " أمس",
        "أغلق مدير الميناء المنارة الجديدة على الشاطئ بعد مرور العاصفة.",
    ),
}  # fmt: skip
LANGUAGES = sorted(PLANTED)
SUITE = SuiteTexts([("Planted", [text for text, *_ in PLANTED.values()])])


def disguises(text: str) -> list[str]:
    """The same letters in other clothes."""
    bare = "".join(character for character in text if unicodedata.category(character)[0] != "P")
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    spaced = "  ".join(text.split())
    return [
        text,
        text.upper(),
        text.lower(),
        bare,
        wide,
        f"- «{spaced}»!!! 👍\ufe0f",
        unicodedata.normalize("NFD", text),
    ]


def likeness(text: str, suite: SuiteTexts = SUITE) -> Likeness | None:
    (match,) = suite.find([text])
    return match.likeness if match else None


def build(folder: Path, texts: Iterable[str | Sentence], suite: SuiteTexts | None) -> CorpusReport:
    folder.mkdir(parents=True, exist_ok=True)
    fixed = [Sentence(f"the {split.value} sentence", "en", "fixed", split=split) for split in Split]
    items = [item if isinstance(item, Sentence) else Sentence(item, "en", "mine") for item in texts]
    return build_corpus(
        [*fixed, *items], folder, seed=1, min_chars=1, max_chars=1000, held_out=0.2, held_out_limit=10_000,
        test_texts=suite,
    )  # fmt: skip


def written(folder: Path) -> set[str]:
    return {text for split in Split for texts, _ in read_texts(folder, split) for text in texts}


# --- every disguise is found ----------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_case_width_spaces_and_punctuation_hide_nothing(language):
    assert [likeness(text) for text in disguises(PLANTED[language][0])] == [Likeness.EXACT] * 7


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_word_more_hides_nothing(language):
    text, word, _ = PLANTED[language]
    bare = text.rstrip(".।。")
    assert likeness(f"{bare}{word}.") is Likeness.NEAR
    assert likeness(f"{word.strip()} {text}") is Likeness.NEAR


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_tail_or_a_head_less_hides_nothing(language):
    text = PLANTED[language][0]
    for share in (0.9, 0.8, 0.7):
        assert likeness(text[: int(share * len(text))]) is Likeness.NEAR, share
        assert likeness(text[-int(share * len(text)) :]) is Likeness.NEAR, share


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_word_changed_in_the_middle_hides_nothing(language):
    assert likeness(PLANTED[language][2]) is Likeness.NEAR


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_long_test_text_in_the_middle_of_a_paragraph_is_found(language):
    text, _, changed = PLANTED[language]
    long = f"{changed} {text}"
    around = " ".join(meaning.texts[language] for meaning in load_meanings()[:9])
    assert likeness(f"{around} {long} {around}", SuiteTexts([("Planted", [long])])) is Likeness.NEAR


@pytest.mark.parametrize("language", LANGUAGES)
def test_other_texts_of_the_language_are_left_alone(language):
    others = [meaning.texts[language] for meaning in load_meanings()]
    assert SUITE.find(others) == [None] * len(others)


def test_no_embedded_sentence_is_taken_for_another():
    """360 meanings in 16 languages: short sentences, much alike, of which no two may be called equal."""
    meanings = load_meanings()
    parts = [[text for number, one in enumerate(meanings) if number % 2 == part for text in one.texts.values()]
             for part in (0, 1)]  # fmt: skip
    keys = [{comparison_key(text) for text in part} for part in parts]
    for part in (0, 1):
        found = SuiteTexts([("other half", parts[1 - part])]).find(parts[part])
        taken = [text for text, match in zip(parts[part], found, strict=True) if match]
        assert {comparison_key(text) for text in taken} == keys[0] & keys[1]


def test_short_texts_are_found_exactly_and_take_no_others_along():
    suite = SuiteTexts([("Short", ["Good morning", "你好吗"])])
    assert [likeness(text, suite) for text in ("good morning!", "你好吗？")] == [Likeness.EXACT] * 2
    assert [likeness(text, suite) for text in ("Good mornings", "Good morning to you", "你好吗呢")] == [None] * 3


def test_a_common_phrase_inside_a_long_test_text_is_not_lost():
    review = "I had never heard of it. This is one of the best films, said a friend, and so we went to see it twice."
    assert likeness("This is one of the best films", SuiteTexts([("Reviews", [review])])) is None


def test_a_text_without_letters_is_like_nothing():
    suite = SuiteTexts([("Empty", ["...", "", "👍"])])
    assert len(suite) == 0
    assert suite.find(["?!", "👍", "words"]) == [None] * 3


def test_equal_texts_are_never_missed_whatever_they_are_made_of():
    """Random runs of random characters, of all lengths, against each other."""
    draw = random.Random(7)
    letters = "abcdefgh अआइ ไทย 漢字かな 한글 ёжик 0123"
    texts = ["".join(draw.choices(letters, k=draw.randint(1, 80))) for _ in range(2000)]
    found = SuiteTexts([("Random", texts)]).find([text.upper() for text in texts])
    assert [match is None for match in found] == [not comparison_key(text) for text in texts]


def test_a_run_of_13_letters_always_meets_the_index():
    """What winnowing promises, for every place of a text: so near texts are found by more than luck."""
    draw = random.Random(3)
    text = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=600))
    index = SuiteTexts([("Random", [text])])._indexes[contamination._LETTERS]
    hashes, _, left = contamination._hash_runs(8, [text])
    kept = [int(hash_) in set(index._hashes.tolist()) for hash_ in hashes[left >= 8]]
    assert all(any(kept[start : start + 6]) for start in range(len(kept) - 5))


def test_pairs_are_looked_at_in_parts_of_bounded_size(monkeypatch):
    texts = [f"A man is playing the guitar number {number} on a stage" for number in range(60)]
    suite = SuiteTexts([("Stage", texts)])
    sentences = [f"A man is playing the guitar number {number} on a stage now" for number in range(60)]
    whole = suite.find(sentences)
    monkeypatch.setattr(contamination, "_PAIRS", 7)
    assert suite.find(sentences) == whole
    assert all(match and match.likeness is Likeness.NEAR for match in whole)


# --- counts by task -------------------------------------------------------------------------------


def test_a_sentence_that_two_tasks_have_counts_for_both():
    text = PLANTED["en"][0]
    suite = SuiteTexts([("A", [text]), ("B", [text, "something else altogether"]), ("C", [])])
    assert suite.tasks == ("A", "B", "C")
    assert suite.find([text, PLANTED["en"][2], "something else, altogether!"]) == [
        Match(Likeness.EXACT, ("A", "B")), Match(Likeness.NEAR, ("A", "B")), Match(Likeness.EXACT, ("B",)),
    ]  # fmt: skip


def test_a_corpus_keeps_the_clean_sentences_and_counts_the_others_by_task(tmp_path):
    suite = SuiteTexts([("English", [PLANTED["en"][0]]), ("Thai", [PLANTED["th"][0]]), ("Unseen", ["xyzzy"])])
    clean = [f"clean sentence {number}" for number in range(50)]
    bad = [*disguises(PLANTED["en"][0]), PLANTED["en"][2], PLANTED["th"][0], PLANTED["th"][2]]
    report = build(tmp_path, [*clean, *bad], suite)
    assert written(tmp_path) == {*clean, *(f"the {split.value} sentence" for split in Split)}
    assert report.contamination == {"English": TaskMatches(7, 1), "Thai": TaskMatches(1, 1), "Unseen": TaskMatches()}
    assert report.dropped == {"equal to a test text": 8, "nearly equal to a test text": 2}


def test_no_disguise_of_a_held_out_embedded_sentence_is_in_any_split(tmp_path):
    held = [text for meaning in held_out_meanings() for text in meaning.texts.values()]
    copies = [copy for text in held for copy in disguises(text)]
    report = build(tmp_path, ["something else", *copies], SuiteTexts([("held", held)]))
    assert written(tmp_path) == {"something else", *(f"the {split.value} sentence" for split in Split)}
    assert sum(report.dropped.values()) == len(copies)


def test_a_sentence_that_its_source_calls_a_test_sentence_stays_one(tmp_path):
    report = build(tmp_path, [Sentence("Held out!", "en", "x", split=Split.TEST)], SuiteTexts([("held", ["held out"])]))
    assert "Held out!" in {text for texts, _ in read_texts(tmp_path, Split.TEST) for text in texts}
    assert report.contamination == {"held": TaskMatches()}


def test_nothing_is_looked_for_where_that_is_switched_off(tmp_path):
    report = build(tmp_path, [PLANTED["en"][0]], None)
    assert PLANTED["en"][0] in written(tmp_path)
    assert report.contamination is None


def test_the_order_of_tasks_and_texts_changes_no_match():
    tasks = [(code, list(texts)) for code, texts in PLANTED.items()]
    sentences = [copy for texts in PLANTED.values() for text in texts for copy in disguises(text)]
    there, back = SuiteTexts(tasks), SuiteTexts([(name, texts[::-1]) for name, texts in tasks[::-1]])
    for one, other in zip(there.find(sentences), back.find(sentences[::-1])[::-1], strict=True):
        assert one and other and one.likeness is other.likeness and sorted(one.tasks) == sorted(other.tasks)


def test_memory_does_not_grow_with_the_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(build_module, "_BATCH", 64)

    def peak(name: str, lines: int) -> int:
        folder = tmp_path / name
        folder.mkdir()
        lines_of_text = (f"sentence {number} of very many" for number in range(lines))
        items = (Sentence(text, "en", "x", split=list(Split)[number % 3]) for number, text in enumerate(lines_of_text))
        tracemalloc.start()
        build_corpus(
            items, folder, seed=1, min_chars=1, max_chars=100, held_out=0.1, held_out_limit=10, test_texts=SUITE
        )
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak("first", 100)  # what is imported and remembered once
    assert peak("long", 4_000) < 1.5 * peak("short", 1_000)
