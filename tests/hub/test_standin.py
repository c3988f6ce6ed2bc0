"""Prove that real download code works against the stand-in hub."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from .content import MASSIVE_SUBSETS, TASKS, write_model, write_sources
from .server import COMMIT, StandInHub

TESTS = Path(__file__).resolve().parents[1]
MODEL = "intfloat/multilingual-e5-small"

GUARD = """
import json, os, socket, sys
from pathlib import Path

_resolve, _connect = socket.getaddrinfo, socket.socket.connect

def _loopback_only(host, *args, **kwargs):
    if host not in ("127.0.0.1", "localhost", None):
        raise socket.gaierror(f"refused by the test: {host}")
    return _resolve(host, *args, **kwargs)

def _loopback_connect(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
        raise OSError(f"refused by the test: {address}")
    return _connect(self, address)

socket.getaddrinfo, socket.socket.connect = _loopback_only, _loopback_connect
"""

LOAD_MODEL = """
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from hub.content import write_model

root, work = Path(sys.argv[1]), Path(sys.argv[2])
torch.manual_seed(0)
names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "query", ":", "water", "house"]
tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
config = BertConfig(vocab_size=len(names), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                    intermediate_size=32, max_position_embeddings=32)
BertModel(config).save_pretrained(work / "bert")
fast.save_pretrained(work / "bert")
body = Transformer(str(work / "bert"))
made = SentenceTransformer(modules=[body, Pooling(16, "mean"), Normalize()], device="cpu")
made.save(str(work / "model"))
write_model(root, "intfloat/multilingual-e5-small", work / "model")

from huggingface_hub import HfApi, snapshot_download

def apart(source):
    texts = ["query: water house", "query: house"]
    return float(abs(SentenceTransformer(source, device="cpu").encode(texts) - made.encode(texts)).max())

by_id = apart("intfloat/multilingual-e5-small")
path = snapshot_download("intfloat/multilingual-e5-small", revision="main")
near = [by_id, apart(path)]
info = HfApi().model_info("intfloat/multilingual-e5-small")
print(json.dumps({"near": near, "path": path, "sha": info.sha, "files": sorted(os.listdir(path))}))
"""

LOAD_DATA = """
from datasets import load_dataset
from huggingface_hub import HfApi

def first(*args, **kwargs):
    return next(iter(load_dataset(*args, streaming=True, **kwargs)))

def refusal(*args, **kwargs):
    try:
        return first(*args, **kwargs)
    except (RuntimeError, ValueError) as error:
        return str(error)

hub = "hf://datasets/"
miracl = hub + "miracl/miracl-corpus/miracl-corpus-v1.0-ko/docs-*.jsonl.gz"
mtop = hub + "mteb/mtop_domain/de/train.jsonl"
print(json.dumps({
    "massive": first("mteb/amazon_massive_intent", "ko", split="train"),
    "scenario": load_dataset("mteb/amazon_massive_scenario", split="test").num_rows,
    "counterfactual": first("mteb/amazon_counterfactual", "ja", split="validation"),
    "banking": first("mteb/banking77", split="train"),
    "stsb": first("mteb/stsbenchmark-sts", split="train"),
    "snli": list(load_dataset("stanfordnlp/snli", split="train")["label"]),
    "mnli": load_dataset("nyu-mll/multi_nli", split="train").features["label"].names,
    "xnli": first("facebook/xnli", "th", split="train"),
    "xnli_bare": refusal("facebook/xnli", split="train"),
    "mtop": first("json", data_files=mtop, split="train"),
    "mtop_bare": refusal("mteb/mtop_domain", "de", split="train"),
    "miracl": first("json", data_files=miracl, split="train"),
    "miracl_rows": load_dataset("json", data_files=miracl, split="train").num_rows,
    "miracl_bare": refusal("miracl/miracl-corpus", "ko", split="train"),
    "miracl_files": refusal("miracl/miracl-corpus", data_files="miracl-corpus-v1.0-ko/*", split="train"),
    "sha": HfApi().dataset_info("facebook/xnli").sha,
}))
"""

EVALUATE = """
import zlib

import mteb
import numpy as np
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta

from hub.content import MTEB_LANGUAGES, write_tasks

