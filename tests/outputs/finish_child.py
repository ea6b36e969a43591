"""A process that finishes what another one left, to be killed: `python -m tests.outputs.finish_child PATH CALL`."""

from __future__ import annotations

import sys
from pathlib import Path

from pyegress.outputs.left_file import finish_left
from tests.outputs.crash_child import die_before


def main() -> None:
    path, call = Path(sys.argv[1]), int(sys.argv[2])
    die_before(call)
    finish_left(path)


if __name__ == "__main__":
    main()
