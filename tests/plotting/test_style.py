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
