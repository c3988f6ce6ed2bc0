"""The shipped recipe me5s_v3, the whole way, against a stand-in of the hub.

Data set ids, subsets, columns, files and tasks are the recipe's own; the stand-in serves small tables and a
random-weight teacher of the reference's shape, 32 dimensions wide, under their true names.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from huggingface_hub import ModelCard
from PIL import Image

from babelpress.architectures.encoders import load_encoder
from babelpress.checks.golden import GOLDEN, make_golden, read_golden
from babelpress.recipe import HubSource, Recipe
from tests.hub.content import write_model, write_sources, write_tasks
from tests.hub.server import StandInHub
from tests.hub.test_standin import GUARD
from tests.tiny import embedded_tokenizer, make_teacher

TEACHER = "intfloat/multilingual-e5-small"
GREETINGS = ["Hello, how are you?", "안녕하세요, 잘 지내세요?", "こんにちは、元気ですか?", "你好,你好吗?"]
COMMAND = GUARD + "\nfrom babelpress.cli import main\nmain()\n"
SIXTEEN = "[ko, en, ja, zh, es, fr, de, pt, it, ru, ar, hi, th, vi, id, pl]"
# What the size of the stand-in demands, and nothing else: few sentences, no GPU, subsets of the 16 languages.
SMALL = (
    "distillation.epochs=1", "distillation.batch_size=64", "distillation.precision=fp32",
    "corpus.held_out=0.02", f"evaluation.languages={SIXTEEN}", "evaluation.speed_sentences=0",
)  # fmt: skip
FEW = (
    "AmazonCounterfactualClassification", "Banking77Classification", "StackExchangeClusteringP2P.v2", "STS17",
    "STSBenchmark",
)  # fmt: skip
MODELS = ["teacher", "pruned", "distilled"]


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    folder: Path
    code: int
    out: str
    err: str
    seconds: float
    asked: list[str]

    def results(self) -> dict[str, Any]:
        return json.loads((self.folder / "results.json").read_text(encoding="utf-8"))

    def report(self, stage: str) -> dict[str, Any]:
        return json.loads((self.folder / stage / "report.json").read_text(encoding="utf-8"))


def babelpress(*arguments: str, folder: Path, environment: dict[str, str], timeout: float = 280) -> Done:
    """Run the command line in a fresh process that reaches the loopback interface alone."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    variables |= {"OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-c", COMMAND, *arguments, "--output", str(folder)]
    started = time.monotonic()
    done = subprocess.run(
        command, env=variables, cwd=folder.parent, capture_output=True, text=True, check=False, timeout=timeout
    )
    return Done(folder, done.returncode, done.stdout, done.stderr, time.monotonic() - started, [])


