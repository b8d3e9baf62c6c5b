"""The default study of grids as a user runs it: ``python -m benchmarks.grid_study [--quick]``.

One fresh process of ``wflow study grids``, timed from start to end; its table and figures are the output.
"""

from __future__ import annotations

from benchmarks._harness import study

if __name__ == "__main__":
    study("grids", __doc__ or "", __file__)
