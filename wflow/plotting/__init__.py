"""Figures, made from stored runs only; Matplotlib is imported when the first one is drawn."""

from __future__ import annotations

from wflow.plotting.gaps import figure1
from wflow.plotting.solution import plot_solution
from wflow.plotting.style import FORMATS, save

__all__ = ["FORMATS", "figure1", "plot_solution", "save"]
