"""The stage `layers`: which of the teacher's layers stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babelpress.corpus.sentence import Split
from babelpress.recipe import LayerMethod
from babelpress.stages import corpus
from babelpress.stages.engine import Stage
from babelpress.stages.run import Run, dump, first_texts
from babelpress.student.layers import plan_layers


def settings(run: Run) -> Any:
    """Return what the layer plan depends on."""
    return {"layers": dump(run.recipe.layers), "teacher": run.teacher.fingerprint}


def make(run: Run, folder: Path) -> dict[str, Any]:
    """Write the layer plan."""
    request = run.recipe.layers
    measured = _embeddings_by_layer(run) if request.method is LayerMethod.IMPORTANCE else None
    plan = plan_layers(request, layers=run.teacher.layers, embeddings_by_layer=measured)
    plan.save(folder / "plan.json")
    return {"kept": list(plan.kept), "of": plan.of, "reason": plan.reason}


def _embeddings_by_layer(run: Run) -> Any:
    import numpy as np
    import torch

    from babelpress.architectures.encoders import embed_by_layer, load_encoder, pad_batch
    from babelpress.utils.progress import bar
    from babelpress.utils.tokenizer import open_tokenizer

    texts = first_texts(run.path("corpus"), Split.TRAIN, run.recipe.layers.sample)
    tokenizer = open_tokenizer(run.teacher.folder / "tokenizer.json")
    tokenizer.enable_truncation(run.recipe.distillation.max_length)
    model = load_encoder(run.teacher.folder, trust_remote_code=run.teacher.trust_remote_code)
    pad = int(model.tokenizer.pad_token_id)
    parts = []
    with bar("layers: measuring", total=len(texts), unit="sentences") as advance, torch.inference_mode():
        for start in range(0, len(texts), 32):
            batch = tokenizer.encode_batch(texts[start : start + 32])
            parts.append(
                embed_by_layer(model, pad_batch([encoding.ids for encoding in batch], pad=pad)).float().cpu().numpy()
            )
            advance(len(batch))
    return np.concatenate(parts, axis=1)


def check(run: Run) -> None:
    """Refuse layers that the teacher does not have. Raises PlanError."""
    if run.recipe.layers.method is not LayerMethod.IMPORTANCE:
        plan_layers(run.recipe.layers, layers=run.teacher.layers)


STAGE = Stage("layers", (corpus.STAGE,), settings, make, check=check)
