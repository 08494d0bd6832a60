"""EinsumDense: a weighted sum along any axes, written as an equation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from cnncost.count import Count, count, plus, times
from cnncost.errors import GeometryError
from cnncost.kinds.activations import Activation, activation_flops
from cnncost.kinds.arguments import Integers, Text, arg
from cnncost.kinds.base import WHOLE, Field, Kind, MacTerm, Shapes, Weight
from cnncost.kinds.convolution import CONV_OPTIONS
from cnncost.tensor import Dim, Shape, product, shape_text
from cnncost.window import Reach

FORMS = "an equation is X,Y->Z, ...X,Y->...Z or X...,Y->Z...; the first axis of X and Z is the batch"
_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


class Equation(NamedTuple):
    """``data,weight->result``; ``left`` and ``right`` tell where an ellipsis stands."""

    data: str
    weight: str
    result: str
    left: bool
    right: bool


def parse(text: str) -> Equation | None:
    """An equation's parts; None when it is none of the forms.

    >>> parse("...x,xy->...y")
    Equation(data='x', weight='xy', result='y', left=True, right=False)
    """
    found = _EQUATION.fullmatch(text)
    if not found or len(text) > 120:
        return None
    left, data, right, weight, left_out, result, right_out = found.groups()
    if (left is None) != (left_out is None) or (right is None) != (right_out is None) or (left and right):
        return None
    if any(len(set(letters)) != len(letters) for letters in (data, weight, result)):
        return None
    if not set(weight) <= {*data, *result} or not set(result) <= {*data, *weight}:
        return None
    return Equation(data, weight, result, bool(left), bool(right))


class _Laid(NamedTuple):
    """An equation over an input: the size of each letter (the batch counts 1), the axes of an ellipsis, the result."""

    sizes: dict[str, Dim]
    elided: Shape
    output: Shape


@dataclass(frozen=True)
class EinsumDense(Kind):
    """Sums of products along the letters that the equation leaves out of its result, plus a bias along ``bias_axes``.

    Multiplications: the product of all letters' sizes but the batch's, at every position of an ellipsis. Other
    operations: one per output for the bias, and the activation.

    >>> layer = EinsumDense("abc,cd->abd", (None, 64), bias_axes="d")
    >>> layer.output(((32, 128),)), [w.shape for w in layer.weights(((32, 128),))]
    ((32, 64), [(128, 64), (64,)])
    >>> layer.macs(((32, 128),), ((32, 64),))[0].count.derivation()
    '32 × 128 × 64 = 262,144'
    """

    equation: str = arg(Text("data,weight->result, one letter for each axis"))
    output_shape: tuple[int | None, ...] = arg(Integers("output without the batch axis", 1, scalar=True, unknown=True))
    activation: str | None = arg(Activation("function applied to the sums", optional=True), None)
    bias_axes: str | None = arg(Text("letters of the result that the bias has", optional=True), None)

    passive = (*CONV_OPTIONS, "lora_rank", "lora_alpha", "gptq_unpacked_column_size", "quantization_config")
    keeps = ("inputs",)

    def check(self) -> None:
        parsed = parse(self.equation)
        if parsed is None:
            raise self.wrong(
                "equation", "an equation that EinsumDense has not", rule=FORMS, received=self.equation[:60]
            )
        if self.bias_axes is not None and (not self.bias_axes or not set(self.bias_axes) <= set(parsed.result)):
            raise self.wrong("bias_axes", "bias_axes are no letters of the result",
                             rule=f"the result is '{parsed.result}'", received=self.bias_axes[:60])  # fmt: skip

    def _parsed(self) -> Equation:
        parsed = parse(self.equation)
        assert parsed is not None
        return parsed

    def _lay(self, inputs: Shapes) -> _Laid:
        """Give every letter its size. The batch is not in our shapes; it stands here as 1."""
        equation = self._parsed()
        shape: Shape = (1, *self.one(inputs))
        elided = len(shape) - len(equation.data)
        if elided < 0 or (elided and not (equation.left or equation.right)):
            raise GeometryError(
                f"EinsumDense: the input has {len(shape) - 1} axes besides the batch, its equation others",
                rule=f"the equation is {self.equation}", received=shape_text(inputs[0]),
            )  # fmt: skip
        dots = shape[:elided] if equation.left else shape[len(equation.data):]  # fmt: skip
        own = shape[elided:] if equation.left else shape[: len(equation.data)]
        sizes: dict[str, Dim] = dict(zip(equation.data, own, strict=True))
        # An ellipsis on the left holds the batch and the axes after it, so that output_shape gives the letters only.
        given: Shape = self.output_shape if equation.left and elided else (1, *self.output_shape)
        if len(given) != len(equation.result):
            raise self.wrong("output_shape", "output_shape does not fit the equation",
                             rule=f"one entry for each letter of '{equation.result}' but the batch's",
                             received=shape_text(self.output_shape))  # fmt: skip
        for letter, size in zip(equation.result, given, strict=True):
            self._agree(letter, size, sizes)
        result = tuple(sizes[letter] for letter in equation.result)
        whole = (*dots, *result) if equation.left else (*result, *dots)
        return _Laid(sizes, dots, whole[1:])

    def _agree(self, letter: str, size: Dim, sizes: dict[str, Dim]) -> None:
        have = sizes.get(letter)
        if have is not None and size is not None and have != size:
            raise GeometryError(
                f"EinsumDense: axis '{letter}' is {have} in the input and {size} in output_shape",
                rule=f"the equation is {self.equation}",
            )
        sizes[letter] = size if have is None else have

    def output(self, inputs: Shapes) -> Shape:
        return self._lay(inputs).output

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        laid, equation = self._lay(inputs), self._parsed()
        kernel = tuple(self.known(laid.sizes[a], f"size of axis '{a}'") for a in equation.weight)
        weights = (Weight("kernel", kernel),)
        return (*weights, Weight("bias", self._bias(laid, equation))) if self.bias_axes else weights

    def _bias(self, laid: _Laid, equation: Equation) -> tuple[int, ...]:
        """The bias spans the result from its first axis on; axes it does not have are 1."""
        axes = self.bias_axes or ""
        rest = equation.result[min(equation.result.index(a) for a in axes):]  # fmt: skip
        sizes = tuple(self.known(laid.sizes[a], f"size of axis '{a}'") if a in axes else 1 for a in rest)
        return sizes + (1,) * (len(laid.elided) if equation.right else 0)

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        laid, equation = self._lay(inputs), self._parsed()
        batched = equation.left and bool(laid.elided)
        letters = [a for a in dict.fromkeys((*equation.data, *equation.result)) if batched or a != equation.data[0]]
        positions = laid.elided[1:] if batched else laid.elided
        factors = [count(n, "positions") for n in positions] + [count(laid.sizes[a], a) for a in letters]
        return (MacTerm("einsum", times(*factors)),)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        elements = product(outputs[0])
        return plus(times(elements) if self.bias_axes else 0, activation_flops(self.activation, elements))

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        """Positions stay where every axis but the last passes through unsummed and in its place."""
        equation = self._parsed()
        before = equation.data[:-1]
        stays = equation.result[: len(before)] == before and not equation.right
        if len(inputs[0]) == 1 or not stays or len(inputs[0]) != len(outputs[0]):
            return WHOLE
        return tuple(Reach() for _ in outputs[0][:-1])