class HashEncoder(AbsEncoder):
    def __init__(self):
        self.model = None
        self.mteb_model_meta = ModelMeta.create_empty({"name": "standin/hash", "revision": "1"})

    def encode(self, inputs, **kwargs):
        return np.stack([self.vector(text) for batch in inputs for text in batch["text"]])

    def vector(self, text):
        counts = np.zeros(32, dtype=np.float32)
        for word in text.lower().split() if " " in text else text:
            counts[zlib.crc32(word.encode()) % 32] += 1
        return counts

root, names = Path(sys.argv[1]), sys.argv[2:]
write_tasks(root, 32, names)
tasks = mteb.get_tasks(tasks=names, languages=list(MTEB_LANGUAGES))
result = mteb.evaluate(HashEncoder(), tasks, cache=None, co2_tracker=False, show_progress_bar=False)
print(json.dumps({
    found.task_name: [
        [split, row["hf_subset"], row["main_score"]] for split, rows in found.scores.items() for row in rows
    ]
    for found in result.task_results
}))
"""

QUICK_TASKS = ("Banking77Classification", "BiorxivClusteringP2P.v2", "STS17", "STSBenchmarkMultilingualSTS")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    """Serve the training sources."""
    write_sources(tmp_path / "root", 32)
    with StandInHub(tmp_path / "root") as running:
        yield running


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Load the sources once in a fresh process."""
    folder = tmp_path_factory.mktemp("loaded")
    write_sources(folder / "root", 32)
    with StandInHub(folder / "root") as running:
        return dict(run(running, folder / "home", LOAD_DATA))


