"""Encode texts with an exported student: onnxruntime, tokenizers and numpy, no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.errors import ExportError
from babelpress.export.formats import choose_formats, need_packages
from babelpress.export.session import open_session
from babelpress.files import read_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Encoding

_WINDOW = 100  # batches whose texts are sorted together


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
        need_packages("onnxruntime")
        (chosen,) = choose_formats([export])
        folder = Path(folder)
        file = folder / chosen.file
        if not file.is_file():
            raise ExportError(f"{folder} has no {chosen.file}; write it: babelpress export {folder} --to {chosen.name}")
        self._session = open_session(file, threads=threads)
        facts = self._session.get_modelmeta().custom_metadata_map
        self.max_length = int(facts["max_length"])
        self.prompts: dict[str, str] = json.loads(facts["prompts"])
        self.default_prompt_name: str | None = facts.get("default_prompt_name") or None
        self.dimensions = int(self._session.get_outputs()[1].shape[1])
        self._tokenizer, self._pad = _open_tokenizer(folder, self.max_length)

    def encode(
        self, texts: str | Sequence[str], *, prompt_name: str | None = None, prompt: str | None = None,
        batch_size: int = 32,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Return embeddings, shape (texts, dimensions), or (dimensions,) of a single text.

        Before each text goes the prompt, or that of `prompt_name`, or the model's default. Batches are of texts with
        as many tokens, so that little is padding; every text's place is kept. Raises ExportError for a prompt_name
        that the model does not have.
        """
        import numpy as np

        if isinstance(texts, str):
            return self.encode([texts], prompt_name=prompt_name, prompt=prompt, batch_size=batch_size)[0]
        before = self._prompt(prompt_name) if prompt is None else prompt
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for at in range(0, len(texts), batch_size * _WINDOW):
            some = [before + text for text in texts[at : at + batch_size * _WINDOW]]
            for rows, found in _batches(self._tokenizer.encode_batch(some), batch_size):
                vectors[[at + row for row in rows]] = self._run(found)
        return vectors

    def _prompt(self, name: str | None) -> str:
        name = self.default_prompt_name if name is None else name
        if name is None:
            return ""
        if name not in self.prompts:
            raise ExportError(f"no prompt is called {name!r}; there are: {', '.join(self.prompts) or 'none'}")
        return self.prompts[name]

    def _run(self, found: Sequence[Encoding]) -> NDArray[np.float32]:
        import numpy as np

        length = max(len(one.ids) for one in found)
        ids = np.full((len(found), length), self._pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, one in enumerate(found):
            ids[row, : len(one.ids)] = one.ids
            mask[row, : len(one.ids)] = 1
        (vectors,) = self._session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})
        return vectors


def _batches(found: Sequence[Encoding], size: int) -> Iterator[tuple[list[int], list[Encoding]]]:
    """Yield places and tokens of texts, the longest first."""
    order = sorted(range(len(found)), key=lambda row: -len(found[row].ids))
    for at in range(0, len(order), size):
        rows = order[at : at + size]
        yield rows, [found[row] for row in rows]


def _open_tokenizer(folder: Path, max_length: int) -> tuple[Any, int]:
    """Return a folder's tokenizer, which truncates and does not pad, and the id of its padding."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(max_length)
    tokenizer.no_padding()
    pad = read_json(folder / "tokenizer_config.json").get("pad_token")
    pad = pad["content"] if isinstance(pad, dict) else pad
    return tokenizer, int(tokenizer.token_to_id(pad) or 0)
