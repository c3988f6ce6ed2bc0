from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.errors import RecipeError
from babelpress.recipe import (
    FileSource,
    HubSource,
    LayerMethod,
    NewRows,
    Precision,
    Recipe,
    Reduction,
    SpecialText,
    VocabularyMethod,
)
from babelpress.schema.losses import LOSSES
from babelpress.schema.recipe_text import read_recipe_text, shipped_recipes

SMALL = """
name: small
languages: [en, ko]
teacher: {model: bundled}
corpus:
  sources:
    - {kind: bundled, variants: 1}
    - {kind: files, paths: [a.txt, b.txt]}
layers: {method: uniform, count: 2}
vocabulary: {size: 500}
"""


def parse(*overrides: str) -> Recipe:
    return Recipe.parse(SMALL, overrides=overrides)


def fault(*overrides: str, text: str = SMALL) -> str:
    """The message a recipe is refused with, which must be one line."""
    with pytest.raises(RecipeError) as error:
        Recipe.parse(text, overrides=overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- unknown keys and wrong types -----------------------------------------------------------------


@pytest.mark.parametrize("key", ["epochs", "distillation.epoch", "corpus.sources.0.variant", "card.licences"])
def test_an_unknown_key_is_named_and_refused(key: str):
    where = key.replace("sources.0.", "sources.0.bundled.")
    assert fault(f"{key}=1") == f"recipe: {where}: no such key (given: 1)"


def test_an_unknown_loss_term_is_refused_with_those_that_there_are():
    message = fault("distillation.loss.cosin=1")
    assert message.startswith("recipe: distillation.loss: no such key: cosin; did you mean cosine?; loss terms are mse")
    assert all(name in message for name in LOSSES)


@pytest.mark.parametrize("value", ["-1", "'high'", ".inf", "null"])
def test_a_loss_weight_that_is_no_weight_is_named(value):
    assert fault(f"distillation.loss.mse={value}").startswith("recipe: distillation.loss.mse: ")


def test_an_unknown_objective_is_refused_with_those_that_there_are():
    message = fault("vocabulary.objective=fertilty")
    assert "no such objective; did you mean fertility?; there are: fertility, frequency" in message


@pytest.mark.parametrize("setting", ["limit=1", "dataset=x", "texts=3"])
def test_a_key_of_another_kind_of_source_is_refused(setting: str):
    assert "no such key" in fault(f"corpus.sources.0.{setting}")


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("distillation.epochs=many", "distillation.epochs"),
        ("distillation.epochs=1.5", "distillation.epochs"),
        ("distillation.epochs=0", "distillation.epochs"),
        ("distillation.learning_rate=-1", "distillation.learning_rate"),
        ("distillation.learning_rate=.inf", "distillation.learning_rate"),
        ("distillation.loss.cosine=.nan", "distillation.loss.cosine"),
        ("distillation.precision=fp8", "distillation.precision"),
        ("corpus.held_out=1.0", "corpus.held_out"),
        ("corpus.sources=[]", "corpus.sources"),
        ("corpus.sources.1.paths=[]", "corpus.sources.1.files.paths"),
        ("corpus.sources.1.paths=a.txt", "corpus.sources.1.files.paths"),
        ("corpus.sources.0.variants=65", "corpus.sources.0.bundled.variants"),
        ("corpus.sources.0.kind=internet", "corpus.sources.0"),
        ("evaluation.bundled=perhaps", "evaluation.bundled"),
        ("evaluation.speed_sentences=-1", "evaluation.speed_sentences"),
        ("teacher=embedded", "teacher"),
        ("layers=2", "layers"),
        ("seed=-1", "seed"),
        ("name=../up", "name"),
        ("name=", "name"),
        ("languages=en", "languages"),
        ("languages=[]", "languages"),
        ("languages=[en, no]", "languages.1"),  # YAML reads Norwegian as false
        ("languages=[English]", "languages.0"),
        ("languages.0=EN", "languages.0"),
        ("vocabulary.language_exponent=1.5", "vocabulary.language_exponent"),
        ("vocabulary.objective=shortest", "vocabulary.objective"),
        ("vocabulary.byte_rate=-0.1", "vocabulary.byte_rate"),
        ("vocabulary.byte_rate=1.1", "vocabulary.byte_rate"),
        ("vocabulary.character_share=1.1", "vocabulary.character_share"),
        ("vocabulary.special_text=text", "vocabulary.special_text"),
        ("student.new_rows=zero", "student.new_rows"),
        ("description=2024-01-31", "description"),  # YAML reads a date
        ("teacher.prompts={query: [a]}", "teacher.prompts.query"),
        ("1=2", "1"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_where_it_stands(override: str, where: str):
    assert fault(override).startswith(f"recipe: {where}: ")


def test_the_value_given_is_shown():
    assert fault("distillation.epochs=many").endswith("(given: 'many')")


def test_the_number_of_further_faults_is_told():
    assert fault("distillation.epochs=x", "seed=x", "languages=[]").endswith("; and 2 more")


@pytest.mark.parametrize("section", ["name", "languages", "teacher", "corpus", "layers", "vocabulary"])
def test_a_missing_section_is_named(section: str):
    values = yaml.safe_load(SMALL)
    del values[section]
    assert fault(text=yaml.safe_dump(values)) == f"recipe: {section}: Field required"


def test_a_doubled_language_is_refused():
    assert "ko, th stands there twice" in fault("languages=[ko, th, en, ko, th]")


@pytest.mark.parametrize("key", ["mse", "cosine"])
def test_one_loss_term_may_be_off_but_not_both(key: str):
    assert getattr(parse(f"distillation.loss.{key}=0").distillation.loss, key) == 0
    assert "every loss weight is 0" in fault("distillation.loss.mse=0", "distillation.loss.cosine=0")


# --- layers and vocabulary ------------------------------------------------------------------------


@pytest.mark.parametrize("layers", ["{method: explicit, keep: [0, 2]}", "{method: first, count: 1}", "{count: 2}"])
def test_layers_are_a_list_or_a_method_and_a_count(layers: str):
    assert (parse(f"layers={layers}").layers.keep is None) != (parse(f"layers={layers}").layers.count is None)


@pytest.mark.parametrize(
    "layers",
    [
        "{method: explicit}",
        "{method: explicit, count: 2}",
        "{method: explicit, keep: [0], count: 1}",
        "{method: uniform}",
        "{method: uniform, keep: [0]}",
        "{method: last, keep: [0], count: 1}",
        "{keep: [0]}",
        "{}",
    ],
)
def test_layers_said_twice_or_not_at_all_are_refused(layers: str):
    assert fault(f"layers={layers}").startswith("recipe: layers: ")


@pytest.mark.parametrize(
    "vocabulary",
    [
        "{method: seen, size: 5}", "{method: seen, mib: 5}", "{method: seen, coverage: 0.9}",
        "{method: budget}", "{}", "{size: 0}", "{mib: 0}", "{mib: .inf}", "{size: 5, mib: 5}",
        "{coverage: 0.9}", "{size: 5, coverage: 0.9}",
        "{method: coverage}", "{method: coverage, size: 5}", "{method: coverage, mib: 5}",
        "{method: coverage, coverage: 0}", "{method: coverage, coverage: 1.01}",
        "{method: coverage, coverage: 0.9, size: 5}",
    ],
)  # fmt: skip
def test_a_vocabulary_has_the_one_amount_of_its_method(vocabulary: str):
    assert fault(f"vocabulary={vocabulary}").startswith("recipe: vocabulary")


@pytest.mark.parametrize("vocabulary", ["{size: 5}", "{mib: 0.5}", "{method: coverage, coverage: 1}"])
def test_an_amount_alone_is_enough(vocabulary: str):
    given = parse(f"vocabulary={vocabulary}").vocabulary
    assert [given.size, given.mib, given.coverage].count(None) == 2


def test_a_wrong_amount_says_which_would_be_right():
    message = fault("vocabulary={size: 5, mib: 5}")
    assert "goes with vocabulary.size or vocabulary.mib alone (given: size, mib)" in message


def test_the_defaults_are_short_text_and_the_teachers_special_text():
    vocabulary, student = parse().vocabulary, parse().student
    assert (vocabulary.objective, vocabulary.special_text) == ("fertility", SpecialText.AS_TEACHER)
    assert (vocabulary.byte_rate, vocabulary.character_share) == (0.001, 0.2)
    assert student.new_rows is NewRows.DROPPED


def test_all_seen_pieces_need_no_size():
    assert parse("vocabulary={method: seen}").vocabulary.size is None


# --- overrides ------------------------------------------------------------------------------------


def test_overrides_reach_sections_that_the_file_has_not():
    recipe = parse("distillation.loss.cosine=0.25", "card.notes=a b", "distillation.epochs = 7")
    assert recipe.distillation.loss.cosine == 0.25
    assert recipe.card.notes == "a b"
    assert recipe.distillation.epochs == 7


def test_overrides_reach_entries_of_lists():
    recipe = parse("corpus.sources.1.paths.0=c.txt", "languages.1=de")
    assert recipe.corpus.sources[1] == FileSource(kind="files", paths=("c.txt", "b.txt"))
    assert recipe.languages == ("en", "de")


def test_overrides_are_yaml_values():
    recipe = parse("languages=[ja, th]", "distillation.patience=null", "distillation.learning_rate=1e-4")
    assert recipe.languages == ("ja", "th")
    assert recipe.distillation.patience is None
    assert recipe.distillation.learning_rate == 0.0001


def test_the_last_of_two_overrides_wins():
    assert parse("seed=1", "seed=2").seed == 2


def test_a_value_may_hold_equals_signs():
    assert parse("card.notes='a=b=c'").card.notes == "a=b=c"


def test_an_override_of_an_empty_section_fills_it():
    assert Recipe.parse(SMALL + "card:\n", overrides=["card.notes=x"]).card.notes == "x"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "write it as section.key=value"),
        ("=1", "write it as section.key=value"),
        ("a..b=1", "write it as section.key=value"),
        (".seed=1", "write it as section.key=value"),
        ("", "write it as section.key=value"),
        ("seed=[1", "'[1' is not a YAML value"),
        ("seed=!!python/name:os.system", "is not a YAML value"),
        ("description=2024-99-99", "'2024-99-99' is not a YAML value"),
        ("description=!!bool perhaps", "is not a YAML value"),
        ("description=" + "[" * 600, "is not a YAML value"),
        ("seed.x=1", "seed: Input should be a valid integer"),
        ("name.x=1", "name is a value, not a section"),
        ("languages.0.x=1", "0 is a value, not a section"),
        ("languages.0.x.y=1", "0 is a value, not a section"),
        ("languages.2=de", "'2' is not an entry of a list of 2"),
        ("languages.-1=de", "'-1' is not an entry of a list of 2"),
        ("languages.first=de", "'first' is not an entry of a list of 2"),
        ("corpus.sources.²=1", "'²' is not an entry of a list of 2"),
        ("corpus.sources.9.kind=files", "'9' is not an entry of a list of 2"),
    ],
)
def test_an_override_that_cannot_be_followed_is_refused(override: str, message: str):
    assert message in fault(override)


