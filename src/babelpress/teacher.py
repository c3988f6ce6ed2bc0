"""Read a teacher: everything that a press needs to know, from its folder, never from the user."""

from __future__ import annotations

import logging
import re
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from babelpress.architectures import family_of
from babelpress.architectures.family import Family
from babelpress.errors import BabelpressError, HubError, TeacherError
from babelpress.utils.files import hash_file, hash_json, inside, read_json
from babelpress.utils.tensors import Checkpoint, open_checkpoint
from babelpress.vocabulary.tokenizer_file import read_tokenizer_file

BUNDLED, FORMER_BUNDLED = "bundled", "embedded"  # the teacher inside the package; its name up to version 0.1
BUNDLED_ID = "babelpress/reference-teacher"

logger = logging.getLogger(__name__)

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*(/[\w.-]+)?$")
_IGNORED = (
    "*.bin",
    "*.onnx",
    "*.onnx_data",
    "*.h5",
    "*.msgpack",
    "*.ot",
    "*.pt",
    "*.pkl",
    "onnx/*",
    "openvino/*",
)

# Prompts that the authors ask for and that the published folder does not carry.
# E5: Wang et al. 2024, "Multilingual E5 Text Embeddings", section 3.
_KNOWN_PROMPTS = {
    re.compile(r"(^|/)(multilingual-)?e5-(small|base|large)(-v2)?$"): {
        "query": "query: ",
        "passage": "passage: ",
    },
}


@dataclass(frozen=True)
class Module:
    """One entry of modules.json: its folder inside the model and its bare class name."""

    path: str
    kind: str


@dataclass(frozen=True)
class Teacher:
    """The facts of a SentenceTransformer folder, as read from it."""

    name: str
    folder: Path
    revision: str | None
    architecture: str
    layers: int
    hidden: int
    heads: int
    feed_forward: int
    positions: int
    rows: int
    pieces: int
    max_length: int
    modules: tuple[Module, ...]
    pooling: str
    normalised: bool
    prompts: dict[str, str]
    default_prompt: str | None
    tokenizer_kind: str
    licence: str | None
    parameters: int
    parameters_without_pooler: int
    weight_bytes: int
    prefix: str
    fingerprint: str
    trust_remote_code: bool = False
    licence_name: str | None = None  # with the licence "other"
    licence_link: str | None = None

    @property
    def family(self) -> Family:
        """Return the family of encoders that the teacher belongs to."""
        return family_of(self.architecture, model=self.name)

    def facts(self) -> dict[str, Any]:
        """Return the facts as JSON-able values, without the place where the folder lies."""
        values = asdict(self)
        del values["folder"], values["trust_remote_code"]
        return values


def locate_teacher(model: str, *, revision: str | None = None) -> Path:
    """Return the local folder of a teacher: the bundled one, a folder, or a snapshot of the hub.

    Raises TeacherError for a name that is neither, HubError where the hub cannot be reached.
    """
    if model in (BUNDLED, FORMER_BUNDLED):
        if model == FORMER_BUNDLED:
            _warn_of_former_name()
        return Path(str(resources.files("babelpress") / "assets" / "teacher"))
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or model.startswith((".", "/", "~")) or not _HUB_ID.match(model):
        raise TeacherError(f"teacher {model!r} is neither a folder nor a hub id like org/name")
    try:
        return download_model(model, revision)
    except HubError as error:
        raise HubError(f"{error}; give a local copy with --teacher PATH") from error


@cache
def _warn_of_former_name() -> None:
    logger.warning("the bundled teacher is called %s now; the name %s will go", BUNDLED, FORMER_BUNDLED)


def download_model(model: str, revision: str | None = None) -> Path:
    """Return the folder of a hub model: what is safe of it, kept in the hub's cache. Raises HubError."""
    from huggingface_hub import snapshot_download

    from babelpress.utils.hub import explain

    try:
        return Path(snapshot_download(model, revision=revision, ignore_patterns=list(_IGNORED)))
    except Exception as error:
        raise HubError(f"model {model!r} is not on this machine and {explain(error)}") from error


