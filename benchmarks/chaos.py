"""The default study of propagation of chaos as a user runs it: ``python -m benchmarks.chaos [--quick]``.

One fresh process of ``wflow study chaos``, timed from start to end; its table and figures are the output.
"""

from __future__ import annotations

from benchmarks._harness import study

if __name__ == "__main__":
    study("chaos", __doc__ or "", __file__)
