"""A whole made-up run for the page: every figure that the contract may hold, each unlike all others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from babelpress.evaluation.fidelity.perturb import PERTURBATIONS
from babelpress.reports.page.facts import PageFacts
from babelpress.reports.page.page import render_page
from babelpress.reports.page.pictures import Picture
from babelpress.schema.exports import Export, Parity
from babelpress.schema.results import (
    AtLength,
    Closeness,
    Measures,
    ModelResult,
    Parallel,
    Perturbed,
    Results,
    Score,
    Speed,
    Spread,
)
from babelpress.stages import STAGES
from babelpress.teacher import read_teacher
from tests.reports.figures import (
    MODELS,
    NAME,
    make_fertility,
    make_layers,
    make_model,
    make_recipe,
    make_results,
    make_vocabulary,
)
from tests.reports.html import Element, read_html

# One transparent pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
    "a5f645400000000049454e44ae426082"
)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="4"><rect width="8" height="4"/></svg>'


class Unlike:
    """Numbers that were not given before: shares of three digits, and larger ones of two."""

    def __init__(self) -> None:
        self._shares, self._numbers = count(301), count(2001)

    def share(self) -> float:
        return next(self._shares) / 1000

    def number(self) -> float:
        return next(self._numbers) / 10


def make_full_results() -> Results:
    """Results in which nothing that may be measured is missing, but for one task."""
    unlike = Unlike()
    models = {name: make_full_model(number, unlike) for number, name in enumerate(MODELS, 1)}
    return make_results().model_copy(
        update={
            "models": models,
            "missing": {"AmazonReviews": "its data <are> gone & nobody knows where"},
            "exports": (_export(unlike),),
        }
    )


def make_full_model(number: int, unlike: Unlike) -> ModelResult:
    model, overall = make_model(number), _closeness(unlike, texts=50_001)
    return model.model_copy(
        update={
            "scores": {name: _with_interval(score, unlike) for name, score in model.scores.items()},
            "average_interval": (unlike.number(), unlike.number()),
            "retention_interval": (unlike.share(), unlike.share()),
            "fidelity_mean": overall.cosine,
            "fidelity_p5": overall.cosine_p5,
            "measures": Measures(
                overall=overall,
                by_language={
                    code: _closeness(unlike, texts=texts)
                    for code, texts in (("ko", 10_003), ("en", 20_005), ("pt", 19_993))
                },
                by_length=tuple(
                    AtLength(tokens=size, texts=40_000 + size, cosine=unlike.share(), cosine_p5=unlike.share())
                    for size in (16, 128)
                ),
                perturbed={kind: _perturbed(unlike) for kind in PERTURBATIONS},
            ),
            "speed": Speed(**{
                name: _spread(unlike) if field.annotation is Spread else unlike.number()
                for name, field in Speed.model_fields.items()
            }),
            "parallel": Parallel(
                languages=14, sentences=51, accuracy=unlike.share(), mean_rank=unlike.number(),
                language_probe=unlike.share(), language_chance=1 / 14, alignment=unlike.share(),
                uniformity=-unlike.share(),
            ),
        }
    )  # fmt: skip


def _export(unlike: Unlike) -> Export:
    parity = Parity(
        texts=7_007, largest=0.00123, mean=unlike.share(), p5=unlike.share(), lowest_language="th",
        lowest_mean=unlike.share(), lost={"STS17": 0.25, "STSBenchmark": 0.5},
    )  # fmt: skip
    return Export("onnx-int8", "onnx/model_quantized.onnx", 2**20 * 12 + 2**19, parity)


def make_facts(teacher: Path, **changes: Any) -> PageFacts:
    """A whole run of this teacher's folder."""
    facts = PageFacts(
        make_full_results(), recipe=make_recipe(), teacher=read_teacher(str(teacher), name=NAME), layers=make_layers(),
        vocabulary=make_vocabulary(), fertility=make_fertility(), manifests=make_manifests(),
        pictures=(Picture("umap", PNG, "image/png", "umap"), Picture("loss", SVG, "image/svg+xml", "distillation")),
        credits=(("the teacher", "mit"), ("tatoeba <3", "cc-by-2.0; Tatoeba")), interactive="umap/umap.html",
        target_bytes=2**20 * 333,
    )  # fmt: skip
    return dataclasses.replace(facts, **changes)


def make_plain_facts(teacher: Path, **changes: Any) -> PageFacts:
    """A run of which nothing but what always is was measured."""
    results = make_results(tasks=False)
    bare = {name: model.model_copy(update={"parallel": None, "speed": None}) for name, model in results.models.items()}
    return make_facts(
        teacher,
        **{
            "results": results.model_copy(update={"models": bare}),
            "pictures": (),
            "interactive": None,
            "target_bytes": None,
            **changes,
        },
    )


def with_models(facts: PageFacts, models: dict[str, ModelResult], **more: Any) -> Results:
    """Return the results with other models."""
    return facts.results.model_copy(update={"models": models, **more})


def read_page(facts: PageFacts) -> Element:
    """Return the page as a tree."""
    return read_html(render_page(facts))


def make_manifests() -> dict[str, dict[str, Any]]:
    """A manifest of each stage, seconds and keys unlike."""
    return {
        name: {
            "stage": name, "key": f"{number:02d}" * 16, "settings": {"secret": "/srv/secret"},
            "inputs": dict.fromkeys([need.name for need in stage.needs], f"{number:02d}in" * 8),
            "counts": {"rows": 70_000 + number, "machine": {"accelerator": None}, "list": [number, number + 1]},
            "seconds": 1000.5 + 7 * number, "outputs": f"{number:02d}ou" * 8,
            "versions": {"python": "3.11.7", "babelpress": "0.1.0"},
            "files": {f"{name}.bin": {"bytes": 900_000 + number, "xxh3": f"{number:02d}fi" * 8}},
        }
        for number, (name, stage) in enumerate(STAGES.items(), 10)
    }  # fmt: skip


def leaves(value: Any, *path: str) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield every number in a value of JSON, and the names that lead to it."""
    if isinstance(value, dict):
        for name, own in value.items():
            yield from leaves(own, *path, name)
    elif isinstance(value, list | tuple):
        for place, own in enumerate(value):
            yield from leaves(own, *path, str(place))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def _with_interval(score: Score, unlike: Unlike) -> Score:
    return score.model_copy(update={"interval": (unlike.number(), unlike.number())})


def _closeness(unlike: Unlike, *, texts: int) -> Closeness:
    shares = {name: unlike.share() for name in Closeness.model_fields if name != "texts"}
    return Closeness(texts=texts, **shares)


def _perturbed(unlike: Unlike) -> Perturbed:
    return Perturbed(texts=30_003, found=unlike.share(), cosine=unlike.share())


def _spread(unlike: Unlike) -> Spread:
    return Spread(median=unlike.number(), low=unlike.number(), high=unlike.number())
