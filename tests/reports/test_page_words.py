"""How the page of a run writes numbers, and what a recipe asks for in words."""

from __future__ import annotations

import dataclasses
import math

import pytest

from babelpress.reports.page import wording
from babelpress.reports.page.asked import tell_recipe
from babelpress.schema.losses import loss_words
from tests.reports.figures import make_recipe
from tests.reports.page_figures import make_facts, read_page

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (wording.whole(1234567), "1,234,567"),
        (wording.whole(0), "0"),
        (wording.whole(None), "not measured"),
        (wording.decimal(1234.5678, 2), "1,234.57"),
        (wording.decimal(0.0, 1), "0.0"),
        (wording.decimal(None, 2), "not measured"),
        (wording.decimal(math.nan, 2), "not measured"),
        (wording.decimal(math.inf, 2), "not measured"),
        (wording.percent(0.8054), "80.5 %"),
        (wording.percent(1.25, 0), "125 %"),
        (wording.percent(None), "not measured"),
        (wording.mib(2**20 * 3 // 2), "1.5 MiB"),
        (wording.mib(104_858), "0.1 MiB"),
        (wording.mib(100), "0.1 KiB"),
        (wording.mib(None), "not measured"),
        (wording.times(2.0834), "2.08 ×"),
        (wording.times(None), "not measured"),
        (wording.interval((0.777, 0.8333), 1, factor=100), "77.7 – 83.3"),
        (wording.interval(None), ""),
        (wording.duration(0.0), "0.0 s"),
        (wording.duration(119.96), "120.0 s"),
        (wording.duration(125.0), "125.0 s (2 min)"),
        (wording.duration(3599.0), "3,599.0 s (1 h 0 min)"),
        (wording.duration(9886.5), "9,886.5 s (2 h 45 min)"),
        (wording.duration(None), "not measured"),
        (wording.short(117_653_760), "117.7 M"),
        (wording.short(1_500), "1.5 k"),
        (wording.short(2_000_000_000), "2.0 B"),
        (wording.short(999), "999"),
        (wording.plural(1, "task"), "1 task"),
        (wording.plural(1234, "task"), "1,234 tasks"),
        (wording.listed(["a"]), "a"),
        (wording.listed(["a", "b", "c"]), "a, b and c"),
        (wording.language("ko"), "Korean"),
        (wording.language("zxx"), "word lists of the teacher's pieces"),
        (wording.language("English"), "English"),
        (wording.language("English|x"), "English|x"),
        (wording.link("a?b&c", "<d>"), '<a href="a?b&amp;c">&lt;d&gt;</a>'),
        (wording.code("<s>"), "<code>&lt;s&gt;</code>"),
    ],
)  # fmt: skip
def test_numbers_and_names_are_written_so(shown, expected):
    assert str(shown).replace(SPACE, " ") == expected


def terms(tiny_teacher, *overrides: str) -> dict[str, str]:
    facts = make_facts(tiny_teacher, recipe=make_recipe(*overrides))
    return {name: str(text).replace(SPACE, " ") for name, text in tell_recipe(facts).blocks[0].items}


def test_what_the_recipe_asks_for_is_told(tiny_teacher):
    asked = terms(tiny_teacher)
    assert asked["Languages"] == "3: Korean (ko), English (en), Portuguese (pt)"
    assert asked["Layers"] == "2, method uniform; kept: 0, 11 of 12 (evenly spaced)"
    assert asked["Vocabulary"].startswith("1,000 rows, so that text is shortest in tokens; ")
    assert asked["Distillation"] == (
        "3 epochs, batches of 77, learning rate 3.25e-05, warm-up none, weight decay 0.017, gradients clipped at 1.9, "
        "precision auto; stops after 3 epochs without gain"
    )
    assert asked["Texts"] == "up to 48 tokens; prompts: none"
    assert asked["Scored on"] == "the embedded sentences, without prompts"
    assert "licence mit" in asked["Teacher"]


@pytest.mark.parametrize(
    ("overrides", "name", "expected"),
    [
        (("vocabulary={mib: 51.5}",), "Vocabulary", "as many rows as 51.5 MiB hold, "),
        (("vocabulary={method: coverage, coverage: 0.999}",), "Vocabulary", "99.9 % of every language's tokens; "),
        (("vocabulary={method: seen, objective: frequency, byte_fallback: false}",), "Vocabulary",
         "every piece that is in use; languages weigh as their share to the power 0.3; no byte fallback"),
        (("layers={method: explicit, keep: [0, 11]}",), "Layers", "named one by one; kept: 0, 11 of 12"),
        (("student.new_rows=noise", "student.kept_rows=fitted"), "Embedding rows",
         "new rows start from the mean of the kept rows and noise; kept rows from the teacher's, fitted"),
        (("distillation.long_length=256", "distillation.long_share=0.015", "distillation.prompts=['', 'query: <']"),
         "Texts", "up to 48 tokens; 1.5 % of them up to 256; prompts: none, <code>query: &lt;</code>"),
        (("distillation.warmup=0.05", "distillation.patience=null", "distillation.epochs=1"), "Distillation",
         "1 epoch, batches of 77, learning rate 3.25e-05, warm-up 5 % of the steps"),
        (("evaluation.suite=quick", "evaluation.bundled=false", "evaluation.prompts={query: 'q: '}"), "Scored on",
         "6 mteb tasks of the suite quick, with prompts for query"),
        (("evaluation.tasks=[STS17]",), "Scored on", "the embedded sentences and 1 mteb task, without prompts"),
        (("evaluation.bundled=false",), "Scored on", "nothing"),
        (("description=said once",), "In its own words", "said once"),
    ],
)  # fmt: skip
def test_other_settings_are_told_in_their_words(tiny_teacher, overrides, name, expected):
    assert terms(tiny_teacher, *overrides)[name].startswith(expected)


def test_every_term_of_the_loss_that_has_a_weight_is_told():
    loss = make_recipe(
        "distillation.loss={mse: 0, cosine: 0.25, similarity: 2.0, distribution: 0.75, hidden: 0.125, centre: true, "
        "matryoshka: [96, 48]}"
    ).distillation.loss
    assert loss_words(loss) == (
        "cosine distance (0.25) + similarities of pairs (2) + score distributions (0.75, temperature 0.05) + hidden "
        "states (0.125), centred on the teacher's mean embedding, also on the first 96 and 48 dimensions"
    )
    plain = loss_words(make_recipe().distillation.loss)
    assert plain == "squared distance (1, sum over dimensions) + cosine distance (0.5)"


@pytest.mark.parametrize(("name", "shown"), [("mine", "mine"), ("/srv/secret/mine", "…/mine"), ("./mine", "./mine")])
def test_a_teacher_without_a_licence_and_of_a_folder_is_no_link(tiny_teacher, name, shown):
    facts = make_facts(tiny_teacher)
    facts = dataclasses.replace(facts, teacher=dataclasses.replace(facts.teacher, name=name, licence=None))
    page = read_page(facts)
    assert f"Teacher {shown} ; bert" in page.by_id("asked").text
    assert "its folder names no licence" in page.by_id("asked").text
    assert not [a for a in page.all("a") if "huggingface" in a.attributes["href"]]
