"""Write the golden files anew: ``python -m tests.golden.make [NAME...]``, all of them without a name.

The files in ``data/`` hold what kmon printed for other programs when they were written. Write them anew only when a
change of that output is intended, and say in the commit which one. Two cases need recorded streams, in the folders
that KMON_CORPUS and KMON_GATEWAY_RECORDINGS name; of these only digests are kept.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.golden.cases import CASES, NEEDS
from tests.golden.normalise import lines

DATA = Path(__file__).parent / "data"


def made(name: str) -> str:
    """What the case prints now."""
    with tempfile.TemporaryDirectory() as folder:
        return lines(CASES[name](Path(folder)))


def main(names: list[str]) -> int:
    for name in names or CASES:
        if name in NEEDS and NEEDS[name] not in os.environ:
            print(f"{name}: left as it is, {NEEDS[name]} is not set")
            continue
        file = DATA / f"{name}.jsonl"
        before, after = file.read_text() if file.exists() else "", made(name)
        file.write_text(after)
        print(f"{name}: {'unchanged' if before == after else 'written'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
