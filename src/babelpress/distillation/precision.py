"""Which number format matrices are multiplied in, by what the hardware has: the same on every run of a machine."""

from __future__ import annotations

import torch

from babelpress.recipe import Precision

DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}
# Training moves much besides matrix products; on a CPU, below this width bf16 costs more than it saves
# (measured on AMX: as fast as fp32 at a width of 192 and batches of 64, 1.2 to 2.5 times as fast at 384).
_CPU_WIDTH = 384


def bf16_is_fast(device: torch.device) -> bool:
    """Tell whether a device has instructions for bf16 matrix products."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in names)


def training_precision(wanted: Precision, device: torch.device, *, width: int) -> Precision:
    """Return the number format of a training; `auto` is bf16 where the device and the student's width make it pay."""
    if wanted is not Precision.AUTO:
        return wanted
    wide = device.type != "cpu" or width >= _CPU_WIDTH
    return Precision.BF16 if wide and bf16_is_fast(device) else Precision.FP32