def read_teacher(
    model: str,
    *,
    revision: str | None = None,
    name: str | None = None,
    prompts: dict[str, str] | None = None,
    trust_remote_code: bool = False,
) -> Teacher:
    """Read the facts of a teacher.

    `name` is what the card cites (default: the hub id or the folder's name); `prompts` replaces
    those of the folder. Raises TeacherError for anything missing, unsafe or not supported yet.
    """
    folder = locate_teacher(model, revision=revision)
    name = name or (
        BUNDLED_ID
        if model in (BUNDLED, FORMER_BUNDLED)
        else model
        if not Path(model).expanduser().exists()
        else folder.resolve().name
    )
    config = _read_object(folder, "config.json")
    _refuse_own_code(config, name=name, trust_remote_code=trust_remote_code)
    family = family_of(config.get("model_type"), model=name)
    family.check_config(config, model=name)
    modules = _read_modules(folder, name=name)
    checkpoint = open_checkpoint(folder)
    prefix = family.prefix(checkpoint.names(), model=name)
    _check_weights(family, config, checkpoint, prefix, name)
    rows, hidden = checkpoint.shape(prefix + family.embeddings)
    tokenizer = read_tokenizer_file(folder / "tokenizer.json")
    pieces = len(tokenizer.pieces)
    if pieces > rows:
        raise TeacherError(
            f"{name}: {tokenizer.origin} has {pieces} pieces but the embedding matrix has {rows} rows; they do not "
            "belong together"
        )
    layers = int(config[family.keys.layers])
    sizes = {bare: checkpoint.size(prefix + bare) for bare in _parameters(family, checkpoint, prefix, layers)}
    optional = sum(size for bare, size in sizes.items() if family.is_optional(bare))
    own_prompts, default_prompt = _read_prompts(folder, name)
    front = _read_front_matter(folder)
    prompts = own_prompts if prompts is None else dict(prompts)
    return Teacher(
        name=name,
        folder=folder,
        revision=revision or _snapshot_revision(folder),
        architecture=config["model_type"],
        layers=layers,
        hidden=hidden,
        heads=int(config[family.keys.heads]),
        feed_forward=int(config[family.keys.feed_forward]),
        positions=checkpoint.shape(prefix + family.positions)[0],
        rows=rows,
        pieces=pieces,
        max_length=_max_length(folder, family.longest_input(config)),
        modules=modules,
        pooling=_pooling(folder, modules),
        normalised=any(module.kind == "Normalize" for module in modules),
        prompts=prompts,
        default_prompt=default_prompt if default_prompt in prompts else None,
        tokenizer_kind=str(tokenizer.family),
        licence=front.get("license"),
        parameters=sum(sizes.values()),
        parameters_without_pooler=sum(sizes.values()) - optional,
        weight_bytes=checkpoint.bytes_on_disk(),
        prefix=prefix,
        fingerprint=_fingerprint(folder, checkpoint, modules),
        trust_remote_code=trust_remote_code,
        licence_name=front.get("license_name"),
        licence_link=front.get("license_link"),
    )


