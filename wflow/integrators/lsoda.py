"""SciPy's LSODA, with its say."""

from __future__ import annotations

import warnings

import scipy.integrate

__all__ = ["LSODA"]


class LSODA(scipy.integrate.LSODA):
    """SciPy's class, in which the reason why a step failed is a warning; here it is the step's message, as the contract has it."""

    def _step_impl(self) -> tuple[bool, str | None]:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            success, message = super()._step_impl()  # type: ignore[misc]
        return success, str(told[-1].message) if told and not success else message
