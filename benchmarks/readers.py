"""Let every reader encode the same text with one student, and print how far each is from sentence-transformers 6.

    make readers
    python benchmarks/readers.py [FOLDER]

FOLDER is a student with the exports onnx and onnx-int8; without one, that of the tests is made: the embedded
teacher's first and last layer over 8,000 rows. A reader whose environment is not there is left out, and that is said.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ |= {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from babelpress.checks.golden import Golden, make_golden
from tests.readers.reading import (
    LONG,
    OUTSIDE,
    READERS,
    REFERENCE,
    UNKNOWN,
    Answer,
    Reader,
    alone,
    ask,
    batches,
    farthest,
    languages,
    make_student,
    spelled_in_bytes,
)

HEAD = "| reader | versions | weights | sentences | largest difference | alone | 512 tokens | unknown characters |"


def row(reader: Reader, answer: Answer, reference: Answer, golden: Golden) -> str:
    """Return a line of the table; a reader without byte fallback is compared on texts that need none."""
    skip = set() if reader.has_bytes else spelled_in_bytes(reference, golden)
    padded, single = list(languages()), [alone(code) for code in languages()]
    count = sum(len(lines) for lines in languages().values()) - len({at for at in skip if at[0] in padded})
    apart = [farthest(answer, reference, names=names, skip=skip) for names in (padded, single, [LONG])]
    shown = [f"{value:.1e}" if value else "0" for value in apart]
    if (LONG, 0) in skip:
        shown[2] = "–"
    unknown = sum(golden.unk_id in ids for ids in answer.ids[UNKNOWN])
    words = "bytes" if not unknown else "`<unk>`" if unknown == len(OUTSIDE) else f"`<unk>` in {unknown}"
    versions = ", ".join(f"{name.replace('_', '-')} {answer.versions[name]}" for name in reader.packages)
    return f"| {reader.title} | {versions} | {reader.weights} | {count} | {' | '.join(shown)} | {words} |"


def without_bytes(reader: Reader, answer: Answer, reference: Answer, golden: Golden) -> str:
    """Return what becomes of the sentences that a reader has no byte pieces for."""
    padded = list(languages())
    hidden = {at for at in spelled_in_bytes(reference, golden) if at[0] in padded}
    others = {(name, at) for name in padded for at in range(len(languages()[name]))} - hidden
    words = f"{reader.title}: {len(hidden)} sentences need byte pieces"
    return f"{words}; their vectors differ by {farthest(answer, reference, names=padded, skip=others):.2g} at most"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(sys.argv[1]) if sys.argv[1:] else make_student(Path(name) / "student")
        golden = make_golden(folder / "tokenizer.json")
        request = batches(golden)
        reference = Answer.parse(ask(READERS[REFERENCE], folder, request))
        answers: list[tuple[Reader, Answer]] = []
        print(HEAD)
        print("|" + " --- |" * (HEAD.count("|") - 1))
        for reader in READERS.values():
            if not reader.environment.is_there:
                print(f"{reader.title}: no environment {reader.environment.name}; make readers", file=sys.stderr)
                continue
            known = reader is READERS[REFERENCE]
            answers.append((reader, reference if known else Answer.parse(ask(reader, folder, request))))
            print(row(*answers[-1], reference, golden), flush=True)
    for reader, answer in answers:
        if not reader.has_bytes:
            print(without_bytes(reader, answer, reference, golden))


if __name__ == "__main__":
    main()
