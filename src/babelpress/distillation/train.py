"""The training loop: tokens and targets from disk, one step after the other, resumable at any of them.

torch.distributed, through Accelerate, carries the gradients of several processes. Each has its part of every
batch; embeddings are gathered, so that the loss is the whole batch's and the same everywhere.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch.nn import functional

from babelpress.architectures.encoders import load_encoder, width_of
from babelpress.distillation.average import Average
from babelpress.distillation.batches import BatchPlan
from babelpress.distillation.checkpoint import Progress, load_checkpoint, save_checkpoint
from babelpress.distillation.feed import Batch, Part, TrainingText, batches_from, read_batch
from babelpress.distillation.loss import DistillationLoss, LossParts
from babelpress.distillation.precision import DTYPES, training_precision
from babelpress.distillation.schedule import learning_rate, make_optimizer, set_rate
from babelpress.distillation.tracking import Log
from babelpress.distillation.trainee import PROJECTION, Trainee, is_projection
from babelpress.errors import Stopped, TrainingError
from babelpress.recipe import DistillationSection, Precision
from babelpress.utils import processes
from babelpress.utils.files import replace_file
from babelpress.utils.machine import matrix_peak
from babelpress.utils.memory import release_memory
from babelpress.utils.progress import bar

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)

_AGREE_EVERY = 8  # steps after which processes tell each other that they were asked to stop
_RELEASE_EVERY = 50  # steps after which free memory goes back to the system


@dataclass(frozen=True)
class TrainingReport:
    """How a training went; losses are those of the validation split, per epoch."""

    epochs: int
    steps: int
    best_epoch: int
    best_loss: float
    history: list[dict[str, float]]


@dataclass
class Engine:
    """All that a step needs. `module` is the trainee as Accelerate wraps it."""

    accelerator: Accelerator
    trainee: Trainee
    module: Any
    parameters: dict[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    prepared: Any
    loss: DistillationLoss
    settings: DistillationSection
    average: Average | None = None

    @property
    def part_tokens(self) -> int:
        """Return how many tokens are taken at a time: enough to fill the hardware, few enough for its caches."""
        usual = 131_072 if self.accelerator.device.type == "cuda" else 8192
        return self.settings.micro_batch_tokens or usual


def train_student(
    pruned: Path,
    folder: Path,
    *,
    train: TrainingText,
    validation: TrainingText,
    settings: DistillationSection,
    seed: int,
) -> TrainingReport:
    """Train the pruned student; the best weights end up in `folder`/best.safetensors.

    Goes on from the last checkpoint in `folder`. The student stays in evaluation mode: dropout
    would only blur targets that are exact. Raises TrainingError when the loss is not a number, Stopped on SIGTERM;
    the last checkpoint stays then.
    """
    if train.tokens.rows < settings.batch_size:
        raise TrainingError(
            f"distillation.batch_size is {settings.batch_size}, there are {train.tokens.rows} training sentences"
        )
    torch.manual_seed(seed)
    engine = make_engine(pruned, folder, train=train, settings=settings)
    progress = load_checkpoint(folder, engine.parameters, engine.optimizer, average=_averaged(engine))
    if engine.accelerator.scaler is not None and progress.scaler:
        engine.accelerator.scaler.load_state_dict(progress.scaler)
    plan = BatchPlan(train.tokens, batch_size=settings.batch_size, seed=seed)
    total = plan.steps * settings.epochs
    log = _open_log(engine, folder, step=progress.step)
    if progress.step:
        logger.info("going on from step %s of %s", progress.step, total)
    shown = total * settings.batch_size
    with (
        bar("distillation", total=shown, unit="sentences", start=progress.step * settings.batch_size) as advance,
        _asked_to_stop() as stop,
    ):
        while progress.epoch < settings.epochs and not _stalled(progress, settings.patience):
            for batch in batches_from(
                train, plan, epoch=progress.epoch, position=progress.position, tokens=engine.part_tokens,
                hidden=settings.loss.compares_hidden_states(),
            ):  # fmt: skip
                rate = learning_rate(
                    progress.step, total=total, peak=settings.learning_rate, warmup=settings.warmup,
                    cycles=settings.cycles, final=settings.final_learning_rate,
                )  # fmt: skip
                figures = take_step(engine, batch, rate=rate, progress=progress)
                progress.step += 1
                progress.position += 1
                log.add(
                    epoch=progress.epoch, rate=rate, sentences=len(batch.rows), figures=figures,
                    tokens=batch.own_tokens * processes.count(),
                )  # fmt: skip
                advance(len(batch.rows), note=f"loss {figures['loss']:.4f}")
                if progress.step % _RELEASE_EVERY == 0:
                    release_memory()
                stopping = _all_hear(stop, progress.step)
                if (stopping or progress.step % settings.checkpoint_steps == 0) and progress.position < plan.steps:
                    _save(engine, folder, progress)
                if stopping and progress.position < plan.steps:
                    raise Stopped(f"stopped at step {progress.step} of {total}; run the same command again to go on")
            log.held_out(progress.epoch, _end_epoch(engine, folder, progress, validation))
            _save(engine, folder, progress)
            advance(0, note=f"held-out {progress.history[-1]['loss']:.4f}")
            if any(processes.from_all(stop.is_set())) and progress.epoch < settings.epochs:
                raise Stopped(f"stopped after epoch {progress.epoch}; run the same command again to go on")
    for tracker in engine.accelerator.trackers:
        tracker.finish()
    if progress.best_loss is None:
        raise TrainingError("the held-out loss was never a number")
    return TrainingReport(progress.epoch, progress.step, progress.best_epoch, progress.best_loss, progress.history)


def make_engine(pruned: Path, folder: Path, *, train: TrainingText, settings: DistillationSection) -> Engine:
    """Load the student and put it, the optimizer and the loss into Accelerate's hands. Raises TrainingError."""
    accelerator = _accelerator(settings, folder)
    model = load_encoder(pruned, device=str(accelerator.device))
    precision = training_precision(settings.precision, accelerator.device, width=width_of(model))
    settings = settings.model_copy(update={"precision": processes.from_main(precision)})
    targets = train.targets
    width = targets.hidden_width if settings.loss.compares_hidden_states() else 0
    trainee = Trainee(model, settings, dimensions=targets.dimensions, hidden_width=width).to(accelerator.device)
    if width and targets.gather(np.array([0]), name="hidden").shape[1] != trainee.encoder.layers:
        raise TrainingError("the targets hold hidden states of other layers than the student has; remove them")
    parameters = trainee.learned()
    optimizer = make_optimizer(parameters, settings, embeddings=trainee.encoder.family.outside)
    loss = DistillationLoss(settings.loss, dimensions=targets.dimensions, sample=targets.sample())
    average = Average(parameters, decay=settings.average) if settings.average else None
    module, prepared = accelerator.prepare(trainee, optimizer)
    return Engine(accelerator, trainee, module, parameters, optimizer, prepared, loss, settings, average)


