"""Published scores: the reference card's tables come out of them to the digit."""

from __future__ import annotations

import pytest

from babelpress.errors import EvaluationError
from babelpress.evaluation.compare.published import find_published, parse_published, published_models
from babelpress.evaluation.intervals.means import best_subsets, count_means, group_by_kind, kept, score_over
from babelpress.schema.results import Score
from babelpress.schema.suites import find_suite

TEACHER, STUDENT = "multilingual-e5-small", "me5s_compressed_v3_distilled"
# As they stand on the student's card.
CARD = {
    "AmazonCounterfactualClassification": 68.95, "Banking77Classification": 66.96, "ImdbClassification": 59.98,
    "MTOPDomainClassification": 81.96, "MassiveIntentClassification": 33.24, "MassiveScenarioClassification": 40.6,
    "ToxicConversationsClassification": 54.49, "TweetSentimentExtractionClassification": 60.05,
    "ArXivHierarchicalClusteringP2P": 49.68, "ArXivHierarchicalClusteringS2S": 45.56, "BiorxivClusteringP2P.v2": 19.6,
    "MedrxivClusteringP2P.v2": 24.83, "MedrxivClusteringS2S.v2": 22.03, "StackExchangeClustering.v2": 39.38,
    "StackExchangeClusteringP2P.v2": 31.8, "TwentyNewsgroupsClustering.v2": 15.77, "BIOSSES": 72.57, "SICK-R": 74.69,
    "STS12": 73.58, "STS13": 73.43, "STS14": 73.35, "STS15": 82.21, "STS17": 59.08, "STS22.v2": 45.12,
    "STSBenchmark": 77.7, "STSBenchmarkMultilingualSTS": 69.24,
}  # fmt: skip
CARD_DETAILS = {
    "MTOPDomainClassification": "en: 86.71%, es: 84.21%, hi: 81.69%, th: 80.77%, de: 80.09%",
    "MassiveIntentClassification": "en: 60.91%, ja: 56.73%, zh-CN: 56.17%, pt: 55.75%, it: 54.64%",
    "STS17": "en-en: 84.4%, es-es: 79.74%, ko-ko: 72.11%, ar-ar: 67.11%, fr-en: 64.15%",
    "STS22.v2": "fr: 67.71%, es: 63.98%, es-en: 61.84%, en: 60.59%, it: 60.2%",
}


def means(name: str) -> list[float]:
    counted = count_means(find_published(name).scores, find_suite("me5s").groups)
    return [*(group.score for group in counted.groups), counted.score]


def test_the_means_of_the_teacher_come_out_to_the_digit():
    assert [f"{value:.1f}" for value in means(TEACHER)] == ["67.3", "41.4", "79.2", "63.9"]


def test_the_means_of_the_students_card_come_out_to_the_digit():
    assert [f"{value:.2f}" for value in means(STUDENT)] == ["58.28", "31.08", "70.10", "54.46"]


def test_the_student_keeps_85_percent_of_the_teacher():
    assert f"{100 * kept(means(STUDENT)[-1], means(TEACHER)[-1]):.0f}" == "85"


def test_every_task_of_the_students_card_comes_out_to_the_digit():
    scores = find_published(STUDENT).scores
    # 24.835 rounds either way
    assert {task: pytest.approx(score.score, abs=0.00501) for task, score in scores.items()} == CARD


@pytest.mark.parametrize("task", CARD_DETAILS)
def test_the_details_of_the_students_card_come_out_to_the_digit(task):
    best = best_subsets(find_published(STUDENT).scores[task])
    assert ", ".join(f"{subset}: {round(value, 2)}%" for subset, value in best) == CARD_DETAILS[task]


def test_published_scores_look_like_measured_ones():
    entry = {"id": None, "about": "x", "source": "here", "scores": {"STS17": {"en-en": 0.5, "ko-ko": 0.75}}}
    data = {"sources": {"here": "https://example.org"}, "kinds": {"STS17": "STS"}, "models": {"m": entry}}
    (model,) = parse_published(data).values()
    assert model.scores == {"STS17": Score(kind="STS", score=62.5, subsets={"en-en": 50.0, "ko-ko": 75.0})}
    assert model.source == "https://example.org"


