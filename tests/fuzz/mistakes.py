"""The mistakes that can be made in experiments: in their keys, values, sections, text, archives and changes."""

from __future__ import annotations

import datetime
import math
from random import Random
from typing import Any

import numpy as np
from fuzz.tables import Files, toml, valid

# Sizes that no machine has room for; the sizes between these and 20 are a user's right, and take too long here.
ABSURD = (10**9, 10**18, 2**63, 10**30, 10**400)

_ODD: tuple[Any, ...] = (
    *ABSURD, -1, -(10**30), True, False, 0, 0.0, -0.0, 0.5, -0.5, 1.5, 1e-320, 1e-300, 1e300, 1e308, -1e308, 1 - 1e-16,
    math.nan, math.inf, -math.inf, "", " ", "nan", "relu", "all", "ünïcödé", "two\nlines", "\u0000", "\u2028", "x" * 500, "3",
    "none.npz", ".", "own.toml", "fig1a", [], [[]], [0], [1, 2], [[1.0, 2.0]], [[1.0], [2.0, 3.0]], [[0.5, math.nan]],
    [[1e308, -1e308]], [10**30], ["a"], [[[1.0]]], [True, "a"], {}, {"a": 1}, {"": {"": []}}, [{}],
    datetime.date(2021, 1, 2), datetime.time(1, 2), datetime.datetime(2021, 1, 2, 3, 4),
)  # fmt: skip
_STRANGE = (
    np.array(["a"]), np.array([None]), np.array([1j]), np.array([[np.nan]]), np.zeros((0, 2)), np.array(["2021-01-02"], "M8[D]"),
    np.array(3), np.ones((1, 1), np.float16), np.ones((1, 1, 1), ">i4"),
)  # fmt: skip
_WORDS = ("", " ", "two\nlines", "ünïcödé", "a.b", "t_end", "n_particles", "kind", "x" * 300, "\u2028", "0", "\x7f", "'", '"')
_SECTIONS = ("problem", "flow", "solver", "record", "seeds", "title", "include", "other")
_INCLUDED = ("own.toml", "other.toml", "fig1a", "fig1", "none", "a\u0000.toml", "", ".toml")
_TOKENS = (b"[" * 3000, b"=", b'"', b"\r", b"\n", b"9" * 5000, b"#", b"{", b"[[x]]", b"\\", b"inf", b"-", b"\x00", b"\xff")
_TOML = ("", "soon", "3 # three", "1\nx=2", "[1", "a=b", '"', "1e", "3_0", "0x10", "relu", "[" * 3000, "9" * 5000)


def experiment(rng: Random) -> Files:
    """An experiment with up to three mistakes, mostly one."""
    files = valid(rng)
    for _ in range(rng.choice((0, 1, 1, 1, 1, 1, 1, 2, 3))):
        mistaken(rng, files)
    return files


def mistaken(rng: Random, files: Files) -> None:
    """One mistake more in `files`."""
    kinds = ["value"] * 5 + ["drop", "rename", "move", "section", "swap", "text", "set", "set", "include"]
    kind = rng.choice(kinds + ["archive"] * 3 * bool(files.arrays))
    name = rng.choice(sorted(files.tables))
    table = files.tables[name]
    files.mistakes += 1
    files.mistake = ("", set(), None)
    if kind in ("value", "drop", "rename", "move"):
        path, names, value = _key_changed(rng, table, kind)
        files.mistake = (path if files.mistakes == 1 else "", names, value)
    elif kind == "section":
        table[rng.choice(_SECTIONS)] = odd(rng)
    elif kind == "swap":
        a, b = rng.sample(_SECTIONS[:4], 2)
        table[a], table[b] = table.get(b, {}), table.get(a, {})
    elif kind == "text":
        files.raw[name] = _scratched(rng, files.content(name))
    elif kind == "set":
        files.changes.append(_change(rng, table))
    elif kind == "include":
        files.tables["more.toml"] = {"include": rng.sample(_INCLUDED, rng.randint(0, 3))}
    elif rng.random() < 0.5:
        files.raw["problem.npz"] = _scratched(rng, files.content("problem.npz"))
    else:
        files.arrays[rng.choice([*sorted(files.arrays), "rewards", "reward", "kind"])] = rng.choice(_STRANGE)