def settings(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def closed_hub(home: Path) -> dict[str, str]:
    """Variables that point the hub's client at a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(home), "HF_HUB_OFFLINE": "0",
        "HF_DATASETS_OFFLINE": "0", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
    }  # fmt: skip


def make_small_teacher(folder: Path) -> Path:
    """12 layers and 32,001 real pieces, 32 dimensions wide."""
    pieces = [(piece, score) for piece, score in embedded_tokenizer()["model"]["vocab"][4:-1]]
    return make_teacher(folder, layers=12, hidden=32, feed_forward=64, positions=512, pieces=pieces, spare_rows=35)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that the processes of pytest-xdist share, so that a run is made once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "me5s_v3"
    folder.mkdir(exist_ok=True)
    return folder


def run_once(shelf: Path, name: str, tasks: tuple[str, ...]) -> Done:
    """Run the recipe, or return what another process of pytest-xdist found."""
    with FileLock(shelf / f"{name}.lock"):
        kept = shelf / f"{name}.json"
        if not kept.is_file():
            done = run_recipe(shelf / name, tasks)
            kept.write_text(json.dumps({**vars(done), "folder": None}))
        done = Done(**{**json.loads(kept.read_text()), "folder": shelf / name / "run"})
    assert done.code == 0, done.err[-4000:]
    return done


def run_recipe(shelf: Path, tasks: tuple[str, ...]) -> Done:
    """Run the recipe as shipped; an empty `tasks` means all of them."""
    root = shelf / "root"
    write_model(root, TEACHER, make_small_teacher(shelf / "teacher"))
    write_tasks(root, 32, tasks or Recipe.load("me5s_v3").evaluation.chosen_tasks())
    write_sources(root)
    chosen = settings(*SMALL, *([f"evaluation.tasks={json.dumps(tasks)}"] if tasks else []))
    with StandInHub(root) as hub:
        environment = hub.environment(shelf / "home")
        done = babelpress(
            "run", "me5s_v3", "--json", *chosen, folder=shelf / "run", environment=environment, timeout=1200
        )
        done.asked.extend(hub.requests)
    return done


@pytest.fixture(scope="module")
def few(shelf: Path) -> Done:
    """The run with one task of every kind."""
    return run_once(shelf, "few", FEW)


@pytest.fixture(scope="module")
def full(shelf: Path) -> Done:
    """The run with all 26 tasks."""
    return run_once(shelf, "full", ())


def check_scores(done: Done, tasks: tuple[str, ...]) -> None:
    models = done.results()["models"]
    assert list(models) == MODELS
    for model in models.values():
        assert list(model["scores"]) == list(tasks)
        for score in model["scores"].values():
            assert all(math.isfinite(value) for value in [score["score"], *score["subsets"].values()])
        assert model["average"] == pytest.approx(np.mean([score["score"] for score in model["scores"].values()]))


def check_card(done: Done, tasks: tuple[str, ...]) -> None:
    data = ModelCard((done.folder / "student" / "README.md").read_text(encoding="utf-8")).data
    assert data.language == list(Recipe.load("me5s_v3").languages)
    assert (data.license, data.base_model, data.library_name) == ("mit", TEACHER, "sentence-transformers")
    assert data.pipeline_tag == "sentence-similarity"
    assert data.datasets == list(dict.fromkeys(source.dataset for source in Recipe.load("me5s_v3").corpus.sources))
    scores, found = done.results()["models"]["distilled"]["scores"], {}
    for result in data.eval_results:
        task, subset = result.dataset_name.removeprefix("MTEB ").removesuffix(")").split(" (")
        assert (result.dataset_config, len(result.dataset_revision)) == (subset, 40)
        found.setdefault(task, {}).setdefault(subset, []).append(result.metric_value)
    assert list(found) == list(tasks)
    for task, subsets in found.items():
        means = {subset: pytest.approx(np.mean(values), abs=1e-3) for subset, values in subsets.items()}
        assert scores[task]["subsets"] == means


def test_every_model_has_a_finite_score_in_every_task(few):
    check_scores(few, FEW)


def test_the_card_holds_the_metadata_that_the_hub_reads(few):
    check_card(few, FEW)


@pytest.mark.full
@pytest.mark.timeout(1300)
def test_all_26_tasks_are_scored_for_every_model(full):
    tasks = Recipe.load("me5s_v3").evaluation.chosen_tasks()
    assert len(tasks) == 26
    check_scores(full, tasks)


@pytest.mark.full
@pytest.mark.timeout(1300)
def test_the_card_holds_26_results(full):
    check_card(full, Recipe.load("me5s_v3").evaluation.chosen_tasks())


def test_json_on_standard_output_is_results_json(few):
    assert json.loads(few.out) == few.results()


def test_a_whole_run_says_nothing_on_standard_error(few):
    assert few.err == ""


def test_the_student_has_15_424_rows_and_layers_0_4_7_11(few):
    student = few.results()["models"]["distilled"]
    assert (student["vocab_size"], student["layers"]) == (15_424, 4)
    plan = json.loads((few.folder / "layers" / "plan.json").read_text())
    assert plan["kept"] == [0, 4, 7, 11]
    vocabulary = json.loads((few.folder / "vocabulary" / "plan.json").read_text())
    assert (len(vocabulary["kept"]), len(vocabulary["new_pieces"])) == (15_168, 256)


def test_the_student_folder_encodes_the_four_greetings(few):
    vectors = load_encoder(few.folder / "student").encode(GREETINGS)
    assert vectors.shape == (4, 32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_student_carries_the_prompts_that_the_teachers_authors_ask_for(few):
    prompts = load_encoder(few.folder / "student").prompts
    assert prompts["query"] == "query: "
    assert prompts["passage"] == "passage: "


def test_the_student_carries_its_tokenizers_golden_file(few):
    student = few.folder / "student"
    assert read_golden(student / GOLDEN) == make_golden(student / "tokenizer.json")


def test_training_moved_the_student_towards_the_teacher(few):
    models = few.results()["models"]
    assert models["distilled"]["fidelity_mean"] > models["pruned"]["fidelity_mean"]
    assert models["teacher"]["fidelity_mean"] == pytest.approx(1.0)


def test_the_pictures_are_there_and_show_the_hubs_parallel_sentences(few):
    with Image.open(few.folder / "umap" / "umap.png") as picture:
        assert min(picture.size) > 800
    assert (few.folder / "umap" / "umap.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")
    points = np.load(few.folder / "umap" / "umap.npz")
    assert {name: points[name].shape for name in points} == dict.fromkeys(MODELS, (16 * 50, 2))


def test_the_corpus_report_names_every_source_of_the_recipe(few):
    wanted = set()
    for source in Recipe.load("me5s_v3").corpus.sources:
        assert isinstance(source, HubSource)
        wanted |= {f"{source.dataset}/{subset}" for subset in source.subsets} or {source.dataset}
    counts = few.report("corpus")["sources"]
    # Intent and scenario are the same utterances: what the one gave, the other repeats.
    doubles = {name for name in wanted if name.startswith("mteb/amazon_massive_scenario/")}
    assert set(counts) == wanted - doubles
    assert all(counts.values())
    assert few.report("corpus")["dropped"]["duplicate"] >= 64 * len(doubles)


def test_the_card_names_every_source_that_gave_text(few):
    card = (few.folder / "student" / "README.md").read_text(encoding="utf-8")
    for name, count in few.report("corpus")["sources"].items():
        assert f"| {name} | {count:,} |" in card


def test_all_subsets_of_the_sixteen_languages_are_scored_and_no_others(few):
    scores = few.results()["models"]["distilled"]["scores"]
    assert set(scores["AmazonCounterfactualClassification"]["subsets"]) == {"en", "en-ext", "de", "ja"}
    assert "nl-en" not in scores["STS17"]["subsets"]
    assert {"ko-ko", "en-ar", "es-en"} <= set(scores["STS17"]["subsets"])


def test_the_hub_is_asked_for_the_teacher_and_the_data_sets_and_nothing_else(few):
    """A student's name is its owner's business until it is published."""
    others = [path for path in few.asked if TEACHER not in path and "datasets/" not in path]
    assert others == []


def test_no_file_of_the_student_tells_where_it_was_made(few):
    home = str(few.folder.parent)
    for path in (few.folder / "student").rglob("*"):
        if path.is_file() and path.suffix in {".json", ".md"}:
            assert home not in path.read_text(encoding="utf-8"), path.name


def test_a_finished_run_is_shown_again_without_the_hub(few, shelf):
    before = (few.folder / "results.json").read_bytes()
    again = babelpress(
        "run", "me5s_v3", "--json", *settings(*SMALL, f"evaluation.tasks={json.dumps(FEW)}"), folder=few.folder,
        environment=closed_hub(shelf / "few" / "home"),
    )  # fmt: skip
    assert again.code == 0, again.err
    assert (few.folder / "results.json").read_bytes() == before


def check_refusal(done: Done, *words: str, seconds: float = 30) -> None:
    assert done.code == 1
    assert done.out == ""
    assert len(done.err.splitlines()) == 1, done.err
    for word in words:
        assert word in done.err
    assert "Traceback" not in done.err
    assert done.seconds < seconds, "the client must not go on asking for minutes"


def test_without_the_hub_one_line_names_the_teacher_and_the_remedy(tmp_path):
    done = babelpress("run", "me5s_v3", folder=tmp_path / "run", environment=closed_hub(tmp_path / "home"))
    check_refusal(done, TEACHER, "--teacher", "cannot be reached")
    assert not (tmp_path / "run").exists()


def test_with_the_hub_forbidden_one_line_names_the_teacher_and_the_remedy(tmp_path):
    environment = {**closed_hub(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = babelpress("run", "me5s_v3", folder=tmp_path / "run", environment=environment)
    check_refusal(done, TEACHER, "--teacher", "HF_HUB_OFFLINE")
    assert not (tmp_path / "run").exists()


def test_a_teacher_that_the_hub_does_not_have_is_named(tmp_path):
    (tmp_path / "root").mkdir()
    with StandInHub(tmp_path / "root") as hub:
        done = babelpress(
            "run", "me5s_v3", folder=tmp_path / "run", environment=hub.environment(tmp_path / "home")
        )  # fmt: skip
    check_refusal(done, TEACHER, "--teacher", "no repository of that name")


@pytest.mark.parametrize("offline", ["0", "1"])
def test_without_data_one_line_names_what_is_missing_and_nothing_is_half_written(tmp_path, offline):
    """First the test data, which must be kept out of the corpus; where nobody looks for them, the corpus's own."""
    teacher = make_small_teacher(tmp_path / "teacher")
    for chosen, words in (
        ((), ("AmazonCounterfactualClassification", "mteb/amazon_counterfactual", "corpus.decontaminate=false")),
        (("corpus.decontaminate=false",), ("mteb/amazon_massive_intent",)),
    ):
        done = babelpress(
            "run", "me5s_v3", "--teacher", str(teacher), *settings(*chosen), folder=tmp_path / "run",
            environment={**closed_hub(tmp_path / "home"), "HF_HUB_OFFLINE": offline},
        )  # fmt: skip
        check_refusal(done, "--data-dir", *words, seconds=60)
        assert not (tmp_path / "run" / "corpus").exists()
        assert not list((tmp_path / "run").rglob("manifest.json"))


def test_local_copies_do_without_the_hub(tmp_path):
    """--teacher and --data-dir: the data sets' own folders, and a task's data under the task's name."""
    write_sources(tmp_path / "root")
    data = tmp_path / "root" / "datasets"
    shutil.copytree(data / "mteb" / "stsbenchmark-sts", data / "STSBenchmark")
    teacher = make_small_teacher(tmp_path / "teacher")
    chosen = settings(*SMALL, "evaluation.tasks=[STSBenchmark]")
    done = babelpress(
        "evaluate", "me5s_v3", "--json", "--teacher", str(teacher), "--data-dir", str(data), *chosen,
        folder=tmp_path / "run", environment=closed_hub(tmp_path / "home"),
    )  # fmt: skip
    assert done.code == 0, done.err[-4000:]
    check_scores(done, ("STSBenchmark",))
    assert done.results()["teacher_id"] == TEACHER, "a local copy keeps the recipe's name"