def run(hub: StandInHub, home: Path, script: str, *arguments: str) -> Any:
    """Run a script in a fresh process that sees only the stand-in hub."""
    variables = {
        **os.environ,
        **hub.environment(home),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(TESTS),
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-c", GUARD + script, *arguments]
    done = subprocess.run(command, env=variables, cwd=hub.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def fetch(
    hub: StandInHub, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, Message, bytes]:
    """Ask the hub for a path and return status, headers and body."""
    request = urllib.request.Request(hub.endpoint + path, headers=headers or {}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_file_requests(hub: StandInHub) -> None:
    """Serve whole files, ranges and heads with the hub's headers."""
    path = "/datasets/miracl/miracl-corpus/resolve/main/miracl-corpus.py"
    data = (hub.root / "datasets/miracl/miracl-corpus/miracl-corpus.py").read_bytes()
    status, headers, body = fetch(hub, path)
    assert (status, body, headers["X-Repo-Commit"]) == (200, data, COMMIT)
    assert headers["ETag"] == '"' + hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() + '"'
    assert fetch(hub, path, method="HEAD")[1]["Content-Length"] == str(len(data))
    for asked, want in (("2-5", data[2:6]), ("7-", data[7:]), ("-3", data[-3:]), ("0-99999999", data)):
        status, headers, body = fetch(hub, path, {"Range": f"bytes={asked}"})
        assert (status, body) == (206, want)
        assert headers["Content-Range"].endswith(f"/{len(data)}")
    assert fetch(hub, path, {"Range": f"bytes={len(data)}-"})[0] == 416


def test_refusals_carry_the_hub_error_codes(hub: StandInHub) -> None:
    """Tell a missing repository from a missing file."""
    codes = {
        "/api/datasets/nobody/nothing": "RepoNotFound",
        "/nobody/nothing/resolve/main/config.json": "RepoNotFound",
        "/datasets/facebook/xnli/resolve/main/nope": "EntryNotFound",
        "/api/datasets/facebook/xnli/tree/main/nope": "EntryNotFound",
    }
    for path, code in codes.items():
        status, headers, _ = fetch(hub, path)
        assert (status, headers["X-Error-Code"]) == (404, code)


def test_a_commit_answers_with_itself(hub: StandInHub) -> None:
    """Echo a pinned commit, so that the cache folder bears the pin's name."""
    pin = "0123456789" * 4
    for revision, want in ((pin, pin), ("main", COMMIT), ("refs%2Fpr%2F1", COMMIT)):
        info = json.loads(fetch(hub, f"/api/datasets/facebook/xnli/revision/{revision}")[2])
        assert info["sha"] == want
        headers = fetch(hub, f"/datasets/facebook/xnli/resolve/{revision}/README.md")[1]
        assert headers["X-Repo-Commit"] == want


def test_no_path_leaves_the_root(hub: StandInHub) -> None:
    """Refuse dotted, encoded and linked ways out of a repository."""
    (hub.root.parent / "secret").write_text("hidden words")
    (hub.root / "datasets/facebook/xnli/link").symlink_to(hub.root.parent / "secret")
    base = "/datasets/facebook/xnli/resolve/main/"
    ways = ["../../../../secret", "%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret", "..%2F..%2F..%2F..%2Fsecret", "link"]
    paths = [base + way for way in ways] + ["/datasets/../../resolve/main/secret", base + "a%00b"]
    for path in paths:
        connection = HTTPConnection("127.0.0.1", int(hub.endpoint.rsplit(":", 1)[1]), timeout=10)
        connection.request("GET", path)
        reply = connection.getresponse()
        assert (path, reply.status, b"hidden words" in reply.read()) == (path, 404, False)
        connection.close()


def test_content_is_deterministic(tmp_path: Path) -> None:
    """Write the same bytes twice."""
    for name in ("one", "two"):
        write_sources(tmp_path / name, 16, ["mteb/amazon_massive_intent", "facebook/xnli", "miracl/miracl-corpus"])
    files = sorted(path for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) > 60
    for path in files:
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_model_download_and_load(hub: StandInHub, tmp_path: Path) -> None:
    """Download and load a sentence encoder under its hub id."""
    (tmp_path / "work").mkdir()
    found = run(hub, tmp_path / "home", LOAD_MODEL, str(hub.root), str(tmp_path / "work"))
    assert max(found["near"]) < 1e-6
    assert found["sha"] == COMMIT
    assert Path(found["path"]).name == COMMIT
    assert {"modules.json", "model.safetensors", "tokenizer.json"} <= set(found["files"])
    assert any(path.startswith(f"/{MODEL}/resolve/") for path in hub.requests)


def test_model_is_replaced(tmp_path: Path) -> None:
    """Replace the files of a model that is already there."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(name)
        target = write_model(tmp_path / "root", MODEL, tmp_path / name)
    assert [path.name for path in target.iterdir()] == ["b.txt"]


def test_sources_load(loaded: dict[str, Any]) -> None:
    """Load the training sources as datasets does, streaming and not."""
    assert set(loaded["massive"]) == {"id", "label", "label_text", "text", "lang"}
    assert loaded["scenario"] == 32 * len(MASSIVE_SUBSETS)
    assert set(loaded["counterfactual"]) == {"text", "label", "label_text"}
    assert loaded["banking"]["label_text"] == "activate_my_card"
    assert {"sentence1", "sentence2", "score"} <= set(loaded["stsb"])
    assert set(loaded["snli"]) == {-1, 0, 1, 2}
    assert loaded["mnli"] == ["entailment", "neutral", "contradiction"]
    assert set(loaded["xnli"]) == {"premise", "hypothesis", "label"}
    assert "Config name is missing" in loaded["xnli_bare"]
    assert loaded["sha"] == COMMIT


def test_scripted_sources_load_by_their_files_only(loaded: dict[str, Any]) -> None:
    """Read scripted repositories through hf:// files and through nothing else."""
    assert set(loaded["miracl"]) == {"docid", "title", "text"}
    assert loaded["miracl_rows"] == 64
    assert set(loaded["mtop"]) == {"id", "text", "label", "label_text"}
    for name in ("mtop_bare", "miracl_bare", "miracl_files"):
        assert "scripts are no longer supported" in loaded[name]


def evaluate(tmp_path: Path, names: tuple[str, ...]) -> dict[str, list[tuple[str, str, float]]]:
    """Evaluate tasks in one process and check that every score is finite."""
    (tmp_path / "root").mkdir()
    with StandInHub(tmp_path / "root") as hub:
        found = run(hub, tmp_path / "home", EVALUATE, str(hub.root), *names)
    assert set(found) == set(names)
    assert all(rows and all(math.isfinite(row[2]) for row in rows) for rows in found.values())
    return dict(found)


def test_some_tasks_evaluate(tmp_path: Path) -> None:
    """Evaluate one task of each kind and layout."""
    found = evaluate(tmp_path, QUICK_TASKS)
    assert {row[1] for row in found["STS17"]} >= {"ko-ko", "en-de"}
    assert {row[0] for row in found["STSBenchmarkMultilingualSTS"]} == {"dev", "test"}


@pytest.mark.full
def test_all_tasks_evaluate(tmp_path: Path) -> None:
    """Evaluate all tasks in the sixteen languages."""
    found = evaluate(tmp_path, TASKS)
    assert {row[1] for row in found["MassiveIntentClassification"]} == set(MASSIVE_SUBSETS)
