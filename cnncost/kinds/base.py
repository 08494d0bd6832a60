"""The contract of a layer kind: its arguments are the dataclass's fields, its rules are its methods.

Shapes are those of one instance, without the batch axis. ``inputs`` is always a tuple of shapes, one for each tensor
that the layer is called on. There is no default zero: a kind states its weights, multiplications and other arithmetic,
or takes them from a mixin that says why they are nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeVar

from cnncost.count import ZERO, Count, plus
from cnncost.errors import ArgumentError, GeometryError, nearest, printable
from cnncost.kinds.arguments import Arg
from cnncost.tensor import DType, Shape, product, shape_text
from cnncost.window import Reach, Window

Shapes = tuple[Shape, ...]
K = TypeVar("K", bound="Kind")


class Weight(NamedTuple):
    """A named weight of a layer, in Keras's own order and shape."""

    name: str
    shape: tuple[int, ...]
    trainable: bool = True
    dtype: str | None = None  # where it is not the policy's variable dtype (a counter, say)

    @property
    def size(self) -> int:
        size = product(self.shape)
        assert size is not None
        return size


class MacTerm(NamedTuple):
    """Multiplications of one weighted sum, for one instance.

    ``weight`` names the weight that the data is multiplied with; None when both operands are data (attention's two
    products). ``inner`` tells that the data comes from this layer's own weights (a recurrent state, the input of a
    second product), so that its gradient is needed as soon as the layer trains.
    """

    label: str
    count: Count  # type: ignore[assignment]  # shadows tuple.count, which nobody needs here
    weight: str | None = "kernel"
    inner: bool = False


class Whole:
    """The receptive field of a neuron that sees every position of its input (a Dense layer, a global pooling)."""


class Scattered:
    """Positions lose their order (Flatten, Reshape): a neuron sees as much as before, but there is no jump any more."""


WHOLE, SCATTERED = Whole(), Scattered()
# For each spatial axis what one output position reads; one answer for all inputs of the layer.
Field = tuple[Reach | None, ...] | Whole | Scattered


