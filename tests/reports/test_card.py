"""The model card: figures of this run alone, metadata that the hub can read, nothing private."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from huggingface_hub import ModelCard

from babelpress.evaluation.compare.published import find_published
from babelpress.evaluation.speed.measure import SINGLES
from babelpress.reports.card import render_card
from babelpress.schema.exports import Export
from babelpress.schema.results import Closeness, Measures, Results, Score
from babelpress.teacher import Teacher, read_teacher
from tests.exports import good_parity
from tests.reports.figures import (
    NAME,
    TASKS,
    make_entries,
    make_fertility,
    make_layers,
    make_recipe,
    make_results,
    make_vocabulary,
    without_scores,
)
from tests.tiny import make_teacher


def card(teacher: Teacher, results: Results | None = None, **changes: Any) -> str:
    given: dict[str, Any] = {
        "recipe": make_recipe(), "teacher": teacher, "layers": make_layers(), "vocabulary": make_vocabulary(),
        "fertility": make_fertility(), "picture": {"languages": ["ko", "en"], "sentences": 37},
        "entries": () if results and TASKS[0] not in results.models["distilled"].scores else make_entries(),
    }  # fmt: skip
    return render_card(results or make_results(), **given | changes)


def row(text: str, label: str) -> list[str]:
    """Return the cells behind a row's label."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def known_numbers(teacher: Teacher) -> set[str]:
    """Every number that the card may show, written as the card writes numbers."""
    recipe, results, layers, vocabulary = make_recipe(), make_results(), make_layers(), make_vocabulary()
    values: list[float] = [teacher.max_length, 256, 37, 2, 4, 5, 32, layers.of, *layers.kept, len(vocabulary.kept), 11]
    values += [SINGLES]
    distillation = recipe.distillation
    values += [distillation.max_length, distillation.batch_size, distillation.learning_rate, distillation.loss.mse]
    values += [distillation.loss.cosine, distillation.weight_decay, distillation.clip_norm]
    values += _numbers(results.corpus) + _numbers(results.distillation) + _numbers(results.machine)
    for cover in vocabulary.languages.values():
        values += [100 * cover.kept]
    for text in make_fertility().values():
        values += [text.teacher, text.student, 100 * text.ratio - 100, 100 * text.byte_rate]
    original = results.models["teacher"]
    for model in results.models.values():
        values += [*_numbers(model.model_dump()), 100 * model.retention, model.weight_bytes / 2**20]
        for kind in ("STS", "Classification"):
            own = [score.score for score in model.scores.values() if score.kind == kind]
            theirs = [score.score for score in original.scores.values() if score.kind == kind]
            values += [sum(own) / len(own), 100 * sum(own) / sum(theirs)]
        every = [score.score for score in model.scores.values() if score.kind in {"STS", "Classification"}]
        theirs = [score.score for score in original.scores.values() if score.kind in {"STS", "Classification"}]
        values += [len(every), sum(every) / len(every), 100 * sum(every) / sum(theirs)]
        values += [100 * score.score / original.scores[name].score for name, score in model.scores.items()]
        seen = model.parallel
        values += [100 * seen.accuracy, 100 * seen.language_probe, 100 * seen.language_chance]
        values += [100 / seen.sentences, (seen.sentences + 1) / 2, 1, -seen.uniformity]
    values += [4 * original.parameters / 2**20]
    values += [100 * results.models["distilled"].weight_bytes / (4 * original.parameters)]
    return {form for value in values for form in (f"{value:,}", str(value), *(f"{value:,.{n}f}" for n in range(5)))}


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _numbers(item)]
    if isinstance(value, list | tuple):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_every_number_on_the_card_is_from_the_run(teacher):
    text = card(teacher).partition("\n---\n")[2]
    text = text.split("\nMade with")[0].replace(NAME, "").replace("Loom 9000", "")
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)  # the greetings
    text = text.replace("[Wang and Isola 2020](https://arxiv.org/abs/2005.10242)", "")
    for name in (*TASKS, "banking77", "UTF-8", "fp32", "<0x41>", "umap.png", "1. **", "2. **", "3. **"):
        text = text.replace(name, "")
    shown = set(re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", text))
    shown = {number.rstrip(",") for number in shown}
    assert len(shown) > 60
    assert shown - known_numbers(teacher) == set()


def test_a_figure_of_the_student_is_not_taken_from_another_model(teacher):
    text = card(teacher)
    assert row(text, "parameters") == ["117,653,761", "117,653,763"]
    assert row(text, "embedding rows") == ["250,037", "15,424"]
    assert row(text, "cosine to the teacher, mean") == ["0.929", "0.857"]
    assert row(text, "bundled bitext retrieval")[:3] == ["81.20", "82.20", "83.20"]
    assert row(text, "chat.txt") == ["300,003"]
    assert row(text, "ko") == ["98.8 %", "17.2", "23.8", "38 %", "2.17 %"]
    assert "measured on the 711 sentences held out for stopping" in text


def test_speed_is_shown_with_its_range_beside_the_teachers(teacher):
    text = card(teacher)
    assert row(text, "sentences/s") == ["1,231 (1,108–1,354)", "1,233 (1,110–1,356)"]
    assert row(text, "one sentence p50, ms") == ["18.3 (16.5–20.1)", "20.3 (18.3–22.3)"]
    assert row(text, "one sentence p95, ms") == ["27.4 (24.7–30.1)", "29.4 (26.5–32.3)"]
    assert row(text, "load, s") == ["1.31 (1.18–1.44)", "3.31 (2.98–3.64)"]
    assert row(text, "memory, MiB") == ["8,761 (7,885–9,637)", "8,763 (7,887–9,639)"]
    assert "5 rounds in turn; 256 sentences in batches of 32, 40 of them one at a time" in text
    assert "643 MiB of it libraries; 6 threads of Loom 9000." in text


def without(field: str) -> Results:
    results = make_results()
    models = {name: model.model_copy(update={field: None}) for name, model in results.models.items()}
    return results.model_copy(update={"models": models})


def test_a_speed_that_was_not_measured_is_not_spoken_of(teacher):
    text = card(teacher, without("speed"))
    assert "sentences/s" not in text
    assert "Speed" not in text
    assert "Loom 9000" not in text
    assert "Tokens per sentence: 723 held-out sentences.\n" in text


def test_sentences_that_were_timed_are_no_more_than_there_were(teacher):
    text = card(teacher, recipe=make_recipe("evaluation.speed_sentences=30"))
    assert "30 sentences in batches of 32, 30 of them one at a time" in text


def test_the_picture_has_its_numbers_beside_it_with_what_guessing_gives(teacher):
    text = card(teacher)
    assert row(text, "translation is the nearest") == [
        "86.1 %", "87.1 %", "88.1 %", "higher is better; guessing gives 2.7 %",
    ]  # fmt: skip
    assert row(text, "mean rank of the translation") == [
        "2.65", "3.65", "4.65", "1 is best, of 37; guessing gives 19.0",
    ]  # fmt: skip
    assert row(text, "language told by a linear probe") == [
        "43.4 %", "44.4 %", "45.4 %", "lower is better; guessing gives 16.7 %",
    ]  # fmt: skip
    assert row(text, "alignment")[:3] == ["1.527", "2.527", "3.527"]
    assert row(text, "uniformity")[:3] == ["-4.145", "-5.145", "-6.145"]


def test_a_picture_of_one_language_has_no_numbers(teacher):
    text = card(teacher, without("parallel"))
    assert "uniformity" not in text.lower()
    assert "\n\n## Languages\n" in text


def test_a_language_without_held_out_text_has_empty_cells_not_a_crash(teacher):
    assert row(card(teacher), "zxx") == ["93.2 %", "", "", "", ""]


def test_no_name_from_the_users_data_breaks_a_table(teacher):
    results = make_results()
    name, shown = "a|b\n<!-- c", "a\\|b &lt;!-- c"
    near = Closeness(texts=9, cosine=0.8, cosine_p5=0.5)
    measures = Measures(overall=near, by_language={name: near})
    models = {
        key: model.model_copy(
            update={"measures": measures, "scores": {**model.scores, name: Score(kind=name, score=9.0)}}
        )
        for key, model in results.models.items()
    }
    corpus = {**results.corpus, "sources": {name: 5}, "contamination": {name: {"exact": 1, "near": 2}}}
    export = Export("onnx", "onnx/model.onnx", 5, good_parity(lowest_language=name))
    changed = results.model_copy(update={"models": models, "corpus": corpus, "exports": (export,)})
    text = card(teacher, changed, fertility={"English|x": make_fertility()["ko"]})
    assert "<!--" not in text.partition("\n---\n")[2]
    lines = text.splitlines()
    for start in (
        f"| {shown} | 9 |", f"| {shown} | 5 |", f"| {shown} | 1 | 2 |", f"| {shown} | 9.00 | 100.0 % |",
        f"| {shown} (1) | 9.00 |", "| English\\|x | 92.1 % | 17.2 |",
    ):  # fmt: skip
        assert [line for line in lines if line.startswith(start)], start
    assert f"| 0.9980 ({shown}) |" in text


def test_the_card_names_the_epoch_that_was_kept_counting_from_1(teacher):
    assert "Best held-out loss 0.0093 (epoch 11)" in card(teacher)


def test_the_average_leaves_out_the_correlation_with_the_teacher_itself(teacher):
    (line,) = [
        line for line in card(teacher).splitlines() if line.startswith("| **average** |") and line.count("|") == 6
    ]
    mean = (80.20 + 70.30 + 33.0 + 50.40) / 4
    assert [f"**{mean + number:.2f}**" in line for number in (1, 2, 3)] == [True] * 3


def test_mteb_tasks_stand_in_the_mteb_tables_alone(teacher):
    kept, mteb = card(teacher).partition("## What was kept")[2].partition("## MTEB")[::2]
    assert [kept.count(task) for task in TASKS] == [0, 0, 0]
    assert row(kept, "bundled similarity correlation")
    assert row(mteb, "STS17")[0] == "36.00"


def test_a_run_without_the_embedded_sentences_has_no_rows_of_them(teacher):
    results = make_results()
    models = {
        name: model.model_copy(update={"scores": {task: model.scores[task] for task in TASKS}})
        for name, model in results.models.items()
    }
    kept = card(teacher, results.model_copy(update={"models": models})).partition("## What was kept")[2]
    assert "bundled" not in kept.partition("## MTEB")[0].lower()


def test_the_modules_are_those_of_the_teacher_in_their_order(teacher):
    assert "Modules: Transformer (bert) → Pooling (mean) → Normalize." in card(teacher)


def test_no_norwegian_in_the_metadata(teacher):
    """YAML reads a bare `no` as false."""
    text = card(teacher, recipe=make_recipe("languages=['no', en]"))
    assert ModelCard(text).data.language == ["no", "en"]


def test_no_path_of_this_machine_is_on_the_card(teacher, tmp_path):
    folder = make_teacher(tmp_path / "mine", layers=1)
    for text in (card(teacher), card(read_teacher(str(folder)))):
        assert "/home/" not in text
        assert str(tmp_path) not in text
        assert not re.search(r"(?<![\w:/.<\"])/(?:home|tmp|work|root|usr|Users)/", text)


def test_the_quick_start_is_python_that_names_this_model(teacher):
    text = card(teacher, recipe=make_recipe("card.model_id=me/mine"))
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1)
    compile(code, "card", "exec")
    assert 'SentenceTransformer("me/mine")' in code
    assert "안녕하세요" in code


