"""Problems to start from; every function returns a plain `MDP`."""

from __future__ import annotations

from wflow.mdp.library.agazzi_lu import agazzi_lu_bandit, agazzi_lu_grid
from wflow.mdp.library.pendulum import pendulum
from wflow.mdp.library.tabular import garnet, gridworld
from wflow.mdp.library.witnesses import chain, three_armed_bandit, tree

__all__ = ["agazzi_lu_bandit", "agazzi_lu_grid", "chain", "garnet", "gridworld", "pendulum", "three_armed_bandit", "tree"]