@dataclass(frozen=True)
class Kind:
    """One layer kind. Subclasses are frozen dataclasses; each field is declared with ``arg(TYPE, default)``."""

    options: Mapping[str, Any] = dataclasses.field(default_factory=dict, kw_only=True, compare=False, repr=False)

    rank: ClassVar[int | None] = None  # spatial axes, where the kind fixes them
    free: ClassVar[str] = ""  # why there is no arithmetic, where there is none
    passive: ClassVar[tuple[str, ...]] = ()  # arguments that Keras takes and that change no cost
    keeps: ClassVar[tuple[str, ...]] = ()  # what the reverse pass needs: "inputs", "outputs", "mask", "statistics"
    keras: ClassVar[bool] = True  # Keras has this layer
    bare: ClassVar[bool] = False  # an operation of a functional model, no layer
    source: ClassVar[str] = ""  # where a layer that Keras lacks was published

    # -- arguments ---------------------------------------------------------------------------------------------

    def __post_init__(self) -> None:
        for name, type_ in self.arguments().items():
            value = getattr(self, name)
            if value is None and type_.optional:
                continue
            try:
                checked = type_.check(value, self.rank)
            except ArgumentError as error:
                error.key = (name, *error.key)
                error.problem = f"{self.name()}: {name}: {error.problem}"
                raise
            if checked is not value:
                object.__setattr__(self, name, checked)
        self.check()

    def check(self) -> None:
        """Rules that hold between arguments; raise ``self.wrong(NAME, …)``."""

    @classmethod
    def name(cls) -> str:
        return cls.__name__

    @classmethod
    def arguments(cls) -> dict[str, Arg]:
        """The argument types by name, in the constructor's order."""
        found = cls.__dict__.get("_arguments")
        if found is None:
            found = {f.name: f.metadata["arg"] for f in dataclasses.fields(cls) if "arg" in f.metadata}
            cls._arguments = found  # type: ignore[attr-defined]
        return found

    @classmethod
    def singular(cls) -> bool:
        """Whether equal arguments may still make different layers: a nested layer's options are not compared."""
        found: bool | None = cls.__dict__.get("_singular")
        if found is None:
            found = cls._singular = any(argument.nests for argument in cls.arguments().values())  # type: ignore[attr-defined]
        return found

    @classmethod
    def required(cls) -> tuple[str, ...]:
        found: tuple[str, ...] | None = cls.__dict__.get("_required")
        if found is None:
            found = cls._required = tuple(  # type: ignore[attr-defined]
                f.name
                for f in dataclasses.fields(cls)
                if "arg" in f.metadata and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
            )
        return found

    @classmethod
    def build(cls: type[K], values: Mapping[str, Any]) -> K:
        """Make one from raw arguments; unknown, missing and wrong ones raise ArgumentError."""
        known = cls.arguments()
        given: dict[str, Any] = {}
        options: dict[str, Any] = {}
        for key, value in values.items():
            if key in known:
                given[key] = value
            elif key in cls.passive:
                options[key] = value
            else:
                names = ", ".join(known) or "none"
                raise ArgumentError(
                    f"{cls.name()} has no argument '{printable(key)}'", (key,),
                    rule=f"its arguments are: {names}", nearest=nearest(str(key), [*known, *cls.passive]),
                )  # fmt: skip
        missing = [name for name in cls.required() if name not in given]
        if missing:
            raise ArgumentError(
                f"{cls.name()} needs {' and '.join(repr(name) for name in missing)}",
                rule=f"required: {', '.join(cls.required())}",
                received=", ".join(given) or "no arguments",
            )
        return cls(**given, options=options)

    def given(self) -> dict[str, Any]:
        """The arguments that are required, or that are not their default, as plain data.

        >>> from cnncost.kinds.convolution import Conv2D
        >>> Conv2D(filters=8, kernel_size=3, strides=1, padding="same").given()
        {'filters': 8, 'kernel_size': [3, 3], 'padding': 'same'}
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        found = {name: (type_, getattr(self, name)) for name, type_ in self.arguments().items()}
        return {
            name: plain(type_.dump(value)) for name, (type_, value) in found.items()
            if name != "operands" and not is_default(value, defaults[name])  # operands: what the layer reads
        }  # fmt: skip

    def wrong(self, name: str, problem: str, **parts: str) -> ArgumentError:
        """An error about the argument ``name``."""
        return ArgumentError(f"{self.name()}: {problem}", (name,), **parts)

    # -- rules -------------------------------------------------------------------------------------------------

    def outputs(self, inputs: Shapes) -> Shapes:
        """Shapes of all output tensors; most kinds have one and define ``output`` instead."""
        return (self.output(inputs),)

    def output(self, inputs: Shapes) -> Shape:
        """Shape of the output tensor. Raises GeometryError when the layer cannot stand on these inputs."""
        raise NotImplementedError

    def output_dtype(self, inputs: tuple[DType, ...], compute: DType) -> DType:
        """The outputs' dtype: the layer's compute dtype unless the kind says otherwise."""
        return compute

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        """The weights by name and shape, in Keras's order."""
        raise NotImplementedError

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        """Multiplications of the weighted sums for one instance."""
        raise NotImplementedError

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        """Operations beyond the weighted sums: bias adds, activation, pooling, normalization, merging."""
        raise NotImplementedError

    def windows(self, inputs: Shapes) -> tuple[Window, ...]:
        """The sliding window along each spatial axis, for kinds that slide one."""
        return ()

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        """What one output position reads, for the receptive field."""
        raise NotImplementedError

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        """Remarks for the layer's row: what is free and why, what was assumed."""
        return (self.free,) if self.free else ()

    # -- help for rules ----------------------------------------------------------------------------------------

    def one(self, inputs: Shapes) -> Shape:
        """The only input's shape."""
        if len(inputs) != 1:
            raise GeometryError(f"{self.name()} takes one input", received=f"{len(inputs)} inputs")
        return inputs[0]

    def axes(self, inputs: Shapes, count: int, words: str = "") -> Shape:
        """The only input's shape, which must have ``count`` axes besides the batch."""
        shape = self.one(inputs)
        if len(shape) != count:
            expected = words or {1: "[features]", 2: "[steps, channels]", 3: "[rows, columns, channels]",
                                 4: "[depth, rows, columns, channels]"}.get(count, "")  # fmt: skip
            raise GeometryError(
                f"{self.name()} needs an input of {count} axes {expected}".rstrip(), received=shape_text(shape)
            )
        return shape

    def known(self, dim: int | None, what: str = "number of channels") -> int:
        """A dimension that weights depend on, so that it cannot stay unknown."""
        if dim is None:
            raise GeometryError(
                f"{self.name()}: the {what} of its input is unknown",
                rule="weights need it",
                nearest="give the input's shape with --input H,W,C",
            )
        return dim


class Weightless:
    """A kind without weights and without weighted sums."""

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        return ()


class Free(Weightless):
    """A kind that moves or marks data and computes nothing; ``free`` says so in every row."""

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return ZERO


class SamePositions:
    """Every output position reads the input at its own position."""

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return tuple(Reach() for _ in outputs[0][:-1])


def total(terms: tuple[MacTerm, ...]) -> Count:
    """The sum of a layer's weighted sums."""
    return plus(*(term.count for term in terms))


def is_default(value: Any, default: Any) -> bool:
    """A default of 1 stands for (1, 1)."""
    return bool(value == default or (isinstance(value, tuple) and value and all(v == default for v in value)))


def plain(value: Any) -> Any:
    """As JSON has it: lists, mappings, texts and finite numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    known = value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and abs(value) < 1e308)
    return value if known else printable(value, 200)
