"""How every figure looks: sizes, fonts, colours; no pyplot, so that nothing global changes and no display is needed."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wflow import _checks

if TYPE_CHECKING:
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS", "DASHES", "DIVERGING", "FORMATS", "MAP", "MARKERS", "columns", "figure", "number", "save", "shades", "styled", "verbatim",
]  # fmt: skip

FORMATS = (".png", ".pdf", ".svg")

# Okabe & Ito (2008), told apart by colour-blind readers; the dashes tell them apart in print without colour
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "p", "*")
MAP, DIVERGING = "cividis", "PuOr"

_STYLE: dict[Any, Any] = {
    "font.size": 8.5, "axes.titlesize": 8.5, "axes.labelsize": 8.5, "legend.fontsize": 7.5, "xtick.labelsize": 7.5, "ytick.labelsize": 7.5,
    "mathtext.fontset": "cm", "lines.linewidth": 1.3, "axes.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.minor.width": 0.4, "ytick.minor.width": 0.4,
    "legend.frameon": False, "legend.handlelength": 2.4, "figure.titlesize": 8.5, "figure.labelsize": 7.5,
    "pdf.fonttype": 42, "svg.fonttype": "path",  # SVG viewers do not have TeX's fonts
}  # fmt: skip


@contextmanager
def styled() -> Iterator[None]:
    """The house style, for as long as axes are made and drawn."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure of the given size in inches; it keeps the house style when saved, and a notebook shows it as it is."""
    styled_figure: Figure = _figure_class()(figsize=(width, height), dpi=200, layout="constrained")
    return styled_figure


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG, PDF or SVG, by the suffix of `path`.

    Raises
    ------
    ValueError
        If the suffix is another.
    OSError
        If the file cannot be written.
    """
    _checks.choice("suffix of the figure's file", Path(path).suffix.lower(), FORMATS)
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it frowns at the dates in Matplotlib's own fonts
    figure.savefig(path)


def number(value: float, figures: int = 3) -> str:
    """A number in TeX, to three figures or more, whole numbers below 10^4 in full: 0.5, 250, 1234, 10^4, 2.5 x 10^6."""
    plain = f"{value:.{max(figures, 4) if abs(value) >= 1e3 else figures}g}"
    if value == 0.0 or (1e-3 <= abs(value) < 1e4 and "e" not in plain):
        return plain
    digits, exponent = f"{value:.{figures - 1}e}".split("e")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    sign, one = ("-" if value < 0.0 else ""), digits in ("1", "-1")
    return (sign if one else rf"{digits} \times ") + f"10^{{{int(exponent)}}}"


def verbatim(text: object) -> str:
    """A user's text as it is: its dollar signs start no formula."""
    return str(text).replace("$", r"\$")


def columns(labels: Sequence[str], width: float) -> int:
    """Columns of a legend as wide as the figure, its rows about equally long."""
    longest = max(len(label.replace("$", "").replace("\\", "")) for label in labels)
    fitting = max(1, int(width / (0.5 + 0.065 * longest)))
    return -(-len(labels) // -(-len(labels) // fitting))


def shades(n: int = 256) -> ListedColormap:
    """The n colours of `MAP` that stand out from white paper, dark to light."""
    import matplotlib
    import numpy as np
    from matplotlib.colors import ListedColormap

    return ListedColormap(matplotlib.colormaps[MAP](np.linspace(0.0, 0.88, n)))


@cache
def _figure_class() -> Any:
    from matplotlib.figure import Figure

    class Styled(Figure):
        def savefig(self, *arguments: Any, **options: Any) -> None:
            with styled():
                super().savefig(*arguments, **options)

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=110)
            return buffer.getvalue()

    return Styled
