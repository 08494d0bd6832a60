"""argparse with this tool's errors: one line, the nearest option named, exit 2."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from cnncost.errors import CnncostError, nearest, printable


class Parser(argparse.ArgumentParser):
    """A parser that raises CnncostError instead of printing its usage."""

    def __init__(self, prog: str, description: str | None, epilog: str) -> None:
        super().__init__(
            prog=prog, description=description, epilog=epilog, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def error(self, message: str) -> NoReturn:
        raise CnncostError(printable(message, 300), nearest=f"see {self.prog} --help")

    def arguments(self, args: Sequence[str]) -> argparse.Namespace:
        """The arguments; an unknown option names the nearest known one."""
        known, rest = self.parse_known_intermixed_args(args)
        if not rest:
            return known
        word = next((w for w in rest if w.startswith("-") and w != "-"), rest[0])
        option = word.split("=")[0]
        if not word.startswith("-"):
            raise CnncostError(f"unexpected argument '{printable(word)}'", nearest=f"see {self.prog} --help")
        options = [name for action in self._actions for name in action.option_strings]
        raise CnncostError(
            f"unknown option '{printable(option)}'", nearest=nearest(option, options) or f"see {self.prog} --help"
        )

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """The converted value; an error names its option."""
        try:
            return super()._get_value(action, arg_string)
        except CnncostError as error:
            error.problem = f"{'/'.join(action.option_strings[-1:]) or action.dest}: {error.problem}"
            raise

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            name = action.option_strings[0] if action.option_strings else action.dest
            raise CnncostError(
                f"{name}: unknown value '{printable(value)}'", rule=f"it is one of {', '.join(choices)}",
                nearest=nearest(str(value), choices),
            )  # fmt: skip
