"""What the browser example builds, fetches and serves."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import re
import shutil
import sys
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from babelpress.errors import BabelpressError
from babelpress.utils.files import read_json
from examples.browser import fetch
from examples.browser.build import build_model, build_sentences
from examples.browser.fetch import fetch_vendor, is_complete
from examples.browser.server import open_server
from tests.examples.conftest import EXAMPLE, PAGE, served

LANGUAGES = sorted(["ko", "en", "ja", "zh", "es", "fr", "de", "pt", "it", "ru", "ar", "hi", "th", "vi", "id", "pl"])

# An npm that knows two packages, and writes down what it was asked for.
NPM = """#!{python}
import pathlib, shutil, sys
here = pathlib.Path(__file__).parent
with (here / "asked").open("a") as asked:
    print(*sys.argv[1:3], file=asked)
archive = here / (sys.argv[2].strip("@").replace("/", "-").replace("@", "-") + ".tgz")
if not archive.is_file():
    sys.exit("npm error code E404\\nnpm error 404 Not Found: " + sys.argv[2])
shutil.copy(archive, sys.argv[sys.argv.index("--pack-destination") + 1])
"""


def _pack(path: Path, files: dict[str, bytes]) -> str:
    """Write a package's archive; return its integrity as npm writes it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """A folder with an npm alone on the path, beside a package.json that pins what it has."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "npm").write_text(NPM.format(python=sys.executable))
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    integrity = {
        "@huggingface/transformers": _pack(
            folder / "huggingface-transformers-1.0.0.tgz", {"dist/transformers.min.js": b"js", "src/other.js": b"no"}
        ),
        "onnxruntime-web": _pack(
            folder / "onnxruntime-web-2.0.0-dev.1.tgz",
            {"dist/ort-wasm-simd-threaded.mjs": b"mjs", "dist/ort-wasm-simd-threaded.wasm": b"\0asm"},
        ),
    }
    _pin(tmp_path, integrity)
    return folder


def _pin(folder: Path, integrity: dict[str, str], runtime: str = "2.0.0-dev.1") -> None:
    pinned = {"@huggingface/transformers": "1.0.0", "onnxruntime-web": runtime}
    (folder / "package.json").write_text(json.dumps({"dependencies": pinned, "integrity": integrity}))


def asked(npm: Path) -> list[str]:
    return (npm / "asked").read_text().splitlines() if (npm / "asked").is_file() else []


def test_only_the_files_of_the_page_come_out_of_the_packages(npm, tmp_path):
    assert fetch_vendor(tmp_path / "package.json", tmp_path / "vendor") is True
    found = {path.name: path.read_bytes() for path in (tmp_path / "vendor").iterdir()}
    found.pop("versions.json")
    assert found == {
        "transformers.min.js": b"js", "ort-wasm-simd-threaded.mjs": b"mjs", "ort-wasm-simd-threaded.wasm": b"\0asm"
    }  # fmt: skip
    assert asked(npm) == ["pack @huggingface/transformers@1.0.0", "pack onnxruntime-web@2.0.0-dev.1"]


def test_what_was_fetched_is_not_fetched_again(npm, tmp_path):
    fetch_vendor(tmp_path / "package.json", tmp_path / "vendor")
    (npm / "npm").unlink()
    assert fetch_vendor(tmp_path / "package.json", tmp_path / "vendor") is False


def test_other_versions_are_fetched_anew(npm, tmp_path):
    fetch_vendor(tmp_path / "package.json", tmp_path / "vendor")
    files = {"dist/ort-wasm-simd-threaded.mjs": b"new", "dist/ort-wasm-simd-threaded.wasm": b"new"}
    integrity = read_json(tmp_path / "package.json")["integrity"]
    newer = _pack(npm / "onnxruntime-web-2.0.1.tgz", files)
    _pin(tmp_path, {**integrity, "onnxruntime-web": newer}, runtime="2.0.1")
    assert fetch_vendor(tmp_path / "package.json", tmp_path / "vendor") is True
    assert (tmp_path / "vendor" / "ort-wasm-simd-threaded.wasm").read_bytes() == b"new"


def test_another_package_than_the_pinned_one_is_refused_and_not_unpacked(npm, tmp_path):
    _pack(npm / "huggingface-transformers-1.0.0.tgz", {"dist/transformers.min.js": b"something else"})
    with pytest.raises(BabelpressError, match=r"npm brought another @huggingface/transformers than package.json names"):
        fetch_vendor(tmp_path / "package.json", tmp_path / "vendor")
    assert not (tmp_path / "vendor").exists()


def test_npm_s_own_words_are_passed_on(npm, tmp_path):
    (npm / "onnxruntime-web-2.0.0-dev.1.tgz").unlink()
    with pytest.raises(BabelpressError, match=r"^npm could not fetch onnxruntime-web@2.0.0-dev.1: npm error 404 Not F"):
        fetch_vendor(tmp_path / "package.json", tmp_path / "vendor")
    assert not is_complete(tmp_path / "vendor")


def test_a_package_without_a_file_of_the_page_is_named(npm, tmp_path):
    integrity = read_json(tmp_path / "package.json")["integrity"]
    without = _pack(npm / "huggingface-transformers-1.0.0.tgz", {"dist/transformers.js": b"js"})
    _pin(tmp_path, {**integrity, "@huggingface/transformers": without})
    with pytest.raises(BabelpressError, match=r"no dist/transformers.min.js in huggingface-transformers-1.0.0.tgz"):
        fetch_vendor(tmp_path / "package.json", tmp_path / "vendor")


