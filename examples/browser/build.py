"""What the page needs of a student: the int8 export with its tokenizer, and the sentences to search."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from babelpress.corpus.bundled import held_out_meanings
from babelpress.errors import BabelpressError
from babelpress.schema.exports import FLOOR, Export, Floor
from babelpress.utils.files import hash_file, hash_json, list_files, read_json, write_json

FORMAT = "onnx-int8"  # transformers.js calls it q8
_COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json")
_FACTS = "student.json"


def build_model(student: Path, model: Path, *, floor: Floor | None = FLOOR) -> bool:
    """Export a student and put what transformers.js reads beside it; False where that was done already.

    Raises BabelpressError for a folder that is no student and for an export below the floor.
    """
    key = _student_key(student)
    if (model / _FACTS).is_file() and read_json(model / _FACTS)["key"] == key:
        return False
    from babelpress.api import export

    (model / _FACTS).unlink(missing_ok=True)  # until all is there, a killed build's files are nobody's
    (exported,) = export(student, to=[FORMAT], floor=floor, output=model)
    for name in _COPIED:
        shutil.copyfile(student / name, model / name)
    write_json(model / _FACTS, {"key": key, **_facts(student, exported)})
    return True


def _student_key(student: Path) -> str:
    """Return what tells whether an export is still the student's: hashes of all that embeddings depend on."""
    names = [*_COPIED, "model.safetensors", "modules.json", "config_sentence_transformers.json"]
    missing = [name for name in names if not (student / name).is_file()]
    if missing:
        raise BabelpressError(f"{student} is no student folder: it has no {', '.join(missing)}")
    read = [file for file in list_files(student) if _is_read(student, file)]
    return hash_json([version("babelpress"), *((str(file.relative_to(student)), hash_file(file)) for file in read)])


def _is_read(student: Path, file: Path) -> bool:
    """Tell whether embeddings may depend on a file: exports, the manifest and the golden texts are made of the rest."""
    made_of_them = {"onnx", "manifest.json", "tokenizer-golden.json"}
    return file.suffix in {".json", ".safetensors"} and file.relative_to(student).parts[0] not in made_of_them


def _facts(student: Path, exported: Export) -> dict[str, Any]:
    """Return what the page shows and uses; `prompt` is what sentence-transformers puts before a text unasked."""
    settings = read_json(student / "config_sentence_transformers.json")
    prompts, name = settings.get("prompts") or {}, settings.get("default_prompt_name")
    run = student.resolve().parent if student.name == "student" else student.resolve()
    return {
        "name": run.name,
        "prompt": prompts.get(name, "") if name else "",
        "weights_bytes": exported.bytes,
        "student_bytes": (student / "model.safetensors").stat().st_size,
        "cosine": exported.parity.mean,
    }


def build_sentences(file: Path) -> None:
    """Write the held-out parallel sentences: fifty meanings in sixteen languages, all in the same order."""
    write_json(file, [{"id": one.id, "texts": dict(sorted(one.texts.items()))} for one in held_out_meanings()])
