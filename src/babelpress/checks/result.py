"""The results of checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from babelpress.schema.choice import Choice


class Status(Choice):
    """How a check ended."""

    PASS = "pass"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class CheckResult:
    """One row of a report.

    `tested` counts the inputs; `first_failure` is the first input (a text, a piece, a file or a place in a file) that
    failed.
    """

    name: str
    status: Status
    tested: int
    detail: str
    first_failure: str | None = None


@dataclass(frozen=True)
class CheckReport:
    """All results of a folder."""

    folder: str
    teacher: str | None
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed; skipped checks count as passed."""
        return all(result.status is not Status.FAIL for result in self.results)

    def facts(self) -> dict[str, Any]:
        """Return the report as JSON-able values."""
        results = [{**asdict(result), "status": str(result.status)} for result in self.results]
        return {"folder": self.folder, "teacher": self.teacher, "passed": self.passed, "results": results}


def judge(name: str, *, tested: int, failures: Sequence[tuple[str, str]], note: str = "") -> CheckResult:
    """Return a pass with its note, or a failure with the first of (input, fault)."""
    if not failures:
        return CheckResult(name, Status.PASS, tested, note)
    first, wrong = failures[0]
    more = f" (and {len(failures) - 1:,} more)" if len(failures) > 1 else ""
    return CheckResult(name, Status.FAIL, tested, wrong + more, first)


def skipped(name: str, reason: str) -> CheckResult:
    """Return a skipped check, with the reason."""
    return CheckResult(name, Status.SKIPPED, 0, reason)
