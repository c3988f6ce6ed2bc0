"""The teacher's embeddings of a corpus: computed once, fp16, in shards that every run of the same key shares.

The key is made of all that the values depend on: the teacher's weights, the corpus, and the rules by which
rows become texts. A shard is whole or absent; what is done of one that is being made is kept beside it (`parts.py`),
so that whatever is killed loses minutes of work. Of several processes each makes its own shards. Rows keep the
corpus's order; within a shard, texts are encoded by length, so that nothing is spent on padding.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from babelpress.architectures.encoders import load_encoder
from babelpress.architectures.packed import pack
from babelpress.architectures.padded import open_encoder
from babelpress.corpus.build import count_rows
from babelpress.corpus.sentence import Split
from babelpress.distillation.parts import Part, Values, find_part, part_path
from babelpress.distillation.precision import bf16_is_fast
from babelpress.distillation.shards import Tensors, facts_of, fault_of, open_shard, write_shard
from babelpress.distillation.texts import SHARD_ROWS, Cut, TextRules, TextShard, cut_shard, read_shards
from babelpress.errors import TrainingError
from babelpress.recipe import TargetPrecision
from babelpress.teacher import Teacher
from babelpress.utils import processes
from babelpress.utils.files import hash_json, hold, remove_leftovers
from babelpress.utils.progress import bar
from babelpress.utils.tokenizer import open_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenizers import Tokenizer

logger = logging.getLogger(__name__)

# Mean cosine of bf16 and fp32 embeddings below which the recipe's `auto` stays with fp32.
FAITHFUL = 0.9999
_SAMPLE = 256
SPLITS = (Split.TRAIN, Split.VALIDATION)
# Tokens that the teacher sees at a time: enough to fill the hardware, little enough for its caches.
_CPU_TOKENS, _GPU_TOKENS = 4096, 131_072


@dataclass(frozen=True)
class TargetsSpec:
    """What targets are of: everything their values depend on, and how many are wanted.

    With `sentences`, only those shards of the train split are wanted that hold its first so many rows. They are the
    whole corpus's shards, so that a run on fewer sentences shares them with a run on all.
    """

    teacher: Teacher
    corpus: Path
    corpus_hash: str
    rules: TextRules
    layers: tuple[int, ...] = ()  # whose mean hidden states are kept as well
    precision: TargetPrecision = TargetPrecision.AUTO
    sentences: int | None = None  # no part of the key

    @property
    def key(self) -> str:
        """Return the name under which these targets are shared."""
        return hash_json({
            "teacher": self.teacher.fingerprint,
            "corpus": self.corpus_hash,
            "texts": self.rules.key(),
            "layers": list(self.layers),
            "precision": str(self.precision),
            "format": 1,
        })  # fmt: skip

    def shard_key(self, split: Split, number: int) -> str:
        """Return what a shard carries, so that it is known where it belongs."""
        return f"{self.key}/{split.value}/{number}"

    def rows(self, split: Split) -> int:
        """Return the rows of a split's shards: its sentences or, with `sentences`, as many and the rest of a shard."""
        return sum(self.shards(split))

    def shards(self, split: Split) -> list[int]:
        """Return the rows of each shard of a split that is wanted."""
        rows = count_rows(self.corpus, split)
        wanted = rows if self.sentences is None or split is not Split.TRAIN else min(rows, self.sentences)
        return [min(SHARD_ROWS, rows - first) for first in range(0, wanted, SHARD_ROWS)]


@dataclass(frozen=True)
class Targets:
    """Memory-mapped targets of one split: row i belongs to sentence i of the corpus.

    Shards hold `embeddings` (fp16, normalised), `ends` (how many characters of the row's text the teacher saw)
    and, where they are wanted, `hidden` (fp16, shape (rows, layers, width)).
    """

    shards: tuple[Tensors, ...]

    @property
    def rows(self) -> int:
        """Return the number of sentences."""
        return sum(len(shard["embeddings"]) for shard in self.shards)

    @property
    def dimensions(self) -> int:
        """Return the width of the embeddings."""
        return int(self.shards[0]["embeddings"].shape[1])

    @property
    def hidden_width(self) -> int:
        """Return the width of the hidden states, 0 when there are none."""
        return int(self.shards[0]["hidden"].shape[2]) if "hidden" in self.shards[0] else 0

    def ends(self, number: int) -> NDArray[np.int32]:
        """Return where the texts of a shard were cut, in characters."""
        return self.shards[number]["ends"].numpy()

    def gather(self, rows: NDArray[np.int64], *, name: str = "embeddings") -> torch.Tensor:
        """Return the values of some rows, fp16, shape (len(rows), ...)."""
        first = self.shards[0][name]
        result = np.empty((len(rows), *first.shape[1:]), dtype=np.float16)
        shard, place = np.divmod(rows, SHARD_ROWS)
        for number in np.unique(shard):
            chosen = shard == number
            result[chosen] = self.shards[number][name].numpy()[place[chosen]]
        return torch.from_numpy(result)

    def sample(self) -> torch.Tensor:
        """Return the embeddings of the first shard's sentences, fp16, shape (sentences, dimensions)."""
        return self.shards[0]["embeddings"]


