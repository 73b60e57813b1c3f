"""``python -m kmon`` is the same program as the console script.

Python puts the current directory first on the import path for ``-m``, and kmon is started in cloned projects: it is
taken out here, before kmon imports anything. What Python itself imports to find kmon (``types``, and a directory
``kmon``) comes from that directory all the same: there, use the console script or ``python -P -m kmon``.
"""

import sys

if not sys.flags.safe_path:
    del sys.path[0]

from kmon.cli import main

if __name__ == "__main__":
    sys.exit(main())
