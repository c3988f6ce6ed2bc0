"""Press: gather the kept rows and layers of a teacher into a student folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelpress.architectures.family import Family
from babelpress.errors import TrainingError
from babelpress.recipe import NewRows, Pooler, SpecialText, StoredAs, StudentSection
from babelpress.student.folder import (
    sentence_bert_config,
    sentence_transformers_config,
    special_tokens_map,
    student_config,
    student_modules,
    student_pooling,
    tokenizer_config,
)
from babelpress.student.layers import LayerPlan
from babelpress.student.rows import Spelling, dropped_rows, fitted_rows, noise_rows
from babelpress.teacher import Teacher
from babelpress.utils.files import read_json, write_json, write_text
from babelpress.utils.tensors import Checkpoint, open_checkpoint, save_tensors
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.surface import surface_of
from babelpress.vocabulary.surgery import rewrite_tokenizer, without_special_text
from babelpress.vocabulary.tokenizer_file import TokenizerFile, read_tokenizer_file

_SAVES = 8


def press_student(
    teacher: Teacher,
    folder: Path,
    *,
    layers: LayerPlan,
    vocabulary: VocabularyPlan,
    settings: StudentSection,
    special_text: SpecialText = SpecialText.AS_TEACHER,
    spelling: Spelling | None = None,
    seed: int,
) -> None:
    """Write the pruned student: a plain SentenceTransformer folder, fp32 safetensors.

    Only the kept rows and layers are read, and the rows of dropped characters; with `spelling`, to which
    the rows are fitted, those of dropped pieces, too. `folder` must exist.
    """
    tokenizer = read_tokenizer_file(teacher.folder / "tokenizer.json")
    weights = press_weights(
        open_checkpoint(teacher.folder), tokenizer, family=teacher.family, prefix=teacher.prefix, layers=layers,
        vocabulary=vocabulary, settings=settings, spelling=spelling, seed=seed,
    )  # fmt: skip
    save_tensors(folder / "model.safetensors", weights)
    write_student_files(
        teacher, folder, tokenizer=rewrite_tokenizer(tokenizer, vocabulary), layers=layers, rows=vocabulary.rows,
        has_pooler=any(map(teacher.family.is_optional, weights)), special_text=special_text,
    )  # fmt: skip


def replace_weights(pruned: Path, trained: Path, target: Path, *, stored_as: StoredAs = StoredAs.FP32) -> None:
    """Write the pruned student's tensors, trained ones in place of those that were trained.

    Raises TrainingError for a weight that fp16 has no number for, where that is asked for.
    """
    from safetensors.numpy import load_file

    weights = load_file(pruned / "model.safetensors") | load_file(trained)
    if stored_as is StoredAs.FP16:
        largest = float(np.finfo(np.float16).max)
        for name, tensor in weights.items():
            if np.abs(tensor).max(initial=0.0) > largest:
                raise TrainingError(
                    f"{name} has a weight of {np.abs(tensor).max():.4g}, fp16 ends at {largest:.0f}; set "
                    "student.stored_as to fp32"
                )
            weights[name] = tensor.astype(np.float16)
    save_tensors(target, weights)


def press_weights(
    checkpoint: Checkpoint,
    tokenizer: TokenizerFile,
    *,
    family: Family,
    prefix: str,
    layers: LayerPlan,
    vocabulary: VocabularyPlan,
    settings: StudentSection,
    spelling: Spelling | None = None,
    seed: int,
) -> dict[str, NDArray[np.float32]]:
    """Return the student's tensors by their bare names (without `prefix`)."""
    matrix = prefix + family.embeddings
    rows = checkpoint.read(matrix, rows=np.array(vocabulary.kept, dtype=np.int64))
    if settings.new_rows is NewRows.DROPPED:
        ids, surface = vocabulary.dropped.ids, surface_of(tokenizer)
        new = dropped_rows(
            rows, vocabulary.new_pieces, dropped=checkpoint.read(matrix, rows=np.array(ids, dtype=np.int64)),
            texts=[surface(tokenizer.pieces[number]) or "" for number in ids],
            shares=vocabulary.dropped.shares, seed=seed,
        )  # fmt: skip
    else:
        new = noise_rows(rows, len(vocabulary.new_pieces), seed=seed)
    split = len(vocabulary.kept) - vocabulary.behind
    rows = np.concatenate([rows[:split], new, rows[split:]])
    if spelling is not None:
        rows = fitted_rows(rows, spelling, lambda ids: checkpoint.read(matrix, rows=ids))
    weights = {family.embeddings: rows}
    place = {old: new for new, old in enumerate(layers.kept)}
    for name in checkpoint.names():
        bare = name.removeprefix(prefix)
        if not name.startswith(prefix) or bare == family.embeddings or not family.is_parameter(bare):
            continue
        if layer := family.layer_of(bare):
            number, rest = layer
            if number in place:
                weights[family.in_layer(place[number], rest)] = checkpoint.read(name)
        elif settings.pooler is Pooler.KEEP or not family.is_optional(bare):
            weights[bare] = checkpoint.read(name)
    return weights


def write_student_files(
    teacher: Teacher,
    folder: Path,
    *,
    tokenizer: dict[str, Any],
    layers: LayerPlan,
    rows: int,
    has_pooler: bool,
    special_text: SpecialText,
) -> None:
    """Write everything but the weights: tokenizer, configs, pooling, prompts, further modules."""
    source = teacher.folder
    own_config = read_json(source / "tokenizer_config.json") if (source / "tokenizer_config.json").is_file() else {}
    tokens = special_tokens_map(tokenizer, own_config)
    shipped = without_special_text(tokenizer) if special_text is SpecialText.PLAIN else tokenizer
    write_text(folder / "tokenizer.json", compact_tokenizer(shipped))
    write_json(
        folder / "tokenizer_config.json",
        tokenizer_config(
            tokens,
            own_config,
            max_length=teacher.max_length,
            special_text=special_text,
            special=[token["content"] for token in tokenizer["added_tokens"] if token.get("special")],
        ),
    )
    write_json(folder / "special_tokens_map.json", tokens)
    config = student_config(
        teacher.family,
        read_json(source / "config.json"),
        tokenizer=tokenizer,
        tokens=tokens,
        layers=len(layers.kept),
        rows=rows,
    )
    write_json(folder / "config.json", config)
    write_json(folder / "sentence_bert_config.json", sentence_bert_config(teacher, pooler=has_pooler))
    write_json(folder / "config_sentence_transformers.json", sentence_transformers_config(teacher))
    write_json(folder / "modules.json", student_modules(teacher))
    for module in teacher.modules[1:]:
        target = folder / module.path
        target.mkdir(parents=True, exist_ok=True)
        if module.kind == "Pooling":
            write_json(
                target / "config.json",
                student_pooling(teacher, read_json(source / module.path / "config.json")),
            )
        elif module.kind == "Dense":
            for name in ("config.json", "model.safetensors"):
                shutil.copyfile(source / module.path / name, target / name)


def compact_tokenizer(tokenizer: dict[str, Any]) -> str:
    """Return a tokenizer.json's text as the tokenizers library writes it, so that a save changes nothing.

    That library reads some scores off by the last bit, so its own writing of them can change once or twice
    more before it stands still.
    """
    from tokenizers import Tokenizer

    text = json.dumps(tokenizer, ensure_ascii=False)
    for _ in range(_SAVES):
        again = Tokenizer.from_str(text).to_str(pretty=True)
        if again == text:
            break
        text = again
    return text
