"""What a distance comes back as: a value, a bracket around the truth, and how they were found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

__all__ = ["ROUNDING", "Squares", "W2Result"]

# Relative rounding of a pairwise sum of non-negative terms, each with a few roundings of its own: 64 units in the last place.
ROUNDING = 64.0 * float(np.finfo(np.float64).eps)


class Squares(NamedTuple):
    """W2² of two clouds as a method finds it: the cost of its plan, and rigorous bounds with their rounding inside."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class W2Result:
    """The 2-Wasserstein distance of two measures, with bounds.

    Parameters
    ----------
    value : float or None
        W2, in the units of the points; None where the bracket is wider than the gap asked for.
    lower, upper : float
        ``lower <= W2 <= upper``, and ``lower <= value <= upper`` where there is a value. Exact methods leave their rounding between them.
    method : str
        What found it: ``line``, ``dense``, ``lazy``, ``columns``, ``bounds``, or ``trivial`` (identical measures, or two points).
    certified : bool
        Whether the bracket is rigorous, rounding included.
    seconds : float
        Wall time.

    Attributes
    ----------
    gap : float
        (upper − lower) / upper; 0 where upper is 0.

    Raises
    ------
    ValueError
        If the numbers are not finite, are negative, or not in the order lower <= value <= upper.
    """

    value: float | None
    lower: float
    upper: float
    gap: float = field(init=False)
    method: str
    certified: bool
    seconds: float

    def __post_init__(self) -> None:
        middle = self.upper if self.value is None else self.value
        if not 0.0 <= self.lower <= middle <= self.upper < np.inf:
            raise ValueError(f"the figures must satisfy 0 <= lower <= value <= upper; got {self.lower!r}, {self.value!r}, {self.upper!r}")
        object.__setattr__(self, "gap", (self.upper - self.lower) / self.upper if self.upper > 0.0 else 0.0)