def test_the_best_subsets_are_the_five_best_of_the_student(teacher):
    best = "nl-en 38.50, ko-ko 37.50, es-en 36.50, en-en 35.50, en-de 34.50"
    assert f"| STS17 | 36.00 | 105.9 % | {best} |\n" in card(teacher)


def test_the_means_table_has_a_row_for_each_group_and_one_for_all_tasks(teacher):
    text = card(teacher)
    assert row(text, "Classification (1)") == ["71.30", "73.30", "102.8 %"]
    # STS: (34 + 51.40) / 2 and (36 + 53.40) / 2
    assert row(text, "STS (2)") == ["42.70", "44.70", "104.7 %"]
    # all three: (71.30 + 34 + 51.40) / 3 and (73.30 + 36 + 53.40) / 3
    assert row(text, "**all (3)**") == ["**52.23**", "**54.23**", "**103.8 %**"]


def test_the_reference_cards_tables_come_out_of_its_published_scores(teacher):
    names = {"teacher": "multilingual-e5-small", "distilled": "me5s_compressed_v3_distilled"}
    names["pruned"] = "me5s_compressed_v4_distilled"  # no untrained student was scored on all tasks
    results = make_results()
    models = {
        key: model.model_copy(update={"scores": find_published(names[key]).scores})
        for key, model in results.models.items()
    }
    recipe = make_recipe("evaluation.suite=me5s")
    text = card(teacher, results.model_copy(update={"models": models}), recipe=recipe).partition("## MTEB")[2]
    for label, cells in {
        "Classification (8)": ["67.25", "58.28", "86.7 %"],
        "Clustering (8)": ["41.36", "31.08", "75.2 %"],
        "STS (10)": ["79.20", "70.10", "88.5 %"],
        "**all (26)**": ["**63.88**", "**54.46**", "**85.2 %**"],
    }.items():
        assert row(text, label) == cells
    assert row(text, "STS17")[::2] == ["59.08", "en-en 84.40, es-es 79.74, ko-ko 72.11, ar-ar 67.11, fr-en 64.15"]
    assert row(text, "BIOSSES")[::2] == ["72.57", ""]


