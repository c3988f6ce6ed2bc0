"""The training loop: tokens and targets from disk, one step after the other, resumable at any of them."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from babelpress.distillation.batches import BatchPlan
from babelpress.distillation.checkpoint import Progress, load_checkpoint, save_checkpoint
from babelpress.distillation.loss import distillation_loss
from babelpress.distillation.targets import Targets
from babelpress.distillation.tokens import TokenStore
from babelpress.encoders import embed, load_encoder, pad_batch
from babelpress.errors import TrainingError
from babelpress.files import replace_file
from babelpress.progress import bar
from babelpress.recipe import DistillationSection, Precision

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)

_ADAM_BETAS = (0.9, 0.999)
_LOG_EVERY = 20  # steps


@dataclass(frozen=True)
class TrainingText:
    """What a split gives the training: token ids and targets of the same sentences."""

    tokens: TokenStore
    targets: Targets


@dataclass(frozen=True)
class TrainingReport:
    """How a training went; losses are those of the validation split, per epoch."""

    epochs: int
    steps: int
    best_epoch: int
    best_loss: float
    history: list[dict[str, float]]


def train_student(
    pressed: Path,
    folder: Path,
    *,
    train: TrainingText,
    validation: TrainingText,
    settings: DistillationSection,
    seed: int,
) -> TrainingReport:
    """Train the pressed student; the best weights end up in `folder`/best.safetensors.

    Goes on from the last checkpoint in `folder`. The student stays in evaluation mode: dropout
    would only blur targets that are exact. Raises TrainingError when the loss is not a number; the
    last checkpoint stays then.
    """
    if train.tokens.rows < settings.batch_size:
        raise TrainingError(
            f"distillation.batch_size is {settings.batch_size}, there are {train.tokens.rows} training sentences"
        )
    torch.manual_seed(seed)
    accelerator = _accelerator(settings.precision)
    model = load_encoder(pressed, device=str(accelerator.device))
    pad = int(model.tokenizer.pad_token_id)
    parameters = trainable_parameters(model)
    optimizer = torch.optim.AdamW(
        _groups(parameters, settings), lr=settings.learning_rate, betas=_ADAM_BETAS, fused=True
    )
    progress = load_checkpoint(folder, parameters, optimizer)
    prepared, optimizer_prepared = accelerator.prepare(model, optimizer)
    plan = BatchPlan(train.tokens, batch_size=settings.batch_size, seed=seed)
    total = plan.steps * settings.epochs
    log = _Log(folder / "log.jsonl", step=progress.step)
    if progress.step:
        logger.info("going on from step %s of %s", progress.step, total)
    with bar(
        "distillation",
        total=total * settings.batch_size,
        unit="sentences",
        start=progress.step * settings.batch_size,
    ) as advance:
        while progress.epoch < settings.epochs and not _stalled(progress, settings.patience):
            while progress.position < plan.steps:
                rows = plan.batch(progress.epoch, progress.position)
                rate = learning_rate(progress.step, total=total, peak=settings.learning_rate, warmup=settings.warmup)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                with accelerator.autocast():
                    embeddings = embed(prepared, pad_batch([train.tokens.sentence(row) for row in rows], pad=pad))
                wanted = torch.from_numpy(train.targets.gather(rows)).to(embeddings.device)
                loss = distillation_loss(embeddings, wanted, settings.loss)
                value = float(loss.total.detach())
                if not math.isfinite(value):
                    raise TrainingError(
                        f"the loss is {value} at step {progress.step} (epoch {progress.epoch + 1}, corpus rows "
                        f"{rows[:3].tolist()} ...); the last checkpoint is kept; "
                        "lower distillation.learning_rate or use precision fp32"
                    )
                accelerator.backward(loss.total)
                accelerator.clip_grad_norm_(list(parameters.values()), settings.clip_norm)
                optimizer_prepared.step()
                optimizer_prepared.zero_grad()
                progress.step += 1
                progress.position += 1
                log.add(
                    progress.step,
                    epoch=progress.epoch,
                    loss=value,
                    mse=float(loss.mse),
                    cosine=float(loss.cosine),
                    lr=rate,
                )
                advance(len(rows), note=f"loss {value:.4f}")
                if progress.step % settings.checkpoint_steps == 0 and progress.position < plan.steps:
                    save_checkpoint(folder, progress, parameters, optimizer)
            _end_epoch(model, folder, progress, parameters, validation, settings=settings, pad=pad)
            save_checkpoint(folder, progress, parameters, optimizer)
            advance(0, note=f"held-out {progress.history[-1]['loss']:.4f}")
    if progress.best_loss is None:
        raise TrainingError("the held-out loss was never a number")
    return TrainingReport(progress.epoch, progress.step, progress.best_epoch, progress.best_loss, progress.history)


def trainable_parameters(model: SentenceTransformer) -> dict[str, torch.nn.Parameter]:
    """Return the encoder's parameters by their names in model.safetensors; further modules are frozen.

    The pooler takes no part in sentence embeddings, so it is left alone.
    """
    model.requires_grad_(False)
    encoder: Any = model[0]
    chosen = {name: value for name, value in encoder.auto_model.named_parameters() if not name.startswith("pooler.")}
    for parameter in chosen.values():
        parameter.requires_grad_(True)
    return chosen


def learning_rate(step: int, *, total: int, peak: float, warmup: float) -> float:
    """Return the rate of a step: linear warm-up over a share of all steps, then half a cosine down to 0.

    Loshchilov and Hutter 2017 (SGDR), equation 5, with one cycle.
    """
    rising = int(total * warmup)
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - rising) / max(1, total - rising)))


@torch.inference_mode()
def held_out_loss(
    model: SentenceTransformer, text: TrainingText, *, settings: DistillationSection, pad: int
) -> dict[str, float]:
    """Return loss, mean cosine and 5th-percentile cosine over a whole split."""
    lengths = text.tokens.lengths(np.arange(text.tokens.rows))
    order: NDArray[np.int64] = np.argsort(lengths, kind="stable")
    cosines, total = [], 0.0
    for start in range(0, len(order), settings.batch_size):
        rows = order[start : start + settings.batch_size]
        embeddings = embed(model, pad_batch([text.tokens.sentence(row) for row in rows], pad=pad))
        wanted = torch.from_numpy(text.targets.gather(rows)).to(embeddings.device)
        total += float(distillation_loss(embeddings, wanted, settings.loss).total) * len(rows)
        cosines.append(torch.nn.functional.cosine_similarity(embeddings.float(), wanted).cpu().numpy())
    every = np.concatenate(cosines)
    return {
        "loss": total / len(order),
        "cosine": float(every.mean()),
        "cosine_p5": float(np.percentile(every, 5)),
    }


def _accelerator(precision: Precision) -> Any:
    from accelerate import Accelerator

    return Accelerator(mixed_precision="no" if precision is Precision.FP32 else precision.value)


def _groups(parameters: dict[str, torch.nn.Parameter], settings: DistillationSection) -> list[dict[str, Any]]:
    """Decay the matrices alone: decay would pull the rows of pieces that are never seen towards 0."""
    decayed = [value for name, value in parameters.items() if value.ndim > 1 and not name.startswith("embeddings.")]
    others = [value for name, value in parameters.items() if value.ndim == 1 or name.startswith("embeddings.")]
    return [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _end_epoch(
    model: SentenceTransformer,
    folder: Path,
    progress: Progress,
    parameters: dict[str, torch.nn.Parameter],
    validation: TrainingText,
    *,
    settings: DistillationSection,
    pad: int,
) -> None:
    figures = held_out_loss(model, validation, settings=settings, pad=pad)
    if not math.isfinite(figures["loss"]):
        raise TrainingError(
            f"the held-out loss is {figures['loss']} after epoch {progress.epoch + 1}; the last checkpoint is kept; "
            "lower distillation.learning_rate or use precision fp32"
        )
    progress.history.append(figures)
    if progress.best_loss is None or figures["loss"] < progress.best_loss:
        progress.best_loss, progress.best_epoch = figures["loss"], progress.epoch
        tensors = {name: value.detach().float().cpu().contiguous() for name, value in parameters.items()}
        replace_file(folder / "best.safetensors", lambda temporary: save_file(tensors, str(temporary)))
    progress.epoch += 1
    progress.position = 0


def _stalled(progress: Progress, patience: int | None) -> bool:
    return patience is not None and progress.best_epoch >= 0 and progress.epoch - 1 - progress.best_epoch >= patience


class _Log:
    """A JSON line every few steps; lines behind the checkpoint that training goes on from are dropped."""

    def __init__(self, path: Path, *, step: int) -> None:
        self._path = path
        self._since, self._started = step, time.monotonic()
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        kept = [line for line in lines if _step_of(line) <= step]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def add(self, step: int, **figures: float) -> None:
        """Write the figures of a step when it is time."""
        if step % _LOG_EVERY:
            return
        now = time.monotonic()
        rate = (step - self._since) / max(now - self._started, 1e-9)
        self._since, self._started = step, now
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **figures, "steps_per_second": round(rate, 3)}) + "\n")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
