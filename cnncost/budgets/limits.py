"""A limit as it is meant: which figure, which bound, under which conditions, for which layers, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

from cnncost.budgets.metrics import Metric, metric
from cnncost.choices import ALLOCATORS, EXECUTORS, MODES, OPTIMIZERS
from cnncost.errors import CnncostError, Location, one_of, printable
from cnncost.limitable import AT, BOUNDS, KEYS, LEVELS, MAX_BATCH
from cnncost.tensor import POLICY_NAMES
from cnncost.units import parse_quantity
from cnncost.written import Written


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a figure is taken under; None leaves it to the source."""

    batch: int = 1
    dtype: str | None = None
    mode: str | None = None
    optimizer: str | None = None
    executor: str = "graph"
    allocator: str = "requested"
    input: tuple[int | None, ...] | None = None

    def over(self, below: Conditions) -> Conditions:
        """These, and what they leave open from ``below``."""
        plain = Conditions()
        return Conditions(**{
            f.name: getattr(self if getattr(self, f.name) != getattr(plain, f.name) else below, f.name)
            for f in fields(self)
        })  # fmt: skip

    def run(self) -> Conditions:
        """The run that they ask for: without a mode it is inference, and where only the defaults are named, plain.

        >>> Conditions(mode="inference").run() == Conditions().run()
        True
        """
        return replace(self, mode=None) if self.mode == "inference" else self

    def text(self) -> str:
        """
        >>> Conditions(batch=8, mode="training", optimizer="adam").text()
        'batch 8, training, adam'
        """
        shown = [f"batch {self.batch:,}", self.dtype, self.mode, self.optimizer]
        shown += [self.executor if self.executor != "graph" else None]
        shown += [self.allocator if self.allocator != "requested" else None]
        shown += ["input " + "×".join("?" if n is None else str(n) for n in self.input) if self.input else None]
        return ", ".join(word for word in shown if word)


PLAIN = Conditions()


@dataclass(frozen=True, slots=True)
class Limit:
    """One bound of one figure. ``amount`` is an integer in the figure's unit; for growth a share of the baseline's
    figure (``Fraction``) or an integer in the figure's unit."""

    metric: Metric
    bound: str
    amount: int | Fraction
    text: str  # as it was written
    level: str = "error"
    at: Conditions = PLAIN
    layers: str | None = None  # a pattern of layer names
    kind: str | None = None  # a pattern of layer kinds
    why: str = ""
    location: Location | None = None

    def ceiling(self, baseline: int | None) -> int:
        """The integer that the value is held against. Growth may be exact: 0 % is a legal tolerance."""
        if self.bound != "growth":
            return int(self.amount)
        base = baseline or 0
        return base + (int(self.amount * base) if isinstance(self.amount, Fraction) else self.amount)

    def holds(self, value: int, baseline: int | None = None) -> bool:
        """Exact integers are compared."""
        limit = self.ceiling(baseline)
        return value >= limit if self.bound == "min" else value <= limit


def read_limits(entry: Mapping[str, Written], at: Conditions | None = None) -> Iterator[Limit]:
    """The limits of one ``budgets:`` mapping. Raises CnncostError with its place.

    >>> from cnncost.written import written
    >>> [(limit.metric.name, limit.bound, limit.amount) for limit in read_limits(written({"params": "26M"}).parts)]
    [('params', 'max', 26000000)]
    """
    seen: dict[tuple[object, ...], Limit] = {}
    for name, node in entry.items():
        found = metric(name, node.key or node.location)
        if node.value == []:
            raise node.error(f"an empty list limits nothing of {found.name}", nearest="write [{max: 26M, batch: 8}]")
        for part in node.parts.values() if isinstance(node.value, list) else (node,):
            for limit in _of_metric(found, part, at):
                yield _once(limit, seen)


def _of_metric(found: Metric, node: Written, at: Conditions | None) -> Iterator[Limit]:
    if isinstance(node.value, Mapping):
        yield from _detailed(found, node, at or Conditions())
    else:
        yield Limit(found, "max", _amount(found, node), _text(node), at=_for(found, at), location=node.location)


def _once(limit: Limit, seen: dict[tuple[object, ...], Limit]) -> Limit:
    """The limit; an error where the same bound of the same figure stands there already, whatever it is called."""
    key = (limit.metric.name, limit.bound, limit.level, limit.at.run(), limit.layers, limit.kind)
    if key in seen:
        first = f", first at {seen[key].location}" if seen[key].location else ""
        raise CnncostError(
            f"{limit.bound} of {limit.metric.name} stands twice under the same conditions{first}",
            rule="a bound may stand once", location=limit.location,
        )  # fmt: skip
    seen[key] = limit
    return limit