def take_step(engine: Engine, batch: Batch, *, rate: float, progress: Progress) -> dict[str, float]:
    """Train on a batch; return its loss, the loss's terms and the norm of the gradient before it was clipped."""
    set_rate(engine.optimizer, rate)
    sentences = len(batch.rows)
    sums: dict[str, torch.Tensor] = {}
    for number, part in enumerate(batch.parts):
        last = number == len(batch.parts) - 1
        with nullcontext() if last else engine.accelerator.no_sync(engine.module):
            share = len(part.rows) / sentences
            parts, _ = part_loss(engine, part, module=engine.module)
            # Gradients of all processes are averaged, and each process's are those of its own sentences alone.
            engine.accelerator.backward(parts.total * (share * processes.count()))
        for name, value in {"loss": parts.total.detach(), **parts.terms}.items():
            sums[name] = sums.get(name, torch.zeros((), device=value.device)) + share * value
    norm = engine.accelerator.clip_grad_norm_(list(engine.parameters.values()), engine.settings.clip_norm)
    names = list(sums)
    values = torch.stack([*(sums[name] for name in names), torch.as_tensor(norm, device=sums["loss"].device)]).tolist()
    figures = dict(zip([*names, "gradient_norm"], values, strict=True))
    judged = ["loss"] if engine.accelerator.scaler is not None else ["loss", "gradient_norm"]  # fp16 leaves steps out
    broken = [name for name in judged if not math.isfinite(figures[name])]
    if broken:
        raise TrainingError(
            f"the {broken[0].replace('_', ' ')} is {figures[broken[0]]} at step {progress.step} (epoch "
            f"{progress.epoch + 1}, corpus rows {batch.rows[:3].tolist()} ..., the first being "
            f"{_first_text(engine, batch)!r}); the last checkpoint is kept; lower distillation.learning_rate or use "
            "precision fp32"
        )
    engine.prepared.step()
    engine.prepared.zero_grad()
    if engine.average is not None:
        engine.average.update(progress.step + 1)
    return figures