def odd(rng: Random, old: Any = None) -> Any:
    """A value that some key will not like; often of the type of the value before."""
    if type(old) is int and rng.random() < 0.6:
        return rng.choice((rng.choice(ABSURD), rng.randint(-20, 20)))
    if isinstance(old, float) and rng.random() < 0.5:
        return rng.choice((-1, 1)) * rng.random() * 10.0 ** rng.randint(-322, 308)
    if isinstance(old, list) and old and rng.random() < 0.6:  # one entry lost, or another inside
        k = rng.randrange(len(old))
        return [*old[:k], *([] if rng.random() < 0.3 else [odd(rng, old[k])]), *old[k + 1 :]]
    if isinstance(old, str) and rng.random() < 0.3:
        return _typo(rng, old)
    return rng.choice((rng.choice(_ODD), rng.choice(_ODD), rng.uniform(-2.0, 2.0), _text(rng)))


def _text(rng: Random) -> str:
    codes = (rng.choice((rng.randrange(32, 127), rng.randrange(0xD800), rng.randrange(0xE000, 0x110000))) for _ in range(rng.randrange(8)))
    return "".join(map(chr, codes))


def _typo(rng: Random, word: str) -> str:
    k = rng.randrange(max(1, len(word)))
    slips = (word[:k] + word[k + 1 :], word[:k] + word[k : k + 1] + word[k:], word.upper(), word + "s")
    return rng.choice((*slips, rng.choice(_WORDS), _text(rng)))


def _key(rng: Random, table: dict[str, Any]) -> tuple[str, dict[str, Any], str]:
    """A key of a table: its path, the section it is in, its name there."""
    table.setdefault("title", "")  # so that there is a key
    places = {"": table} | {f"{name}.": section for name, section in table.items() if isinstance(section, dict)}
    if isinstance(options := places.get("solver.", {}).get("options"), dict):
        places["solver.options."] = options
    prefix, section = rng.choice([place for place in places.items() if place[1]])
    key = rng.choice(sorted(section))
    return prefix + key, section, key


def _key_changed(rng: Random, table: dict[str, Any], kind: str) -> tuple[str, set[str], Any]:
    """One key with another value, gone, under another name, or in another section; what an error must then be about."""
    path, section, key = _key(rng, table)
    if kind == "value":
        section[key] = odd(rng, section[key])
        return path, {key}, section[key]
    value, renamed = section.pop(key), key
    if kind == "rename":
        section[renamed := _typo(rng, key)] = value
    elif kind == "move":
        into = rng.choice(_SECTIONS)
        table[into] = {**table.get(into, {}), key: value} if isinstance(table.get(into, {}), dict) else value
        path = ""
    return path, {key, renamed}, None


def _scratched(rng: Random, text: bytes) -> bytes:
    """A text cut off, with bytes in it that do not belong there, without some that do, with a line twice, or nothing but noise."""
    at = rng.randint(0, len(text))
    lines = text.splitlines(keepends=True) or [b""]
    k = rng.randrange(len(lines))
    return rng.choice((
        text[:at], text[:at] + rng.randbytes(rng.randint(1, 4)) + text[at:], text[:at] + rng.choice(_TOKENS) + text[at:],
        text[:at] + text[at + rng.randint(1, 20) :], b"".join([*lines[: k + 1], *lines[k:]]), rng.randbytes(rng.randint(0, 40)),
    ))  # fmt: skip


def _change(rng: Random, table: dict[str, Any]) -> str:
    """What may stand behind ``--set``."""
    path = rng.choice((_key(rng, table)[0], _key(rng, table)[0], "solver.options.dt", "x", "x.y.z", "problem.kind", rng.choice(_WORDS)))
    value = rng.choice((toml(odd(rng)), toml(odd(rng, 3)), rng.choice(_TOML)))
    return rng.choice((f"{path}={value}",) * 6 + (f" {path} = {value} ", path, f"={value}", f".{path}={value}"))