def _detailed(found: Metric, node: Written, below: Conditions) -> Iterator[Limit]:
    parts = node.mapping(f"a limit on {found.name}", KEYS)
    inner = parts["at"].mapping("'at'", AT) if "at" in parts else {}
    for name in AT:
        if name in inner and name in parts:
            raise CnncostError(
                f"'{name}' stands twice", rule="a condition stands in 'at' or beside it", location=parts[name].key
            )
    at = read_conditions({**{k: v for k, v in parts.items() if k in AT}, **inner}).over(below)
    level = _choice(parts, "level", LEVELS) or "error"
    layers, kind = _pattern(found, parts, "layers"), _pattern(found, parts, "kind")
    why = parts["why"].text("'why'") if "why" in parts else ""
    bounds = [bound for bound in BOUNDS if bound in parts]
    if not bounds:
        raise node.error("the limit says no number", rule=f"it has one of {', '.join(BOUNDS)}",
                         nearest="write max: 26M")  # fmt: skip
    for bound in bounds:
        part = parts[bound]
        if bound == "growth" and found.per_layer:
            raise CnncostError("the growth of single layers cannot be limited",
                               rule="a baseline has the model's figures", location=part.key,
                               nearest=f"limit {found.name.removeprefix('layer.')}")  # fmt: skip
        amount = _growth(found, part) if bound == "growth" else _amount(found, part)
        yield Limit(found, bound, amount, _text(part), "warning" if bound == "warn" else level, _for(found, at),
                    layers, kind, why, part.location)  # fmt: skip


def _for(found: Metric, at: Conditions | None) -> Conditions:
    """A figure of a training step is taken in training, whatever else is said of the mode."""
    at = at or Conditions()
    mode = found.step if found.step == "training" or (found.step and at.mode is None) else at.mode
    return Conditions(at.batch, at.dtype, mode, at.optimizer, at.executor, at.allocator, at.input)


def read_conditions(parts: Mapping[str, Written]) -> Conditions:
    """``batch``, ``dtype``, … as they were written, checked."""
    found: dict[str, Any] = {}
    for name, choices in _CHOICES.items():
        word = _choice(parts, name, choices)
        if word is not None:
            found[name] = word
    if "batch" in parts:
        found["batch"] = _batch(parts["batch"])
    if "input" in parts:
        found["input"] = _input(parts["input"])
    return Conditions(**found)


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "dtype": POLICY_NAMES, "mode": MODES, "optimizer": OPTIMIZERS,
    "executor": EXECUTORS, "allocator": ALLOCATORS,
}  # fmt: skip


def _choice(parts: Mapping[str, Written], name: str, choices: tuple[str, ...]) -> str | None:
    if name not in parts:
        return None
    word = parts[name].text(f"'{name}'").lower()
    try:
        one_of(name, word, choices)
    except CnncostError as error:
        raise error.at(parts[name].location) from None
    return word


def _batch(node: Written) -> int:
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_BATCH:
        return value
    raise node.error("a wrong batch", rule=f"it is a whole number from 1 to {MAX_BATCH:,}", received=printable(value))


def _input(node: Written) -> tuple[int | None, ...]:
    dims = node.value if isinstance(node.value, list) else None
    good = dims and len(dims) <= 64 and all(
        d is None or (isinstance(d, int) and not isinstance(d, bool) and 1 <= d <= MAX_BATCH) for d in dims
    )  # fmt: skip
    if not good or dims is None:
        raise node.error("a wrong input", rule="it is a list such as [224, 224, 3]", received=printable(node.value))
    return tuple(dims)


def _pattern(found: Metric, parts: Mapping[str, Written], name: str) -> str | None:
    if name not in parts:
        return None
    if not found.per_layer:
        raise CnncostError(
            f"'{name}' does not fit a limit on {found.name}", rule="patterns choose the layers of a rule on layer.…",
            nearest=f"limit layer.{found.name}", location=parts[name].key,
        )  # fmt: skip
    return parts[name].text(f"'{name}'")


def _amount(found: Metric, node: Written) -> int:
    """An integer in the figure's unit, from a number or a text with a unit."""
    value = node.value
    if isinstance(value, float) and value.is_integer():  # 26e6
        value = int(value)
    if value is None or isinstance(value, bool | list | float):
        unit = "64 MiB or 67108864" if found.bytes else "26M or 26000000"
        raise node.error(f"a wrong limit on {found.name}", rule=f"write it as {unit}", received=_received(value))
    try:
        return parse_quantity(value, found.bytes)
    except CnncostError as error:
        raise error.at(node.location) from None


def _growth(found: Metric, node: Written) -> int | Fraction:
    """``2%`` of the baseline's figure, or an amount."""
    text = node.value
    if isinstance(text, str) and text.strip().endswith("%"):
        number = text.strip()[:-1].strip()
        if number.replace(".", "", 1).isdecimal() and number.isascii() and len(number) <= 12:
            return Fraction(number) / 100
        raise node.error("a wrong growth", rule="it is a share such as 2% or 0.5%", received=printable(text))
    return _amount(found, node)


def _text(node: Written) -> str:
    return f"{node.value:,}" if isinstance(node.value, int) else printable(node.value)


def _received(value: Any) -> str:
    return "nothing" if value is None else "a list" if isinstance(value, list) else printable(value)
