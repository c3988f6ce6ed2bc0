"""Tokenizers of the tokenizers library, opened without the truncation and padding that their files may carry.

A tokenizer.json keeps whatever limits its last user set; read as it is, it would cut or pad texts unasked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from babelpress.errors import TeacherError


def open_tokenizer(path: Path) -> Tokenizer:
    """Open a tokenizer.json. Raises TeacherError for a file that is missing or not a tokenizer."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 (tokenizers raises bare Exception)
        raise TeacherError(f"{path} is not a tokenizer: {_one_line(error)}") from None
    return _without_limits(tokenizer)


def load_tokenizer(raw: dict[str, Any]) -> Tokenizer:
    """Make a tokenizer from the content of a tokenizer.json. Raises TeacherError."""
    try:
        tokenizer = Tokenizer.from_str(json.dumps({**raw, "truncation": None, "padding": None}, ensure_ascii=False))
    except Exception as error:  # noqa: BLE001 (tokenizers raises bare Exception)
        raise TeacherError(f"the tokenizers library refuses this tokenizer: {_one_line(error)}") from None
    return tokenizer


def copy_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy, so that the limits of the original stay as they are."""
    return _without_limits(Tokenizer.from_str(tokenizer.to_str()))


def _without_limits(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