def compute_targets(spec: TargetsSpec, folder: Path) -> dict[str, str]:
    """Write the targets of the train and validation splits; whole shards that are there are kept.

    Each process does its share. Returns the number format of the first shard and, for bf16, its mean cosine to
    fp32 on a sample; the same in every process. Raises TrainingError when the teacher gives something that is not a
    finite number.
    """
    check_length(spec.teacher, spec.rules)
    folder.mkdir(parents=True, exist_ok=True)
    with hold(folder.with_name(f"{folder.name}.lock"), wait=True) if processes.is_main() else nullcontext():
        if processes.is_main():
            remove_leftovers(folder)
        missing = processes.from_main(_missing(spec, folder) if processes.is_main() else {})
        _make(spec, folder, missing)
        processes.wait()
    first = next(iter(sorted(folder.glob("*.safetensors"))), None)
    facts = facts_of(first) if first else {}
    return {name: facts[name] for name in ("precision", "fidelity") if name in facts}


def _make(spec: TargetsSpec, folder: Path, missing: dict[Split, list[int]]) -> None:
    """Do this process's share of the missing shards."""
    if any(missing.values()):
        encoder = _Encoder(spec)
        told = processes.from_main(encoder.choose(spec.precision) if processes.is_main() else {})
        encoder.use(told["precision"])
        parts = {
            (split, shard): find_part(
                shard_path(folder, split, shard), key=spec.shard_key(split, shard), precision=told["precision"]
            )
            for split, shard in processes.share((split, shard) for split in SPLITS for shard in missing[split])
        }
        sizes = {split: spec.shards(split) for split in SPLITS}
        total = sum(sizes[split][shard] for split, shard in parts)
        start = sum(part.done for part in parts.values())
        with bar("targets: teacher", total=total, unit="sentences", start=start) as advance:
            for split in SPLITS:
                end = max((shard + 1 for of, shard in parts if of is split), default=0)
                for shard in islice(read_shards(spec.corpus, split, spec.rules), end):
                    if (split, shard.number) in parts:
                        part = parts[split, shard.number]
                        tensors = encoder.encode(shard, advance, part)
                        path = shard_path(folder, split, shard.number)
                        key = spec.shard_key(split, shard.number)
                        write_shard(path, tensors, key=key, rows=len(shard.texts), more=told)
                        part.path.unlink(missing_ok=True)


def check_length(teacher: Teacher, rules: TextRules) -> None:
    """Raise TrainingError when texts would be longer than the teacher reads."""
    name = "long_length" if rules.long_length else "max_length"
    if rules.longest > teacher.max_length:
        raise TrainingError(
            f"distillation.{name} is {rules.longest}, but {teacher.name} takes {teacher.max_length} tokens at most"
        )


def open_targets(spec: TargetsSpec, folder: Path, split: Split) -> Targets:
    """Open the targets of a split. Raises TrainingError when a shard is missing or of other data."""
    sizes = spec.shards(split)
    paths = [shard_path(folder, split, number) for number in range(len(sizes))]
    for number, (path, rows) in enumerate(zip(paths, sizes, strict=True)):
        fault = fault_of(path, key=spec.shard_key(split, number), rows=rows, whole=False)
        if fault:
            raise TrainingError(f"{path} is {fault}; remove it and run the same command again")
    if not paths:
        raise TrainingError(f"the corpus has no {split.value} sentences to learn from")
    targets = Targets(tuple(open_shard(path) for path in paths))
    for path, shard in zip(paths, targets.shards, strict=True):
        if shard["embeddings"].dtype is not torch.float16 or shard["embeddings"].shape[1] != targets.dimensions:
            raise TrainingError(
                f"{path} holds {shard['embeddings'].dtype} of {shard['embeddings'].shape[1]} dimensions, wanted is "
                f"float16 of {targets.dimensions}; remove it and run the same command again"
            )
    return targets


def shard_path(folder: Path, split: Split, number: int) -> Path:
    """Return where a shard lies."""
    return folder / f"{split.value}-{number:05d}.safetensors"


def all_there(spec: TargetsSpec, folder: Path) -> bool:
    """Tell whether every shard is there; damage inside one is not looked for."""
    return all(
        fault_of(shard_path(folder, split, number), key=spec.shard_key(split, number), rows=rows, whole=False) is None
        for split in SPLITS
        for number, rows in enumerate(spec.shards(split))
    )


def describe_shards(spec: TargetsSpec, folder: Path) -> dict[str, Any]:
    """Return the rows and the checksum of every shard, by its name."""
    paths = [shard_path(folder, split, number) for split in SPLITS for number in range(len(spec.shards(split)))]
    return {path.name: facts_of(path) for path in paths}