def test_an_override_changes_no_other_use_of_a_yaml_alias():
    text = SMALL.replace("[en, ko]", "&codes [en, ko]") + "evaluation: {languages: *codes}\n"
    recipe = Recipe.parse(text, overrides=["languages.0=de"])
    assert recipe.languages == ("de", "ko")
    assert recipe.evaluation.languages == ("en", "ko")


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=30)
    | st.tuples(
        st.lists(st.sampled_from(["corpus", "sources", "0", "1", "paths", "kind", "languages", "x", "²"]), max_size=4),
        st.text(st.sampled_from("[]{}:!&*-<\"'#0x1eE.T ,?|>%@`~\n"), max_size=8),
    ).map(lambda pair: f"{'.'.join(pair[0])}={pair[1]}")
)
def test_no_override_ends_in_a_traceback(override: str):
    with suppress(RecipeError):
        assert isinstance(parse(override), Recipe)


# --- text that is no recipe -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"), [("", "NoneType"), ("# x", "NoneType"), ("- a", "list"), ("a", "str"), ("3", "int")]
)
def test_yaml_that_is_not_a_mapping_is_refused(text: str, kind: str):
    assert fault(text=text) == f"recipe: a recipe is a mapping of sections, this is a {kind}"


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: b: c",
        "\0",
        "a: \x07",
        "*nobody",
        "? [1, 2]\n: 3",
        "a: !!python/object/apply:os.system [echo]",
        "{" * 600,
        "- " * 600,
        "a: 2024-99-99",
        "a: 0x_",
        "a: !!int ''",
        "a: !!timestamp x",
        "a: !!bool perhaps",
        "a: " + "1" * 5000,
        "a: 1\n---\nb: 2",
    ],
)
def test_what_is_not_yaml_is_refused_in_one_line(text: str):
    assert fault(text=text).startswith("recipe: not valid YAML: ")


