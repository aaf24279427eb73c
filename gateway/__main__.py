"""Where the ``querygate`` program begins; also ``python -m gateway``."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""The exit status by which shells know Ctrl-C."""


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, also while its modules are still being imported."""
    try:
        from gateway.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
