"""``python -m wflow``."""

import sys

from wflow.cli import main

if __name__ == "__main__":
    sys.exit(main())
