"""The default work-precision study as a user runs it: ``python -m benchmarks.integrators [--quick]``.

One fresh process of ``wflow study integrators``, timed from start to end; its table and figures are the output.
"""

from __future__ import annotations

from benchmarks._harness import study

if __name__ == "__main__":
    study("integrators", __doc__ or "", __file__)