def test_without_npm_one_line_says_where_it_comes_from(npm, tmp_path):
    (npm / "npm").unlink()
    with pytest.raises(BabelpressError, match=r"^npm is missing; it comes with Node.js \(apt install npm"):
        fetch_vendor(tmp_path / "package.json", tmp_path / "vendor")


def test_package_json_pins_every_package_exactly():
    pinned = read_json(EXAMPLE / "package.json")
    assert pinned["dependencies"].keys() == pinned["integrity"].keys() == fetch.FILES.keys()
    assert all(re.fullmatch(r"\d+\.\d+\.\d+(-[\w.-]+)?", one) for one in pinned["dependencies"].values())
    assert all(re.fullmatch(r"sha512-[\w+/]{86}==", one) for one in pinned["integrity"].values())


def test_the_page_names_no_other_host():
    for name in PAGE:
        text = (EXAMPLE / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"//[\w-]+\.\w", text), name


def test_the_sentences_are_the_held_out_ones_of_all_languages_in_one_order(tmp_path):
    build_sentences(tmp_path / "sentences.json")
    found = read_json(tmp_path / "sentences.json")
    assert len(found) == 50
    assert all(list(meaning["texts"]) == LANGUAGES for meaning in found)
    assert (
        next(one for one in found if one["id"] == "b38")["texts"]["en"] == "The gate has been changed from B12 to C4."
    )


def test_the_model_is_what_transformers_js_reads(model, tiny_student):
    files = {str(path.relative_to(model)) for path in model.rglob("*") if path.is_file()}
    assert files == {
        "config.json", "tokenizer.json", "tokenizer_config.json", "student.json", "onnx/model_quantized.onnx",
        "onnx/exports.json",
    }  # fmt: skip
    facts = read_json(model / "student.json")
    assert facts["weights_bytes"] == (model / "onnx" / "model_quantized.onnx").stat().st_size
    assert facts["student_bytes"] == (tiny_student / "model.safetensors").stat().st_size
    assert (facts["name"], facts["prompt"]) == ("pruned", "")


def test_a_built_model_is_kept_until_the_student_is_another(model, tiny_student, tmp_path):
    again = shutil.copytree(model, tmp_path / "model")
    student = shutil.copytree(tiny_student, tmp_path / "run" / "student")
    assert build_model(student, again, floor=None) is False
    settings = read_json(student / "config_sentence_transformers.json")
    settings |= {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query"}
    (student / "config_sentence_transformers.json").write_text(json.dumps(settings))
    assert build_model(student, again, floor=None) is True
    facts = read_json(again / "student.json")
    assert (facts["name"], facts["prompt"]) == ("run", "query: ")


def test_a_folder_that_is_no_student_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        BabelpressError, match=r"is no student folder: it has no tokenizer.json, tokenizer_config.json,"
    ):
        build_model(tmp_path, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.fixture
def folder(tmp_path):
    """A folder to serve, with a file outside that nobody may read."""
    inside = tmp_path / "inside"
    (inside / "vendor").mkdir(parents=True)
    for name in ("index.html", "style.css", "app.js", "vendor/a.mjs", "vendor/a.wasm", "model.onnx", "sentences.json"):
        (inside / name).write_text(name)
    (tmp_path / "secret.txt").write_text("secret")
    return inside


def _get(where: str, path: str) -> http.client.HTTPResponse:
    """Ask for a path as it stands, unlike urllib, which tidies it."""
    connection = http.client.HTTPConnection(urlsplit(where).netloc, timeout=10)
    connection.request("GET", path)
    return connection.getresponse()


def test_files_come_with_the_types_that_browsers_insist_on(folder):
    with served(folder) as where:
        types = {
            path: _get(where, path).headers["Content-Type"].partition(";")[0]
            for path in ("/", "/style.css", "/app.js", "/vendor/a.mjs", "/vendor/a.wasm", "/model.onnx")
        }
    assert types == {
        "/": "text/html", "/style.css": "text/css", "/app.js": "text/javascript", "/vendor/a.mjs": "text/javascript",
        "/vendor/a.wasm": "application/wasm", "/model.onnx": "application/octet-stream",
    }  # fmt: skip


def test_every_answer_isolates_the_page_and_keeps_it_from_other_hosts(folder):
    with served(folder) as where:
        for path in ("/", "/app.js", "/nothing"):
            headers = _get(where, path).headers
            assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
            policy = headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; ")
            assert not re.search(r"\*|https?:|unsafe-inline|'unsafe-eval'", policy)


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "//../secret.txt", "/vendor/../../secret.txt"]
)
def test_nothing_outside_of_the_folder_is_served(folder, path):
    with served(folder) as where:
        answer = _get(where, path)
        assert answer.status == 404
        assert b"secret" not in answer.read().replace(b"secret.txt", b"")


def test_folders_are_not_listed(folder):
    with served(folder) as where:
        answer = _get(where, "/vendor/")
        assert answer.status == 404
        assert b"a.wasm" not in answer.read()


def test_only_this_machine_is_answered(folder):
    with open_server(folder) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_or_none_is_said_in_one_line(folder):
    with open_server(folder) as server:
        taken = server.server_address[1]
        with pytest.raises(BabelpressError, match=f"^port {taken} cannot be opened: .*; try --port 0"):
            open_server(folder, port=taken)
    with pytest.raises(BabelpressError, match=r"^port 99999 cannot be opened: "):
        open_server(folder, port=99999)
