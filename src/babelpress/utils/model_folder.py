"""Where things are in a SentenceTransformer folder."""

from __future__ import annotations

from pathlib import Path

from babelpress.errors import BabelpressError
from babelpress.utils.files import inside, read_json


def transformer_folder(folder: Path) -> Path:
    """Return where a SentenceTransformer keeps its transformer. Raises BabelpressError when it is none."""
    if not folder.is_dir():
        raise BabelpressError(f"{folder} is not a folder; give a student's, like runs/demo/student")
    if not (folder / "modules.json").is_file():
        raise BabelpressError(f"{folder} has no modules.json; a SentenceTransformer folder was expected")
    modules = read_json(folder / "modules.json")
    try:
        return inside(folder, str(modules[0]["path"]) or ".")
    except (TypeError, KeyError, IndexError):
        raise BabelpressError(f"{folder / 'modules.json'} is not a list of modules with path and type") from None
