"""What measuring costs, and what a cosine is worth at each length: how alike a teacher finds texts that are not.

    python benchmarks/measures.py runs/demo/pruned runs/demo/student --text '../shared/corpus/mono/{language}.txt.gz'

The models against the bundled teacher, on 55 texts each of 16 languages, as many as the demo holds out. CPU-seconds
are those of all threads, models loaded before.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ |= {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from babelpress.architectures.encoders import load_encoder
from babelpress.evaluation.compare.models import locate_models
from babelpress.evaluation.fidelity.given_texts import read_given
from babelpress.evaluation.fidelity.intrinsic import normalised
from babelpress.evaluation.fidelity.lengths import long_texts
from babelpress.evaluation.fidelity.measures import TEACHER, measure_models
from babelpress.evaluation.fidelity.text_encoder import TextEncoder
from benchmarks.text import LANGUAGES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("students", nargs="+", type=Path)
    parser.add_argument("--text", required=True)
    parser.add_argument("--sample", type=int, default=880)
    arguments = parser.parse_args()

    texts = read_given([arguments.text], languages=LANGUAGES)
    models = {name: load_encoder(path) for name, path in locate_models(arguments.students, "bundled").items()}
    wall, cpu = time.perf_counter(), time.process_time()
    measure_models(models, texts, sample=arguments.sample)
    print(
        f"{len(models)} models, {arguments.sample} texts: {time.process_time() - cpu:.1f} CPU-seconds, "
        f"{time.perf_counter() - wall:.1f} seconds"
    )
    teacher = TextEncoder.of(models[TEACHER], batch_size=32)
    for tokens, made in long_texts(teacher, texts).items():
        vectors = normalised(teacher.embed(made))
        pairs = (vectors @ vectors.T)[np.triu_indices(len(made), k=1)]
        print(f"{tokens} tokens, {len(made)} texts: mean cosine of two different texts {pairs.mean():.3f}")


if __name__ == "__main__":
    main()
