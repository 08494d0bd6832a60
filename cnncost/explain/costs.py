"""Weights, multiplications, operations and memory of one layer, with the numbers substituted."""

from __future__ import annotations

from cnncost.analysis import Analysis, LayerCost
from cnncost.arithmetic import params_count
from cnncost.count import Count, plus, tight, times
from cnncost.explain.amounts import binary, decimal, per_instance, size_chain, sum_text
from cnncost.explain.section import Section, Step, section
from cnncost.tensor import DTYPES, Tensor, product, shape_text

EXAMPLE_BATCH = 100  # the batch that is shown where the analysis is of one instance


def params_of(row: LayerCost) -> Count:
    """The layer's parameters with their derivation, also where they are counted at another layer."""
    return params_count(row.layer.kind, row.input_shapes, row.weights)


def weights_section(row: LayerCost) -> Section | None:
    """Weights by name and shape, and their sum."""
    if not row.weights:
        return None
    steps: list[Step] = [
        Step(tight(*w.shape).derivation(), f"{w.name} {shape_text(w.shape)}", "" if w.trainable else "not trained")
        for w in row.weights
    ]
    derived = params_of(row)
    steps.append(Step(derived.derivation(), "parameters", _shared(row)))
    if not row.shared:
        fixed = [w.size for w in row.weights if not (w.trainable and row.layer.trainable)]
        if fixed:
            trained = f"{int(derived):,} - {sum(fixed):,} = {row.trainable_params:,}"
            steps.append(Step(trained, "trainable parameters", "the rest is not trained"))
        steps += _stored(row)
    return section("Weights", *steps)


def _shared(row: LayerCost) -> str:
    return "counted where the layer is first used" if row.shared else ""


