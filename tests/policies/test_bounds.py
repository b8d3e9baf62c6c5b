"""No theorem's bound is violated at any iterate: every method on 200 random MDPs under its hypotheses, ties and unequal weights too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import made

import wflow.policies as policies
from wflow.policies.regularisers import Capped, LogBarrier, Tsallis

CASES = [
    ("pg", 0.0, None, {}),
    ("entropy_pg", None, "equal", {}),
    ("log_barrier_pg", 0.0, None, {"barrier": 3.0}),
    ("npg", 0.0, None, {}),
    ("entropy_npg", None, None, {}),
    ("soft_policy_iteration", 0.0, None, {}),
    ("soft_policy_iteration", None, None, {}),
    ("pmd", None, None, {}),
    ("gpmd", None, None, {}),
    ("gpmd", None, None, {"regulariser": Tsallis(2.0)}),
    ("gpmd", None, None, {"regulariser": LogBarrier()}),
    ("gpmd", None, None, {"regulariser": Capped(0.4, 2.0)}),
    ("cpi", 0.0, None, {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "temperature", "weights", "options"), CASES, ids=[f"{c[0]}-{c[1]}-{c[3]}" for c in CASES])
def test_no_bound_is_violated(name, temperature, weights, options):
    bounded = 0

    @settings(max_examples=200)
    @given(made.mdps(temperature=temperature, weights=weights), st.integers(0, 1000), st.sampled_from([1.0, 0.1]))
    def check(mdp, seed, share):
        nonlocal bounded
        start = np.full(mdp.n_states, 1.0 / mdp.n_states)
        initial = made.random_log_policy(mdp, seed, spread=2.0) if seed % 2 else None
        step = None if name == "soft_policy_iteration" else share * default_step(name, mdp, options)
        run = policies.run(name, mdp, 40, initial=initial, start=start, step_size=step, **options)
        assert len(made.violations(run, mdp)) == 0
        bounded += int(np.isfinite(run.bound).any())

    check()
    assert bounded > 50  # of 200 or more: the hypotheses are met often, if not by every MDP


def default_step(name, mdp, options):
    """The method's own; CPI's, which changes along the run, apart."""
    return 0.5 if name == "cpi" else policies.run(name, mdp, 0, **options).provenance["step_size"]
