"""The published card: valid metadata, and the model's name on the hub."""

from __future__ import annotations

import re
from typing import Any

import yaml

from babelpress.errors import BabelpressError

_FRONT = re.compile(r"\s*---\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)
_LOADED = re.compile(r"""(SentenceTransformer\(\s*["'])([^"']+)(["'])""")


def check_card(text: str, *, origin: str) -> None:
    """Raise BabelpressError, naming `origin`, for a card whose metadata the hub client's own classes cannot read."""
    from huggingface_hub import ModelCard

    try:
        data = ModelCard(text).data.to_dict()
    except (ValueError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise BabelpressError(f"{origin}: the metadata are not valid: {' '.join(str(error).split())[:300]}") from None
    if not data:
        raise BabelpressError(f"{origin} has no metadata (the YAML between two lines of --- at its head)")


def rename_card(text: str, repo_id: str) -> tuple[str, str | None]:
    """Return the card with the model's name replaced, and the replaced name (None where nothing was to replace).

    The name is that of the model index, else of the model that the quick start loads. Only three places change: the
    model index (mteb's leaderboard reads only the model's own), the title, and the quick start.
    """
    old = _stated_name(text)
    if old is None or old == repo_id or old in _base_models(text):
        return text, None
    front = match.group() if (match := _FRONT.match(text)) else ""
    rest = text[len(front) :]
    front = re.sub(rf"(?m)^(\s*(?:- )?name: )(['\"]?){re.escape(old)}\2[ \t]*$", rf"\g<1>{repo_id}", front)
    rest = re.sub(rf"(?m)^# {re.escape(old)}[ \t]*$", f"# {repo_id}", rest)
    rest = _LOADED.sub(lambda match: match[1] + (repo_id if match[2] == old else match[2]) + match[3], rest)
    return front + rest, old


def _stated_name(text: str) -> str | None:
    index = _metadata(text).get("model-index")
    if index:
        return str(index[0]["name"])
    loaded = _LOADED.search(text)
    return loaded[2] if loaded else None


def _base_models(text: str) -> list[Any]:
    models = _metadata(text).get("base_model")
    return models if isinstance(models, list) else [models]


def _metadata(text: str) -> dict[str, Any]:
    match = _FRONT.match(text)
    values = yaml.safe_load(match.group(1)) if match else None
    return values if isinstance(values, dict) else {}
