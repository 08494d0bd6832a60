"""From arguments to an exit code: chooses the command, runs it, and turns every failure into one line."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

COMMANDS: dict[str, str] = {
    "analyze": "shapes, parameters, multiplications and activation memory of a model",
    "explain": "the arithmetic of a model or of one layer, step by step",
    "report": "one HTML page, or Markdown with pictures, about a model",
    "plot": "one figure of a model as SVG or PNG",
    "diff": "two or more models side by side",
    "verify": "the prediction beside a real run of the model",
    "check": "hold models to their budgets; exit code 1 when one is exceeded",
    "baseline": "update, show or diff the figures that growth is measured against",
    "export": "write the real Keras model of a source",
    "zoo": "list the shipped specs, or print one",
    "schema": "print the JSON Schema of the spec language",
    "init": "write a commented starter spec",
}


def usage() -> str:
    """The help of the tool itself."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return f"""usage: cnncost COMMAND [options]

What a convolutional network costs before you run it, exactly.

commands:
{commands}

options:
  --help     this text; `cnncost COMMAND --help` has each command's options and an example
  --version  the version

example:
  cnncost analyze zoo:resnet152
"""


def run(arguments: list[str]) -> int:
    """One command, its failures as one line on standard error."""
    from cnncost.cli import streams

    streams.prepare()
    code = _guarded(arguments)
    return streams.finish(code)


def _guarded(arguments: list[str]) -> int:
    try:
        return _dispatch(arguments)
    except SystemExit as done:  # argparse's --help
        return done.code if isinstance(done.code, int) else 0
    except BrokenPipeError:
        return 0
    except Exception as problem:
        return _report(_mendable(problem), problem, "--debug" in arguments)


def _mendable(problem: Exception) -> Exception:
    """The one message of any failure."""
    from cnncost.errors import CnncostError, OutsideError, printable

    if isinstance(problem, CnncostError):
        return problem
    if isinstance(problem, MemoryError):
        return OutsideError("out of memory", nearest="analyze a smaller model, or give this process more memory")
    if isinstance(problem, RecursionError):
        return CnncostError("the source is nested too deeply")
    if isinstance(problem, OSError):
        place = f" '{printable(problem.filename)}'" if problem.filename else ""
        return OutsideError(f"cannot use{place}: {problem.strerror or type(problem).__name__}")
    return OutsideError(
        f"unexpected {type(problem).__name__}: {printable(str(problem), 200)}",
        rule="this is a fault of cnncost, not of your model",
        nearest="--debug shows where it happened",
    )


def _report(error: Exception, problem: Exception, debug: bool) -> int:
    """Print the one message, after the traceback when that is asked for."""
    code: int = getattr(error, "exit_code", 2)
    if sys.stderr is None:
        return code
    if debug:
        import traceback

        traceback.print_exception(problem, file=sys.stderr)
    from cnncost.errors import printable

    print(printable(" ".join(str(error).split("\n")), 4000), file=sys.stderr)
    return code


def _dispatch(arguments: list[str]) -> int:
    name = next((word for word in arguments if not word.startswith("-")), None)
    position = arguments.index(name) if name is not None else len(arguments)
    for option in arguments[:position]:
        if option in ("--version", "-V"):
            return _version()
        if option in ("--help", "-h"):
            return _print(usage())
        if option != "--debug":
            raise _unknown(f"unknown option '{option}'", option, ["--help", "--version", "--debug"])
    if name is None:
        raise _unknown("no command", "", [], rule=f"a command is one of {', '.join(COMMANDS)}")
    if name == "help":
        return _print(usage())
    if name not in COMMANDS:
        raise _unknown(f"unknown command '{name}'", name, COMMANDS, rule=f"a command is one of {', '.join(COMMANDS)}")
    return _command(name, arguments[position + 1 :])


def _command(name: str, arguments: list[str]) -> int:
    from importlib import import_module

    from cnncost.cli.parser import Parser

    command = import_module(f"cnncost.cli.{name}")
    parser = Parser(prog=f"cnncost {name}", description=command.__doc__, epilog=command.EXAMPLE)
    command.add_arguments(parser)
    code: int = command.run(parser.arguments(arguments))
    return code


def _unknown(problem: str, word: str, choices: Iterable[str], rule: str = "") -> Exception:
    from cnncost.errors import CnncostError, nearest, printable

    return CnncostError(printable(problem, 120), rule=rule, nearest=nearest(word, choices) or "see cnncost --help")


def _version() -> int:
    from cnncost import __version__

    return _print(f"cnncost {__version__}\n")


def _print(text: str) -> int:
    sys.stdout.write(text)
    return 0
