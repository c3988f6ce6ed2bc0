"""Press: gather the kept rows and layers of a teacher into a student folder."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babelpress.files import read_json, write_json, write_text
from babelpress.recipe import Pooler
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
from babelpress.teacher import Teacher
from babelpress.tensors import Checkpoint, open_checkpoint, save_tensors
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.surgery import rewrite_tokenizer

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)")


def press_student(
    teacher: Teacher,
    folder: Path,
    *,
    layers: LayerPlan,
    vocabulary: VocabularyPlan,
    pooler: Pooler,
    seed: int,
) -> None:
    """Write the pressed student: a plain SentenceTransformer folder, fp32 safetensors.

    Only the kept rows and layers are read. `folder` must exist.
    """
    weights = press_weights(
        open_checkpoint(teacher.folder),
        prefix=teacher.prefix,
        layers=layers,
        vocabulary=vocabulary,
        pooler=pooler,
        seed=seed,
    )
    save_tensors(folder / "model.safetensors", weights)
    has_pooler = any(name.startswith("pooler.") for name in weights)
    write_student_files(teacher, folder, layers=layers, vocabulary=vocabulary, has_pooler=has_pooler)


def replace_weights(pressed: Path, trained: Path, target: Path) -> None:
    """Write the pressed student's tensors, trained ones in place of those that were trained."""
    from safetensors.numpy import load_file

    weights = load_file(pressed / "model.safetensors")
    save_tensors(target, weights | load_file(trained))


def press_weights(
    checkpoint: Checkpoint,
    *,
    prefix: str,
    layers: LayerPlan,
    vocabulary: VocabularyPlan,
    pooler: Pooler,
    seed: int,
) -> dict[str, NDArray[np.float32]]:
    """Return the student's tensors by their bare names (no `bert.` before them)."""
    kept = np.array(vocabulary.kept, dtype=np.int64)
    rows = checkpoint.read(prefix + WORD_EMBEDDINGS, rows=kept)
    weights = {WORD_EMBEDDINGS: np.concatenate([rows, new_rows(rows, len(vocabulary.new_pieces), seed=seed)])}
    place = {old: new for new, old in enumerate(layers.kept)}
    for name in checkpoint.names():
        bare = name.removeprefix(prefix)
        if not name.startswith(prefix) or bare == WORD_EMBEDDINGS or "position_ids" in bare:
            continue
        if match := _LAYER.fullmatch(bare):
            if (old := int(match.group(1))) in place:
                weights[f"encoder.layer.{place[old]}.{match.group(2)}"] = checkpoint.read(name)
        elif bare.startswith("embeddings.") or (bare.startswith("pooler.") and pooler is Pooler.KEEP):
            weights[bare] = checkpoint.read(name)
    return weights


def new_rows(rows: NDArray[np.float32], count: int, *, seed: int) -> NDArray[np.float32]:
    """Return `count` rows near the mean of the kept ones: mean + 0.1 std noise.

    This is what the reference student does (`prepare_me5s_v3.py` of gomyk/SmallLanguageModels).
    """
    noise = np.random.default_rng(seed).standard_normal((count, rows.shape[1]), dtype=np.float32)
    return rows.mean(axis=0) + np.float32(0.1) * rows.std(axis=0) * noise


def write_student_files(
    teacher: Teacher, folder: Path, *, layers: LayerPlan, vocabulary: VocabularyPlan, has_pooler: bool
) -> None:
    """Write everything but the weights: tokenizer, configs, pooling, prompts, further modules."""
    source = teacher.folder
    tokenizer = read_json(source / "tokenizer.json")
    rewritten = rewrite_tokenizer(tokenizer, vocabulary)
    own_config = read_json(source / "tokenizer_config.json") if (source / "tokenizer_config.json").is_file() else {}
    tokens = special_tokens_map(rewritten, own_config)
    write_text(folder / "tokenizer.json", compact_tokenizer(rewritten))
    write_json(folder / "tokenizer_config.json", tokenizer_config(tokens, max_length=teacher.max_length))
    write_json(folder / "special_tokens_map.json", tokens)
    config = student_config(
        read_json(source / "config.json"),
        tokenizer=rewritten,
        tokens=tokens,
        layers=len(layers.kept),
        rows=vocabulary.rows,
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


def compact_tokenizer(tokenizer: dict[str, object]) -> str:
    """Return a tokenizer.json's text as the tokenizers library writes it, so that a save changes nothing."""
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps(tokenizer, ensure_ascii=False)).to_str(pretty=True)
