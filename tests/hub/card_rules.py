"""What the hub's validator asks of a model card's metadata, as its documentation says (model cards, licences)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

# Some of the licences that the hub knows; enough for the tests.
LICENCES = {"apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "gpl-3.0", "llama2", "unknown", "other"}
RELATIONS = {"adapter", "finetune", "merge", "quantized"}
TASKS = {"sentence-similarity", "feature-extraction", "text-classification"}
_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def card_faults(content: str) -> list[str]:
    """Return what the hub would refuse of a README.md, nothing for a good one."""
    match = re.match(r"---\r?\n(.*?)\r?\n---[ \t]*(\r?\n|$)", content, re.DOTALL)
    if match is None:
        return ["there is no metadata block"]
    try:
        data = yaml.safe_load(match.group(1))
    except yaml.YAMLError as error:
        return [f"not YAML: {' '.join(str(error).split())}"]
    if not isinstance(data, dict):
        return ["the metadata must be an object"]
    return [*_plain_faults(data), *_index_faults(data.get("model-index"))]


def _plain_faults(data: dict[str, Any]) -> Iterator[str]:
    for code in _listed(data.get("language")):
        if not isinstance(code, str) or not re.fullmatch(r"[a-z]{2,3}|code|multilingual", code):
            yield f'"language" with value {code!r} is not valid; BCP-47 identifiers go into language_bcp47'
    if "license" in data and data["license"] not in LICENCES:
        yield f'"license" must be one of {sorted(LICENCES)}'
    if "license_name" in data and not re.fullmatch(r"[a-z0-9.-]+", str(data["license_name"])):
        yield '"license_name" must be of lower-case letters, digits, dots and hyphens'
    if ("license_name" in data) != (data.get("license") == "other"):
        yield '"license_name" goes with the license "other"'
    if not re.fullmatch(r"https?://\S+|LICENSE(\.md)?", str(data.get("license_link", "LICENSE"))):
        yield '"license_link" must be a link or LICENSE'
    for key in ("base_model", "datasets"):
        for name in _listed(data.get(key)):
            if not isinstance(name, str) or not _ID.fullmatch(name):
                yield f'"{key}" with value {name!r} is not an id of the hub'
    if data.get("base_model_relation", "finetune") not in RELATIONS:
        yield f'"base_model_relation" must be one of {sorted(RELATIONS)}'
    if data.get("pipeline_tag", "sentence-similarity") not in TASKS:
        yield f'"pipeline_tag" must be one of {sorted(TASKS)}'
    if not all(isinstance(tag, str) for tag in _listed(data.get("tags"))):
        yield '"tags" must be strings'


def _index_faults(index: Any) -> Iterator[str]:
    for number, model in enumerate(index or ()):
        if not isinstance(model.get("name"), str):
            yield f'"model-index[{number}].name" is required'
        for place, result in enumerate(model.get("results", ())):
            where = f"model-index[{number}].results[{place}]"
            for part, key in (("task", "type"), ("dataset", "type"), ("dataset", "name")):
                if not isinstance(result.get(part, {}).get(key), str):
                    yield f'"{where}.{part}.{key}" is required'
            metrics = result.get("metrics")
            if not metrics:
                yield f'"{where}.metrics" is required'
            for metric in metrics or ():
                value = metric.get("value")
                if not isinstance(metric.get("type"), str):
                    yield f'"{where}.metrics.type" is required'
                if not isinstance(value, int | float) or not math.isfinite(value):
                    yield f'"{where}.metrics.value" must be a number'


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