def test_a_run_without_tasks_gives_no_empty_tables(teacher):
    text = card(teacher, make_results(tasks=False))
    assert "## MTEB" not in text
    assert "best subsets" not in text


def test_a_run_without_a_score_has_no_average_of_0(teacher):
    text = card(teacher, without_scores(make_results(tasks=False)))
    assert "sentences. It has 100.0 % of the teacher's size (both in fp32).\n" in text
    assert " 0.0 %" not in text
    kept = text.partition("## What was kept\n")[2].partition("\n## ")[0]
    assert "average" not in kept
    assert "No task was scored." in kept
    assert "scored in one run" not in text


def test_missing_tasks_are_named_with_the_reason(teacher):
    results = make_results().model_copy(update={"missing": {"STS12": "OSError: <gone>", "STS13": "a `b`"}})
    lines = card(teacher, results).splitlines()
    place = lines.index("## MTEB")
    assert lines[place + 2] == (
        "Missing, in no figure of any model and in no average: STS12 (`OSError: <gone>`); STS13 (`a 'b'`)."
    )
    assert lines[place + 4].startswith("| tasks |")
    assert "Missing" not in card(teacher)


def test_missing_tasks_are_named_also_where_no_task_is_left(teacher):
    results = make_results(tasks=False).model_copy(update={"missing": {"STS12": "why"}})
    text = card(teacher, results)
    assert "## MTEB\n\nMissing, in no figure of any model and in no average: STS12 (`why`).\n" in text
    assert "| tasks |" not in text


