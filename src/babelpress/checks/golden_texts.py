"""The texts of a tokenizer's golden file: sentences of every language, and what ports get wrong."""

from __future__ import annotations

from babelpress.corpus.bundled import held_out_meanings

_SENTENCES = 4

_EDGES = {
    "empty": ("",),
    "spaces": (
        " ", "   ", "\t", "\n", "a b", "a  b", " a ", "a\tb", "a\nb", "a\r\nb", "a\u00a0b", "a\u3000b", "a\u200bb",
        "a\u2028b", "a\u0085b", "안녕  하세요", "你好 世界",
    ),
    "metaspace": ("▁", "a▁b", "▁▁a", "a ▁ b"),
    "full width": ("ＦＵＬＬ　ｗｉｄｔｈ　１２３！", "ｶﾀｶﾅ ﾊﾟﾝ", "ﬁne ﬂow", "①②③ Ⅳ ㎏ ½", "﷽"),
    "combining": (
        "caf\u00e9 cafe\u0301", "\u00c5 A\u030a \u212b", "a\u0323\u0308", "\u0301", "\uac01 \u1100\u1161\u11a8",
        "\u0e19\u0e49\u0e33 \u0e19\u0e4d\u0e49\u0e32", "\u0958 \u0915\u093c", "क्षत्रिय",
    ),
    "right to left": ("שלום, עולם!", "مرحبًا بالعالم ١٢٣", "abc \u202eabc\u202c abc", "\u200fא\u200e", "لا إله"),
    "emoji": (
        "😀", "a😀b", "😀😀", "😀 😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇰🇷🇧🇷", "1️⃣", "❤️ ☃", "🫨 🪿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    ),
    "rare scripts": ("ᚠᚢᚦ", "𐎀𐎁 𐎂", "x𒀀y", "ꙮ", "𠀀𠮷", "𝕬𝖇𝖈", "ᎣᏏᏲ", "རྒྱལ་པོ"),
    "unassigned": ("\u0378", "a\u0378b", "\U000e0fff", "\ue000", "\ufdd0", "\uffff", "\U0010ffff"),
    "byte names": (
        "<0x41>", "a<0xE4>b", "a <0xE4> b", "<0xF0><0x9F><0x98><0x80>", "<0xe4>", "<0x4", "0x41>", "＜0x41＞",
        "<<0x41>>", "😀<0x41>😀", "𐎀<0x00>",
    ),
    "special names": tuple(
        form.format(name)
        for name in ("<s>", "</s>", "<pad>", "<unk>", "<mask>", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")
        for form in ("{}", "a{}b", "a {} b")
    ),
    "long words": (
        "a" * 200, "ab" * 150, "가나다" * 60, "我" * 150, "ᚠ" * 40, "1" * 120,
        "Rindfleischetikettierungsüberwachungsaufgabe", "https://example.org/a/b?c=d&e=%F0%9F%98%80#f", "no-break" * 20,
    ),
    "numbers": (
        "2026-08-21", "3.14159", "1,000,000", "-5 °C", "50%", "x=0", "٣٤٥", "१२३", "๑๒๓", "１２", "1e-9", "0x1F",
        "+48 600 000 000",
    ),
    "signs": ("a@b.c", "C:\\dir\\file", "`|~^", "x<y>z", "#tag @me", "“quotes” ‘single’ «»", "—–-‐", "… €£¥₩ ?!‽"),
    "control": ("\x00", "a\x00b", "\x01\x02", "a\x1fb", "\x7f", "\ufeffa", "a\u00adb"),
    "letter case": ("STRASSE Straße", "İstanbul ISPARTA ılık", "ΣΊΣΥΦΟΣ", "eXample"),
}  # fmt: skip


def golden_texts() -> list[tuple[str, str]]:
    """Return (kind, text), always the same: kinds are language codes and names of edge cases."""
    sentences = [
        (code, meaning.texts[code])
        for code in sorted(held_out_meanings()[0].texts)
        for meaning in held_out_meanings()[:_SENTENCES]
    ]
    return sentences + [(kind, text) for kind, texts in _EDGES.items() for text in texts]
