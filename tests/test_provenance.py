"""Provenance: what ran, where and with what, and whether the process that wrote it lives."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from toys.decay import Decay

from wflow import provenance
from wflow.loop import solve


def test_provenance_tells_what_ran_and_the_caller_what_it_means():
    given = {"seed": np.int64(3), "config": {"grid": (1, 2), "path": os.path}, "points": np.arange(2.0)}
    told = solve(Decay(), [1.0], 1.0, "RK45", rtol=1e-4, t_start=-1.0, provenance=given).provenance
    assert told["seed"] == 3
    assert told["points"] == [0.0, 1.0]
    assert told["config"]["grid"] == [1, 2]
    ours = {"flow": "Decay", "method": "RK45", "rtol": 1e-4, "atol": 1e-6, "options": {}, "t_start": -1.0, "t_end": 1.0}
    assert {name: told[name] for name in ours} == ours
    assert set(told["versions"]) == {"wflow", "python", "numpy", "scipy", "numba"}
    assert json.loads(json.dumps(told)) == told
    assert {"machine", "git", "date"} <= set(told)


def test_a_process_is_told_from_others_by_host_number_and_start():
    this = provenance.this_process()
    assert this["pid"] == os.getpid()
    assert json.loads(json.dumps(this)) == this
    assert not provenance.has_ended(this)
    assert not provenance.has_ended(this | {"host": "elsewhere", "started": "at another time"})


@pytest.mark.skipif(sys.platform != "linux", reason="the start of a process is read from /proc")
def test_a_process_that_is_gone_or_whose_number_went_to_another_has_ended():
    this = provenance.this_process()
    assert provenance.has_ended(this | {"started": "in another life of that number"})
    body = "import json; from wflow.provenance import this_process; print(json.dumps(this_process()))"
    other = json.loads(subprocess.run([sys.executable, "-c", body], capture_output=True, check=True).stdout)
    assert other["pid"] != this["pid"]
    assert provenance.has_ended(other)