def _first_text(engine: Engine, batch: Batch) -> str:
    """Return the first sentence of a batch, as the student reads it."""
    packed = batch.parts[0].packed
    text: str = engine.trainee.encoder.model.tokenizer.decode(packed.ids[: packed.groups[0].length].tolist())
    return text[:80]


def part_loss(engine: Engine, part: Part, *, module: Any) -> tuple[LossParts, torch.Tensor]:
    """Return the loss of a part of a batch and the student's embeddings, the same in every process."""
    device = engine.accelerator.device
    embeddings, hidden = module(part.packed.to(device))
    own = gather(engine.accelerator, embeddings, total=len(part.rows))
    compared = None
    if hidden is not None and part.hidden is not None:
        compared = gather(engine.accelerator, hidden, total=len(part.rows)), part.hidden.to(device)
    return engine.loss(own, part.teacher.to(device, non_blocking=True), compared), own


def gather(accelerator: Accelerator, own: torch.Tensor, *, total: int) -> torch.Tensor:
    """Return all processes' rows in the order of the batch, of which `share_of` gave each its own.

    Only this process's rows carry gradients. Shape (total, ...).
    """
    count = processes.count()
    if count == 1:
        return own
    most = -(-total // count)
    padded = torch.cat([own, own.new_zeros(most - len(own), *own.shape[1:])])
    parts = list(accelerator.gather(padded.detach()).split(most))  # type: ignore[union-attr]
    parts[processes.rank()] = padded
    return torch.stack(parts, dim=1).flatten(0, 1)[:total]


@torch.inference_mode()
def held_out_figures(engine: Engine, text: TrainingText) -> dict[str, float]:
    """Return loss, its terms, mean cosine and 5th-percentile cosine over a whole split."""
    lengths = text.tokens.lengths(np.arange(text.tokens.rows))
    order: NDArray[np.int64] = np.argsort(lengths, kind="stable")
    hidden = engine.settings.loss.compares_hidden_states()
    cosines, sums = [], dict[str, float]()
    size = engine.settings.batch_size
    for start in range(0, len(order), size):
        batch = read_batch(text, order[start : start + size], tokens=engine.part_tokens, hidden=hidden)
        for part in batch.parts:
            found, own = part_loss(engine, part, module=engine.trainee)
            for name, value in {"loss": found.total, **found.terms}.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(part.rows) / len(order)
            wanted = part.teacher.to(own.device).float()
            cosines.append(functional.cosine_similarity(own.float(), wanted).cpu().numpy())
    every = np.concatenate(cosines)
    return {
        **{name: value for name, value in sums.items() if name != "cosine"},
        "cosine": float(every.mean()),
        "cosine_p5": float(np.percentile(every, 5)),
    }


def _accelerator(settings: DistillationSection, folder: Path) -> Accelerator:
    from accelerate import Accelerator

    processes.device()  # joins the group, where there is one, before Accelerate does with shorter patience
    fp16 = settings.precision is Precision.FP16
    if fp16 and not torch.cuda.is_available():
        raise TrainingError("distillation.precision is fp16, which needs a GPU; use bf16 or fp32 here")
    trackers = list(settings.trackers)
    try:
        accelerator = Accelerator(
            mixed_precision="fp16" if fp16 else "no", log_with=trackers or None, project_dir=str(folder)
        )
        accelerator.init_trackers("trackers")
    except (ValueError, ImportError) as error:
        raise TrainingError(
            f"distillation.trackers: {', '.join(trackers)} cannot be used: {' '.join(str(error).split())}"
        ) from None
    lacking = {*trackers} - {"all", *(str(each.value) for each in accelerator.log_with)}
    if lacking:
        raise TrainingError(f"distillation.trackers: {min(lacking)} is not installed: pip install {min(lacking)}")
    return accelerator


def _open_log(engine: Engine, folder: Path, *, step: int) -> Log:
    encoder = engine.trainee.encoder
    per_token = 3.0 * encoder.layers * encoder.family.layer_operations(encoder)
    peak = matrix_peak(engine.accelerator.device, DTYPES[engine.settings.precision])
    return Log(folder, engine.accelerator, step, per_token, peak)


def _averaged(engine: Engine) -> dict[str, torch.Tensor]:
    return engine.average.values if engine.average is not None else {}


def _end_epoch(engine: Engine, folder: Path, progress: Progress, validation: TrainingText) -> dict[str, float]:
    """Measure the weights that would be kept, and keep them where they are the best so far."""
    with engine.average.in_place() if engine.average is not None else nullcontext():
        return _measure_epoch(engine, folder, progress, validation)


def _measure_epoch(engine: Engine, folder: Path, progress: Progress, validation: TrainingText) -> dict[str, float]:
    figures = held_out_figures(engine, validation)
    if not math.isfinite(figures["loss"]):
        raise TrainingError(
            f"the held-out loss is {figures['loss']} after epoch {progress.epoch + 1}; the last checkpoint is kept; "
            "lower distillation.learning_rate or use precision fp32"
        )
    progress.history.append(figures)
    if progress.best_loss is None or figures["loss"] < progress.best_loss:
        progress.best_loss, progress.best_epoch = figures["loss"], progress.epoch
        if processes.is_main():
            _save_best(engine, folder)
    progress.epoch += 1
    progress.position = 0
    return figures


def _save_best(engine: Engine, folder: Path) -> None:
    tensors = {name: value.detach().float().cpu().contiguous() for name, value in engine.parameters.items()}
    own = {name: value for name, value in tensors.items() if not is_projection(name)}
    if PROJECTION in tensors:
        projection = {PROJECTION: tensors[PROJECTION]}
        replace_file(folder / "projection.safetensors", lambda temporary: save_file(projection, str(temporary)))
    replace_file(folder / "best.safetensors", lambda temporary: save_file(own, str(temporary)))


def _save(engine: Engine, folder: Path, progress: Progress) -> None:
    if processes.is_main():
        scaler = engine.accelerator.scaler
        progress.scaler = dict(scaler.state_dict()) if scaler is not None else {}
        save_checkpoint(folder, progress, engine.parameters, engine.optimizer, average=_averaged(engine))
    processes.wait()


def _stalled(progress: Progress, patience: int | None) -> bool:
    return patience is not None and progress.best_epoch >= 0 and progress.epoch - 1 - progress.best_epoch >= patience


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Let SIGTERM, which is how machines are taken back, set an event instead of ending the process."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)


def _all_hear(stop: threading.Event, step: int) -> bool:
    """Tell, the same in every process, whether one of them was asked to stop."""
    if processes.count() == 1:
        return stop.is_set()
    return step % _AGREE_EVERY == 0 and any(processes.from_all(stop.is_set()))
