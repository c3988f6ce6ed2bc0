"""Write exports of a student folder, each with its parity; one that does not reach the floor is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from babelpress.architectures.encoders import load_encoder
from babelpress.errors import ExportError
from babelpress.exports.index import drop_exports_of_others, keep_exports, read_exports
from babelpress.exports.parity import encode_all, measure_parity
from babelpress.schema.exports import Export, Floor, FloorError, Missed, Parity
from babelpress.schema.formats import Format
from babelpress.schema.model_files import hash_model
from babelpress.utils.files import remove_leftovers, replace_file

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Scorer = Callable[["SentenceTransformer", "Path | None"], Mapping[str, float]]


@dataclass(frozen=True)
class Exported:
    """What became of the formats that were asked for."""

    written: tuple[Export, ...]
    missed: tuple[Missed, ...]


def export_student(
    folder: Path, formats: Sequence[Format], *, texts: Mapping[str, list[str]], scorer: Scorer,
    scores: Mapping[str, float] | None = None, floor: Floor | None = None, into: Path | None = None,
) -> Exported:  # fmt: skip
    """Export a student folder, format by format, into `into` (the folder itself unless given).

    `texts` by language are what embeddings are compared on; `scorer` returns the scores in percent of the student
    (None) or of an export's file, `scores` are the student's where they are known. An export below the `floor` is not
    written, and the others are; without one, whatever comes out is written. Exports of what the folder held before are
    removed. Raises ExportError for a student that cannot be exported at all.
    """
    for chosen in formats:
        chosen.check_packages()
    target = into or folder
    identity = hash_model(folder)
    read_exports(target)  # a damaged index is refused before any work
    writers = {chosen.writer: chosen.open_writer(folder) for chosen in formats}
    student = load_encoder(folder, device="cpu")
    for name, writer in writers.items():
        writer.prepare(student, [chosen for chosen in formats if chosen.writer == name])
    vectors = encode_all(student, texts, label="export: the student")
    if not all(np.isfinite(some).all() for some in vectors.values()):
        raise ExportError(f"{folder} gives vectors that are not numbers (NaN); the student itself is broken")
    scores = scorer(student, None) if scores is None else scores
    for place in {chosen.folder for chosen in formats}:
        if (target / place).is_dir():
            remove_leftovers(target / place, busy=True)
    drop_exports_of_others(target, identity)
    written: list[Export] = []
    missed: list[Missed] = []
    for chosen in formats:
        parity: list[Parity] = []

        def make(file: Path, chosen: Format = chosen, parity: list[Parity] = parity) -> None:
            writer = writers[chosen.writer]
            writer.write(chosen, file)
            exported = writer.open(file)
            close = measure_parity(vectors, encode_all(exported, texts, label=f"export: {chosen.name}"))
            _refuse(chosen, file, close, floor)  # before the tasks, which may take hours
            after = scorer(exported, file)
            parity.append(replace(close, lost={name: score - after[name] for name, score in scores.items()}))
            _refuse(chosen, file, parity[0], floor)

        try:
            replace_file(target / chosen.file, make)
        except FloorError as error:
            missed += error.missed
            continue
        size = (target / chosen.file).stat().st_size
        written.append(Export(chosen.name, chosen.file, size, parity[0], identity))
        keep_exports(target, written)
    return Exported(tuple(written), tuple(missed))


def _refuse(chosen: Format, file: Path, found: Parity, floor: Floor | None) -> None:
    if floor and (faults := floor.faults(found)):
        raise FloorError([Missed(chosen.name, chosen.file, file.stat().st_size, found, tuple(faults))])
