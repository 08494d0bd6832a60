"""Input and Dense."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import Count, count, plus, times
from cnncost.kinds.activations import Activated, Activation, activated, activation_flops
from cnncost.kinds.arguments import Choice, Flag, Integer, Integers, arg
from cnncost.kinds.base import WHOLE, Field, Free, Kind, MacTerm, SamePositions, Shapes, Weight
from cnncost.kinds.convolution import CONV_OPTIONS
from cnncost.tensor import DTYPES, DType, Shape, product


@dataclass(frozen=True)
class InputLayer(Free, SamePositions, Kind):
    """Where a batch enters; ``shape`` without the batch axis, null for an unknown dimension."""

    shape: tuple[int | None, ...] = arg(Integers("dimensions of one instance", low=1, unknown=True))
    dtype: str = arg(Choice("type of the input's values", *DTYPES), "float32")

    free = "input: no arithmetic"

    def output(self, inputs: Shapes) -> Shape:
        return self.shape

    def output_dtype(self, inputs: tuple[DType, ...], compute: DType) -> DType:
        return compute if self.dtype in ("float32", "float64") else DTYPES[self.dtype]


@dataclass(frozen=True)
class Dense(Activated, Kind):
    """Every unit sums all values of the last axis, at every position of the axes before it.

    >>> Dense(units=1000).macs(((4096,),), ((1000,),))[0].count.derivation()
    '4,096 × 1,000 = 4,096,000'
    """

    units: int = arg(Integer("outputs"))
    activation: str | None = arg(Activation("function applied to the sums", optional=True), None)
    use_bias: bool = arg(Flag("add one bias per unit"), True)

    passive = (*CONV_OPTIONS, "lora_rank", "lora_alpha")

    def _fan_in(self, inputs: Shapes) -> int:
        shape = self.one(inputs)
        return self.known(shape[-1] if shape else None, "last axis")

    def output(self, inputs: Shapes) -> Shape:
        self._fan_in(inputs)
        return activated((*inputs[0][:-1], self.units), self.activation)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        kernel = Weight("kernel", (self._fan_in(inputs), self.units))
        return (kernel, Weight("bias", (self.units,))) if self.use_bias else (kernel,)

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        positions = [count(dim, "positions") for dim in inputs[0][:-1]]
        sums = times(*positions, count(self._fan_in(inputs), "inputs"), count(self.units, "units"))
        return (MacTerm("dense", sums),)

    def params_count(self, inputs: Shapes) -> Count:
        """``(4,096 + 1) × 1,000``."""
        fan_in = count(self._fan_in(inputs))
        return times(plus(fan_in, 1) if self.use_bias else fan_in, self.units)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        elements = product((*inputs[0][:-1], self.units))
        return plus(times(elements) if self.use_bias else 0, activation_flops(self.activation, elements))

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return WHOLE if len(inputs[0]) == 1 else SamePositions.field(self, inputs, outputs)  # type: ignore[arg-type]
