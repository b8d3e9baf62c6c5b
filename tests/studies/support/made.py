"""Results of a study made up from known numbers, all of whose claims hold; without any run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wflow.meshes import box, circle
from wflow.studies.support import ProblemSupport, Support

TIMES = np.concatenate([[0.0], 100.0 * np.geomspace(1e-4, 1.0, 17)])
LONG = np.concatenate([[0.0], 100.0 * np.geomspace(1e-4, 100.0, 25)])
NODES = (50, 100, 200, 400)
BOUND = 1e-5
ETA = 0.02
WRONG = 0.5


def surface(outside):
    mesh, t = (circle(64) if outside else box((-6.0, -6.0), (6.0, 6.0), 4)), len(TIMES)
    images = np.pad(np.tile(mesh.points, (t, 1, 1)), ((0, 0), (0, 0), (1, 0)))
    found = {
        "times": TIMES, "replay": np.linspace(0.0, 1e-4, t), "verdict": np.ones(t), "degree": np.ones(t), "second": np.ones(t),
        **{name: np.ones(t) for name in ("closed", "unfolded", "half_space", "interpolation", "stretch")},
        "distance": np.full(t, 1.0), "error": np.full(t, 0.1), "slack": np.linspace(0.9, 0.8, t), "folds": np.zeros(t),
        "tear": np.zeros(t), "complete": np.array(1.0), "floor": np.array(1e-4), "points": mesh.points,
        "simplices": mesh.simplices.astype(float), "images": images,
    }  # fmt: skip
    if not outside:
        volume = -0.01 * np.outer(TIMES, np.arange(5.0))
        found |= {"log_volume": volume, "log_determinant": volume + 1e-9, "condition": np.full(t, 3.0)}
    return found


def flow(outside):
    t = len(LONG)
    fall = np.geomspace(1.0, 1e-4, t)
    theta = circle(32).points
    found = {"times": LONG, "clouds": np.zeros((t, 3, 3)), "theta": theta, "g": np.outer(fall, theta[:, 1]),
             "covering": np.linspace(0.2, 0.4, t), "covering_quarter": np.linspace(0.4, 0.8, t)}  # fmt: skip
    starts = {"positive": 1e-2 * fall, "single point": np.full(t, 5e-3)}
    if outside:
        starts |= {"all dead": np.full(t, 1e-2), "sign-locked": np.full(t, 4e-3)}
    for name, gap in starts.items():
        found |= {f"{name}/gap": gap, f"{name}/gap_lower": 0.5 * gap, f"{name}/gap_upper": 2.0 * gap, f"{name}/dissipation": gap**2}
        found |= {f"{name}/end/{key}": np.array(1e-5) for key in ("advantage_sup", "advantage_l2", "g_sup", "dissipation")}
        found[f"{name}/end/g_argmax"] = theta[0]
        if name != "positive":
            found |= {f"{name}/defect": np.zeros(t), f"{name}/bound": np.array(0.9 * gap[0])}
    return found


def escape():
    """s ω0 = −M + η t for particles in G, until s g falls below η/2 at the 151st of 201 times."""
    times = np.linspace(0.0, 10.0 * WRONG / ETA, 201)
    omega = -WRONG + ETA * times[:, None] * np.array([1.0, 1.2, 2.0])
    near = np.where(np.arange(201) < 150, 1.0, 0.4)
    return {"times": times, "near": near, "window": (near > 0.5).astype(float), "mass": np.full(201, 0.3),
            "mass_plus": 0.3 * (omega > 0.0).mean(axis=1), "omega": omega, "eta": np.array(ETA),
            "long_times": LONG, "long_gap": np.geomspace(1e-2, 1e-5, len(LONG))}  # fmt: skip


def problem(name="own", outside="outside Assumption 1", tears=True):
    widths = {n: 4.0 / n * TIMES / TIMES[-1] for n in NODES} if outside and tears else {}
    return ProblemSupport(name, outside, {"flow": flow(outside), "surface": surface(outside), "escape": escape()}, widths)


def study(*problems, bound=BOUND, **about):
    told = [{"name": problem.name, "bound": bound} for problem in problems]
    return Support({problem.name: problem for problem in problems}, {"problems": told, "seed": 0, "seconds": 1.0, **about})


def changed(problem, part, arrays):
    """The same problem with other arrays in a part; those that are None are left out."""
    kept = {key: values for key, values in {**problem.parts[part], **arrays}.items() if values is not None}
    return replace(problem, parts={**problem.parts, part: kept})
