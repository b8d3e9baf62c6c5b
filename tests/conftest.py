"""What every test runs under: floating-point traps armed, and hypothesis without deadlines, repeatable in CI."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("wflow", deadline=None, max_examples=50)
settings.register_profile("ci", parent=settings.get_profile("wflow"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "wflow")


@pytest.fixture(autouse=True, scope="session")
def _floating_point_traps():
    with np.errstate(all="raise", under="ignore"):
        yield
