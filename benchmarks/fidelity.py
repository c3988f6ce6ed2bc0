"""Compare what a pressed vocabulary's rows start from, and what fills it, by fidelity before training.

    python benchmarks/fidelity.py ../shared/corpus [--work runs/benchmarks]

The bundled teacher (32,001 pieces) with all layers or four, pieces chosen on counted text, and the mean
cosine of student and teacher embeddings on 60 sentences each of 16 languages that were not counted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

os.environ |= {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from babelpress.recipe import KeptRows, NewRows, StudentSection, VocabularyMethod, VocabularyObjective
from babelpress.student.build import press_student
from babelpress.student.layers import LayerPlan
from babelpress.student.rows import Spelling
from babelpress.teacher import Teacher, read_teacher
from babelpress.utils.tokenizer import open_tokenizer
from babelpress.vocabulary import bpe, lexicon
from babelpress.vocabulary.alphabet import alphabet
from babelpress.vocabulary.choose import plan_vocabulary, spell_dropped
from babelpress.vocabulary.count import PieceCounts, count_pieces
from babelpress.vocabulary.tokenizer_file import TokenizerFile, read_tokenizer_file
from benchmarks.text import LANGUAGES, batches, split_folder

SENTENCES = 60
ALL = tuple(range(12))
FOUR = (0, 4, 7, 11)


def sample(path: Path) -> list[str]:
    found: dict[str, list[str]] = {code: [] for code in LANGUAGES}
    for texts, languages in batches(path):
        for text, language in zip(texts, languages, strict=True):
            if len(found[language]) < SENTENCES:
                found[language].append(text)
        if all(len(texts) == SENTENCES for texts in found.values()):
            break
    return [text for texts in found.values() for text in texts]


def encode(folder: Path, texts: list[str]) -> np.ndarray:
    from babelpress.architectures.encoders import load_encoder

    logging.disable(logging.WARNING)
    return load_encoder(folder).encode(texts, batch_size=64, normalize_embeddings=True)


class Bench:
    def __init__(self, teacher: Teacher, file: TokenizerFile, counts: PieceCounts, texts: list[str]) -> None:
        self.teacher, self.file, self.counts, self.texts = teacher, file, counts, texts
        self.target = encode(teacher.folder, texts)
        self.letters = alphabet(LANGUAGES, file)

    def row(
        self, name: str, *, size: int, layers: tuple[int, ...], settings: StudentSection | None = None,
        changed: float = lexicon.CHANGED, **options: object,
    ) -> None:  # fmt: skip
        settings = settings or StudentSection()
        lexicon.CHANGED = bpe.CHANGED = changed
        plan = plan_vocabulary(
            self.file, self.counts, method=VocabularyMethod.BUDGET, size=size, characters=self.letters, **options
        )
        spelling = None
        if settings.kept_rows is KeptRows.FITTED:
            spelling = Spelling(*spell_dropped(self.file, plan, self.counts, language_exponent=0.3))
        with tempfile.TemporaryDirectory() as name_of_folder:
            folder = Path(name_of_folder)
            press_student(
                self.teacher, folder, layers=LayerPlan(layers, 12, "given"), vocabulary=plan, settings=settings,
                spelling=spelling, seed=20,
            )  # fmt: skip
            ids = [found.ids for found in open_tokenizer(folder / "tokenizer.json").encode_batch_fast(self.texts)]
            cosine = (encode(folder, self.texts) * self.target).sum(axis=1)
        in_bytes = np.array([max(found) >= len(plan.kept) for found in ids])
        with_bytes = f"{cosine[in_bytes].mean():.4f} ({in_bytes.sum()})" if in_bytes.any() else ""
        tokens = np.mean([len(found) for found in ids])
        print(
            f"| {name} | {cosine.mean():.4f} | {np.percentile(cosine, 5):.4f} | {with_bytes} | {tokens:.1f} |",
            flush=True,
        )


def head(title: str) -> None:
    print(f"\n### {title}\n\n| | mean cosine | 5th percentile | of sentences with bytes | tokens |")
    print("| --- | ---: | ---: | ---: | ---: |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    text = split_folder(arguments.corpus, arguments.work)
    teacher = read_teacher("bundled")
    file = read_tokenizer_file(teacher.folder / "tokenizer.json")
    cache = arguments.work / "embedded-count.npz"
    if not cache.is_file():
        count_pieces(file, batches(text["count"])).save(cache)
    bench = Bench(teacher, file, PieceCounts.load(cache), sample(text["report"]))
    for layers, size in ((ALL, 8000), (FOUR, 8000), (ALL, 16000)):
        head(f"Rows, {size:,} of 32,064, {len(layers)} layers, no room for characters")
        for new in NewRows:
            for kept in KeptRows:
                settings = StudentSection(new_rows=new, kept_rows=kept)
                name = f"new rows: {new}; kept rows: {kept}"
                bench.row(name, size=size, layers=layers, settings=settings, character_share=0.0)
    for size in (8000, 16000):
        head(f"What fills {size:,} rows, 12 layers")
        bench.row("frequency", size=size, layers=ALL, objective=VocabularyObjective.FREQUENCY, character_share=0.0)
        for changed in (0.0, 1.0, 2.0):
            name = f"fertility, a changed token costs {changed:g}"
            bench.row(name, size=size, layers=ALL, character_share=0.0, changed=changed)
        for share in (0.2, 0.4, 0.6):
            name = f"fertility, characters in {share:.0%} of the room"
            bench.row(name, size=size, layers=ALL, character_share=share)


if __name__ == "__main__":
    main()
