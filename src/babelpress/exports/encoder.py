"""Encode texts with an exported student: onnxruntime, tokenizers and numpy, no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.errors import ExportError
from babelpress.exports.session import open_session
from babelpress.schema.formats import ONNX_INSTALL, choose_formats, need_package
from babelpress.utils.model_folder import transformer_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WINDOW = 4096  # texts that are sorted together
_FEW = 32  # texts that are tokenized together


class OnnxEncoder:
    """A student folder's export as a function of texts.

    ```python
    from babelpress import OnnxEncoder

    encoder = OnnxEncoder("runs/demo/student")
    vectors = encoder.encode(["Good morning", "안녕하세요"])
    ```
    """

    def __init__(self, folder: str | Path, *, export: str = "onnx-int8", threads: int | None = None) -> None:
        """Load one of a folder's exports; `threads` is how many compute (all cores unless given).

        Raises ExportError for a folder without this export, and where a package is missing.
        """
        need_package("onnxruntime", install=ONNX_INSTALL)
        (chosen,) = choose_formats([export])
        folder = Path(folder)
        file = folder / chosen.file
        if not file.is_file():
            raise ExportError(f"{folder} has no {chosen.file}; write it: babelpress export {folder} --to {chosen.name}")
        self._session = open_session(file, threads=threads)
        facts = self._session.get_modelmeta().custom_metadata_map
        if "babelpress" not in facts:
            raise ExportError(f"{file} was not exported by babelpress; write it: babelpress export {folder}")
        self.max_length = int(facts["max_length"])
        self.prompts: dict[str, str] = json.loads(facts["prompts"])
        self.default_prompt_name: str | None = facts.get("default_prompt_name") or None
        self.dimensions = int(self._session.get_outputs()[1].shape[1])
        self._tokenizer = _open_tokenizer(folder, self.max_length, lowercase=facts.get("lowercase") == "true")

    def encode(
        self, texts: str | Sequence[str], *, prompt_name: str | None = None, prompt: str | None = None,
        batch_size: int = 32,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Return embeddings, shape (texts, dimensions), or (dimensions,) of a single text.

        Before each text goes the prompt, or that of `prompt_name`, or the model's default. Batches are of texts with
        as many tokens, so that little is padding; every text's place is kept. Raises ExportError for a prompt_name
        that the model does not have, and for what is no text.
        """
        import numpy as np

        if isinstance(texts, str):
            return self.encode([texts], prompt_name=prompt_name, prompt=prompt, batch_size=batch_size)[0]
        if batch_size < 1:
            raise ExportError(f"batch_size is {batch_size}; it must be 1 or more")
        texts = list(texts)
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise ExportError(f"text {place} is a {type(text).__name__}, not a string")
        before = self._prompt(prompt_name) if prompt is None else prompt
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for at in range(0, len(texts), _WINDOW):
            for rows, ids in _batches(self._tokenize(before, texts[at : at + _WINDOW]), batch_size):
                vectors[[at + row for row in rows]] = self._run(ids)
        return vectors

    def _tokenize(self, before: str, texts: list[str]) -> list[list[int]]:
        """Return ids. A tokenizer keeps whole documents, cut ones too, so that it is given a few at a time."""
        found = []
        for at in range(0, len(texts), _FEW):
            few = [before + text for text in texts[at : at + _FEW]]
            found += [one.ids for one in self._tokenizer.encode_batch_fast(few)]
        return found

    def _prompt(self, name: str | None) -> str:
        name = self.default_prompt_name if name is None else name
        if name is None:
            return ""
        if name not in self.prompts:
            raise ExportError(f"no prompt is called {name!r}; there are: {', '.join(self.prompts) or 'none'}")
        return self.prompts[name]

    def _run(self, texts: Sequence[list[int]]) -> NDArray[np.float32]:
        import numpy as np

        ids = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)  # what stands at padded places is not seen
        mask = np.zeros_like(ids)
        for row, own in enumerate(texts):
            ids[row, : len(own)] = own
            mask[row, : len(own)] = 1
        (vectors,) = self._session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})
        return vectors


def _batches(texts: Sequence[list[int]], size: int) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Yield places and ids of texts, the longest first."""
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    for at in range(0, len(order), size):
        rows = order[at : at + size]
        yield rows, [texts[row] for row in rows]


def _open_tokenizer(folder: Path, max_length: int, *, lowercase: bool) -> Any:
    """Return a folder's tokenizer, which truncates and does not pad. Raises ExportError, TeacherError."""
    from tokenizers import normalizers

    from babelpress.utils.tokenizer import open_tokenizer

    file = transformer_folder(folder) / "tokenizer.json"
    if not file.is_file():
        raise ExportError(f"{file} is missing; an export is read from its student's folder")
    tokenizer = open_tokenizer(file)
    if lowercase:  # as sentence-transformers does it
        own = [tokenizer.normalizer] if tokenizer.normalizer else []
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
    tokenizer.enable_truncation(max_length)
    return tokenizer
