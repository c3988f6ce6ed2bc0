"""Press the reference shape (12 x 384, 250,037 rows) to 4 layers and 15,424 rows, as whole processes.

    python benchmarks/press.py [--rounds 5]

Side by side in one run: babelpress, which reads the kept rows and layers alone, and the usual way, which
loads the whole model with transformers, selects, and saves. Both start from the same list of kept pieces
and write a folder that loads. CPU seconds (user and system) and peak resident memory are the operating
system's own figures of each finished process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAYERS = (0, 4, 7, 11)
ROWS = 15_424


def press_with_babelpress(teacher: Path, plan: Path, out: Path) -> None:
    from babelpress.recipe import StudentSection
    from babelpress.student.build import press_student
    from babelpress.student.layers import LayerPlan
    from babelpress.teacher import read_teacher
    from babelpress.vocabulary.plan import VocabularyPlan

    press_student(
        read_teacher(str(teacher)), out, layers=LayerPlan(LAYERS, 12, "given"), vocabulary=VocabularyPlan.load(plan),
        settings=StudentSection(), seed=20,
    )  # fmt: skip


def press_the_usual_way(teacher: Path, plan: Path, out: Path) -> None:
    import torch
    from transformers import AutoModel

    kept = json.loads(plan.read_text(encoding="utf-8"))["kept"]
    model = AutoModel.from_pretrained(teacher)
    old = model.get_input_embeddings().weight.data
    rows = torch.cat([old[kept], old[kept].mean(dim=0).expand(256, -1)])
    model.set_input_embeddings(torch.nn.Embedding.from_pretrained(rows, freeze=False))
    model.encoder.layer = torch.nn.ModuleList([model.encoder.layer[number] for number in LAYERS])
    model.config.num_hidden_layers, model.config.vocab_size = len(LAYERS), len(rows)
    model.save_pretrained(out)
    tokenizer = json.loads((teacher / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    pieces = [vocabulary[number] for number in kept] + [[f"<0x{value:02X}>", -20.0] for value in range(256)]
    tokenizer["model"] |= {"vocab": pieces, "byte_fallback": True}
    for token in tokenizer["added_tokens"]:
        token["id"] = kept.index(token["id"])
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


WAYS = {"babelpress": press_with_babelpress, "usual": press_the_usual_way}


def prepare(folder: Path) -> None:
    """Write the teacher and a plan that keeps its most probable pieces."""
    sys.path.insert(0, str(ROOT))
    from babelpress.vocabulary.plan import VocabularyPlan
    from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, read_tokenizer_file
    from tests.tiny import make_e5_small_shape

    teacher = make_e5_small_shape(folder / "teacher")
    tokenizer = read_tokenizer_file(teacher / "tokenizer.json")
    special = tokenizer.named_ids
    by_score = sorted(set(range(len(tokenizer.pieces))) - special, key=lambda number: -tokenizer.scores[number])
    kept = sorted([*special, *by_score[: ROWS - 256 - len(special)]])
    VocabularyPlan(tuple(kept), BYTE_PIECES, {}, 0, 0, ()).save(folder / "plan.json")


def measure(way: str, teacher: Path, plan: Path, out: Path) -> tuple[float, float]:
    """Run one way as a process of its own; return CPU seconds and peak MiB."""
    out.mkdir()
    process = subprocess.Popen([sys.executable, __file__, "--way", way, str(teacher), str(plan), str(out)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{way} failed")
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return usage.ru_utime + usage.ru_stime, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", nargs=4, metavar=("WAY", "TEACHER", "PLAN", "OUT"), help=argparse.SUPPRESS)
    parser.add_argument("--prepare", metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.prepare:
        prepare(Path(arguments.prepare))
        return
    if arguments.way:
        way, *paths = arguments.way
        WAYS[way](*map(Path, paths))
        return
    os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: a child's peak memory counts what its parent held when it started.
        subprocess.run([sys.executable, __file__, "--prepare", name], check=True)
        teacher, plan = folder / "teacher", folder / "plan.json"
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for number in range(arguments.rounds + 1):
            for way in WAYS:
                figures = measure(way, teacher, plan, folder / f"{way}-{number}")
                if number:  # the first round warms the page cache
                    found[way].append(figures)
    middle = {way: [statistics.median(column) for column in zip(*rows, strict=True)] for way, rows in found.items()}
    for way, (cpu, peak) in middle.items():
        low, high = min(row[0] for row in found[way]), max(row[0] for row in found[way])
        print(f"{way:12s} {cpu:5.2f} CPU-seconds ({low:.2f} to {high:.2f})  {peak:6.0f} MiB peak")
    print(f"ratio        {middle['usual'][0] / middle['babelpress'][0]:5.1f} x less work  "
          f"{middle['usual'][1] / middle['babelpress'][1]:6.1f} x less memory")  # fmt: skip


if __name__ == "__main__":
    main()
