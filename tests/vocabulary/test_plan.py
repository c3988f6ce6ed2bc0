"""A plan is rows in order, and a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES
from tests.families import FAMILIES
from tests.vocabulary import MASK, counts_of, embedded_plan, plan_of
from tests.vocabulary.test_choice import plan_small


@pytest.mark.parametrize("name", ["embedded", *FAMILIES])
def test_kept_pieces_stay_in_the_teachers_order(name):
    plan = embedded_plan() if name == "embedded" else plan_of(name)
    assert list(plan.kept) == sorted(set(plan.kept))


def test_256_byte_pieces_come_last_in_the_order_of_their_values():
    plan = embedded_plan()
    assert len(BYTE_PIECES) == 256
    assert plan.new_pieces == BYTE_PIECES
    assert (plan.new_pieces[0], plan.new_pieces[10], plan.new_pieces[255]) == ("<0x00>", "<0x0A>", "<0xFF>")


def test_the_id_map_leads_from_teacher_to_student():
    plan = VocabularyPlan((0, 1, 2, 3, 4, 11, MASK), (), {}, 0, 0, ())
    assert plan.id_map == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 11: 5, MASK: 6}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_request_gives_the_same_plan(name):
    first = plan_of(name)
    plan_of.cache_clear()
    assert plan_of(name) == first


def test_a_plan_comes_back_from_its_file(tmp_path: Path):
    plan = plan_small(counts_of(en={5: 6, 7: 3}), 9, characters=["a", "ж"])
    assert plan.dropped.ids
    plan.save(tmp_path / "plan.json")
    assert VocabularyPlan.load(tmp_path / "plan.json") == plan
    assert json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))["rows"] == plan.rows


def test_the_digest_follows_the_rows_alone():
    one, other = plan_small(counts_of(en={5: 6}), 9), plan_small(counts_of(en={5: 7}, ko={5: 1}), 9)
    assert one.digest() == other.digest()
    assert one.digest() != plan_small(counts_of(en={5: 6}), 10).digest()