def test_groups_are_those_of_the_recipes_suite(teacher):
    text = card(teacher, recipe=make_recipe("evaluation.suite=quick"))
    assert [line for line in text.splitlines() if line.startswith("### ")][:2] == ["### Classification", "### STS"]


def test_the_card_says_with_which_prompts_the_scores_were_made(teacher):
    assert "without prompts" in card(teacher)
    assert "with the prompts {'STS': 'query: '}" in card(
        teacher, recipe=make_recipe("evaluation.prompts={STS: 'query: '}")
    )


def test_byte_fallback_is_not_praised_where_there_is_none(teacher):
    text = card(teacher, vocabulary=make_vocabulary(byte_pieces=False))
    assert "### Byte fallback" not in text
    assert "byte pieces" not in text


def test_the_card_is_the_same_every_time(teacher):
    assert card(teacher) == card(teacher)


def test_a_teacher_that_scores_nothing_gives_no_division_by_zero(teacher):
    results = make_results()
    original = results.models["teacher"]
    zero = {name: score.model_copy(update={"score": 0.0}) for name, score in original.scores.items()}
    models = {**results.models, "teacher": original.model_copy(update={"scores": zero, "average": 0.0})}
    assert "## Details" in card(teacher, results.model_copy(update={"models": models}))


def test_a_hub_id_is_a_link_to_it(teacher):
    assert f"[{NAME}](https://huggingface.co/{NAME})" in card(teacher)


