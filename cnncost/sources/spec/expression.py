"""``$name`` and ``$(integer arithmetic)``: parsed by Python's own grammar, evaluated over a whitelist, bounded."""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from cnncost.errors import CnncostError, nearest, printable

MAX_LENGTH = 500
MAX_DEPTH = 40
MAX_VALUE = 2**63
MAX_TEXT = 1000
RULE = (
    "an expression is made of whole numbers, variables, + - * // % **, comparisons, and, or, not, if else, "
    "min, max, abs"
)

_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}
_PIECE = re.compile(r"\$\$|\$([A-Za-z_][A-Za-z0-9_]*)|\$\(|\$")
_NAME = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)\Z")


def substitute(text: str, variables: Mapping[str, Any]) -> Any:
    """The value of a text with ``$``: a lone ``$name`` or ``$(…)`` keeps its type, ``$$`` is a dollar sign.

    >>> substitute("$(width * 4)", {"width": 64}), substitute("conv_$n", {"n": 2}), substitute("$$5", {})
    (256, 'conv_2', '$5')
    """
    name = _NAME.match(text)
    if name:
        return _variable(name.group(1), variables)
    pieces: list[Any] = []
    position = 0
    for found in _PIECE.finditer(text):
        if found.start() < position:
            continue  # inside an expression
        pieces.append(text[position : found.start()])
        position = found.end()
        if found.group() == "$$":
            pieces.append("$")
        elif found.group(1):
            pieces.append(_variable(found.group(1), variables))
        elif found.group() == "$(":
            position = _end(text, position)
            pieces.append(evaluate(text[found.end() : position - 1], variables))
        else:
            raise CnncostError(
                "a lone '$'", rule="write $name, $(expression), or $$ for a dollar sign", received=printable(text)
            )
    pieces.append(text[position:])
    filled = [piece for piece in pieces if piece != ""]
    if len(filled) == 1:
        return filled[0]
    return _joined(filled)


def _joined(pieces: list[Any]) -> str:
    texts = []
    for piece in pieces:
        if not isinstance(piece, str | int | float):
            raise CnncostError("only text and numbers can stand inside a text", received=printable(piece))
        texts.append(str(piece).lower() if isinstance(piece, bool) else str(piece))
    text = "".join(texts)
    if len(text) > MAX_TEXT:
        raise CnncostError(f"a text of {len(text):,} characters", rule=f"at most {MAX_TEXT:,}")
    return text


