"""The ways in which users read a folder's tokenizer, each also after saving it again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from babelpress.errors import BabelpressError
from babelpress.utils.model_folder import transformer_folder

RUST, AUTO, SENTENCE = "tokenizers", "AutoTokenizer", "SentenceTransformer"
SAVED = ", saved"


@dataclass(frozen=True)
class Reader:
    """One way to read a folder's tokenizer; `fault` says why it failed, and then `tokenizer` is None."""

    name: str
    tokenizer: Any = None
    fault: str | None = None

    def encode(self, texts: list[str], *, special: bool = True) -> list[list[int]]:
        """Return the ids of texts, called as users call it. Raises BabelpressError when the library fails."""
        if not texts:
            return []
        try:
            if self.name.startswith(RUST):
                encodings = self.tokenizer.encode_batch_fast(texts, add_special_tokens=special)
                return [encoding.ids for encoding in encodings]
            if special:
                return self.tokenizer(texts)["input_ids"]
            return self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        except Exception as error:  # noqa: BLE001 (tokenizers raises bare Exception)
            raise BabelpressError(f"{self.name} cannot encode: {_one_line(error)}") from None


@contextmanager
def open_readers(folder: Path) -> Iterator[tuple[tuple[Reader, ...], Any]]:
    """Give six readers of a folder, and its loaded SentenceTransformer (None if it cannot be loaded)."""
    home = transformer_folder(folder)
    with TemporaryDirectory(prefix="babelpress-check-") as name:
        scratch = Path(name)
        rust = _twice(RUST, _load_rust, home / "tokenizer.json", scratch / "tokenizer.json", _save_rust)
        auto = _twice(AUTO, _load_auto, home, scratch / "auto", _save_auto(home))
        sentence = _twice(SENTENCE, _load_sentence, folder, scratch / "sentence", _save_sentence)
        readers = [*rust, *auto, *(Reader(r.name, getattr(r.tokenizer, "tokenizer", None), r.fault) for r in sentence)]
        yield tuple(readers), sentence[0].tokenizer


def _twice(
    name: str, load: Callable[[Path], Any], place: Path, scratch: Path, save: Callable[[Any, Path], None]
) -> list[Reader]:
    first = _attempt(name, lambda: load(place))

    def again() -> Any:
        save(first.tokenizer, scratch)
        return load(scratch)

    second = Reader(name + SAVED, fault=first.fault) if first.fault else _attempt(name + SAVED, again)
    return [first, second]


def _attempt(name: str, load: Callable[[], Any]) -> Reader:
    try:
        return Reader(name, load())
    except Exception as error:  # noqa: BLE001 (whatever a library raises on this folder is the finding)
        return Reader(name, fault=_one_line(error))


def _load_rust(path: Path) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def _save_rust(tokenizer: Any, path: Path) -> None:
    tokenizer.save(str(path))


def _load_auto(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def _save_auto(home: Path) -> Callable[[Any, Path], None]:
    def save(tokenizer: Any, folder: Path) -> None:
        tokenizer.save_pretrained(str(folder))
        shutil.copyfile(home / "config.json", folder / "config.json")

    return save


def _load_sentence(folder: Path) -> Any:
    from babelpress.architectures.encoders import load_encoder

    return load_encoder(folder, device="cpu")


def _save_sentence(model: Any, folder: Path) -> None:
    model.save_pretrained(str(folder), create_model_card=False)


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
