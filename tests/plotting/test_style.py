"""Looks: no global state, all formats, colours that are told apart."""

from __future__ import annotations

import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from wflow.plotting import style

MACHADO = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])  # deuteranopia, 2009


def figure():
    with style.styled():
        made = style.figure(3.0, 2.0)
        made.subplots().plot([0.0, 1.0], [0.0, 1.0])
    return made


def test_nothing_global_changes(tmp_path):
    before = dict(matplotlib.rcParams)
    style.save(figure(), tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml"), (".PNG", b"\x89PNG")])
def test_formats(tmp_path, suffix, start):
    style.save(figure(), tmp_path / f"a{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes().startswith(start)


def test_fonts_travel_with_the_file(tmp_path):
    for suffix in (".pdf", ".svg"):
        style.save(figure(), tmp_path / f"a{suffix}")
    assert b"/FontFile2" in (tmp_path / "a.pdf").read_bytes()
    assert "<text" not in (tmp_path / "a.svg").read_text()  # letters are outlines


@pytest.mark.parametrize(
    ("value", "figures", "text"),
    [
        (0.0, 3, "0"), (0.5, 3, "0.5"), (250.0, 3, "250"), (1000.0, 3, "1000"), (1234.0, 3, "1234"), (0.123456, 3, "0.123"),
        (1e4, 3, "10^{4}"), (-1e4, 3, "-10^{4}"), (9999.9, 3, "10^{4}"), (1e-4, 3, "10^{-4}"), (2.5e6, 3, r"2.5 \times 10^{6}"),
        (12345, 6, r"1.2345 \times 10^{4}"),
    ],
)  # fmt: skip
def test_numbers(value, figures, text):
    assert style.number(value, figures) == text


def test_a_users_dollars_start_no_formula(tmp_path):
    with style.styled():
        made = style.figure(3.0, 2.0)
        made.subplots().set_title(style.verbatim("costs 3$ or 4$ and a_b^c"))
    style.save(made, tmp_path / "a.png")


def test_legends_have_rows_of_about_one_length():
    assert style.columns(["seed 1"] * 4, 3.8) == 4
    assert style.columns(["seed 1"] * 5, 3.8) == 3
    assert style.columns(["a very long label indeed, longer than the figure is wide" * 3], 3.8) == 1


def test_shades_darken_on_white_paper():
    for n in (1, 2, 9):
        shades = np.array([style.shades(n)(k)[:3] for k in range(n)])
        light = shades @ [0.2126, 0.7152, 0.0722]
        assert (np.diff(light) > 0.0).all()
        assert light.max() < 0.85


@pytest.mark.parametrize("name", ["a.bmp", "a", "a.pngg"])
def test_unknown_formats_write_nothing(tmp_path, name):
    with pytest.raises(ValueError, match=r"must be one of \.png, \.pdf, \.svg"):
        style.save(figure(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_notebooks_show_the_figure():
    assert figure()._repr_png_().startswith(b"\x89PNG")


def test_importing_the_room_imports_no_matplotlib():
    code = "import sys, wflow.plotting; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout == "False\n"


def test_the_first_colours_differ_for_red_green_blind_readers():
    rgb = np.array([matplotlib.colors.to_rgb(colour) for colour in style.COLOURS[:5]])
    seen = np.clip(rgb**2.2 @ MACHADO.T, 0.0, 1.0) ** (1 / 2.2)
    distance = np.linalg.norm(seen[:, None] - seen[None, :], axis=-1) + np.eye(5)
    assert distance.min() > 0.15
