"""One training step as TensorFlow ops: forward in training mode, loss, gradients, the optimizer's update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cnncost.memory.compiled import read_inside
from cnncost.memory.gradient import gradients
from cnncost.memory.loss import add_loss
from cnncost.memory.loss_scaling import scaled
from cnncost.memory.lowering import lower
from cnncost.memory.lowering.base import _storage, policies
from cnncost.memory.opgraph import OpGraph, Value, Variable
from cnncost.memory.optimizers import Optimizer, StateVariable, with_loss_scaling
from cnncost.memory.updates import apply_updates, is_settled
from cnncost.results import Analysis


class TrainingStep(NamedTuple):
    """The step's graph before grappler, its inputs, and the weights that it trains, in Keras's order."""

    graph: OpGraph
    inputs: tuple[Value, ...]
    trained: tuple[Variable, ...]


def training_step(
    analysis: Analysis, choice: Optimizer, rewriting: Callable[[OpGraph], object] | None = None, written: bool = False,
    most: int | None = None,
) -> TrainingStep:  # fmt: skip
    """The ops of one step. Raises UnsupportedLayer, with the layer's name, where a layer or a gradient is not known.

    ``rewriting``: what grappler's passes make of the graph. They leave most optimizers' updates as they are, which are
    half of the ops: those are added when the rest has been rewritten. ``written``: grappler's work is ignored;
    ``most``: of a step with more ops not all are made (``stamps``).
    """
    choice = with_loss_scaling(choice, policies(analysis))
    lowered = lower(analysis, training=True)
    graph = lowered.graph
    loss, starts = add_loss(graph, lowered.outputs, lowered.masks)
    trained = trainable_weights(analysis, graph)
    if choice.loss_scaling:
        starts = scaled(graph, loss, starts)
    graph.shaped = rewriting is None or not graph.compiled
    grads = gradients(graph, starts, trained)
    choice = accumulating(analysis, choice)
    graph.results = [loss]
    if rewriting is not None:
        read_inside(graph)
    early = rewriting is not None and is_settled(choice, grads) and not graph.loops
    graph.written = written
    if written:
        from cnncost.memory.as_written import handed_on

        early, grads = False, handed_on(graph, grads)
    if rewriting is not None and early:
        grads = _rewritten(graph, trained, grads, rewriting)
    apply_updates(graph, choice, trained, grads, early, most=most)
    if rewriting is not None and not early:
        rewriting(graph)
    return TrainingStep(graph, lowered.inputs, trained)


def accumulating(analysis: Analysis, choice: Optimizer) -> Optimizer:
    """The optimizer, adding gradients up if the analysis asks for it; which kind of step it is."""
    if not analysis.gradient_accumulation_steps or choice.accumulation:
        return choice
    return choice._replace(accumulation=analysis.gradient_accumulation_steps, between=analysis.between_updates)


def _rewritten(
    graph: OpGraph, trained: Sequence[Variable], grads: Sequence[Value | None], rewriting: Callable[[OpGraph], object]
) -> list[Value | None]:
    """Rewrite forward and reverse pass; the gradients as they are then. What reads a weight stays, as its update waits
    for it."""
    names = {weight.name for weight, grad in zip(trained, grads, strict=True) if grad is not None}
    reads = [op for op in graph.ops if op.type == "ReadVariableOp" and op.attrs["variable"].name in names]
    kept = graph.kept
    graph.kept = kept + reads
    graph.results += [grad for grad in grads if grad is not None]
    rewriting(graph)
    graph.kept = kept
    graph.results, found = graph.results[:1], iter(graph.results[1:])
    return [None if grad is None else next(found) for grad in grads]


def trainable_weights(analysis: Analysis, graph: OpGraph) -> tuple[Variable, ...]:
    """The variables of the trainable weights in the order of ``model.trainable_variables``."""
    names = [
        f"{row.name}/{weight.name}"
        for row in analysis.layers
        if row.layer.trainable and row.layer.shares is None
        for weight in row.weights
        if weight.trainable
    ]
    return tuple(graph.variables[name] for name in names if name in graph.variables)


def state_variables(analysis: Analysis) -> tuple[StateVariable, ...]:
    """The trainable weights as the optimizer sees them, without lowering anything."""
    return tuple(
        StateVariable(f"{row.name}/{weight.name}", weight.shape, weight.dtype or _storage(row))
        for row in analysis.layers
        if row.layer.trainable and not row.shared
        for weight in row.weights
        if weight.trainable
    )
