"""Checkpoints that are whole or absent: safetensors and JSON, no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from babelpress.errors import TrainingError
from babelpress.utils.files import read_json, remove_tree, replace_file, write_json

_STATE = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class Progress:
    """Where a training stands. `position` counts steps inside the epoch, `step` over all."""

    epoch: int = 0
    position: int = 0
    step: int = 0
    best_loss: float | None = None
    best_epoch: int = -1
    history: list[dict[str, float]] = field(default_factory=list)
    scaler: dict[str, float] = field(default_factory=dict)  # of fp16 gradients


def save_checkpoint(
    folder: Path,
    progress: Progress,
    parameters: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    *,
    average: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write `checkpoint-<step>` beside the last one, then remove that; `average` is the running mean of the weights."""
    place = folder / f"checkpoint-{progress.step:09d}"
    partial = folder / "checkpoint.partial"
    remove_tree(partial)
    partial.mkdir(parents=True)
    try:
        _fill(partial, progress, parameters, optimizer, average or {})
    except Exception:  # a full disk: what is there already stays, what is half-written goes
        remove_tree(partial)
        raise
    remove_tree(place)
    partial.rename(place)
    for older in _checkpoints(folder):
        if older != place:
            remove_tree(older)


def _fill(
    folder: Path,
    progress: Progress,
    parameters: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, torch.Tensor],
) -> None:
    tensors = {f"model/{name}": parameter.detach() for name, parameter in parameters.items()}
    tensors |= {f"average/{name}": value for name, value in average.items()}
    for name, parameter in parameters.items():
        state = optimizer.state.get(parameter, {})
        tensors |= {f"{moment}/{name}": state[moment] for moment in _STATE if moment in state}
    whole = {name: tensor.to("cpu").contiguous() for name, tensor in tensors.items()}
    replace_file(folder / "state.safetensors", lambda temporary: save_file(whole, str(temporary)))
    write_json(folder / "progress.json", asdict(progress))


def load_checkpoint(
    folder: Path,
    parameters: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    *,
    average: Mapping[str, torch.Tensor] | None = None,
) -> Progress:
    """Bring model, optimizer and running mean to the last checkpoint; a fresh Progress when there is none.

    Raises TrainingError when the checkpoint is of another model.
    """
    places = _checkpoints(folder)
    if not places:
        return Progress()
    place = places[-1]
    progress = Progress(**read_json(place / "progress.json"))
    tensors = load_file(place / "state.safetensors")
    wanted = [f"model/{name}" for name in parameters] + [f"average/{name}" for name in average or {}]
    lacking = [name for name in wanted if name not in tensors]
    if lacking:
        raise TrainingError(
            f"{place} has no {lacking[0].removeprefix('model/')}; it is of another student, remove it to start again"
        )
    for name, value in (average or {}).items():
        value.copy_(tensors[f"average/{name}"])
    for name, parameter in parameters.items():
        with torch.no_grad():
            parameter.copy_(tensors[f"model/{name}"])
        if f"exp_avg/{name}" in tensors:
            state = {each: tensors[f"{each}/{name}"].to(parameter.device) for each in _STATE}
            optimizer.state[parameter] = state
    return progress


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(place for place in folder.glob("checkpoint-*") if place.is_dir())
