"""Suites: data that mteb knows, the reference's 26 tasks, a line for what is wrong."""

from __future__ import annotations

import pytest

from babelpress.errors import EvaluationError, RecipeError
from babelpress.evaluation.tasks.mteb_tasks import check_tasks
from babelpress.recipe import Recipe
from babelpress.schema.suites import did_you_mean, find_suite, parse_suite, shipped_suites


def test_the_shipped_suites_are_these():
    assert list(shipped_suites()) == ["bitext", "me5s", "offline", "quick", "retrieval-lite"]


def test_the_reference_suite_has_26_tasks_in_three_groups():
    groups = find_suite("me5s").groups
    assert {name: len(tasks) for name, tasks in groups.items()} == {"Classification": 8, "Clustering": 8, "STS": 10}
    assert len(set(find_suite("me5s").tasks)) == 26


def test_every_task_of_every_suite_is_one_of_mteb():
    for suite in shipped_suites().values():
        check_tasks(suite.tasks)


def test_a_group_is_called_as_mteb_calls_the_kind_of_its_tasks():
    """Tables of a suite and of tasks by kind are the same then."""
    import mteb

    for suite in shipped_suites().values():
        for name, tasks in suite.groups.items():
            assert {mteb.get_task(task).metadata.type for task in tasks} == {name}


def test_the_suite_of_pairs_names_its_languages():
    """Without them FLORES alone has 41,412 subsets."""
    assert len(find_suite("bitext").languages) == 16
    assert find_suite("me5s").languages is None


def test_the_offline_suite_has_no_task_to_download():
    assert (find_suite("offline").tasks, find_suite("offline").bundled) == ((), True)


def test_an_unknown_suite_is_refused_with_near_names():
    with pytest.raises(EvaluationError, match=r"^there is no suite 'me5'; did you mean me5s\?; shipped: bitext, me5s"):
        find_suite("me5")


def test_a_name_that_is_like_none_gets_no_guess():
    assert did_you_mean("zzzz", ["bitext", "me5s"]) == ""


def test_a_part_of_a_long_name_is_enough_for_a_hint():
    assert did_you_mean("E5", ["multilingual-e5-small", "potion"]) == "; did you mean multilingual-e5-small?"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("groups: {}", "description and groups are needed"),
        ("{description: x, groups: {}, task: [STS12]}", "are known"),
        ("[STS12]", "description and groups are needed"),
        ("{description: x, groups: {STS: []}}", "lists of task names"),
        ("{description: x, groups: {STS: STS12}}", "lists of task names"),
        ("{description: x, groups: [STS12]}", "lists of task names"),
        ("{description: x, groups: {}, languages: ko}", "a list of codes"),
        ("{description: x, groups: {A: [STS12], B: [STS12]}}", "STS12 stands there twice"),
    ],
)
def test_a_bad_suite_is_refused(text, said):
    with pytest.raises(EvaluationError, match=said):
        parse_suite("mine", text)


RECIPE = """
name: r
languages: [ko, en]
teacher: {model: bundled}
corpus: {sources: [{kind: bundled}]}
layers: {method: uniform, count: 2}
vocabulary: {size: 1000}
"""


def evaluation(*overrides: str):
    return Recipe.parse(RECIPE, overrides=overrides).evaluation


def test_a_recipe_takes_tasks_and_languages_of_its_suite():
    section = evaluation("evaluation.suite=bitext")
    assert section.chosen_tasks() == find_suite("bitext").tasks
    assert section.chosen_languages() == find_suite("bitext").languages


def test_tasks_and_languages_of_the_recipe_stand_in_for_the_suites():
    section = evaluation("evaluation.suite=bitext", "evaluation.tasks=[STS12]", "evaluation.languages=[en]")
    assert (section.chosen_tasks(), section.chosen_languages()) == (("STS12",), ("en",))


def test_an_empty_list_of_tasks_is_no_tasks_and_not_the_suite():
    assert evaluation("evaluation.suite=me5s", "evaluation.tasks=[]").chosen_tasks() == ()


def test_a_recipe_without_both_has_no_tasks():
    assert (evaluation().chosen_tasks(), evaluation().chosen_languages()) == ((), None)


def test_the_suite_of_a_loaded_recipe_can_be_changed():
    loaded = Recipe.parse(RECIPE, overrides=["evaluation.suite=me5s"])
    assert loaded.override(["evaluation.suite=quick"]).evaluation.chosen_tasks() == find_suite("quick").tasks


def test_an_unknown_suite_in_a_recipe_is_one_line_with_near_names():
    with pytest.raises(
        RecipeError, match=r"evaluation.suite: there is no suite 'quik'; did you mean quick\?"
    ) as caught:
        evaluation("evaluation.suite=quik")
    assert "\n" not in str(caught.value)
