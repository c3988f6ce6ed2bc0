"""A process's own memory, and giving back what is free."""

from __future__ import annotations

import numpy as np

from babelpress.utils import memory
from babelpress.utils.memory import own_memory, release_memory


def test_memory_that_a_process_takes_is_counted_and_counted_no_longer_when_it_is_freed():
    before = own_memory()
    block = np.ones(1 << 23)  # 64 MiB
    taken = own_memory()
    del block
    release_memory()
    assert taken - before > 60 << 20
    assert own_memory() - before < 8 << 20


def test_free_memory_in_pieces_goes_back_to_the_system():
    """Blocks too small to be maps of their own stay with the allocator when every other one is freed."""
    blocks = [np.ones(1 << 13) for _ in range(2048)]  # 128 MiB in 64 KiB
    full = own_memory()
    del blocks[::2]
    release_memory()
    if memory._glibc() is not None:
        assert full - own_memory() > 32 << 20


def test_where_there_is_no_glibc_nothing_is_done(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert memory._glibc.__wrapped__() is None
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    release_memory()