def test_every_published_model_names_its_source_and_scores_tasks_of_the_suite():
    for model in published_models().values():
        assert model.source.startswith("https://github.com/")
        assert set(model.scores) <= set(find_suite("me5s").tasks)
        assert all(-100 <= value <= 100 for score in model.scores.values() for value in score.subsets.values())
        assert group_by_kind(model.scores).keys() == find_suite("me5s").groups.keys()


def test_a_size_has_its_source_and_unknown_ones_are_none():
    models = published_models()
    sizes = {name: model.parameters for name, model in models.items()}
    # embeddings of pieces, positions, types and their norm; layers of four square matrices and two of 1,536, with
    # biases and norms; the pooler
    layer = 4 * (384 * 384 + 384) + 2 * 384 * 1_536 + 1_536 + 384 + 4 * 384
    rest = (512 + 2 + 2) * 384 + 384 * 384 + 384
    assert sizes[TEACHER] == sizes["paraphrase-multilingual-MiniLM-L12-v2"] == 250_037 * 384 + rest + 12 * layer
    assert sizes[STUDENT] == 15_424 * 384 + rest + 4 * layer
    assert {name for name, size in sizes.items() if size is None} == {
        "me5s_compressed", "me5s_compressed_distilled", "me5s_compressed_v4_distilled",
    }  # fmt: skip
    assert all((model.parameters is None) == (model.parameters_source is None) for model in models.values())


@pytest.mark.parametrize("name", ["paraphrase-multilingual-MiniLM-L12-v2", "static-similarity-mrl-multilingual-v1"])
def test_sizes_that_mteb_knows_are_mtebs(name):
    import mteb

    model = find_published(name)
    assert model.parameters == mteb.get_model_meta(model.model_id).n_parameters
    assert model.parameters_source.startswith("mteb ")


def test_a_model_is_found_by_name_and_by_hub_id():
    assert find_published("intfloat/multilingual-e5-small") == find_published(TEACHER)


def test_an_unknown_model_is_refused_with_near_names():
    with pytest.raises(
        EvaluationError, match=r"no published scores of 'multilingual-e5-smal' are known; did you mean multiling"
    ):
        find_published("multilingual-e5-smal")
    with pytest.raises(EvaluationError, match="there are scores of: multilingual-e5-small, me5s"):
        find_published("zzzz")


# --- how scores are counted ---------------------------------------------------------------------


def score(value: float, kind: str = "STS", **subsets: float) -> Score:
    return Score(kind=kind, score=value, subsets=subsets)


def test_a_groups_mean_is_that_of_tasks_and_the_overall_one_not_that_of_groups():
    counted = count_means({"a": score(10), "b": score(20), "c": score(90)}, {"two": ("a", "b"), "one": ("c",)})
    assert [group.score for group in counted.groups] == [15, 90]
    assert counted.score == 40


def test_what_has_no_score_is_left_out_and_not_counted_as_0():
    counted = count_means({"a": score(10)}, {"one": ("a", "gone"), "none": ("gone",)})
    assert ([group.name for group in counted.groups], counted.score) == (["one"], 10)
    assert count_means({}, {"one": ("a",)}).score is None


def test_best_subsets_of_one_subset_are_none_and_equals_go_by_name():
    assert best_subsets(score(1, default=1)) == ()
    assert best_subsets(score(1, ko=1, de=1, en=2), count=2) == (("en", 2), ("de", 1))


def test_a_score_over_all_subsets_is_mtebs_own():
    own = score(33, ko=30, en=40)
    assert (score_over(own, ["en", "ko"]), score_over(own, ["en"]), score_over(score(7), [])) == (33, 40, 7)


@pytest.mark.parametrize(("own", "theirs", "share"), [(40, 80, 0.5), (40, 0, None), (40, -5, None), (-8, 80, -0.1)])
def test_a_share_of_a_score_that_is_not_above_0_says_nothing(own, theirs, share):
    assert kept(own, theirs) == share


def test_kinds_stand_in_the_order_of_their_tasks():
    scores = {"b": score(1, "STS"), "x": score(1, "Bitext"), "a": score(1, "Clustering"), "c": score(1, "STS")}
    assert group_by_kind(scores) == {"STS": ("b", "c"), "Clustering": ("a",)}
