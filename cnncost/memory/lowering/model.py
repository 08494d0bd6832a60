"""The whole model: layers in Keras's order, each through its kind's rule."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.errors import UnsupportedLayer, printable
from cnncost.graph import Group, Layer, Ref, groups_of
from cnncost.memory.lowering.base import Lowered, Step
from cnncost.memory.lowering.masking import made_mask, read_mask, take_away
from cnncost.memory.lowering.registry import rule
from cnncost.memory.lowering.turns import Turns
from cnncost.memory.names import entered
from cnncost.memory.opgraph import FORWARD, Scoped, Value, Variable
from cnncost.memory.replay import Replay
from cnncost.results import Analysis, LayerCost
from cnncost.tensor import DTYPES


class NotSimulated(UnsupportedLayer):
    """A layer that no rule lowers; ``layer`` is its name."""

    def __init__(self, error: UnsupportedLayer, layer: str) -> None:
        super().__init__(f"layer '{printable(layer)}': {error.problem}", rule=error.rule)
        self.layer = layer


def lower(analysis: Analysis, training: bool = False, eager: bool = False) -> Lowered:
    """The forward pass of a model as TensorFlow ops. Raises UnsupportedLayer, with the layer's name and place, for a
    kind that has no rule. ``eager``: loops are run by Python, op by op."""
    step = Step(analysis, training, eager)
    values: list[tuple[Value, ...]] = [()] * len(analysis.layers)
    inputs: dict[int, Value] = {}
    groups = groups_of(analysis.graph) if training else {}
    titles = {key: f"recomputed_{number}" for number, key in enumerate(groups)}
    turns = list(range(len(values))) if groups else Turns(analysis.graph).run()
    step.graph.scopes = entered(analysis.layers[index].name for index in turns)
    for index in turns:
        row, layer = analysis.layers[index], analysis.graph.layers[index]
        step.graph.layer = row.name
        if row.kind == "InputLayer":
            inputs[index] = _input(step, row)
            values[index] = (inputs[index],)
            continue
        begin = len(step.graph.ops)
        group, title = groups.get(layer.recompute), titles.get(layer.recompute, "")
        step.graph.phase = Scoped(FORWARD, f"{{}}_1/{title}_1/{title}_block_1/") if group is not None else FORWARD
        values[index] = _layer(step, row, layer, [values[ref.layer][ref.output] for ref in layer.inputs])
        if group is not None:
            step.graph.unrecorded.update(step.graph.ops[begin:])
            if index == group.members[-1]:
                step.graph.phase = Scoped(FORWARD, f"{{}}_1/{title}_1/IdentityN/")
                _close(step, group, title, values)
    step.graph.phase = FORWARD
    outputs = tuple(values[ref.layer][ref.output] for ref in analysis.graph.outputs)
    step.graph.results = list(outputs)
    masks = tuple(step.mask(value) for value in outputs)
    return Lowered(step.graph, tuple(inputs[index] for index in sorted(inputs)), outputs, tuple(values), masks)


def _layer(step: Step, row: LayerCost, layer: Layer, read: list[Value]) -> tuple[Value, ...]:
    """One layer on the values that it reads."""
    try:
        if layer.kind.bare:
            from cnncost.memory.lowering.operations import lower_operation

            given, mask, name = read, None, ""
            made = lower_operation(step, row, layer.kind, given)
        else:
            lower_layer, name = rule(row.kind), row.kind
            given = _autocast(step, row, read)
            mask = read_mask(step, name, layer.kind, given)
            made = lower_layer(step, row, layer.kind, given)
        _check(step, row, made)
    except UnsupportedLayer as error:
        raise NotSimulated(error, row.name).at(layer.location or step.analysis.graph.location) from None
    outputs = (made,) if isinstance(made, Value) else made
    take_away(step, name, given)
    step.attach(outputs[0], made_mask(step, name, layer.kind, given, outputs[0]) or mask)
    return outputs


def _close(step: Step, group: Group, title: str, values: list[tuple[Value, ...]]) -> None:
    """The end of a group that the reverse pass runs again: its outputs and inputs pass through one IdentityN, as a
    function with a gradient of its own leaves it in the graph."""
    graph, rows = step.graph, step.analysis.layers

    def run(copies: Sequence[Value]) -> list[Value]:
        known = dict(zip(group.given, copies, strict=True))
        name = graph.layer
        for index in group.members:
            graph.layer = rows[index].name
            read = [known[ref] for ref in rows[index].layer.inputs]
            for place, value in enumerate(_layer(step, rows[index], rows[index].layer, read)):
                known[Ref(index, place)] = value
        graph.layer = name
        return [known[ref] for ref in group.left]

    read = [values[ref.layer][ref.output] for ref in (*group.left, *group.given)]
    if any(step.mask(value) is not None for value in read):
        masked = UnsupportedLayer(
            "a mask goes into its recomputed group, or out of it",
            rule="keras.remat hands tensors on without their masks: the second run would compute something else",
            nearest="let the group take in the layer that makes the mask and those that read it",
        )
        raise NotSimulated(masked, rows[group.members[0]].name).at(rows[group.members[0]].layer.location)
    specs = tuple(value.spec for value in read)
    replay = Replay(run, len(group.left), title, _trained(step, group))
    op = graph.add("IdentityN", read, specs, "recompute", recompute=replay).op
    replay.read(graph)
    for place, ref in enumerate(group.left):
        value = op.out(place)
        step.attach(value, step.mask(read[place]))
        outputs = values[ref.layer]
        values[ref.layer] = (*outputs[: ref.output], value, *outputs[ref.output + 1 :])


def _trained(step: Step, group: Group) -> tuple[Variable, ...]:
    """A group's trained weights, by name; those of a layer that is called again are its first call's."""
    rows, known = step.analysis.layers, step.graph.variables
    members = [rows[index] for index in group.members if rows[index].layer.trainable]
    owners = {row.name: row for row in (rows[m.layer.shares] if m.layer.shares is not None else m for m in members)}
    names = {f"{name}/{weight.name}" for name, row in owners.items() for weight in row.weights if weight.trainable}
    return tuple(known[name] for name in sorted(names) if name in known)


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
    if not compute.floating or all(value.dtype == compute.name for value in read):
        return read
    made = [step.cast(value, compute.name) if DTYPES[value.dtype].floating else value for value in read]
    for value, cast in zip(read, made, strict=True):
        step.attach(cast, step.mask(value))
    return made
