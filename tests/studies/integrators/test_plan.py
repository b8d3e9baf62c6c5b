"""The plan: defaults, ladders, tasks in their order, and errors that name the argument."""

from __future__ import annotations

import json

import pytest
from studies.integrators import made

from wflow.studies.integrators import BUILT_IN, METHODS
from wflow.studies.integrators.peers import available
from wflow.studies.integrators.plan import plan


def test_defaults():
    full, quick = plan(), plan(quick=True)
    assert tuple(case.name for case in full.cases) == BUILT_IN
    assert full.methods == available(METHODS)
    assert {"rkc2", "tsit5", "RK45", "DOP853"} <= set(full.methods)
    assert full.tolerances == (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    assert full.limit == 60.0
    assert set(quick.cases) < set(full.cases)
    assert set(quick.methods) < set(full.methods)
    assert set(quick.tolerances) < set(full.tolerances)
    assert quick.limit < full.limit


def test_what_is_asked_for():
    """One stands for a sequence of one; tolerances are sorted, loose ones first."""
    found = plan("linear", methods="tsit5", tolerances=[1e-4, 1e-2, 1e-3], repeats=2, limit=7, quick=True)
    assert [case.name for case in found.cases] == ["linear"]
    assert (found.methods, found.tolerances, found.repeats, found.limit) == (("tsit5",), (1e-2, 1e-3, 1e-4), 2, 7.0)
    assert plan(["decay", made.LINEAR], tolerances=1e-3).tolerances == (1e-3,)


def test_once_each():
    """However it is written: SciPy's names in lower case would be taken for ours."""
    found = plan("linear", methods=["rk45", "RKC2", "RK45", "tsitouras", "tsit5"], tolerances=[1e-3, 1e-2, 0.001])
    assert found.methods == ("RK45", "rkc2", "tsit5")
    assert found.tolerances == (1e-2, 1e-3)


def test_tasks():
    found = plan([made.LINEAR], methods=["tsit5", "RK45"], tolerances=[1e-2, 1e-3], repeats=2, limit=7)
    tasks = found.tasks(made.LINEAR, "there")
    assert [(task.rtol, task.method) for task in tasks] == [(1e-2, "tsit5"), (1e-2, "RK45"), (1e-3, "tsit5"), (1e-3, "RK45")]
    assert {(task.case, task.repeats, task.limit, task.reference) for task in tasks} == {(made.LINEAR, 2, 7.0, "there")}


def test_described_in_plain_json():
    """And apart from any other plan."""
    told = json.dumps(plan([made.LINEAR]).describe())
    assert told == json.dumps(plan([made.LINEAR]).describe())
    assert "_linear" in told
    for other in ({"tolerances": 1e-3}, {"methods": "tsit5"}, {"repeats": 2}, {"limit": 1.0}):
        assert json.dumps(plan([made.LINEAR], **other).describe()) != told
    assert json.dumps(plan([made.TANH]).describe()) != told


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"cases": ["linaer"]}, ValueError, r"^case must be one of .*did you mean 'linear'"),
    ({"cases": ["linear", "linear"]}, ValueError, "^cases must have different names; got linear, linear$"),
    ({"cases": []}, TypeError, "^cases must be one or a sequence of them"),
    ({"cases": 3}, TypeError, "^cases must be one or a sequence of them; got 3$"),
    ({"methods": "tsit"}, ValueError, r"^method must be one of .*did you mean 'tsit5'"),
    ({"methods": [3]}, TypeError, "^methods must be names; got 3$"),
    ({"methods": ()}, TypeError, "^methods must be one or a sequence of them"),
    ({"tolerances": 0.0}, ValueError, r"^tolerances\[0\] must be"),
    ({"tolerances": [1e-3, 1.0]}, ValueError, r"^tolerances\[1\] must be"),
    ({"tolerances": [1e-3, "1e-4"]}, TypeError, r"^tolerances\[1\] must be"),
    ({"tolerances": "small"}, TypeError, "^tolerances must be one or a sequence"),
    ({"repeats": 0}, ValueError, "^repeats must be an integer of at least 1; got 0$"),
    ({"limit": 0.0}, ValueError, "^limit must be"),
    ({"limit": "a minute"}, TypeError, "^limit must be"),
])  # fmt: skip
def test_refused(options, error, message):
    with pytest.raises(error, match=message):
        plan(**{"cases": "linear", **options})
