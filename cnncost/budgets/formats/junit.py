"""JUnit XML: a suite for each model, a case for each limit; the XML is junitparser's."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import groupby
from typing import Any

from cnncost.budgets.evaluate import Result
from cnncost.budgets.formats import passed
from cnncost.budgets.wording import advice, headline
from cnncost.errors import MissingExtra


def render(results: Sequence[Result], strict: bool = False, color: bool = False) -> str:
    junitparser = _junitparser()
    file = junitparser.JUnitXml("cnncost")
    for source, group in groupby(results, key=lambda result: result.source):
        suite = junitparser.TestSuite(_plain(source))
        for result in group:
            suite.append(_case(junitparser, result, strict))
        suite.update_statistics()
        file.append(suite)  # add_testsuite would count anew each time: quadratic
    file.update_statistics()
    file._elem.attrib.pop("skipped", None)  # the schema of Jenkins knows it in suites alone
    text: bytes = file.tostring()
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text.decode("utf-8").rstrip()}\n'


def _junitparser() -> Any:
    try:
        return import_module("junitparser")
    except ImportError as error:
        raise MissingExtra("junitparser", "ci") from error


def _case(junitparser: Any, result: Result, strict: bool) -> Any:
    where = f" of {result.layer}" if result.layer else ""
    at = f" at {result.at.text()}" if result.at.text() else ""
    name = f"{result.metric or 'model'}{where} {result.bound}{at}".strip()
    case = junitparser.TestCase(_plain(name), _plain(f"cnncost.{result.model}"), 0)
    text = _plain("\n".join([headline(result), *advice(result)]))
    if result.problem is not None:
        case.result = [_outcome(junitparser.Error(_plain(headline(result)), "error"), text)]
    elif not result.ok and not passed(result, strict):
        case.result = [_outcome(junitparser.Failure(_plain(headline(result)), "budget"), text)]
    else:
        case.system_out = text
    return case


def _outcome(outcome: Any, text: str) -> Any:
    outcome.text = text
    return outcome


def _plain(text: str) -> str:
    """Characters that XML can hold.

    >>> _plain("a" + chr(0) + "b")
    'a?b'
    """
    return "".join(
        sign if sign in "\t\n" or " " <= sign <= "\ud7ff" or "\ue000" <= sign <= "\ufffd" or sign > "\uffff" else "?"
        for sign in text
    )
