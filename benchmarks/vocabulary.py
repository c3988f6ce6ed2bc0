"""Compare ways to choose a vocabulary: how long text becomes, and how much of it is bytes.

    python benchmarks/vocabulary.py ../shared/corpus [--work runs/benchmarks]

Two fifths of the text train a teacher's tokenizer (Unigram, 250,001 pieces, XLM-R layout), two fifths are
counted, and the figures are those of the last fifth, which neither has seen. Beside the choices stands what
no pruning can beat by much: a SentencePiece vocabulary of the same size, trained afresh on the counted text.
The tables of docs/vocabulary.md are what this prints.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from babelpress.recipe import VocabularyMethod, VocabularyObjective
from babelpress.vocabulary.alphabet import alphabet
from babelpress.vocabulary.choose import plan_vocabulary
from babelpress.vocabulary.count import PieceCounts, count_pieces
from babelpress.vocabulary.fertility import LanguageFertility, compare_counts
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.surgery import rewrite_tokenizer
from babelpress.vocabulary.tokenizer_file import TokenizerFile, parse_tokenizer, read_tokenizer_file
from benchmarks.text import LANGUAGES, batches, split_folder
from benchmarks.tokenizers_250k import train_unigram

PIECES = 250_001
SIZES = (8_000, 15_424, 32_000)
PLAIN = {"objective": VocabularyObjective.FREQUENCY, "language_exponent": 1.0, "character_share": 0.0}
_PLAIN = "plain global frequency"
_DEFAULT = "fertility, characters in 20 % of the room (default)"
_SIXTY = "fertility, characters in 60 % of the room"
WAYS = {
    _PLAIN: (PLAIN, False),
    "languages balanced": ({**PLAIN, "language_exponent": 0.3}, False),
    "... and the alphabet": ({**PLAIN, "language_exponent": 0.3}, True),
    "fertility": ({"character_share": 0.0}, True),
    "fertility, every language alike": ({"character_share": 0.0, "language_exponent": 0.0}, True),
    _DEFAULT: ({}, True),
    _SIXTY: ({"character_share": 0.6}, True),
}

_HEAD = "| longer, mean | most | bytes, mean | most |"
_LINE = "| ---: | ---: | ---: | ---: |"


def counted(file: TokenizerFile, text: Path, cache: Path) -> PieceCounts:
    if not cache.is_file():
        count_pieces(file, batches(text)).save(cache)
    return PieceCounts.load(cache)


def row(name: str, found: dict[str, LanguageFertility]) -> str:
    ratios = {code: found[code].ratio for code in LANGUAGES}
    rates = {code: found[code].byte_rate for code in LANGUAGES}
    longest, most = max(ratios, key=ratios.__getitem__), max(rates, key=rates.__getitem__)
    return (
        f"| {name} | {100 * statistics.mean(ratios.values()) - 100:.1f} % "
        f"| {100 * ratios[longest] - 100:.1f} % ({longest}) | {100 * statistics.mean(rates.values()):.3f} % "
        f"| {100 * rates[most]:.3f} % ({most}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks"))
    arguments = parser.parse_args()
    work = arguments.work
    text = split_folder(arguments.corpus, work)
    teacher = read_tokenizer_file(train_unigram(text["train"], work / "teacher.json", pieces=PIECES))
    counts = counted(teacher, text["count"], work / "teacher-count.npz")
    theirs = counted(teacher, text["report"], work / "teacher-report.npz")
    letters = alphabet(LANGUAGES, teacher)

    def measure(**options: object) -> dict[str, LanguageFertility]:
        plan = plans[options.get("size"), options.get("character_share")] = plan_vocabulary(teacher, counts, **options)
        started = time.process_time()
        rewritten = rewrite_tokenizer(teacher, plan)
        seconds.append(time.process_time() - started)
        student = parse_tokenizer(rewritten)
        found = compare_counts(theirs, count_pieces(student, batches(text["report"])), teacher=teacher, student=student)
        rows.append(plan.rows)
        return found

    plans: dict[tuple[object, object], VocabularyPlan] = {}
    seconds: list[float] = []
    rows: list[int] = []
    shown: dict[str, dict[str, LanguageFertility]] = {}
    for size in SIZES:
        print(f"\n### {size:,} rows\n\n| choice {_HEAD}\n| --- {_LINE}")
        for name, (options, letters_too) in WAYS.items():
            found = measure(
                method=VocabularyMethod.BUDGET, size=size, characters=letters if letters_too else None, **options
            )
            print(row(name, found), flush=True)
            if size == 15_424:
                shown[name] = found
        fresh = read_tokenizer_file(train_unigram(text["count"], work / f"fresh-{size}.json", pieces=size - 256))
        ours = count_pieces(fresh, batches(text["report"]))
        print(row("(trained afresh)", compare_counts(theirs, ours, teacher=teacher, student=fresh)))
    print(f"\n### Other amounts\n\n| rows | asked for {_HEAD}\n| ---: | --- {_LINE}")
    for asked in (64_000, 96_000, 128_000):
        found = measure(method=VocabularyMethod.BUDGET, size=asked, characters=letters)
        print(f"| {rows[-1]:,} " + row(f"size {asked:,}", found), flush=True)
    for share in (0.9, 0.99):
        found = measure(method=VocabularyMethod.COVERAGE, coverage=share, characters=letters)
        print(f"| {rows[-1]:,} " + row(f"coverage {share}", found), flush=True)
    found = measure(method=VocabularyMethod.SEEN, characters=letters)
    print(f"| {rows[-1]:,} " + row("seen", found), flush=True)
    print("\n### Per language at 15,424 rows\n")
    print("| | teacher | plain | default | 60 % characters | bytes: plain | default | 60 % | unknown to the teacher |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    columns = [shown[name] for name in (_PLAIN, _DEFAULT, _SIXTY)]
    for code in LANGUAGES:
        longer = " | ".join(f"+{100 * found[code].ratio - 100:.0f} %" for found in columns)
        in_bytes = " | ".join(f"{100 * found[code].byte_rate:.3f} %" for found in columns)
        own = columns[0][code]
        print(f"| {code} | {own.teacher:.1f} | {longer} | {in_bytes} | {100 * own.unknown_to_teacher:.3f} % |")
    more = {code: found.characters_more for code, found in plans[15_424, 0.6].languages.items()}
    told = ", ".join(f"{code} {number:,}" for code, number in more.items() if number)
    print(f"\nCharacters that 60 % of the room leaves out and the byte rate would take: {told or 'none'}.")
    print(f"The rewrite of {PIECES:,} pieces takes {max(seconds):.2f} CPU-seconds at most.")


if __name__ == "__main__":
    main()
