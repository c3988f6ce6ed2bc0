"""The machine that a figure was measured on."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def describe_machine() -> dict[str, Any]:
    """Return processor, threads, memory and accelerator; nothing that names the machine itself."""
    import psutil
    import torch

    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
    }


def where(machine: Mapping[str, Any]) -> str:
    """Describe, in words, the parts of a machine that timings depend on."""
    accelerator = f" with {machine['accelerator']}" if machine["accelerator"] else ""
    threads = machine["threads"]
    return f"{threads} thread{'' if threads == 1 else 's'} of {machine['processor']}{accelerator}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def matrix_peak(
    device: torch.device, dtype: torch.dtype, *, rows: int = 4096, width: int = 384, inner: int = 1536
) -> float:
    """Measure the operations per second that this device multiplies such matrices with, now."""
    import torch

    left = torch.ones(rows, width, dtype=dtype, device=device)
    right = torch.ones(width, inner, dtype=dtype, device=device)
    best = math.inf
    for _ in range(7):
        started = time.perf_counter()
        float((left @ right)[0, 0])
        best = min(best, time.perf_counter() - started)
    return 2.0 * rows * width * inner / best
