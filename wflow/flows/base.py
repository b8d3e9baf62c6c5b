"""What a flow must tell the loop, and what the loop asks of whatever steps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from wflow._checks import Array

__all__ = ["Flow", "Stepper"]


class Flow(Protocol):
    """What moves, packed into one flat array y (n,), and the field dy/dt = rhs(t, y) that moves it; t is mean-field time.

    These four methods are all that ``wflow.solve`` needs. A flow may have more, each used where it is present:

    ``error_norm(error (n,), y_old (n,), y_new (n,), rtol, atol (1,)) -> float``
        Norm of the error of a step against the tolerances (1: just met), for methods that have an option `norm`. Absent or None:
        root mean square of ``error / (atol + rtol max(|y_old|, |y_new|))``. It must not keep or change its arguments.
    ``spectral_radius(t, y) -> float``
        Bound on the spectral radius of the field's Jacobian, for methods that have an option of that name.
    ``jacobian(t, y) -> (v (n,) -> (n,))``
        Products with the Jacobian of ``rhs`` at (t, y), for methods that have an option of that name (``"newton_krylov"``).
    ``step_bound(t, y) -> float``
        The longest forward Euler step from (t, y) that keeps what must be kept, such as masses from being negative, for methods that have
        an option of that name: those whose steps are convex combinations of Euler's (``"heun"``, ``"ssprk3"``).
    ``admissible(t, y) -> bool``
        Whether y may be a state of the run; a step of an adaptive method of ours to one that may not is tried again at half its size.
        The option `accept` takes its place; with the option `safeguard` both are asked.
    ``projected(y) -> y``
        The admissible state that stands for y, which dense output gave between two that are.
    ``default_method : str``
        The method taken where none is asked for.
    ``smooth : bool``
        False: the field jumps, and methods of high order have no use (``method="auto"``). Absent: it is smooth.
    ``stepper(t, y, t_end, **options) -> Stepper``
        For a flow that is no ODE (noise, jumps, implicit Euler in W2): it steps itself, and `method` is left out. Its explicit
        parameters are the options it takes; `rtol`, `atol` and ``field`` (the counted, timed ``rhs``) are passed if among them.
    ``seconds : dict[str, float]``
        Wall seconds of the parts of an evaluation that the flow times itself, such as ``"linear algebra"``: one dictionary whose
        values grow. The loop counts the rest of an evaluation as ``"field"``.
    ``static() -> dict[str, ndarray]``
        Arrays that never change, stored beside the run so that figures need no flow (weights, nodes, the optimum).
    ``finals(t, y) -> dict[str, ndarray]``
        Arrays worked out at the last state; names and shapes must not depend on (t, y), as they are laid out at the first.
    ``evaluation(t, y) -> Evaluation``, with an attribute ``energy``
        The energy's evaluation at y. If that energy has ``domain``, ``signal`` and ``field``, the run's summary tells the residuals of
        its last state (``wflow.energies.residuals``).
    ``state_kind : str``
        How ``wflow.open`` rebuilds a state from y without the flow. ``"particles"``: y holds points (N, m), and ``static()`` the
        ``"weights"`` (N,). ``"weighted particles"``: points (N, m), then log weights (N,), and ``static()`` the ``"shape"`` [N, m].
        ``"grid"``: masses of cells, and ``static()`` their edges ``"axis0"``, ``"axis1"``, ... ``"moving grid"``: edges (n + 1,), and
        ``static()`` the ``"masses"`` (n,). ``"policy"``: log π, and ``static()`` the ``"shape"`` and the ``"action_weights"``;
        ``"actor-critic"``: θ, then log π, and ``static()`` the ``"n_parameters"`` too. Absent: states read from a file are flat arrays.
    """

    def pack(self, initial: Any) -> Array:
        """The state that the user gave, as a flat array (n,)."""
        ...

    def unpack(self, y: Array) -> Any:
        """The state that a flat array (n,) stands for; the inverse of `pack`."""
        ...

    def rhs(self, t: float, y: Array) -> Array:
        """Velocity of y, a fresh array (n,); y must not be changed.

        Its value must depend on (t, y) alone, or recording would change the run. A flow that remembers its last evaluation for
        `diagnostics` may find it by the identity of y, but must not return it from here for an array that was refilled since.
        """
        ...

    def diagnostics(self, t: float, y: Array) -> Mapping[str, float]:
        """Numbers that describe the state, the same keys in the same order at every call.

        ``"energy"`` always; by convention ``"dissipation"`` is ∫|F|² dν (what `steady` watches), ``"gap"`` the distance of the
        energy to its optimum, ``"gap_lower"`` and ``"gap_upper"`` its certificate (math.md §2). At the end of a step y is the
        array object at which the method evaluated the field last, if the method is one of ours.
        """
        ...


class Stepper(Protocol):
    """What the loop asks of a method: the part of SciPy's ``OdeSolver`` that it uses."""

    t: float
    """Time reached."""
    y: Array
    """State (n,) at `t`: a new array after each step."""
    status: str
    """``"running"``, ``"finished"`` at the end of the span, or ``"failed"`` with (t, y) as before the step."""

    def step(self) -> str | None:
        """Take one step; the reason where it failed."""
        ...

    def dense_output(self) -> Callable[[float], Array]:
        """The state at any time within the last step."""
        ...
