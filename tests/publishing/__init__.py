"""What the tests of publishing share: a student with a card, as a run leaves it."""

from __future__ import annotations

from pathlib import Path

from babelpress.checks.golden import write_golden
from babelpress.reports.card import render_card
from babelpress.teacher import read_teacher
from tests.reports.figures import make_entries, make_fertility, make_layers, make_recipe, make_results, make_vocabulary
from tests.student import press

NAME = "babelpress/try"


def make_published(folder: Path, teacher: Path, *overrides: str) -> Path:
    """Press the tiny teacher and write a card beside it; return the folder."""
    press(teacher, folder, layers=(0, 2), size=800)
    facts = read_teacher(str(teacher), name="intfloat/multilingual-e5-small")
    text = render_card(
        make_results(), recipe=make_recipe(*overrides), teacher=facts, layers=make_layers(),
        vocabulary=make_vocabulary(), fertility=make_fertility(), picture={"languages": ["ko"], "sentences": 3},
        entries=make_entries(),
    )  # fmt: skip
    (folder / "README.md").write_text(text, encoding="utf-8")
    (folder / "manifest.json").write_text('{"stage": "student"}\n', encoding="utf-8")
    (folder / "umap.png").write_bytes(b"\x89PNG")
    write_golden(folder)
    (folder / "onnx").mkdir()
    (folder / "onnx/model_quantized.onnx").write_bytes(b"\x08\x08 a graph")
    (folder / "onnx/exports.json").write_text("[]\n", encoding="utf-8")
    return folder