def bomb(first: str, link: str) -> str:
    """YAML that asks for 9 ** 9 entries in ten lines."""
    lines = [f"a0: &a0 {first}"]
    for level in range(1, 10):
        lines.append(f"a{level}: &a{level} " + link.replace("*", ", ".join([f"*a{level - 1}"] * 9)))
    return "\n".join(lines)


@pytest.mark.parametrize("text", [bomb("[x]", "[*]"), bomb("{x: 1}", "{<<: [*]}"), "a: &a [*a]", "a: &a {b: *a}"])
def test_yaml_bombs_and_loops_are_refused_at_once(text: str):
    start = time.monotonic()
    assert fault(text=text)
    assert fault(text=f"{SMALL}\n{text}")
    assert time.monotonic() - start < 5


def test_a_list_bomb_in_a_field_is_refused_without_being_unfolded():
    text = bomb("[x]", "[*]") + SMALL.replace("[en, ko]", "*a9")
    assert len(fault(text=text)) < 500


def test_a_few_merge_keys_are_fine():
    text = SMALL + "distillation:\n  loss: {<<: {mse: 2.0, cosine: 3.0}, cosine: 4.0}\n"
    loss = Recipe.parse(text).distillation.loss
    assert (loss.mse, loss.cosine) == (2.0, 4.0)


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(exclude_categories=()), max_size=40)
    | st.text(st.sampled_from("ab[]{}:!&*-<\"'#0x1_eE.T ,?|>%@`~\n\t"), max_size=40)
    | st.tuples(st.sampled_from(["int", "float", "bool", "null", "timestamp", "binary", "set", "omap", "pairs", "map",
        "merge", "str", "value"]), st.text(max_size=6)).map(lambda pair: f"a: !!{pair[0]} {pair[1]}")
)  # fmt: skip
def test_no_text_ends_in_a_traceback(text: str):
    with pytest.raises(RecipeError):
        Recipe.parse(text)


