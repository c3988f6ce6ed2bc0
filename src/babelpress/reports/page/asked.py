"""What the recipe asked for, in words."""

from __future__ import annotations

import yaml
from markupsafe import Markup

from babelpress.evaluation.intervals.means import Groups
from babelpress.recipe import (
    DistillationSection,
    LayerMethod,
    Recipe,
    VocabularySection,
)
from babelpress.reports.page.blocks import Details, Section, Terms
from babelpress.reports.page.facts import PageFacts, without_paths
from babelpress.reports.page.wording import (
    code,
    language,
    link,
    listed,
    percent,
    plural,
)
from babelpress.schema.losses import loss_words
from babelpress.schema.objectives import OBJECTIVES
from babelpress.schema.suites import find_suite


def tell_recipe(facts: PageFacts) -> Section:
    """Return the section of what was asked for."""
    recipe = facts.recipe
    languages = ", ".join(f"{language(code)} ({code})" for code in recipe.languages)
    items: list[tuple[str, str]] = [
        ("Teacher", _teacher_words(facts)),
        ("Languages", f"{len(recipe.languages)}: {languages}"),
        ("Layers", _layer_words(facts)),
        ("Vocabulary", _vocabulary_words(recipe.vocabulary)),
        ("Embedding rows", f"{recipe.student.new_rows.words}; {recipe.student.kept_rows.words}"),
        ("Loss", loss_words(recipe.distillation.loss)),
        ("Distillation", _training_words(recipe.distillation)),
        ("Texts", _text_words(recipe.distillation)),
        ("Scored on", _suite_words(recipe)),
        ("Seed", str(recipe.seed)),
    ]
    if recipe.description:
        items.insert(0, ("In its own words", recipe.description))
    text = yaml.safe_dump(without_paths(recipe.model_dump(mode="json")), sort_keys=False, allow_unicode=True, width=100)
    whole_text = Details("The whole recipe (YAML; absolute paths are shortened)", text=text, id="recipe")
    return Section("asked", "What was asked for", (Terms(tuple(items)), whole_text))


def _teacher_words(facts: PageFacts) -> Markup:
    teacher = facts.teacher
    named = link(facts.teacher_page, facts.teacher_name) if facts.teacher_page else code(facts.teacher_name)
    revision = f", revision {teacher.revision}" if teacher.revision else ""
    licence = f"licence {teacher.licence}" if teacher.licence else "its folder names no licence"
    kind = f"{teacher.architecture}, {teacher.pooling} pooling, up to {teacher.max_length:,} tokens"
    return Markup("{}{}; {}; {}").format(named, revision, kind, licence)


def _layer_words(facts: PageFacts) -> str:
    request = facts.recipe.layers
    named = request.method is LayerMethod.EXPLICIT
    asked = "named one by one" if named else f"{request.count}, method {request.method}"
    return f"{asked}; kept: {', '.join(map(str, facts.layers.kept))} of {facts.layers.of} ({facts.layers.reason})"


def _vocabulary_words(section: VocabularySection) -> str:
    chosen = OBJECTIVES[section.objective].words  # of pieces for a budget; a coverage takes the most frequent ones
    if section.size is not None:
        wanted = f"{section.size:,} rows, {chosen}"
    elif section.mib is not None:
        wanted = f"as many rows as {section.mib:g} MiB hold, {chosen}"
    else:
        share = section.coverage
        wanted = f"{percent(share)} of every language's tokens" if share is not None else "every piece that is in use"
    fallback = "byte fallback" if section.byte_fallback else "no byte fallback"
    return f"{wanted}; languages weigh as their share to the power {section.language_exponent:g}; {fallback}"


def _training_words(settings: DistillationSection) -> str:
    stop = f"stops after {plural(settings.patience, 'epoch')} without gain" if settings.patience else "no early stop"
    warmup = f"{percent(settings.warmup, 0)} of the steps" if settings.warmup else "none"
    more = [
        f"the first {settings.sentences:,} sentences of the corpus" if settings.sentences else "",
        f"{settings.cycles} cycles of the learning rate" if settings.cycles > 1 else "",
        f"down to {percent(settings.final_learning_rate)} of it" if settings.final_learning_rate else "",
        f"{settings.embedding_rate:g} times that for the embeddings" if settings.embedding_rate != 1.0 else "",
        f"running mean of the weights ({settings.average:g})" if settings.average else "",
    ]
    return "; ".join([_step_words(settings, stop=stop, warmup=warmup), *filter(None, more)])


def _step_words(settings: DistillationSection, *, stop: str, warmup: str) -> str:
    return (
        f"{plural(settings.epochs, 'epoch')}, batches of {settings.batch_size:,}, learning rate "
        f"{settings.learning_rate:g}, warm-up {warmup}, weight decay {settings.weight_decay:g}, "
        f"gradients clipped at {settings.clip_norm:g}, precision {settings.precision}; {stop}"
    )


def _text_words(settings: DistillationSection) -> Markup:
    longer = f"; {percent(settings.long_share)} of them up to {settings.long_length:,}" if settings.long_length else ""
    prompts = Markup(", ").join(code(prompt) if prompt else Markup("none") for prompt in settings.prompts)
    return Markup("up to {} tokens{}; prompts: {}").format(settings.max_length, longer, prompts)


def _suite_words(recipe: Recipe) -> str:
    section = recipe.evaluation
    tasks = section.chosen_tasks()
    parts = ["the embedded sentences"] if section.bundled else []
    if tasks:
        named = f" of the suite {section.suite}" if section.suite and section.tasks is None else ""
        parts.append(f"{plural(len(tasks), 'mteb task')}{named}")
    prompts = f", with prompts for {', '.join(section.prompts)}" if section.prompts else ", without prompts"
    return listed(parts) + prompts if parts else "nothing"


def suite_groups(recipe: Recipe) -> Groups | None:
    """Return the groups that scores are shown in: those of the recipe's suite; None for those of the tasks' kinds."""
    from babelpress.evaluation.fidelity.bundled import BITEXT

    section = recipe.evaluation
    if not section.suite or section.tasks is not None:
        return None
    return {**find_suite(section.suite).groups, **({"Bitext": (BITEXT,)} if section.bundled else {})}
