"""Figures, made from stored runs only; Matplotlib is imported when the first one is drawn."""

from __future__ import annotations

from wflow.plotting.curves import figure1
from wflow.plotting.kinds import WHATS, plot
from wflow.plotting.movie import save_movie
from wflow.plotting.solution import plot_solution
from wflow.plotting.style import FORMATS, save
from wflow.plotting.sweep import plot_sweep

__all__ = ["FORMATS", "WHATS", "figure1", "plot", "plot_solution", "plot_sweep", "save", "save_movie"]