# --- files and names ------------------------------------------------------------------------------


def test_a_recipe_file_may_start_with_a_byte_order_mark(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert Recipe.load(path) == Recipe.parse(SMALL)


def test_the_file_is_named_in_its_errors(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(RecipeError, match=f"^{path}: not valid YAML"):
        Recipe.load(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no.yaml", "there is no recipe file no.yaml"),
        ("no/where", "there is no recipe file no/where"),
        (
            "me5s_v4",
            "there is no recipe called 'me5s_v4'; shipped: demo, me5s_cpu, me5s_v3; your own: a path ending in",
        ),
        ("", "there is no recipe called ''"),
        ("x" * 5000, "there is no recipe called"),
        ("x" * 5000 + ".yaml", "cannot be read as text"),
        ("a/\0.yaml", "cannot be read as text"),
    ],
)
def test_a_recipe_that_is_not_there_is_an_error_with_the_remedy(name: str, message: str):
    with pytest.raises(RecipeError) as error:
        read_recipe_text(name)
    assert message in str(error.value)


@pytest.mark.parametrize("content", [b"name: \xff", None])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes | None):
    path = tmp_path / "mine.yaml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(RecipeError, match="cannot be read as text"):
        Recipe.load(path)


def test_a_recipe_survives_being_written_and_read_again():
    for name in shipped_recipes():
        recipe = Recipe.load(name)
        assert Recipe.parse(yaml.safe_dump(recipe.model_dump(mode="json"))) == recipe


def test_a_loaded_recipe_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        parse().distillation.epochs = 5  # type: ignore[misc]


# --- what is shipped ------------------------------------------------------------------------------


def test_every_shipped_recipe_loads_under_its_own_name():
    assert {"demo", "me5s_v3"} <= set(shipped_recipes())
    for name, description in shipped_recipes().items():
        assert Recipe.load(name).name == name
        assert Recipe.load(name).description == description != ""


def test_the_demo_needs_no_hub():
    demo = Recipe.load("demo")
    assert demo.teacher.model == "bundled"
    assert {source.kind for source in demo.corpus.sources} <= {"bundled", "pieces"}
    assert demo.evaluation.chosen_tasks() == ()
    assert demo.visualization.source is None


@pytest.fixture(scope="module")
def reference() -> Recipe:
    return Recipe.load("me5s_v3")


def test_the_reference_has_the_teacher_and_languages_of_its_card(reference: Recipe):
    assert reference.teacher.model == "intfloat/multilingual-e5-small"
    assert reference.teacher.prompts == {"query": "query: ", "passage": "passage: "}
    assert " ".join(reference.languages) == "ko en ja zh es fr de pt it ru ar hi th vi id pl"


def test_the_reference_has_the_layers_and_rows_of_its_card(reference: Recipe):
    assert (reference.layers.method, reference.layers.keep) == (LayerMethod.EXPLICIT, (0, 4, 7, 11))
    assert reference.vocabulary.method is VocabularyMethod.BUDGET
    assert reference.vocabulary.size == 15_168 + 256
    assert reference.vocabulary.byte_fallback


