"""What the tests of checks share: a student that is right in every file, and ways to break one."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.tiny import XLMR_CONFIG, make_teacher, tokenizer_json, words

BYTES = [f"<0x{value:02X}>" for value in range(256)]
GUARD = {"type": "Split", "pattern": {"Regex": "<(?=0x[0-9A-F]{2}>)"}, "behavior": "Isolated", "invert": False}


def student_tokenizer(count: int = 400) -> dict:
    """The tiny teacher's tokenizer with fewer pieces and byte fallback, made by hand (docs/pitfalls.md, A1-A5)."""
    kept = list(words(600))[:count]
    lowest = min(score for _, score in words(600))
    result = copy.deepcopy(tokenizer_json([*kept, *((piece, lowest) for piece in BYTES)]))
    result["model"]["byte_fallback"] = True
    result["pre_tokenizer"]["pretokenizers"].append(GUARD)
    result["decoder"] = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, result["decoder"]]}
    return result


def make_student(folder: Path, *, layers: int = 2) -> Path:
    """A folder that passes: its weights are random, its files agree."""
    roles = {**XLMR_CONFIG, "tokenizer_class": "PreTrainedTokenizerFast"}
    return make_teacher(
        folder, layers=layers, tokenizer=student_tokenizer(), tokenizer_config=roles, spare_rows=0, pad_in_config=1
    )


def break_json(good: Path, target: Path, name: str, change: Callable[[dict], None]) -> Path:
    """Copy a folder and change one of its JSON files."""
    shutil.copytree(good, target)
    value = json.loads((target / name).read_text(encoding="utf-8"))
    change(value)
    (target / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return target
