"""What grappler makes of joins inside joins (constant_folding.cc of TensorFlow 2.21: MergeConcat)."""

from __future__ import annotations

from cnncost.memory.opgraph import Op, OpGraph, Value


def merge_joins(graph: OpGraph) -> bool:
    """A concatenation that nothing but a concatenation along the same axis reads is part of that one: its output is
    never made. What is left over is read by nobody; ``prune`` drops it. Whether there was one.

    >>> from cnncost.memory.opgraph import Spec
    >>> graph = OpGraph()
    >>> a, b, c = (graph.argument(name, Spec((1, 2), "float32")) for name in "abc")
    >>> whole = graph.add("ConcatV2", [graph.add("ConcatV2", [a, b], axis=1), c], axis=1)
    >>> graph.results = [whole]
    >>> merge_joins(graph)
    True
    >>> whole.op.inputs == [a, b, c]
    True
    """
    joins = [op for op in graph.ops if op.type == "ConcatV2"]
    if len(joins) < 2:
        return False
    merged = False
    readers: dict[Op, list[Op | None]] = {op: [] for op in joins}
    for op in graph.ops:
        for source in {value.op for value in op.inputs}:
            if source in readers:
                readers[source].append(op)
    for value in graph.results:
        if value.op in readers:
            readers[value.op].append(None)
    for inner in joins:
        reader = readers[inner][0] if len(readers[inner]) == 1 else None
        if reader is None or reader.type != "ConcatV2" or reader.attrs["axis"] != inner.attrs["axis"] or inner.controls:
            continue
        merged = True
        reader.inputs = [part for value in reader.inputs for part in _parts(value, inner)]
        for source in {value.op for value in inner.inputs} & readers.keys():
            readers[source] = [reader if op is inner else op for op in readers[source]]
    return merged


def _parts(value: Value, inner: Op) -> list[Value]:
    return inner.inputs if value.op is inner else [value]
