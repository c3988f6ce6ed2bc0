"""What the tests of the command line share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Ended:
    code: int
    out: str
    err: str


def assert_one_line(ended: Ended, *parts: str) -> None:
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.startswith("babelpress: ")
    assert ended.err.count("\n") == 1
    assert "Traceback" not in ended.err
    for part in parts:
        assert part in ended.err
