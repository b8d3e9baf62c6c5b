"""Entropy-regularised Markov decision processes: exact evaluation, optimum, certificates, and a library of problems."""

from __future__ import annotations

from wflow.mdp.certificates import GapCertificate, exact_gap, gap_certificate, statewise_kl
from wflow.mdp.evaluation import PolicyEvaluation, evaluate, gibbs_policy
from wflow.mdp.gymnasium import from_gymnasium
from wflow.mdp.library import agazzi_lu_bandit, agazzi_lu_grid, chain, garnet, gridworld, pendulum, three_armed_bandit, tree
from wflow.mdp.model import MDP
from wflow.mdp.optimum import Optimum, optimum
from wflow.mdp.transitions import DenseTransition, SparseTransition, StructuredTransition, Transition, as_transition

__all__ = [
    "MDP", "DenseTransition", "GapCertificate", "Optimum", "PolicyEvaluation", "SparseTransition", "StructuredTransition", "Transition",
    "agazzi_lu_bandit", "agazzi_lu_grid", "as_transition", "chain", "evaluate", "exact_gap", "from_gymnasium", "gap_certificate",
    "garnet", "gibbs_policy", "gridworld", "optimum", "pendulum", "statewise_kl", "three_armed_bandit", "tree",
]  # fmt: skip