def test_the_reference_has_the_training_figures_of_its_card(reference: Recipe):
    given: dict[str, Any] = reference.distillation.model_dump()
    loss = given.pop("loss")
    weights = {key: value for key, value in loss.items() if value and key != "temperature"}
    assert weights == {"mse": 1.0, "cosine": 0.5, "mse_reduction": Reduction.MEAN}
    expected = {
        "epochs": 13, "batch_size": 512, "learning_rate": 2e-5, "weight_decay": 0.01, "max_length": 64,
        "clip_norm": 1.0, "patience": None, "precision": Precision.BF16,
    }  # fmt: skip
    assert {key: given[key] for key in expected} == expected


MASSIVE = "en ko ja zh-CN es fr de pt it ru ar hi th vi id pl"
PUBLIC = {  # hub id, subsets, text columns
    "mteb/amazon_massive_intent": (MASSIVE, "text"),
    "mteb/amazon_massive_scenario": (MASSIVE, "text"),
    "mteb/banking77": ("", "text"),
    "mteb/amazon_counterfactual": ("en", "text"),
    "mteb/imdb": ("", "text"),
    "mteb/mtop_domain": ("en", "text"),
    "mteb/toxic_conversations_50k": ("", "text"),
    "mteb/tweet_sentiment_extraction": ("", "text"),
    "mteb/stsbenchmark-sts": ("", "sentence1 sentence2"),
    "stanfordnlp/snli": ("", "premise hypothesis"),
    "nyu-mll/multi_nli": ("", "premise hypothesis"),
    "facebook/xnli": ("en fr es de ru zh ar hi vi th", "premise hypothesis"),
    "miracl/miracl-corpus": ("ar en es fa fr hi id ja ko ru th zh", "title text"),
}


def test_the_reference_has_the_public_sources_of_its_corpus(reference: Recipe):
    sources = [source for source in reference.corpus.sources if isinstance(source, HubSource)]
    found = {source.dataset: (set(source.subsets), source.columns) for source in sources}
    assert found == {
        name: (set(subsets.split()), tuple(columns.split())) for name, (subsets, columns) in PUBLIC.items()
    }
    assert {(source.limit, source.min_chars) for source in sources} == {(10_000, 6)}  # longer than 5 characters
    assert reference.corpus.min_chars == 6


def test_the_reference_trains_on_train_splits_alone(reference: Recipe):
    assert {source.split for source in reference.corpus.sources if isinstance(source, HubSource)} == {"train"}


def test_the_subsets_of_the_reference_carry_their_own_language(reference: Recipe):
    for source in reference.corpus.sources:
        assert isinstance(source, HubSource)
        assert source.subsets == {subset: subset.partition("-")[0] for subset in source.subsets}
        assert source.subsets or source.language == "en"


def test_the_reference_is_scored_on_26_tasks_in_all_their_languages(reference: Recipe):
    tasks = reference.evaluation.chosen_tasks()
    assert len(set(tasks)) == len(tasks) == 26
    assert sum("Classification" in task for task in tasks) == 8
    assert sum("Clustering" in task for task in tasks) == 8
    assert sum(task in {"BIOSSES", "SICK-R"} or task.startswith("STS") for task in tasks) == 10
    assert reference.evaluation.languages is None


def test_the_reference_draws_fifty_parallel_sentences_of_sixteen_languages(reference: Recipe):
    source = reference.visualization.source
    assert source is not None
    assert (source.dataset, source.split) == ("mteb/amazon_massive_intent", "test")
    assert reference.visualization.sentences == 50
    assert sorted(source.subsets.values()) == sorted(reference.languages)


def test_a_doubled_key_is_not_silently_the_last_one():
    with pytest.raises(RecipeError, match="'epochs' stands there twice"):
        Recipe.parse("name: x\ndistillation:\n  epochs: 1\n  epochs: 2\n")


def test_nothing_held_out_is_refused_before_the_corpus_is_read():
    with pytest.raises(RecipeError, match="held_out"):
        Recipe.load("demo", overrides=["corpus.held_out=0"])


def test_overrides_of_a_loaded_recipe_are_not_dropped():
    recipe = Recipe.load("demo")
    assert recipe.override(["distillation.epochs=7"]).distillation.epochs == 7
    assert recipe.override([]) is recipe
    assert recipe.override(["seed=21"]).model_copy(update={"seed": recipe.seed}) == recipe
    with pytest.raises(RecipeError, match="epochs"):
        recipe.override(["distillation.epochs=0"])


def test_arguments_beside_an_opened_run_are_not_silently_ignored(tmp_path):
    from babelpress import BabelpressError, load_run, press

    opened = load_run(Recipe.load("demo"), output=tmp_path / "run", overrides=["seed=21"])
    assert opened.recipe.seed == 21
    with pytest.raises(BabelpressError, match="give them to load_run"):
        press(opened, output=tmp_path / "other")
