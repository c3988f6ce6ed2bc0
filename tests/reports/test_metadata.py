"""The card's metadata: read by the hub client's own classes, by rules of the hub's validator, by mteb's leaderboard."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import mteb
import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from babelpress.evaluation.tasks.entries import Entry
from babelpress.recipe import Recipe
from babelpress.reports.metadata import build_metadata, model_id
from babelpress.teacher import Teacher, read_teacher
from tests.hub.card_rules import card_faults
from tests.reports.figures import NAME, SUBSETS, make_entries, make_recipe, make_results
from tests.reports.test_card import card
from tests.tiny import make_teacher

HUB_SOURCE = "{kind: hub, dataset: mteb/banking77, language: en, columns: [text]}"


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> Teacher:
    return read_teacher(str(tiny_teacher), name=NAME)


def metadata(teacher: Teacher, *overrides: str, entries: tuple[Entry, ...] | None = None) -> dict:
    recipe, figures = make_recipe(*overrides), make_entries() if entries is None else entries
    text = f"---\n{build_metadata(recipe=recipe, teacher=teacher, entries=figures).to_yaml()}\n---\n"
    assert card_faults(text) == []
    return ModelCard(text).data.to_dict()


def test_the_hub_clients_classes_give_back_what_the_card_says(teacher):
    text = card(teacher)
    written = yaml.safe_load(text.split("---\n")[1])
    assert ModelCard(text).data.to_dict() == written
    assert str(ModelCard(text)) == text


def test_the_metadata_are_those_that_the_hub_filters_by(teacher):
    data = metadata(teacher)
    assert data.pop("model-index")
    assert data == {
        "language": ["ko", "en", "pt"],
        "license": "mit",
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "base_model": NAME,
        "base_model_relation": "finetune",
        "metrics": ["accuracy", "cosine_spearman"],
        "tags": [
            "sentence-transformers", "sentence-similarity", "feature-extraction", "multilingual", "distillation",
            "babelpress", "mteb",
        ],
    }  # fmt: skip


def test_every_subset_and_split_of_a_task_is_a_result_of_its_own(teacher):
    name, results = model_index_to_eval_results(metadata(teacher)["model-index"])
    assert name == "babelpress/try"
    assert len(results) == 1 + len(SUBSETS) + 1
    assert results[0] == EvalResult(
        task_type="Classification", dataset_type="mteb/banking77",
        dataset_name="MTEB Banking77Classification (default)", dataset_config="default", dataset_split="test",
        dataset_revision=20 * "0f", metric_type="accuracy", metric_value=73.3,
    )  # fmt: skip
    assert results[5] == EvalResult(
        task_type="STS", dataset_type="mteb/sts17-crosslingual-sts", dataset_name="MTEB STS17 (ko-ko)",
        dataset_config="ko-ko", dataset_split="test", dataset_revision=20 * "17", metric_type="cosine_spearman",
        metric_value=37.5,
    )  # fmt: skip


def test_a_local_copy_is_not_passed_off_as_a_revision_of_the_hubs(teacher):
    results = metadata(teacher)["model-index"][0]["results"]
    assert results[-1]["dataset"] == {
        "type": "mteb/stsbenchmark-sts", "name": "MTEB STSBenchmark (default)", "config": "default", "split": "test",
    }  # fmt: skip
    text = card(teacher)
    assert "For STSBenchmark they name no revision of the data" in text


def test_mtebs_leaderboard_finds_task_split_subset_and_main_score(teacher):
    """As its importer reads a card: the task is the word behind "MTEB", the model's name ends the repository's."""
    index = metadata(teacher, "card.model_id=me/mine")["model-index"][0]
    assert "me/mine".endswith(index["name"])
    for result in index["results"]:
        task = mteb.get_task(result["dataset"]["name"].replace("MTEB ", "").split()[0])
        assert result["dataset"]["config"] in task.metadata.hf_subsets
        assert result["dataset"]["split"] in task.metadata.eval_splits
        assert result["dataset"]["type"] == task.metadata.dataset["path"]
        assert task.metadata.main_score in {metric["type"] for metric in result["metrics"]}


def test_two_tasks_on_the_same_data_are_told_apart(teacher):
    """The hub's classes join results of one data set, config, split and revision under the first one's name."""
    one = Entry("MedrxivClusteringP2P", "Clustering", "mteb/medrxiv", "default", "test", 40 * "a", "v_measure", 31.25)
    two = dataclasses.replace(one, task="MedrxivClusteringP2P.v2", score=33.5)
    (result,) = metadata(teacher, entries=(one, two))["model-index"][0]["results"]
    assert result["metrics"] == [
        {"type": "v_measure", "value": 31.25, "name": "MedrxivClusteringP2P"},
        {"type": "v_measure", "value": 33.5, "name": "MedrxivClusteringP2P.v2"},
    ]


def test_a_run_without_tasks_has_no_index_and_is_not_tagged_mteb(teacher):
    data = metadata(teacher, entries=())
    assert not {"model-index", "metrics", "model_name"} & set(data)
    assert "mteb" not in data["tags"]
    assert ModelCard(card(teacher, make_results(tasks=False))).data.eval_results is None


def test_regions_and_scripts_go_where_the_hub_takes_them(teacher):
    data = metadata(teacher, "languages=[zh-Hans, zh-Hant, pt-BR, en]")
    assert data["language"] == ["zh", "pt", "en"]
    assert data["language_bcp47"] == ["zh-Hans", "zh-Hant", "pt-BR", "en"]


def test_a_student_of_one_language_is_not_tagged_multilingual(teacher):
    assert "multilingual" not in metadata(teacher, "languages=[en]")["tags"]


@pytest.mark.parametrize("name", ["bundled", "folder"])
def test_a_teacher_that_the_hub_does_not_have_is_no_base_model(tmp_path, name):
    given = "bundled" if name == "bundled" else str(make_teacher(tmp_path / "mine", layers=1))
    assert not {"base_model", "base_model_relation"} & set(metadata(read_teacher(given)))


def test_data_sets_are_those_of_the_hub_that_the_text_is_from_each_once(teacher):
    sources = (
        f"corpus.sources=[{HUB_SOURCE}, {HUB_SOURCE}, {{kind: files, paths: [/srv/chat.txt]}}, "
        "{kind: mteb_train, tasks: [Banking77Classification, STSBenchmark]}, {kind: bundled}]"
    )
    assert metadata(teacher, sources)["datasets"] == ["mteb/banking77", "mteb/stsbenchmark-sts"]
    assert "datasets" not in metadata(teacher)


# --- licence ------------------------------------------------------------------------------------


def licence(teacher: Teacher, *overrides: str, **changes: str | None) -> dict:
    data = metadata(dataclasses.replace(teacher, **changes), *overrides)
    return {key: value for key, value in data.items() if key.startswith("license")}


def test_a_licence_that_the_hub_knows_is_named_as_the_hub_names_it(teacher):
    assert licence(teacher, licence="Apache-2.0") == {"license": "apache-2.0"}


def test_another_licence_is_other_with_a_name_and_a_link(teacher):
    link = "https://example.org/terms"
    assert licence(teacher, licence="other", licence_name="my-terms", licence_link=link) == {
        "license": "other", "license_name": "my-terms", "license_link": link,
    }  # fmt: skip
    assert licence(teacher, licence="My Own Terms 2") == {"license": "other", "license_name": "my-own-terms-2"}


def test_a_licence_file_of_the_teachers_repository_is_linked_there(teacher):
    found = licence(teacher, licence="other", licence_name="x", licence_link="LICENSE")
    assert found["license_link"] == f"https://huggingface.co/{NAME}/blob/main/LICENSE"
    assert "license_link" not in licence(teacher, name="folder", licence="other", licence_link="LICENSE")


def test_no_licence_is_made_up_for_a_teacher_that_names_none(tmp_path):
    folder = make_teacher(tmp_path / "unlicensed", layers=1)
    (folder / "README.md").unlink()
    teacher = read_teacher(str(folder))
    assert licence(teacher) == {"license": "unknown"}
    assert "Licence: the teacher's folder names none; ask its authors" in card(teacher)


def test_the_recipe_may_say_the_licence(teacher):
    assert licence(teacher, "card.licence=cc-by-nc-4.0") == {"license": "cc-by-nc-4.0"}
    text = card(teacher, recipe=make_recipe("card.licence=cc-by-nc-4.0"))
    assert "Licence: cc-by-nc-4.0, as the recipe says." in text


def test_a_shipped_recipes_student_is_named_after_it():
    assert model_id(Recipe.load("me5s_v3")) == "babelpress/me5s_v3"
