"""Attention with several heads (Vaswani et al. 2017); keys and values that heads share (Ainslie et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cnncost.count import Count, count, plus, tight, times
from cnncost.errors import GeometryError
from cnncost.kinds.activations import activation_flops
from cnncost.kinds.arguments import Flag, Integer, Integers, Number, arg
from cnncost.kinds.attention import Called
from cnncost.kinds.base import MacTerm, Shapes, Weight
from cnncost.kinds.convolution import CONV_OPTIONS
from cnncost.tensor import Shape, product


class Projection(NamedTuple):
    """A matrix from ``fan_in`` axes to ``out`` axes, at every one of ``positions``."""

    name: str
    positions: Shape
    fan_in: tuple[int, ...]
    out: tuple[int, ...]
    inner: bool = False

    def weights(self, use_bias: bool) -> tuple[Weight, ...]:
        kernel = Weight(f"{self.name}/kernel", (*self.fan_in, *self.out))
        return (kernel, Weight(f"{self.name}/bias", self.out)) if use_bias else (kernel,)

    def macs(self) -> MacTerm:
        positions = [count(n, "positions") for n in self.positions]
        sums = times(*positions, tight(*self.fan_in), tight(*self.out))
        return MacTerm(self.name, sums, f"{self.name}/kernel", self.inner)

    def outputs(self) -> Count:
        return times(product((*self.positions, *self.out)))


class _Heads(Called):
    """Projections, scores for each head, weighted values, and the projection back."""

    use_bias: bool
    use_gate: bool

    def projections(self, inputs: Shapes) -> tuple[Projection, ...]:
        """In the order in which Keras builds them; the last one leads back."""
        raise NotImplementedError

    def scores(self, inputs: Shapes) -> Shape:
        """Axes of the scores."""
        raise NotImplementedError

    def widths(self) -> tuple[int, int]:
        """Features of a head's key and of its value."""
        raise NotImplementedError

    def outputs(self, inputs: Shapes) -> Shapes:
        last = self.projections(inputs)[-1]
        first = (*last.positions, *last.out)
        return (first, self.scores(inputs)) if self.return_attention_scores else (first,)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return tuple(w for p in self.projections(inputs) for w in p.weights(self.use_bias))

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        *into, back = self.projections(inputs)
        scores, (key, value) = self.scores(inputs), self.widths()
        products = (
            MacTerm("scores", times(*scores, count(key, "key features")), None, inner=True),
            MacTerm("weighted values", times(*scores, count(value, "value features")), None, inner=True),
        )
        return (*(p.macs() for p in into), *products, back.macs())

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        projections = {p.name: p for p in self.projections(inputs)}
        biases = [p.outputs() for p in projections.values()] if self.use_bias else []
        gate = projections.get("gate")
        return plus(
            *biases,
            projections["query"].outputs(),
            activation_flops("softmax", product(self.scores(inputs))),
            times(5, gate.outputs()) if gate else 0,
        )


