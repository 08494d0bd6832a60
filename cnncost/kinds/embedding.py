"""Embedding: a table of vectors, looked up by whole numbers."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import ZERO, Count, count, plus, times
from cnncost.errors import GeometryError
from cnncost.kinds.arguments import Flag, Integer, Number, Text, arg
from cnncost.kinds.base import Field, Kind, MacTerm, Shapes, Weight
from cnncost.tensor import Shape, product, shape_text
from cnncost.window import Reach

_OPTIONS = (
    "embeddings_initializer", "embeddings_regularizer", "embeddings_constraint", "activity_regularizer", "weights",
    "lora_rank", "lora_alpha", "quantization_config", "input_length",
)  # fmt: skip


@dataclass(frozen=True)
class Embedding(Kind):
    """A vector of ``output_dim`` for every number below ``input_dim``. A table look-up: no arithmetic.

    >>> Embedding(1000, 64).output(((10,),))
    (10, 64)
    """

    input_dim: int = arg(Integer("numbers in the vocabulary"))
    output_dim: int = arg(Integer("length of a vector"))
    mask_zero: bool = arg(Flag("0 marks padding"), False)

    passive = _OPTIONS
    keeps = ("inputs",)
    free = "table look-up: no arithmetic"

    def output(self, inputs: Shapes) -> Shape:
        return (*self.one(inputs), self.output_dim)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return (Weight("embeddings", (self.input_dim, self.output_dim)),)

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        return ()

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return ZERO

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return tuple(Reach() for _ in inputs[0])


@dataclass(frozen=True)
class ReversibleEmbedding(Kind):
    """An embedding that also maps vectors back to the vocabulary: called with ``reverse``, it multiplies every vector
    with the whole table (``tie_weights``) or with a table of its own.

    Multiplications in reverse: positions × output_dim × input_dim. ``logit_soft_cap`` costs 3 operations per output.
    """

    input_dim: int = arg(Integer("numbers in the vocabulary"))
    output_dim: int = arg(Integer("length of a vector"))
    tie_weights: bool = arg(Flag("the way back uses the same table"), True)
    mask_zero: bool = arg(Flag("0 marks padding"), False)
    reverse_dtype: str | None = arg(Text("type of the way back", optional=True), None)
    logit_soft_cap: float | None = arg(Number("bound of the way back's outputs", optional=True), None)
    reverse: bool = arg(Flag("this call goes back: vectors in, vocabulary out"), False)

    passive = _OPTIONS
    keeps = ("inputs",)
    called_with = ("reverse",)

    def output(self, inputs: Shapes) -> Shape:
        shape = self.one(inputs)
        if not self.reverse:
            return (*shape, self.output_dim)
        if not shape or shape[-1] not in (None, self.output_dim):
            raise GeometryError(
                f"ReversibleEmbedding: the way back needs vectors of {self.output_dim}", received=shape_text(shape)
            )
        return (*shape[:-1], self.input_dim)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        table = Weight("embeddings", (self.input_dim, self.output_dim))
        back = Weight("reverse_embeddings", (self.output_dim, self.input_dim))
        return (table,) if self.tie_weights else (table, back)

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        if not self.reverse:
            return ()
        positions = [count(n, "positions") for n in inputs[0][:-1]]
        sums = times(*positions, count(self.output_dim, "vector"), count(self.input_dim, "vocabulary"))
        return (MacTerm("vocabulary", sums, "embeddings" if self.tie_weights else "reverse_embeddings"),)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return plus(times(3, product(outputs[0])) if self.reverse and self.logit_soft_cap else 0)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return tuple(Reach() for _ in (inputs[0][:-1] if self.reverse else inputs[0]))

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        return ("back to the vocabulary",) if self.reverse else ("table look-up: no arithmetic",)
