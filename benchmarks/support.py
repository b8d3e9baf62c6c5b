"""The default study of fixed points and support as a user runs it: ``python -m benchmarks.support [--quick]``.

One fresh process of ``wflow study support``, timed from start to end; its table and figures are the output.
"""

from __future__ import annotations

from benchmarks._harness import study

if __name__ == "__main__":
    study("support", __doc__ or "", __file__)