def _missing(spec: TargetsSpec, folder: Path) -> dict[Split, list[int]]:
    """Return the shards that have to be made, having read those that are there."""
    missing: dict[Split, list[int]] = {split: [] for split in SPLITS}
    every = [(split, number, rows) for split in SPLITS for number, rows in enumerate(spec.shards(split))]
    with bar("targets: checking", total=len(every), unit="shards") as advance:
        for split, number, rows in every:
            path = shard_path(folder, split, number)
            fault = fault_of(path, key=spec.shard_key(split, number), rows=rows)
            if fault:
                missing[split].append(number)
            else:
                part_path(path).unlink(missing_ok=True)  # a kill may have come before it was removed
            if fault and fault != "missing":
                logger.warning("%s is %s; it is made again", path, fault)
            advance()
    return missing


class _Encoder:
    """The teacher at work."""

    def __init__(self, spec: TargetsSpec) -> None:
        self._spec = spec
        self._tokenizer: Tokenizer = open_tokenizer(spec.teacher.folder / "tokenizer.json")
        self._model = load_encoder(
            spec.teacher.folder, trust_remote_code=spec.teacher.trust_remote_code, device=processes.device()
        )
        self._device = next(self._model.parameters()).device
        self._encoder = open_encoder(self._model)

    def use(self, precision: str) -> None:
        """Set the number format of the matrix products."""
        self._encoder = open_encoder(self._model, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)

    def choose(self, wanted: TargetPrecision) -> dict[str, str]:
        """Return the number format, and how faithful bf16 is to fp32 on a sample, where that was measured."""
        if wanted is TargetPrecision.FP32 or (wanted is TargetPrecision.AUTO and not bf16_is_fast(self._device)):
            return {"precision": "fp32"}
        shard = next(chain(*(read_shards(self._spec.corpus, split, self._spec.rules) for split in SPLITS)))
        sample = TextShard(0, shard.texts[:_SAMPLE], shard.limits[:_SAMPLE])
        exact = self.encode(sample, lambda count: None)["embeddings"].float()
        self.use("bf16")
        rounded = self.encode(sample, lambda count: None)["embeddings"].float()
        fidelity = float(torch.nn.functional.cosine_similarity(exact, rounded).mean())
        if fidelity < FAITHFUL and wanted is TargetPrecision.BF16:
            logger.warning("bf16 targets have a cosine of %.5f to fp32 ones; the recipe asks for them", fidelity)
        faithful = fidelity >= FAITHFUL or wanted is TargetPrecision.BF16
        return {"precision": "bf16" if faithful else "fp32", "fidelity": f"{fidelity:.7f}"}

    def encode(self, shard: TextShard, advance: Callable[[int], None], part: Part | None = None) -> Tensors:
        """Return the tensors of a shard, of which a part may be done already."""
        cuts = cut_shard(self._tokenizer, shard)
        order = np.argsort([len(cut.ids) for cut in cuts], kind="stable")
        values: Values = part.begin(order) if part else {}
        at, done = 0, part.done if part else 0
        for rows in token_batches(order, cuts, tokens=_GPU_TOKENS if self._device.type == "cuda" else _CPU_TOKENS):
            at += len(rows)
            if at <= done:
                continue
            with torch.inference_mode():
                found = self._embed([cuts[row].ids for row in rows])
            for name, tensor in found.items():
                if not torch.isfinite(tensor).all():
                    raise TrainingError(
                        f"the teacher gives NaN or infinity for a batch with {shard.texts[rows[0]]!r}; "
                        "it cannot be learned from"
                    )
                place = values.setdefault(name, np.empty((len(cuts), *tensor.shape[1:]), dtype=np.float16))
                place[rows] = tensor.half().cpu().numpy()
            advance(len(rows))
            if part and at < len(order):
                part.save(values, order[:at])
        ends = np.array([cut.end for cut in cuts], dtype=np.int32)
        return {"ends": torch.from_numpy(ends), **{name: torch.from_numpy(array) for name, array in values.items()}}

    def _embed(self, sentences: list[list[int]]) -> Tensors:
        """Embed sentences in order of their length."""
        packed = pack(sentences)[0].to(self._device)
        if not self._spec.layers:
            return {"embeddings": torch.nn.functional.normalize(self._encoder(packed), dim=1)}
        embeddings, hidden = self._encoder.forward_layers(packed, layers=self._spec.layers)
        return {"embeddings": torch.nn.functional.normalize(embeddings, dim=1), "hidden": hidden.transpose(0, 1)}


def token_batches(order: NDArray[np.int64], cuts: list[Cut], *, tokens: int) -> list[NDArray[np.int64]]:
    """Cut rows, in order, into batches of so many tokens; a longer text is a batch of its own."""
    lengths = np.cumsum([len(cuts[row].ids) for row in order])
    bins = (lengths - 1) // tokens
    return np.split(order, np.flatnonzero(np.diff(bins)) + 1)
