"""Pictures: files by their ending, the same bytes every time, nothing of the user's settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from babelpress.errors import EvaluationError
from babelpress.reports.style import (
    LANGUAGE_COLOURS,
    check_ending,
    house_style,
    language_look,
    model_colour,
    new_figure,
    save,
    sentence_colours,
    tidy,
)


def draw(path: Path, *, wide: float = 3) -> None:
    with house_style():
        figure = new_figure(wide, 2)
        axis = figure.subplots()
        axis.plot([1, 2, 3], [3, 1, 2], label="line")
        tidy(axis, grid="y")
        figure.legend()
        save(figure, path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a.png", ["a.png"]), ("a.svg", ["a.svg"]), ("a.PNG", ["a.PNG"]), ("a", ["a.png", "a.svg"]),
        ("me5s.v3", ["me5s.v3.png", "me5s.v3.svg"]),
    ],
)  # fmt: skip
def test_the_ending_says_what_is_written_and_a_stem_means_both(tmp_path, name, written):
    draw(tmp_path / name)
    assert names(tmp_path) == written


def test_a_picture_is_as_many_inches_as_was_asked_for(tmp_path):
    draw(tmp_path / "a.png", wide=4)
    assert Image.open(tmp_path / "a.png").size == (4 * 150, 2 * 150)


def test_the_same_picture_has_the_same_bytes_whatever_the_user_has_set(tmp_path):
    import matplotlib.pyplot as plt

    draw(tmp_path / "one")
    with plt.rc_context({"savefig.dpi": 50, "font.size": 20, "svg.fonttype": "none", "axes.facecolor": "red"}):
        draw(tmp_path / "two")
    for ending in (".png", ".svg"):
        assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"two{ending}").read_bytes(), ending


def test_a_picture_tells_no_date(tmp_path):
    draw(tmp_path / "a")
    assert not re.search(r"20\d\d-\d\d-\d\d", (tmp_path / "a.svg").read_text(encoding="utf-8"))
    assert Image.open(tmp_path / "a.png").info.keys() == {"dpi"}


def test_the_users_backend_and_open_figures_are_left_alone(tmp_path):
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before = mpl.get_backend(), plt.get_fignums()
    draw(tmp_path / "a.png")
    assert (mpl.get_backend(), plt.get_fignums()) == before


def test_an_ending_that_is_no_picture_is_refused():
    check_ending("--plot", Path("A.SVG"))
    with pytest.raises(EvaluationError, match=r"^--plot a\.pdf: its name must end in \.png or \.svg$"):
        check_ending("--plot", Path("a.pdf"))


def test_sixty_four_languages_look_different():
    assert len({language_look(number) for number in range(4 * len(LANGUAGE_COLOURS))}) == 64


def test_sentences_have_colours_of_their_own():
    colours = sentence_colours(50)
    assert len(set(colours)) == 50
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    assert colours == sentence_colours(50)


def test_a_runs_models_keep_their_colours_and_others_go_by_place():
    assert model_colour("distilled", 0) == model_colour("distilled", 2) != model_colour("pruned", 0)
    assert model_colour("mine", 0) != model_colour("mine", 1)