@dataclass(frozen=True)
class MultiHeadAttention(_Heads):
    """Every head projects query, key and value, attends, and all heads are projected back to ``output_shape``.

    Multiplications: each projection's positions × fan-in × fan-out, and for every head queries × keys × key_dim and ×
    value_dim. Other operations: biases, one per projected query for the scaling, the softmax of the scores, and with
    a gate 5 (sigmoid and product) per value.

    >>> layer = MultiHeadAttention(num_heads=2, key_dim=4)
    >>> [(t.label, int(t.count)) for t in layer.macs(((3, 8), (5, 8)), ())][3:5]
    [('scores', 120), ('weighted values', 120)]
    """

    num_heads: int = arg(Integer("heads"))
    key_dim: int = arg(Integer("features of a head's query and key"))
    value_dim: int | None = arg(Integer("features of a head's value; key_dim by default", optional=True), None)
    dropout: float = arg(Number("share of the scores dropped in training", 0, 1), 0.0)
    use_bias: bool = arg(Flag("add a bias to every projection"), True)
    output_shape: tuple[int, ...] | None = arg(
        Integers("features of the output; the query's by default", 1, scalar=True, optional=True), None
    )
    attention_axes: tuple[int, ...] | None = arg(
        Integers("axes attended over, the batch being 0; all but batch and features", -64, scalar=True, optional=True),
        None,
    )
    sliding_window: int | None = arg(Integer("positions that a query may see", optional=True), None)
    use_gate: bool = arg(Flag("multiply the heads with a gate of the query"), False)
    return_attention_scores: bool = arg(Flag("this call returns the scores too"), False)
    use_causal_mask: bool = arg(Flag("in this call a position does not see those after it"), False)

    passive = (*CONV_OPTIONS, "flash_attention", "seed")

    def widths(self) -> tuple[int, int]:
        return self.key_dim, self.value_dim or self.key_dim

    def _attended(self, inputs: Shapes) -> tuple[int, ...]:
        """Indices (without the batch) of the axes attended over."""
        axes = len(inputs[1]) - 1
        if self.attention_axes is None:
            return tuple(range(axes))
        found = tuple(a - 1 if a >= 0 else axes + 1 + a for a in self.attention_axes)
        if not found or any(not 0 <= a < axes for a in found) or len(set(found)) != len(found):
            raise GeometryError(
                f"{self.name()}: attention_axes that the value has not",
                rule=f"each from 1 to {axes}, or negative, none twice",
                received=str(list(self.attention_axes)),
            )
        return found

    def scores(self, inputs: Shapes) -> Shape:
        query, value, _ = self.triple(inputs)
        attended = self._attended(inputs)
        if len(query) != len(value):
            raise GeometryError(f"{self.name()}: query and value need as many axes", received=self.text(inputs))
        passed = [i for i in range(len(value) - 1) if i not in attended]
        if any(None not in (query[i], value[i]) and query[i] != value[i] for i in passed):
            raise GeometryError(
                f"{self.name()}: axes that are not attended over must be equal", received=self.text(inputs)
            )  # fmt: skip
        rows = (query[i] for i in attended)
        return (*(query[i] for i in passed), self.num_heads, *rows, *(value[i] for i in attended))

    def projections(self, inputs: Shapes) -> tuple[Projection, ...]:
        self.scores(inputs)
        query, value, key = self.triple(inputs)
        q, v, k = (self.known(shape[-1], "number of features") for shape in (query, value, key))
        heads, (key_dim, value_dim) = self.num_heads, self.widths()
        gate = (Projection("gate", query[:-1], (q,), (heads, value_dim)),) if self.use_gate else ()
        return (
            Projection("query", query[:-1], (q,), (heads, key_dim)),
            Projection("key", key[:-1], (k,), (heads, key_dim)),
            *gate,
            Projection("value", value[:-1], (v,), (heads, value_dim)),
            Projection("attention_output", query[:-1], (heads, value_dim), self.output_shape or (q,), inner=True),
        )


@dataclass(frozen=True)
class GroupQueryAttention(_Heads):
    """Multi-head attention whose query heads share fewer key and value heads. Keras calls the class
    GroupedQueryAttention.

    Multiplications and other operations as for MultiHeadAttention; keys and values have ``num_key_value_heads``
    projections, the two products are computed for every query head.
    """

    head_dim: int = arg(Integer("features of a head"))
    num_query_heads: int = arg(Integer("heads of the query"))
    num_key_value_heads: int = arg(Integer("heads of key and value"))
    dropout: float = arg(Number("share of the scores dropped in training", 0, 1), 0.0)
    use_bias: bool = arg(Flag("add a bias to every projection"), True)
    sliding_window: int | None = arg(Integer("positions that a query may see", optional=True), None)
    use_gate: bool = arg(Flag("multiply the heads with a gate of the query"), False)
    return_attention_scores: bool = arg(Flag("this call returns the scores too"), False)
    use_causal_mask: bool = arg(Flag("in this call a position does not see those after it"), False)

    passive = (*CONV_OPTIONS, "flash_attention", "seed")

    def check(self) -> None:
        if self.num_query_heads % self.num_key_value_heads:
            raise self.wrong(
                "num_key_value_heads", "the query's heads do not divide into the key's",
                rule="num_key_value_heads must divide num_query_heads",
                received=f"{self.num_query_heads} and {self.num_key_value_heads}",
            )  # fmt: skip

    def widths(self) -> tuple[int, int]:
        return self.head_dim, self.head_dim

    def scores(self, inputs: Shapes) -> Shape:
        query, value, _ = self.triple(inputs)
        return (self.num_query_heads, query[-2], value[-2])

    def projections(self, inputs: Shapes) -> tuple[Projection, ...]:
        query, value, key = self.triple(inputs)
        if len(query) != 2 or len(value) != 2:
            raise GeometryError(f"{self.name()} needs inputs of two axes [steps, features]", received=self.text(inputs))
        q, v, k = (self.known(shape[-1], "number of features") for shape in (query, value, key))
        if q != v:
            raise GeometryError(f"{self.name()}: query and value need as many features", received=self.text(inputs))
        own, shared = (self.num_query_heads, self.head_dim), (self.num_key_value_heads, self.head_dim)
        gate = (Projection("gate", query[:-1], (q,), own),) if self.use_gate else ()
        return (
            Projection("query", query[:-1], (q,), own),
            Projection("key", key[:-1], (k,), shared),
            *gate,
            Projection("value", value[:-1], (v,), shared),
            Projection("attention_output", query[:-1], own, (q,), inner=True),
        )
