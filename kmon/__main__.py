"""``python -m kmon`` is the same program as the console script."""

import sys

from kmon.cli import main

if __name__ == "__main__":
    sys.exit(main())
