"""The whole model: layers in Keras's order, each through its kind's rule."""

from __future__ import annotations

from cnncost.errors import UnsupportedLayer, printable
from cnncost.kinds.operations import Operation
from cnncost.memory.lowering.base import Lowered, Step
from cnncost.memory.lowering.masking import made_mask, read_mask, take_away
from cnncost.memory.lowering.operations import lower_operation
from cnncost.memory.lowering.registry import rule
from cnncost.memory.opgraph import Value
from cnncost.results import Analysis, LayerCost
from cnncost.tensor import DTYPES


class NotSimulated(UnsupportedLayer):
    """A layer that no rule lowers; ``layer`` is its name."""

    def __init__(self, error: UnsupportedLayer, layer: str) -> None:
        super().__init__(f"layer '{printable(layer)}': {error.problem}", rule=error.rule)
        self.layer = layer


def lower(analysis: Analysis, training: bool = False) -> Lowered:
    """The forward pass of a model as TensorFlow ops. Raises UnsupportedLayer, with the layer's name and place, for a
    kind that has no rule."""
    step = Step(analysis, training)
    values: list[tuple[Value, ...]] = []
    inputs: list[Value] = []
    for row, layer in zip(analysis.layers, analysis.graph.layers, strict=True):
        step.graph.layer = row.name
        if row.kind == "InputLayer":
            inputs.append(_input(step, row))
            values.append((inputs[-1],))
            continue
        try:
            read = [values[ref.layer][ref.output] for ref in layer.inputs]
            if isinstance(layer.kind, Operation):
                given, mask, name = read, None, ""
                made = lower_operation(step, row, layer.kind, given)
            else:
                lower_layer, name = rule(row.kind), row.kind
                given = _autocast(step, row, read)
                mask = read_mask(step, name, layer.kind, given)
                made = lower_layer(step, row, layer.kind, given)
            _check(step, row, made)
        except UnsupportedLayer as error:
            raise NotSimulated(error, row.name).at(layer.location or analysis.graph.location) from None
        values.append((made,) if isinstance(made, Value) else made)
        take_away(step, name, given)
        first = values[-1][0]
        step.attach(first, made_mask(step, name, layer.kind, given, first) or mask)
    outputs = tuple(values[ref.layer][ref.output] for ref in analysis.graph.outputs)
    step.graph.results = list(outputs)
    masks = tuple(step.mask(value) for value in outputs)
    return Lowered(step.graph, tuple(inputs), outputs, tuple(values), masks)


def _check(step: Step, row: LayerCost, made: Value | tuple[Value, ...]) -> None:
    """What the rule made must be what the layer says: rather no figure than a wrong one."""
    found = (made,) if isinstance(made, Value) else made
    for index, value in enumerate(found):
        if index < len(row.outputs) and value.spec != step.output(row, index):
            raise UnsupportedLayer(
                "the memory simulation does not follow this layer",
                rule=f"output {index} of the layer is {step.output(row, index)}; the simulation comes to {value.spec}",
            )


def _input(step: Step, row: LayerCost) -> Value:
    """The batch as the caller has it, in the input's own dtype."""
    return step.graph.argument(row.name, step.output(row))


def _autocast(step: Step, row: LayerCost, read: list[Value]) -> list[Value]:
    """Keras casts a layer's floating inputs to its compute dtype."""
    compute = row.compute
    if not compute.floating:
        return read
    made = [step.cast(value, compute.name) if DTYPES[value.dtype].floating else value for value in read]
    for value, cast in zip(read, made, strict=True):
        step.attach(cast, step.mask(value))
    return made
