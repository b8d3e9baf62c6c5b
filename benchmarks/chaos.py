"""The default study of propagation of chaos as a user runs it: ``python -m benchmarks.chaos [--quick]``.

One fresh process of ``wflow study chaos``, timed from start to end; its table and figures are the output.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks._harness import write_output

OUTPUT = Path(__file__).parent / "output"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the command's own --quick; writes nothing")
    words = ["--quick"] if parser.parse_args().quick else []
    with TemporaryDirectory() as folder:
        call = [sys.executable, "-c", "import sys; from wflow import cli; sys.exit(cli.main())", "study", "chaos", *words, "--out", folder]
        start = time.perf_counter()
        table = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True).stdout
        seconds = time.perf_counter() - start
        report = table[: table.index("written: ")] + f"whole command: {seconds:.0f} s, two processes\n"
        if words:
            print(report)
            return
        write_output(__file__, report)
        for figure in Path(folder).glob("*.png"):
            shutil.copy(figure, OUTPUT / figure.name)


if __name__ == "__main__":
    main()