def _stored(row: LayerCost) -> list[Step]:
    """Bytes of the weights: those in the layer's own type, then those with a type of their own."""
    special = [(w.size, DTYPES[w.dtype].bytes) for w in row.weights if w.dtype]
    rest = row.params - sum(size for size, _ in special)
    left = row.weight_bytes - sum(size * each for size, each in special)
    if rest and left % rest == 0:
        special.insert(0, (rest, left // rest))
    if not special or sum(size * each for size, each in special) != row.weight_bytes:
        return []
    text = " + ".join(f"{size:,} × {each} B" for size, each in special)
    return [Step(f"{text} = {size_chain(row.weight_bytes)}", "weights in memory")]


def macs_section(row: LayerCost, batch: int) -> Section | None:
    """Multiplications of the weighted sums."""
    if not row.mac_terms:
        return section("Connections", connections(row))
    steps: list[Step | None] = [_fan_in(row)]
    for term in row.mac_terms:
        steps.append(Step(term.count.derivation(), _term_name(row, term.label), term.count.symbols()))
    if len(row.mac_terms) > 1:
        text, remark = sum_text([int(term.count) for term in row.mac_terms])
        steps.append(Step(f"{text} = {row.macs:,}", "multiplications", remark))
    steps.append(connections(row))
    if batch > 1:
        steps.append(Step(f"{row.macs:,} × {batch:,} = {row.macs * batch:,}", "for the batch"))
    if row.macs and row.training_macs % row.macs == 0:
        factor = row.training_macs // row.macs
        text = f"{factor} × {row.macs:,} = {row.training_macs:,}"
        steps.append(Step(text, "one training step", _training(row, factor)))
    elif row.macs:
        steps.append(Step(f"{row.training_macs:,}", "one training step", "forward and both gradients, per instance"))
    return section("Multiplications for one instance", *steps)


# Kinds whose every output is one neuron with one sum.
NEURONS = ("Conv1D", "Conv2D", "Conv3D", "Dense", "TableConv2D", "TrainableAveragePooling2D", "RBF")


def connections(row: LayerCost) -> Step | None:
    """Connections as the papers count them: one for each input of every neuron, and one for its bias."""
    if row.kind not in NEURONS:
        return None
    from cnncost.kinds.historic import connections as counted

    return Step(
        counted(row.layer.kind, row.input_shapes).derivation(), "connections", "of every neuron, its bias included"
    )


def _training(row: LayerCost, factor: int) -> str:
    """Which passes a training step adds."""
    trains = row.layer.trainable and any(w.trainable for w in row.weights)
    gradient = "the weights: nothing below is trained" if trains else "the input: these weights are not trained"
    return {
        1: "forward alone: nothing here or below is trained",
        2: f"forward, and the gradient of {gradient}",
        3: "forward, the gradient of the input, and that of the weights",
    }.get(factor, "forward and the gradients")


def _term_name(row: LayerCost, label: str) -> str:
    return label if len(row.mac_terms) > 1 else "multiplications"


def _fan_in(row: LayerCost) -> Step | None:
    """What one neuron sums, where that is the kernel without its last axis."""
    kernel = row.weights[0].shape if row.weights else ()
    if "inputs of a neuron" not in row.mac_terms[0].count.symbols() or len(kernel) < 2:
        return None
    return Step(tight(*kernel[:-1]).derivation(), "inputs of a neuron")


def flops_section(row: LayerCost) -> Section | None:
    """Floating-point operations: two for each multiplication of a sum, and the rest of the layer's arithmetic."""
    if not row.flops:
        return section("Floating-point operations", Step("0", remark="; ".join(row.notes[:1])))
    other = row.other_flops
    steps = [Step(other.derivation(), "beside the sums", other.symbols())] if other.value else []
    if row.macs:
        steps.append(Step(f"2 × {row.macs:,} + {int(other):,} = {row.flops:,}", "operations"))
    return section("Floating-point operations for one instance", *steps)


def output_bits(tensor: Tensor, spatial: bool) -> str:
    """``200 × 150 × 100 × 32 bit = 96,000,000 bit = 12,000,000 B = 11.44 MiB``."""
    factors = times(*per_instance(tensor.shape, spatial)) if tensor.shape else Count(1)
    bits = (product(tensor.shape) or 0) * tensor.dtype.bytes * 8
    return f"{factors} × {tensor.dtype.bytes * 8} bit = {bits:,} bit = {size_chain(bits // 8)}"


def is_map(row: LayerCost) -> bool:
    """Feature maps with the channels last, which are read maps first."""
    return len(row.output_shape) > 2 and not getattr(row.layer.kind, "channels_first", False)


def memory_section(row: LayerCost, batch: int) -> Section | None:
    """Memory of the outputs, for one instance and for the batch."""
    names = [f"output {i + 1}" if len(row.outputs) > 1 else "one instance" for i in range(len(row.outputs))]
    steps = [Step(output_bits(tensor, is_map(row)), name) for name, tensor in zip(names, row.outputs, strict=True)]
    one = row.activation_bytes // batch
    if len(steps) > 1:
        text, remark = sum_text([tensor.bytes or 0 for tensor in row.outputs], " B")
        steps.append(Step(f"{text} = {size_chain(one)}", "one instance", remark))
    shown = batch if batch > 1 else EXAMPLE_BATCH
    name = f"batch of {shown:,}" + ("" if batch > 1 else ", say")
    steps.append(Step(f"{one:,} B × {shown:,} = {size_chain(one * shown)}", name))
    return section("Memory of its output", *steps)


def dense_section(row: LayerCost) -> Section | None:
    """The same outputs from a layer in which every neuron sees every input: what sliding a window saves."""
    if not row.windows or not row.weights or len(row.input_shapes) != 1:
        return None
    outputs = product(row.output_shape) or 0
    biased = getattr(row.layer.kind, "use_bias", True)
    dense = plus(times(*row.input_shapes[0], outputs), outputs if biased else 0)
    own = int(params_of(row))
    ratio = int(dense) // own
    steps = [Step(f"{dense} weights = {int(dense):,} weights", "a dense layer from the same input to the same outputs")]
    if ratio > 1:
        steps.append(Step(f"{int(dense):,} // {own:,} = {ratio:,}", "times as many as this layer has"))
    return section("If it were a dense layer", *steps)


def phases_section(analysis: Analysis, row: LayerCost) -> Section | None:
    """What training keeps and what inference can free, in this model's own numbers."""
    batch = analysis.batch
    one = row.activation_bytes // batch
    shown = batch if batch > 1 else EXAMPLE_BATCH
    needs = [_KEEPS[what] for what in row.layer.kind.keeps if what in _KEEPS]
    why = f"its reverse pass needs {' and '.join(needs)}" if needs else "its own reverse pass needs none of its values"
    kept = f"{binary(one)} × {shown:,} = {decimal(one * shown)} = {binary(one * shown)}" if one else "0 B"
    whole = analysis.memory.textbook.training_bytes
    share = f"the outputs of all layers together are {size_text(whole // batch * shown)}"
    steps = [
        Step(kept, f"training keeps this output until the reverse pass (batch of {shown:,})", f"{why}; {share}"),
        _inference(analysis, row),
    ]
    return section("Training and inference", *steps)


_KEEPS = {
    "inputs": "its inputs (outputs of the layers below)",
    "outputs": "its output",
    "mask": "the mask of what it passed on",
    "statistics": "its statistics",
}


def size_text(size: int) -> str:
    """A size inside a sentence: ``12.18 MB (11.62 MiB)``."""
    return binary(size) if size < 10**6 else f"{decimal(size)} ({binary(size)})"


def _inference(analysis: Analysis, row: LayerCost) -> Step | None:
    """Input and output live together while the layer is computed; then the input can go."""
    below = {ref.layer for ref in row.layer.inputs}
    if not below:
        return Step("", "inference frees it once the layers that read it have been computed")
    sizes = [analysis.layers[i].activation_bytes for i in sorted(below)]
    together = sum(sizes) + row.activation_bytes
    text, remark = sum_text([*sizes, row.activation_bytes], " B")
    name = "inference needs its input and its output at once"
    more = "then the input is freed, if nothing else reads it"
    return Step(f"{text} = {size_chain(together)}", name, "; ".join(part for part in (more, remark) if part))
