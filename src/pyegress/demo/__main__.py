"""`python -m pyegress.demo`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from pyegress.demo.cast import CastFailed
from pyegress.demo.server import ServerFailed
from pyegress.demo.show import run_demo


def main() -> int:
    """Exit codes: 0 done, 1 something failed, 130 interrupted."""
    parser = argparse.ArgumentParser("pyegress demo", description="Record a real LiveKit room of three participants.")
    parser.add_argument("--duration", type=float, default=15.0, help="seconds to record (default: 15)")
    parser.add_argument("--output", type=Path, default=Path("recordings"), help="folder for the results")
    arguments = parser.parse_args()
    # Being terminated cleans up like being interrupted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return asyncio.run(run_demo(duration=arguments.duration, output=arguments.output))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except TimeoutError:
        sys.stderr.write("the recordings did not end in time\n")
        return 1
    except (ServerFailed, CastFailed) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
