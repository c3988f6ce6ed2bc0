"""A push against the stand-in hub, through the hub's own client: one commit or none, one line for every fault."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from babelpress import api
from babelpress.errors import BabelpressError, HubError
from babelpress.publishing import push as module
from tests.hub.uploads import READER, WRITER, WritableHub
from tests.publishing import NAME, make_published

REPO = "me/mine"
CHECK = module.check_student


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_teacher) -> Path:
    return make_published(tmp_path_factory.mktemp("made") / "student", tiny_teacher)


@pytest.fixture
def folder(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "student"))


@pytest.fixture(autouse=True)
def _client(monkeypatch, tmp_path):
    """A client that is online, has a token, and does not wait between its tries; the checks have tests of their own."""
    import huggingface_hub.utils._http as http

    for name, value in {
        "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True, "HF_TOKEN_PATH": str(tmp_path / "token"),
    }.items():  # fmt: skip
        monkeypatch.setattr(constants, name, value)
    for name in ("HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(http.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(module, "check_student", lambda folder: None)


def use(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setenv("HF_ENDPOINT", endpoint)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[WritableHub]:
    (tmp_path / "root").mkdir()
    with WritableHub(tmp_path / "root") as running:
        use(monkeypatch, running.endpoint)
        yield running


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(folder: Path, repo: str = REPO, **options) -> str:
    with pytest.raises(BabelpressError) as error:
        api.push(folder, repo, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def holds_nothing(hub: WritableHub) -> bool:
    return all(contents(branch.folder) == {} for branch in hub.branches.values())


# --- what arrives ---------------------------------------------------------------------------------


def test_every_file_arrives_as_it_is_but_for_the_models_name_on_the_card(hub, folder):
    before = contents(folder)
    pushed = api.push(folder, REPO)
    there = contents(hub.main(REPO).folder)
    card = there.pop("README.md")
    assert there == {name: data for name, data in before.items() if name != "README.md"}
    assert card == before["README.md"].replace(NAME.encode(), REPO.encode())
    assert contents(folder) == before, "the folder itself is not changed"
    assert (pushed.changed, pushed.commit, pushed.pull_request) == (True, hub.main(REPO).head, None)
    assert pushed.url == f"{hub.endpoint}/{REPO}"
    assert pushed.push.renamed == NAME


def test_all_of_it_is_one_commit(hub, folder):
    api.push(folder, REPO, message="first")
    assert hub.main(REPO).messages == ["first"]


def test_weights_go_as_a_large_file_and_the_rest_inside_the_commit(hub, folder):
    api.push(folder, REPO)
    weights = (folder / "model.safetensors").read_bytes()
    assert hub.large == {hashlib.sha256(weights).hexdigest(): weights}


def test_a_very_large_file_goes_in_parts(hub, folder):
    hub.part = 10_000
    api.push(folder, REPO)
    weights = (folder / "model.safetensors").read_bytes()
    (parts,) = hub.parts.values()
    assert len(parts) == -(-len(weights) // 10_000)
    assert (hub.main(REPO).folder / "model.safetensors").read_bytes() == weights


def test_the_same_again_makes_no_commit_and_says_so(hub, folder):
    first = api.push(folder, REPO)
    again = api.push(folder, REPO)
    assert (again.changed, again.commit) == (False, first.commit)
    assert len(hub.main(REPO).messages) == 1
    assert again.facts()["sent"]


def test_a_changed_file_makes_a_commit_and_sends_no_large_file_twice(hub, folder):
    first = api.push(folder, REPO)
    (folder / "umap.png").write_bytes(b"\x89PNG another")
    puts = [path for path in hub.requests if path.startswith("/large/")]
    again = api.push(folder, REPO)
    assert again.changed
    assert again.commit != first.commit
    assert (hub.main(REPO).folder / "umap.png").read_bytes() == b"\x89PNG another"
    assert [path for path in hub.requests if path.startswith("/large/")] == puts


def test_a_new_repository_is_private_where_that_is_asked_for(hub, folder):
    api.push(folder, REPO, private=True)
    assert hub.private == {REPO}
    api.push(folder, "me/open")
    assert hub.private == {REPO}


def test_private_never_ends_in_a_public_repository(hub, folder):
    api.push(folder, REPO)
    (folder / "umap.png").write_bytes(b"secret")
    assert "exists and is public" in refusal(folder, private=True)
    assert b"secret" not in contents(hub.main(REPO).folder).values()


def test_a_branch_is_made_where_it_is_not_there_and_main_stays(hub, folder):
    api.push(folder, REPO)
    (folder / "umap.png").write_bytes(b"other")
    for _ in range(2):
        pushed = api.push(folder, REPO, revision="try/2")
    branch = hub.branches[REPO, "try/2"]
    assert (branch.folder / "umap.png").read_bytes() == b"other"
    assert (hub.main(REPO).folder / "umap.png").read_bytes() == b"\x89PNG"
    assert (pushed.commit, pushed.changed) == (branch.head, False)


def test_a_pull_request_needs_no_right_to_write_and_leaves_main(hub, folder, monkeypatch):
    api.push(folder, REPO)
    (folder / "umap.png").write_bytes(b"better")
    monkeypatch.setenv("HF_TOKEN", READER)
    pushed = api.push(folder, REPO, create_pr=True)
    assert pushed.pull_request == f"{hub.endpoint}/{REPO}/discussions/1"
    assert (hub.branches[REPO, "refs/pr/1"].folder / "umap.png").read_bytes() == b"better"
    assert len(hub.main(REPO).messages) == 1


def test_the_token_goes_to_the_endpoint_alone_and_nowhere_else_is_asked(hub, folder, monkeypatch):
    asked = []
    connect = socket.socket.connect

    def listen(self, address):
        asked.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", listen)
    api.push(folder, REPO)
    port = int(hub.endpoint.rpartition(":")[2])
    assert set(asked) == {("127.0.0.1", port)}


# --- what does not --------------------------------------------------------------------------------


def test_a_dry_run_asks_nobody_and_needs_no_token(hub, folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: pytest.fail(f"asked {address}"))
    found = api.push(folder, REPO, dry_run=True).facts()
    assert hub.requests == []
    assert (found["sent"], found["commit"], found["url"]) == (False, None, f"{hub.endpoint}/{REPO}")
    sizes = {file["path"]: file["bytes"] for file in found["files"]}
    before = contents(folder)
    assert sizes == {name: len(data) for name, data in before.items()} | {
        "README.md": len(before["README.md"].replace(NAME.encode(), REPO.encode()))
    }


def test_without_a_token_the_remedy_is_to_log_in_and_nothing_is_asked(hub, folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert "hf auth login" in refusal(folder)
    assert hub.requests == []


def test_a_token_that_the_hub_does_not_know(hub, folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    assert "does not know the token" in refusal(folder)
    assert hub.branches == {}


def test_a_token_that_may_not_write(hub, folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", READER)
    said = refusal(folder)
    assert "write access is needed" in said
    assert "no write access to the namespace me" in said, "the hub's own words"
    assert hub.branches == {}


def test_no_token_is_ever_written_into_an_error(hub, folder, monkeypatch):
    for token in (READER, "hf_stranger"):
        monkeypatch.setenv("HF_TOKEN", token)
        assert token not in refusal(folder)


@pytest.mark.parametrize("name", ["mine", "me/mine/x", "me/", "me/a b", "me/a--b", "-me/x", "me/" + 97 * "x", "../x"])
def test_a_name_that_the_hub_does_not_take(folder, name):
    assert "NAMESPACE/NAME" in refusal(folder, name)


def test_metadata_that_the_hubs_validator_refuses_make_no_repository(hub, folder):
    path = folder / "README.md"
    path.write_text(path.read_text(encoding="utf-8").replace("license: mit", "license: mine"), encoding="utf-8")
    said = refusal(folder)
    assert "README.md" in said
    assert '"license" must be one of' in said
    assert hub.branches == {}


def test_metadata_that_are_refused_only_with_the_commit_are_told_of_too(hub, folder):
    """The client asks once more, with the card's very bytes."""
    hub.trouble = lambda method, path: 400 if path.endswith("/validate-yaml") and hub.requests.count(path) > 1 else None
    assert "me/mine was not pushed: Invalid metadata in README.md" in refusal(folder)
    assert holds_nothing(hub)


