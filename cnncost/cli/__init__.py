"""The command line: arguments in, exit code out. ``main`` imports nothing until it knows the command."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing itself would double the time of `cnncost --version`
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 a finding of severity error, 2 bad input or usage, 3 something outside failed."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        from cnncost.cli.app import run

        return run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("\nerror: interrupted\n")
        return 130
