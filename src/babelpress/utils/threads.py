"""How long OpenMP's threads spin while they wait for one another; this must be settled before torch is imported.

GNU's runtime (libgomp) lets a thread spin for some milliseconds before it sleeps, which on an idle machine saves the
time it takes to wake up. Where another process is at work, threads spin on the very core that the one they wait for
needs, and a training step takes several times as long. A short spin is for both (benchmarks/threads.py measures it).
"""

from __future__ import annotations

from collections.abc import Mapping

# Turns of libgomp's loop (300,000 unless set), milliseconds of Intel's and LLVM's runtime (200 unless set).
SHORT_SPIN = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}


def short_spin(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to set so that waiting threads sleep soon; what the user has set is not among them."""
    if "OMP_WAIT_POLICY" in environment:
        return {}
    return {name: value for name, value in SHORT_SPIN.items() if name not in environment}
