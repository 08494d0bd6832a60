"""A model whose groups of layers run again in the reverse pass: ``keras.remat`` around each, as users write it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from cnncost.errors import CnncostError

Called = tuple[Any, Any]  # a layer, and one call of it (Keras's node)


class Recomputed(keras.layers.Layer):  # type: ignore[misc]
    """A group as a layer: its own model, whose call ``keras.remat`` wraps. ``custom_gradient`` takes no keyword
    arguments in a ``tf.function``, so that ``training`` is bound inside."""

    def __init__(self, block: Any, name: str) -> None:
        super().__init__(name=name, autocast=False)
        self.block = block

    def call(self, values: Any, training: bool | None = None) -> Any:
        def again(*given: Any) -> Any:
            return self.block(list(given), training=training)

        _unmasked(values)
        outputs = keras.remat(again)(*values) if training else again(*values)
        _unmasked(outputs)
        return outputs

    def compute_output_spec(self, values: Any, training: bool | None = None) -> Any:
        return self.block.compute_output_spec(list(values))


def recomputing(model: Any, called: Sequence[Called], groups: Sequence[Sequence[int]]) -> tuple[Any, list[str]]:
    """The same layers and weights as another model, and the scopes in which groups run again. ``called``: each row's
    layer and node, in the rows' order, in which a group's stand together; ``groups``: the rows of each."""
    group_of = {row: number for number, rows in enumerate(groups) for row in rows}
    made = {id(tensor): tensor for tensor in model.inputs}
    done: dict[int, str] = {}
    for row, (layer, node) in enumerate(called):
        if node.is_input:
            continue
        number = group_of.get(row)
        if number is None:
            arguments, keywords = node.arguments.fill_in(made)
            _put(made, node.outputs, layer(*arguments, **keywords))
        elif number not in done:
            name = _free(model, f"recomputed_{number}")
            _call_group(model, [called[i][1] for i in groups[number]], made, name)
            done[number] = f"{name}_block"
    outputs = [made[id(tensor)] for tensor in model.outputs]
    return keras.Model(model.inputs, outputs, name=model.name), list(done.values())


def _unmasked(values: Any) -> None:
    if any(getattr(value, "_keras_mask", None) is not None for value in keras.tree.flatten(values)):
        raise CnncostError(
            "a mask goes into a recomputed group, or out of it",
            rule="keras.remat hands tensors on without their masks: the second run would compute something else",
            nearest="let the group take in the layer that makes the mask and those that read it",
        )


def _call_group(model: Any, nodes: Sequence[Any], made: dict[int, Any], name: str) -> None:
    own = {id(tensor) for node in nodes for tensor in node.outputs}
    given = {id(tensor): tensor for node in nodes for tensor in node.input_tensors if id(tensor) not in own}
    inside = set(map(id, nodes))
    read = [tensor for node in _nodes(model) if id(node) not in inside for tensor in node.input_tensors]
    left = {id(tensor): tensor for tensor in (*read, *model.outputs) if id(tensor) in own}
    if any(key not in made for key in given):
        raise CnncostError(
            "a recomputed group reads what is no layer's output, such as a mask",
            rule="keras.remat hands tensors on without their masks: the second run would compute something else",
            nearest="let the group take in the layer that makes the mask and those that read it",
        )
    block = keras.Model(list(given.values()), list(left.values()), name=f"{name}_block")
    outputs = Recomputed(block, name)([made[key] for key in given])
    _put(made, list(left.values()), outputs)


def _nodes(model: Any) -> list[Any]:
    return [node for nodes in model._nodes_by_depth.values() for node in nodes]


def _put(made: dict[int, Any], tensors: Sequence[Any], values: Any) -> None:
    for tensor, value in zip(tensors, keras.tree.flatten(values), strict=True):
        made[id(tensor)] = value


def _free(model: Any, name: str) -> str:
    taken = {layer.name for layer in model.layers}
    while name in taken or f"{name}_block" in taken:
        name += "_"
    return name