def _end(text: str, start: int) -> int:
    """The index after the parenthesis that closes the one before ``start``."""
    depth = 1
    for i in range(start, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if not depth:
            return i + 1
    raise CnncostError(
        "the expression's parenthesis is not closed", received=printable(text),
        nearest='inside [ ] or { } an expression with a comma needs quotes: "$(max(a, b))"',
    )  # fmt: skip


def _variable(name: str, variables: Mapping[str, Any]) -> Any:
    if name not in variables:
        raise CnncostError(
            f"there is no variable '{printable(name)}'",
            rule=f"known here: {printable(', '.join(variables), 300)}" if variables else "none is declared here",
            nearest=nearest(name, list(variables)),
        )
    return variables[name]


def evaluate(text: str, variables: Mapping[str, Any]) -> int | bool:
    """The value of an expression. Raises CnncostError without a place.

    >>> evaluate("-(-n // 2) if n > 1 else 0", {"n": 7})
    4
    """
    value = _value(_parsed(text), variables)
    assert isinstance(value, int)
    return value


def _refused(text: str, problem: str, hint: str = "") -> CnncostError:
    return CnncostError(problem, rule=RULE, received=printable(text), nearest=hint)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> ast.expr:
    """The checked tree of an expression's text."""
    if len(text) > MAX_LENGTH:
        raise CnncostError(f"an expression of {len(text):,} characters", rule=f"at most {MAX_LENGTH}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _refused(text, "not an expression") from None
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        for node in level:
            _check(node, text)
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return tree
    raise _refused(text, f"an expression nested deeper than {MAX_DEPTH}")


_PLAIN = (ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Name, ast.UnaryOp, ast.expr_context, ast.boolop,
          ast.unaryop)  # fmt: skip


def _check(node: ast.AST, text: str) -> None:
    """Refuse everything that is not listed."""
    if isinstance(node, ast.Constant):
        if not isinstance(node.value, int):
            raise _refused(text, f"{printable(repr(node.value))} is no whole number")
        _bounded(node.value)
    elif isinstance(node, ast.operator):
        if isinstance(node, ast.Div):
            raise _refused(text, "'/' would give a fraction", "write // for the whole quotient")
        if type(node) not in _OPERATORS:
            raise _refused(text, "an operator that is not part of the language")
    elif isinstance(node, ast.cmpop):
        if type(node) not in _COMPARISONS:
            raise _refused(text, "a comparison that is not part of the language")
    elif isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS or node.keywords or not node.args:
            raise _refused(text, "a call that is not min, max or abs of numbers")
    elif not isinstance(node, _PLAIN) or isinstance(node, ast.Invert):
        raise _refused(text, f"{type(node).__name__} is not part of the language")


def _bounded(value: Any) -> Any:
    if not isinstance(value, int) or not -MAX_VALUE <= value <= MAX_VALUE:
        raise CnncostError("a number out of bounds", rule="numbers stay within ±2^63", received=printable(value))
    return value


def _value(node: ast.expr, variables: Mapping[str, Any]) -> Any:
    return _RULES[type(node)](node, variables)


def _name(node: Any, variables: Mapping[str, Any]) -> Any:
    if node.id in ("true", "false") and node.id not in variables:
        return node.id == "true"
    value = _variable(node.id, variables)
    if not isinstance(value, int):
        raise CnncostError(
            f"the variable '{node.id}' is no whole number", rule="an expression calculates with whole numbers",
            received=printable(value) if value is not None else "null",
        )  # fmt: skip
    return _bounded(value)


def _binary(node: Any, variables: Mapping[str, Any]) -> Any:
    left, right = _value(node.left, variables), _value(node.right, variables)
    kind = type(node.op)
    if kind in (ast.FloorDiv, ast.Mod) and right == 0:
        raise CnncostError("a division by zero", received=ast.unparse(node))
    if kind is ast.Pow and (right < 0 or int(left).bit_length() * right > 128):
        raise CnncostError("a power out of bounds", rule="numbers stay within ±2^63", received=f"{left} ** {right}")
    return _bounded(_OPERATORS[kind](left, right))


def _boolean(node: Any, variables: Mapping[str, Any]) -> Any:
    stops = isinstance(node.op, ast.Or)
    value: Any = not stops
    for part in node.values:
        value = _value(part, variables)
        if bool(value) == stops:
            return value
    return value


def _compare(node: Any, variables: Mapping[str, Any]) -> bool:
    left = _value(node.left, variables)
    for op, part in zip(node.ops, node.comparators, strict=True):
        right = _value(part, variables)
        if not _COMPARISONS[type(op)](left, right):
            return False
        left = right
    return True


def _unary(node: Any, variables: Mapping[str, Any]) -> Any:
    value = _value(node.operand, variables)
    if isinstance(node.op, ast.Not):
        return not value
    return -value if isinstance(node.op, ast.USub) else +value


def _conditional(node: Any, variables: Mapping[str, Any]) -> Any:
    return _value(node.body if _value(node.test, variables) else node.orelse, variables)


def _call(node: Any, variables: Mapping[str, Any]) -> Any:
    values = [_value(argument, variables) for argument in node.args]
    if node.func.id == "abs":
        if len(values) != 1:
            raise CnncostError("abs takes one number", received=ast.unparse(node))
        return abs(values[0])
    return _FUNCTIONS[node.func.id](values)


_RULES: dict[type, Callable[[Any, Mapping[str, Any]], Any]] = {
    ast.Constant: lambda node, variables: node.value, ast.Name: _name, ast.BinOp: _binary, ast.BoolOp: _boolean,
    ast.Compare: _compare, ast.UnaryOp: _unary, ast.IfExp: _conditional, ast.Call: _call,
}  # fmt: skip
