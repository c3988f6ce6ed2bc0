"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


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


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def matrix_speed(*, size: int = 1024, seconds: float = 0.5) -> float:
    """Return the floating-point operations per second that fp32 matrix products reach now."""
    import time

    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(size, size, device=device) for _ in range(2))
    products = 0
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds or products < 2:
        float((left @ right)[0, 0])
        products += 1
    return 2 * size**3 * products / passed