def test_the_licence_line_does_not_melt_into_the_sentence_before_it(teacher):
    """Markdown joins neighbouring lines; a table needs a line of its own before it."""
    lines = card(teacher).splitlines()
    for number, line in enumerate(lines[1:], 1):
        starts_table = line.startswith("| ") and not lines[number - 1].startswith("|")
        if starts_table or line.startswith(("#", "Licence:")):
            assert lines[number - 1] == "", (lines[number - 1], line)


def test_a_teachers_own_folder_name_is_no_link_to_the_hub(tmp_path):
    folder = make_teacher(tmp_path / "mine", layers=1)
    assert "huggingface.co/mine" not in card(read_teacher(str(folder)))


def test_facts_of_the_teacher_that_the_card_cites_are_those_of_the_folder(teacher):
    text = card(dataclasses.replace(teacher, max_length=321))
    assert row(text, "longest input") == ["321 tokens", "321 tokens (trained up to 48)"]


def test_every_term_that_was_trained_on_is_named(teacher):
    recipe = make_recipe(
        "distillation.loss={mse: 0, cosine: 0.25, similarity: 2.0, distribution: 0.75, hidden: 0.125, centre: true, "
        "matryoshka: [96, 48]}"
    )
    text = card(teacher, recipe=recipe)
    assert (
        "**Distillation**: cosine distance (0.25) + similarities of pairs (2) + score distributions (0.75, temperature "
        "0.05) + hidden states (0.125), centred on the teacher's mean embedding, also on the first 96 and 48 "
        "dimensions to"
    ) in text
    assert "squared distance" not in text.partition("**Distillation**")[2].partition("\n")[0]


def test_texts_of_two_lengths_are_told_apart(teacher):
    recipe = make_recipe("distillation.long_length=256", "distillation.long_share=0.015")
    text = card(teacher, recipe=recipe)
    assert row(text, "longest input")[1].endswith("(trained up to 256)")
    assert (
        "- Trained up to 256 tokens (1.5 % of the texts; the others up to 48); what longer texts lose was not" in text
    )


def test_sizes_in_fp32_are_of_the_parameters_whatever_the_file_is_stored_as(teacher):
    results = make_results()
    student = results.models["distilled"].model_copy(update={"stored_as": "fp16", "weight_bytes": 26_000_000})
    text = card(teacher, results=results.model_copy(update={"models": {**results.models, "distilled": student}}))
    assert row(text, "weights in fp32")[1] == f"{4 * student.parameters / 2**20:.1f} MiB"
    assert row(text, "weights on disk")[1] == "24.8 MiB (fp16)"


def test_only_the_sentences_that_were_trained_on_are_counted(teacher):
    assert "then distilled on 7 sentences" in card(teacher, recipe=make_recipe("distillation.sentences=7"))


def test_prompts_that_come_more_than_once_are_counted(teacher):
    text = card(teacher, recipe=make_recipe("distillation.prompts=['', '', 'query: ']"))
    assert "no prompt (2 of 3) and `query: ` in turn" in text
