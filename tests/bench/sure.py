"""How sure are kmon's verdicts? Coverage, false proofs, power and isolated causes, each beside its bar.

    python -m tests.bench.sure [TABLE...] [--worlds N] [--seed N]

Exit code 1 means that a bar was missed. All tables with 300 worlds take about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tests.bench.sure_coverage import coverages
from tests.bench.sure_isolation import isolation
from tests.bench.sure_proofs import false_proofs, power
from tests.bench.sure_table import Table

TABLES: dict[str, Callable[[int, int], Table]] = {
    "coverage": coverages,
    "false-proofs": false_proofs,
    "power": power,
    "isolation": isolation,
}
"""Each takes the number of simulated worlds per figure, and a seed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sure", description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)} (default: all)")
    parser.add_argument("--worlds", type=int, default=300, metavar="N", help="per figure (default 300)")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    options = parser.parse_args()
    if unknown := set(options.tables) - TABLES.keys():
        parser.error(f"there is no table {', '.join(sorted(unknown))}; use {', '.join(TABLES)}")
    if options.worlds < 1:
        parser.error("--worlds must be 1 or more")
    missed = 0
    for name in options.tables or TABLES:
        table = TABLES[name](options.worlds, options.seed)
        print(table.text, flush=True)
        missed += table.missed
    print(f"{missed} bars missed" if missed else "all bars hold")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