def _read_object(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = read_json(folder / name)
    except BabelpressError as error:
        raise TeacherError(f"not a teacher: {error}") from None
    if not isinstance(value, dict):
        raise TeacherError(f"{folder / name} holds a {type(value).__name__}, an object was expected")
    return value


def _refuse_own_code(config: dict[str, Any], *, name: str, trust_remote_code: bool) -> None:
    if "auto_map" in config and not trust_remote_code:
        raise TeacherError(
            f"{name} asks to run its own code (auto_map in config.json); refused unless the recipe says "
            "teacher.trust_remote_code: true"
        )


def _read_modules(folder: Path, *, name: str) -> tuple[Module, ...]:
    if not (folder / "modules.json").is_file():
        raise TeacherError(
            f"{name} has no modules.json, so its pooling is unknown; save it once with SentenceTransformer(...).save()"
        )
    entries = read_json(folder / "modules.json")
    try:
        modules = tuple(
            Module(path=str(entry["path"]), kind=str(entry["type"]).rpartition(".")[2]) for entry in entries
        )
    except (TypeError, KeyError):
        raise TeacherError(f"{name}: modules.json is not a list of modules with path and type") from None
    if not modules or modules[0].kind != "Transformer":
        first = modules[0].kind if modules else "nothing"
        raise TeacherError(f"{name}: its first module is {first}, a Transformer was expected")
    if modules[0].path:
        raise TeacherError(f"{name}: its Transformer lies in {modules[0].path!r}; only the top folder is supported yet")
    known = {"Transformer", "Pooling", "Normalize", "Dense"}
    for module in modules:
        inside(folder, module.path or ".")
        if module.kind not in known:
            raise TeacherError(
                f"{name}: module {module.kind} is not supported yet; supported: {', '.join(sorted(known))}"
            )
        if module.kind == "Dense" and not (folder / module.path / "model.safetensors").is_file():
            raise TeacherError(f"{name}: {module.path} has no model.safetensors (pickles are never read)")
    if "Pooling" not in {module.kind for module in modules}:
        raise TeacherError(f"{name} has no Pooling module, so it gives no sentence embeddings")
    return modules


def _parameters(family: Family, checkpoint: Checkpoint, prefix: str, layers: int) -> list[str]:
    """Return the bare names of the parameters of an encoder with so many layers; further ones are never loaded."""
    bare = [name.removeprefix(prefix) for name in checkpoint.names() if name.startswith(prefix)]
    place = {name: family.layer_of(name) for name in bare if family.is_parameter(name)}
    return [name for name, layer in place.items() if layer is None or layer[0] < layers]


def _check_weights(family: Family, config: dict[str, Any], checkpoint: Checkpoint, prefix: str, name: str) -> None:
    """Raise TeacherError where the weights are not those that config.json describes."""
    keys = family.keys
    bare = [each.removeprefix(prefix) for each in checkpoint.names() if each.startswith(prefix)]
    there = {layer[0] for each in bare if (layer := family.layer_of(each))}
    lacking = sorted(set(range(config[keys.layers])) - there)
    if lacking:
        raise TeacherError(
            f"{name}: config.json says {keys.layers} {config[keys.layers]}, but the weights have no layer {lacking[0]}"
        )
    rows, hidden = checkpoint.shape(prefix + family.embeddings)
    positions = checkpoint.shape(prefix + family.positions)[0]
    for key, stored in ((keys.hidden, hidden), (keys.positions, positions), ("vocab_size", rows)):
        if config.get(key, stored) != stored:
            raise TeacherError(f"{name}: config.json says {key} {config[key]}, the weights have {stored}")


def _max_length(folder: Path, positions: int) -> int:
    """Return the longest input in tokens: what the folder says, never more than the positions allow."""
    limits = [positions]
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        if (folder / name).is_file():
            value = _read_object(folder, name).get(key)
            if isinstance(value, int | float) and value > 0:
                limits.append(int(min(value, limits[0])))
                break
    return min(limits)


def _pooling(folder: Path, modules: tuple[Module, ...]) -> str:
    path = next(module.path for module in modules if module.kind == "Pooling")
    return pooling_mode(_read_object(folder / path, "config.json"))


def pooling_mode(config: dict[str, Any]) -> str:
    """Return the pooling mode of a Pooling config of any sentence-transformers version."""
    if mode := config.get("pooling_mode"):
        return str(mode)
    flags = {
        "cls": "pooling_mode_cls_token",
        "mean": "pooling_mode_mean_tokens",
        "max": "pooling_mode_max_tokens",
        "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
        "weightedmean": "pooling_mode_weightedmean_tokens",
        "lasttoken": "pooling_mode_lasttoken",
    }
    modes = [mode for mode, flag in flags.items() if config.get(flag)]
    if len(modes) != 1:
        raise TeacherError(
            f"the Pooling config names {len(modes)} modes ({', '.join(modes) or 'none'}); one was expected"
        )
    return modes[0]


def _read_prompts(folder: Path, name: str) -> tuple[dict[str, str], str | None]:
    path = folder / "config_sentence_transformers.json"
    values = _read_object(folder, path.name) if path.is_file() else {}
    prompts = {key: text for key, text in (values.get("prompts") or {}).items() if text}
    if not prompts:
        prompts = next((dict(known) for pattern, known in _KNOWN_PROMPTS.items() if pattern.search(name)), {})
    return prompts, values.get("default_prompt_name")


def _read_front_matter(folder: Path) -> dict[str, str]:
    """Return the texts in the front matter of the folder's README, {} where there is none."""
    readme = folder / "README.md"
    if not readme.is_file():
        return {}
    match = re.match(r"---\s*\n(.*?)\n---\s*\n", readme.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    try:
        values = yaml.safe_load(match.group(1)) if match else None
    except yaml.YAMLError:
        return {}
    if not isinstance(values, dict):
        return {}
    return {key: value for key, value in values.items() if isinstance(key, str) and isinstance(value, str)}


def _snapshot_revision(folder: Path) -> str | None:
    """Return the commit of a hub snapshot: the cache names its folder after it."""
    commit = folder.resolve().name
    return commit if re.fullmatch(r"[0-9a-f]{40}", commit) else None


def _fingerprint(folder: Path, checkpoint: Checkpoint, modules: tuple[Module, ...]) -> str:
    """Hash what decides the teacher's embeddings: its weights, every config that is read, further modules."""
    files = {path for path in folder.glob("*.json") if not path.name.endswith(".index.json")}
    files |= {folder / module.path / name for module in modules[1:] for name in ("config.json", "model.safetensors")}
    configs = {str(path.relative_to(folder)): hash_file(path) for path in sorted(files) if path.is_file()}
    return hash_json({"weights": checkpoint.content_hash(), "configs": configs})
