"""Memory of this process: its size, and returning what the allocator keeps."""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any


def own_memory() -> int:
    """Return the bytes of this process that are no pages of files; where that is not known, all of them."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    import psutil

    return int(psutil.Process().memory_info().rss)


def release_memory() -> None:
    """Give free memory back to the system, where the C library is glibc.

    Batches differ in their number of tokens, so every step asks for blocks of other sizes; glibc keeps what is freed
    in pieces that fit none of the next ones, and a training of fixed size grows by gigabytes (benchmarks/memory.py).
    """
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@lru_cache(maxsize=1)
def _glibc() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
        library.malloc_trim.argtypes = [ctypes.c_size_t]
    except (OSError, AttributeError):
        return None  # musl has neither
    return library