def test_a_folder_that_must_not_be_published_is_refused_before_anybody_is_asked(hub, folder):
    (folder / "modeling.py").write_text("")
    assert "modeling.py" in refusal(folder)
    assert hub.requests == []


def test_a_student_that_does_not_pass_the_checks_is_refused_before_anybody_is_asked(hub, folder, monkeypatch):
    monkeypatch.setattr(module, "check_student", CHECK)
    monkeypatch.setattr("babelpress.checks.run.scalar_values", lambda *, full: ["a", "é"])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": 0}), encoding="utf-8")
    said = refusal(folder)
    assert "the check ids fails" in said
    assert said.endswith(f"babelpress check {folder}")
    assert hub.requests == []


def test_a_pull_request_to_a_repository_that_is_not_there(hub, folder):
    assert "no repository of that name" in refusal(folder, create_pr=True)


def test_private_and_pull_request_exclude_each_other(folder):
    assert "--private" in refusal(folder, create_pr=True, private=True)


@pytest.mark.parametrize(
    ("place", "status", "words"),
    [
        ("/commit/", 409, "busy with the same repository"), ("/commit/", 412, "was changed meanwhile"),
        ("/commit/", 500, "internal error (HTTP 500)"), ("/preupload/", 429, "too many requests"),
        ("/large/", 503, "internal error (HTTP 503)"), ("/repos/create", 403, "write access"),
        ("/commit/", 0, "cannot be reached"), ("/large/", 0, "cannot be reached"), ("/whoami", 0, "cannot be reached"),
    ],
)  # fmt: skip
def test_trouble_on_the_way_is_one_line_and_leaves_nothing_half(hub, folder, place, status, words):
    hub.trouble = lambda method, path: status if place in path else None
    assert words in refusal(folder)
    assert holds_nothing(hub)


def test_what_was_sent_before_the_trouble_is_not_sent_again(hub, folder):
    hub.trouble = lambda method, path: 500 if "/commit/" in path else None
    refusal(folder)
    hub.trouble = lambda method, path: None
    hub.requests.clear()
    assert api.push(folder, REPO).changed
    assert not [path for path in hub.requests if path.startswith("/large/")]


def test_a_hub_that_is_gone(folder, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
    use(monkeypatch, endpoint)
    assert f"{endpoint} cannot be reached" in refusal(folder)


def test_a_hub_that_is_forbidden(hub, folder, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE forbids" in refusal(folder)
    assert hub.requests == []


def test_errors_are_the_hubs(hub, folder):
    hub.trouble = lambda method, path: 500
    with pytest.raises(HubError):
        api.push(folder, REPO)
