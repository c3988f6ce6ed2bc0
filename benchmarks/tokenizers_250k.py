"""Make teachers' tokenizers of real size from real text, with the SentencePiece trainer."""

from __future__ import annotations

import copy
import json
from importlib import resources
from pathlib import Path

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def national_characters() -> str:
    """Return the characters of GB 2312, KS X 1001 and JIS X 0208, which a multilingual tokenizer knows all of."""
    found = set()
    for codec in ("gb2312", "euc-kr", "euc-jp"):
        for lead in range(0xA1, 0xFF):
            for trail in range(0xA1, 0xFF):
                try:
                    found.add(bytes((lead, trail)).decode(codec))
                except UnicodeDecodeError:
                    continue
    return "".join(sorted(character for character in found if len(character) == 1))


def train_unigram(text: Path, path: Path, *, pieces: int) -> Path:
    """Train a Unigram on language TAB text lines; write it as an XLM-R tokenizer.json. Keep what is there."""
    if path.is_file():
        return path
    import sentencepiece

    lines = path.with_suffix(".txt")
    with text.open(encoding="utf-8") as source, lines.open("w", encoding="utf-8") as target:
        target.writelines(line.partition("\t")[2] for line in source)
    sentencepiece.SentencePieceTrainer.train(
        input=str(lines), model_prefix=str(path.with_suffix("")), vocab_size=pieces - 1, model_type="unigram",
        character_coverage=1.0 if pieces > 100_000 else 0.9999, num_threads=2, normalization_rule_name="nmt_nfkc",
        required_chars=national_characters() if pieces > 100_000 else "", bos_id=0, pad_id=1, eos_id=2, unk_id=3,
        max_sentence_length=100_000, seed_sentencepiece_size=1_500_000, minloglevel=2,
    )  # fmt: skip
    lines.unlink()
    rows = [
        line.split("\t") for line in path.with_suffix(".vocab").read_text(encoding="utf-8").rstrip("\n").split("\n")
    ]
    own = [[piece, float(score)] for piece, score in rows if piece not in SPECIAL]
    source_json = resources.files("babelpress") / "assets" / "teacher" / "tokenizer.json"
    tokenizer = copy.deepcopy(json.loads(source_json.read_text(encoding="utf-8")))
    vocabulary = [*([piece, 0.0] for piece in SPECIAL), *own, ["<mask>", 0.0]]
    tokenizer["model"]["vocab"] = vocabulary
    places = {piece: number for number, (piece, _) in enumerate(vocabulary)}
    for token in tokenizer["added_tokens"]:
        token["id"] = places[token["content"]]
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    return path
