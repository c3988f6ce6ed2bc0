"""What a user may name to compare: a model folder, a run, published scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from babelpress.corpus.bundled import held_out_meanings
from babelpress.encoders import load_encoder
from babelpress.errors import BabelpressError, EvaluationError
from babelpress.evaluation.compare import Scored
from babelpress.evaluation.evaluate import BITEXT, TEACHER, bundled_texts, encode_texts
from babelpress.evaluation.intrinsic import bitext_accuracy
from babelpress.evaluation.means import Groups
from babelpress.evaluation.published import find_published
from babelpress.evaluation.results import Results, Score
from babelpress.evaluation.suites import did_you_mean, find_suite
from babelpress.evaluation.tasks import check_tasks, run_tasks
from babelpress.files import hash_file, hash_folder, hash_json, list_files, read_json

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PUBLISHED = "published:"
STUDENT = "distilled"
_SHOWN = {".md", ".png", ".svg"}


@dataclass(frozen=True)
class Wanted:
    """What model folders are scored on; nothing of it is asked of runs and of published scores.

    `cache` keeps finished tasks; a result is found there again for the same content of the model folder, of local
    data and of these settings alone.
    """

    tasks: tuple[str, ...]
    cache: Path
    bundled: bool = False
    languages: tuple[str, ...] | None = None
    data_dir: Path | None = None
    batch_size: int = 64


def plan_scores(
    models: Sequence[str],
    *,
    suite: str | None,
    tasks: tuple[str, ...],
    languages: tuple[str, ...] | None,
    data_dir: Path | None,
    cache: Path,
) -> tuple[Wanted, Groups | None]:
    """Decide what is scored and shown in which groups; None: all that there is. Raises EvaluationError."""
    if suite and tasks:
        raise EvaluationError("--suite and --tasks both say what is compared; give one")
    if data_dir is not None and not data_dir.is_dir():
        raise EvaluationError(f"--data-dir {data_dir} is not a folder")
    chosen = find_suite(suite) if suite else None
    wanted = Wanted(
        chosen.tasks if chosen else tasks, cache=cache, bundled=chosen.bundled if chosen else False,
        languages=languages or (chosen.languages if chosen else None), data_dir=data_dir,
    )  # fmt: skip
    for model in models:
        check_candidate(model, wanted)
    if any(_is_model(Path(model)) for model in models):
        check_tasks(wanted.tasks)
    if chosen is None:
        return wanted, {"tasks": tasks} if tasks else None
    return wanted, {**chosen.groups, **({"Bitext": (BITEXT,)} if chosen.bundled else {})}


def check_candidate(text: str, wanted: Wanted) -> None:
    """Refuse, before any model is run, what is no model or has nothing to be scored on. Raises EvaluationError."""
    if text.startswith(PUBLISHED):
        find_published(text.removeprefix(PUBLISHED))
    elif _is_model(Path(text)):
        if not wanted.tasks and not wanted.bundled:
            raise EvaluationError(
                f"{text} is a model folder, which has no scores of its own; name tasks: --suite quick or --tasks A,B"
            )
    else:
        _read_run(text)


def score_candidate(text: str, wanted: Wanted) -> Scored:
    """Return the scores of a model folder (scored now), of a run (its student, or RUN:teacher) or of published:NAME."""
    if text.startswith(PUBLISHED):
        found = find_published(text.removeprefix(PUBLISHED))
        return Scored(found.name, found.scores, "published")
    if _is_model(Path(text)):
        return Scored(folder_name(Path(text)), score_folder(Path(text), wanted), "measured")
    return _read_run(text)


def score_folder(folder: Path, wanted: Wanted) -> dict[str, Score]:
    """Score a model folder on mteb tasks, without prompts; finished ones are taken from the cache.

    Its identity there is the content of the whole folder but for card and pictures: two students may share weights
    and differ in the tokenizer.
    """
    import mteb

    model = load_encoder(folder)
    scores: dict[str, Score] = {}
    if wanted.bundled:
        scores |= _bundled(model, wanted)
    by_slot: dict[str, list[str]] = {}
    for task in wanted.tasks:
        local = wanted.data_dir / task if wanted.data_dir else None
        data = hash_folder(local) if local is not None and local.is_dir() else None
        slot = hash_json([mteb.__version__, wanted.languages, data])[:12]
        by_slot.setdefault(slot, []).append(task)
    for slot, tasks in by_slot.items():
        found = run_tasks(
            model, tuple(tasks), model_id=f"local/{folder_name(folder)}", weights_hash=_identity(folder),
            cache=wanted.cache / slot, languages=wanted.languages, data_dir=wanted.data_dir, prompts={},
            batch_size=wanted.batch_size,
        )  # fmt: skip
        scores |= {one.task: Score(kind=one.kind, score=one.score, subsets=one.subsets) for one in found}
    return scores


def _identity(folder: Path) -> str:
    files = [path for path in list_files(folder) if path.suffix not in _SHOWN]
    return hash_json([[str(path.relative_to(folder)), hash_file(path)] for path in files])


def _bundled(model: SentenceTransformer, wanted: Wanted) -> dict[str, Score]:
    languages = wanted.languages or tuple(sorted(held_out_meanings()[0].texts))
    texts = bundled_texts(languages)
    if len(texts) < 2:
        return {}
    vectors = {code: encode_texts(model, lines, batch_size=wanted.batch_size) for code, lines in texts.items()}
    return {BITEXT: Score(kind="Bitext", score=round(100 * bitext_accuracy(vectors), 4))}


def _is_model(folder: Path) -> bool:
    return (folder / "modules.json").is_file()


def folder_name(folder: Path) -> str:
    """Return a folder's name, with its run's where it is called what every run calls it."""
    whole = folder.resolve()
    return f"{whole.parent.name}-{whole.name}" if whole.name in {"student", "pressed"} else whole.name


def _read_run(text: str) -> Scored:
    path, _, model = text.rpartition(":") if not Path(text).exists() and ":" in text else (text, "", "")
    folder = Path(path)
    file = folder if folder.is_file() else folder / "results.json"
    if not file.is_file():
        near = "; published scores are written published:NAME" if not folder.exists() else ""
        raise EvaluationError(f"{text} is neither a model folder (modules.json) nor a run (results.json){near}")
    try:
        results = Results.model_validate(read_json(file))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise EvaluationError(f"{file} is not a run's results: {where}: {fault['msg']}") from None
    except BabelpressError as error:
        raise EvaluationError(str(error)) from None
    name = model or STUDENT
    if name not in results.models:
        known = ", ".join(results.models)
        raise EvaluationError(f"{file} has no model {name!r}{did_you_mean(name, results.models)}; it has: {known}")
    shown = results.recipe if name == STUDENT else f"{results.recipe}:{name}"
    return Scored(
        results.teacher_id.rpartition("/")[2] if name == TEACHER else shown, results.models[name].scores, "run"
    )
