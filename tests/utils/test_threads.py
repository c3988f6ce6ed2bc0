"""Waiting threads: a short spin unless the user decides, settled before torch is there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from babelpress.evaluation.speed import child
from babelpress.utils.threads import SHORT_SPIN, short_spin

VARIABLES = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")
SET_UP = """
import os, sys
from babelpress.cli.shared import set_up
set_up(quiet=True, verbose=0)
assert "torch" not in sys.modules
print([os.environ.get(name) for name in ("GOMP_SPINCOUNT", "KMP_BLOCKTIME")])
"""


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, "-c", script], env={**plain, **environment}, capture_output=True, text=True, check=True
    )


def test_threads_spin_briefly_unless_told_otherwise():
    assert short_spin({"HOME": "/"}) == SHORT_SPIN
    assert SHORT_SPIN.keys() == {"GOMP_SPINCOUNT", "KMP_BLOCKTIME"}


@pytest.mark.parametrize("policy", ["ACTIVE", "PASSIVE", ""])
def test_a_wait_policy_of_the_users_stands_alone(policy):
    assert short_spin({"OMP_WAIT_POLICY": policy}) == {}


@pytest.mark.parametrize("name", SHORT_SPIN)
def test_a_variable_that_the_user_set_is_kept(name):
    assert short_spin({name: "7"}).keys() == SHORT_SPIN.keys() - {name}


def test_the_command_line_sets_them_before_torch_is_imported():
    assert run(SET_UP).stdout == "['1000', '1']\n"
    assert run(SET_UP, OMP_WAIT_POLICY="ACTIVE").stdout == "[None, None]\n"


def test_torchs_own_runtime_hears_of_it():
    """libgomp reads its variables once, when it is loaded."""
    said = run(SET_UP + "import torch", OMP_DISPLAY_ENV="verbose").stderr
    if "GOMP_SPINCOUNT" not in said:
        pytest.skip("torch comes with another OpenMP runtime here")
    assert "GOMP_SPINCOUNT = '1000'" in said


def test_the_workers_of_speed_wait_briefly_also_where_no_command_line_was(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert SHORT_SPIN.items() <= child._environment().items()
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert child._environment()["GOMP_SPINCOUNT"] == "7"


def test_the_tests_themselves_wait_briefly():
    assert os.environ.keys() & VARIABLES
