"""Attention over a sequence: scores between a query and a key, and the values weighted with their softmax.

Called on (query, value) or (query, value, key); without a key the value is the key. A softmax counts 5 operations per
score. A mask, causal or given, is not counted: TensorFlow computes the masked scores too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from cnncost.count import Count, count, plus, times
from cnncost.errors import GeometryError
from cnncost.kinds.activations import activation_flops
from cnncost.kinds.arguments import Choice, Flag, Number, arg
from cnncost.kinds.base import WHOLE, Field, Kind, MacTerm, Shapes, Weight
from cnncost.tensor import Dim, Shape, product, shape_text


class Called(Kind):
    """A kind that is called on a query, a value and perhaps a key; ``return_attention_scores`` adds a second output."""

    return_attention_scores: bool
    use_causal_mask: bool

    keeps = ("inputs", "statistics")
    # Arguments of the call, not of the config.
    called_with: ClassVar[tuple[str, ...]] = ("return_attention_scores", "use_causal_mask")

    def triple(self, inputs: Shapes) -> tuple[Shape, Shape, Shape]:
        """(query, value, key), which must fit each other."""
        if not 2 <= len(inputs) <= 3:
            raise GeometryError(
                f"{self.name()} takes a query, a value and perhaps a key", received=f"{len(inputs)} inputs"
            )
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) == 3 else value
        if min(len(query), len(value), len(key)) < 2 or len(value) != len(key):
            raise GeometryError(
                f"{self.name()} needs inputs of at least two axes [steps, features]", received=self.text(inputs)
            )
        if any(None not in (a, b) and a != b for a, b in zip(value[:-1], key[:-1], strict=True)):
            raise GeometryError(
                f"{self.name()}: value and key must be equally long", received=self.text(inputs)
            )  # fmt: skip
        return query, value, key

    @staticmethod
    def text(inputs: Shapes) -> str:
        return ", ".join(shape_text(shape) for shape in inputs)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return WHOLE


class _Sizes(NamedTuple):
    batch: Shape  # axes before the steps
    queries: Dim
    keys: Dim
    features: Dim  # of a query and a key
    width: Dim  # of a value


class _Dot(Called):
    """What Attention and AdditiveAttention share: no projections."""

    use_scale: bool

    def sizes(self, inputs: Shapes) -> _Sizes:
        query, value, key = self.triple(inputs)
        features = query[-1] if query[-1] is not None else key[-1]
        if None not in (query[-1], key[-1]) and query[-1] != key[-1]:
            raise GeometryError(f"{self.name()}: query and key must have as many features", received=self.text(inputs))
        return _Sizes(query[:-2], query[-2], key[-2], features, value[-1])

    def outputs(self, inputs: Shapes) -> Shapes:
        s = self.sizes(inputs)
        first = (*s.batch, s.queries, s.width)
        return (first, (*s.batch, s.queries, s.keys)) if self.return_attention_scores else (first,)

    def scores(self, inputs: Shapes) -> Dim:
        """Number of scores."""
        s = self.sizes(inputs)
        return product((*s.batch, s.queries, s.keys))

    def pairs(self, inputs: Shapes) -> list[Count]:
        s = self.sizes(inputs)
        batch = [count(n, "positions") for n in s.batch]
        return [*batch, count(s.queries, "queries"), count(s.keys, "keys")]

    def weighted(self, inputs: Shapes) -> MacTerm:
        """The values, weighted with the scores."""
        width = count(self.sizes(inputs).width, "value features")
        return MacTerm("weighted values", times(*self.pairs(inputs), width), None)


@dataclass(frozen=True)
class Attention(_Dot):
    """softmax(query · keyᵀ) · value (Luong et al. 2015); ``concat``: softmax(w · Σ tanh(query + key)) · value.

    Multiplications: queries × keys × features for the scores (none for ``concat``, which sums without weights) and
    queries × keys × value features. Other operations: the softmax; one per score for the scale; for ``concat`` 3 per
    query, key and feature (4 with the scale) and one per score.

    >>> layer = Attention()
    >>> [str(t.count) for t in layer.macs(((4, 8), (6, 8)), ((4, 8),))]
    ['4 × 6 × 8', '4 × 6 × 8']
    """

    use_scale: bool = arg(Flag("multiply the scores with a trained scalar"), False)
    score_mode: str = arg(Choice("how a score is computed", "dot", "concat"), "dot")
    dropout: float = arg(Number("share of the scores dropped in training", 0, 1), 0.0)
    return_attention_scores: bool = arg(Flag("this call returns the scores too"), False)
    use_causal_mask: bool = arg(Flag("in this call a position does not see those after it"), False)

    passive = ("seed",)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        self.sizes(inputs)
        scale = (Weight("scale", ()),) if self.use_scale else ()
        return (*scale, Weight("concat_score_weight", ())) if self.score_mode == "concat" else scale

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        features = count(self.sizes(inputs).features, "features")
        if self.score_mode == "concat":
            return (self.weighted(inputs),)
        return (MacTerm("scores", times(*self.pairs(inputs), features), None), self.weighted(inputs))

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        scores = self.scores(inputs)
        softmax = activation_flops("softmax", scores)
        if self.score_mode == "dot":
            return plus(softmax, times(scores) if self.use_scale else 0)
        sums = times(4 if self.use_scale else 3, scores, self.sizes(inputs).features)
        return plus(softmax, sums, times(scores))


@dataclass(frozen=True)
class AdditiveAttention(_Dot):
    """softmax(Σ scale · tanh(query + key)) · value (Bahdanau et al. 2015).

    Multiplications: queries × keys × features for the scores (with the scale) and queries × keys × value features.
    Other operations: the softmax, and 2 per query, key and feature (3 without the scale, for the plain sum).
    """

    use_scale: bool = arg(Flag("weight the features of a score with a trained vector"), True)
    dropout: float = arg(Number("share of the scores dropped in training", 0, 1), 0.0)
    return_attention_scores: bool = arg(Flag("this call returns the scores too"), False)
    use_causal_mask: bool = arg(Flag("in this call a position does not see those after it"), False)

    passive = ("seed",)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        features = self.known(self.sizes(inputs).features, "number of features")
        return (Weight("scale", (features,)),) if self.use_scale else ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        if not self.use_scale:
            return (self.weighted(inputs),)
        features = count(self.sizes(inputs).features, "features")
        return (MacTerm("scores", times(*self.pairs(inputs), features), "scale"), self.weighted(inputs))

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        scores = self.scores(inputs)
        sums = times(2 if self.use_scale else 3, scores, self.sizes(inputs).features)
        return plus(activation_flops("softmax", scores), sums)
