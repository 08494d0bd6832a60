"""Small steps whose peaks were captured from TensorFlow 2.21 (three processes each, batch 4, over weights and input):
each stands for a mechanism that random networks led to."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import cnncost
from cnncost.memory.opgraph import Op, Scoped
from cnncost.memory.predict import predict
from cnncost.memory.simulation import Simulation


def conv(filters: int, kernel: int = 3, rank: int = 2, **arguments: Any) -> dict[str, Any]:
    return {f"Conv{rank}D": {"filters": filters, "kernel_size": kernel, "padding": "same", **arguments}}


ATTENTION: dict[str, Any] = {
    "name": "attention",
    "input": [64, 32],
    "layers": [
        {"Dense": 32},
        {"LayerNormalization": None, "name": "norm"},
        {"MultiHeadAttention": {"num_heads": 4, "key_dim": 8}, "name": "attention", "inputs": ["norm", "norm"]},
        {"Add": None, "inputs": ["norm", "attention"]},
        "GlobalAveragePooling1D",
        {"Dense": 4},
    ],
}
RECTIFIED: dict[str, Any] = {
    "name": "rectified",
    "input": [32, 32, 3],
    "layers": [conv(16), "PReLU", conv(16), "LayerNormalization", "PReLU", conv(3, 1), "GlobalAveragePooling2D"],
}
VOLUME: dict[str, Any] = {
    "name": "volume",
    "input": [12, 12, 12, 2],
    "layers": [
        conv(16, rank=3, activation="relu"), {"MaxPooling3D": 2}, conv(32, rank=3), "BatchNormalization", "ReLU",
        "GlobalAveragePooling3D", {"Dense": 4},
    ],
}  # fmt: skip
BENT: dict[str, Any] = {
    "name": "bent",
    "input": [32, 32, 3],
    "layers": [conv(16), "BatchNormalization", {"Activation": "celu"}, conv(8, 1), "Flatten", {"Dense": 4}],
}
GROUPED: dict[str, Any] = {
    "name": "grouped",
    "input": [24, 24, 4],
    "layers": [
        conv(16, groups=4), "LayerNormalization", {"Activation": "silu"}, conv(16), "GlobalAveragePooling2D",
        {"Dense": 4},
    ],
}  # fmt: skip


def step(source: dict[str, Any], mode: str = "training", optimizer: str | None = "sgd") -> Simulation:
    chosen = optimizer if mode == "training" else None
    return Simulation(cnncost.analyze(source, batch=4, mode=mode, optimizer=chosen, processor="avx512"), mode, chosen)


@pytest.mark.parametrize(
    ("source", "optimizer", "captured"),
    [
        (ATTENTION, "sgd", 1_159_760), (RECTIFIED, "sgd", 2_605_072), (RECTIFIED, "adam", 2_539_568),
        (VOLUME, "sgd", 1_120_336), (VOLUME, "adam", 1_120_356), (BENT, "sgd", 1_311_072), (BENT, "adam", 1_442_152),
        (GROUPED, "sgd", 962_208), (GROUPED, "adam", 962_208),
    ],
)  # fmt: skip
def test_the_peak_is_the_captured_one(source: dict[str, Any], optimizer: str, captured: int) -> None:
    analysis = cnncost.analyze(source, batch=4, mode="training", optimizer=optimizer, processor="avx512")
    assert predict(analysis, "training", optimizer).peak_bytes == pytest.approx(captured, rel=0.001)


def attentive(kind: str, width: int, **arguments: Any) -> dict[str, Any]:
    layers: list[Any] = [
        {"LayerNormalization": None, "name": "norm"},
        {kind: arguments, "name": "attention", "inputs": ["norm", "norm"]},
        {"Add": None, "inputs": ["norm", "attention"]},
        "GlobalAveragePooling1D",
        {"Dense": 4},
    ]
    return {"input": [48, width], "layers": [{"Dense": width}, *layers] if kind == "Attention" else layers}


@pytest.mark.parametrize(
    ("source", "inference", "training"),
    [
        (ATTENTION, 787_972, 1_815_196),
        (attentive("MultiHeadAttention", 24, num_heads=3, key_dim=8, dropout=0.1), 368_656, 1_045_852),
        (
            attentive("GroupQueryAttention", 24, head_dim=8, num_query_heads=4, num_key_value_heads=2),
            462_340,
            1_028_124,
        ),
        (attentive("Attention", 24), 130_432, 391_336),
    ],
)
def test_attention_op_by_op_keeps_what_python_names(source: dict[str, Any], inference: int, training: int) -> None:
    """Queries, keys and values until the layer returns, the logits until its products are made; one process each."""
    for mode, optimizer, captured in (("inference", None, inference), ("training", "sgd", training)):
        analysis = cnncost.analyze(source, batch=4, mode=mode, optimizer=optimizer, processor="avx512")
        found = predict(analysis, mode, optimizer, executor="eager").peak_bytes
        assert found == pytest.approx(captured, rel=0.004)


def test_attention_projects_keys_first() -> None:
    """As six processes of a captured step did: query, key and value are layers of their own, whose names sort them."""
    simulation = step(ATTENTION)
    orders = Counter(_projected(simulation, process) for process in range(1, 16))
    assert orders.most_common(1)[0][0] == ("key_1/", "query_1/", "value_1/", "attention_output_1/")


def _projected(simulation: Simulation, process: int) -> tuple[str, ...]:
    """The inner layers whose products run forward, in the order in which a process runs them."""
    ops = dict.fromkeys(event.op for event in simulation.run(process).events if event.bytes > 0)
    forward = [op.layer for op in ops if op.type == "BatchMatMulV2" and op.phase == "forward"]
    return tuple(layer.scope for layer in forward if isinstance(layer, Scoped))


@pytest.mark.parametrize("source", [ATTENTION, VOLUME])
def test_onednn_replaces_sums_over_axes_and_pooling_over_volumes(source: dict[str, Any]) -> None:
    simulation = step(source)
    simulation.run(1)
    assert simulation.nodes is not None
    found = zip(simulation.nodes.ops, simulation.nodes.layout.replaced, strict=False)
    kinds = {op.type for op, replaced in found if replaced}
    assert kinds >= ({"Einsum", "BatchMatMulV2"} if source is ATTENTION else {"_FusedConv3D", "MaxPool3D"})


def test_an_einsums_output_comes_last_where_its_product_is_turned() -> None:
    """Of the weighted values: a copy of the values, the product, oneDNN's scratch, which goes, the output."""
    simulation = step(ATTENTION, "inference")
    second = [op for op in simulation.built().ops if op.type == "Einsum"][1]
    own = [event.bytes for event in simulation.run().events if event.op is second]
    heads = 4 * 64 * 32 * 4
    copied, product, scratch, gone, output = own[:5]
    assert copied == product == output == heads
    assert scratch == -gone > 0


@pytest.mark.parametrize(("rank", "fused"), [(3, ("BiasAdd", "Relu")), (1, ("BiasAdd",))])
def test_convolutions_over_one_axis_and_three_take_their_bias(rank: int, fused: tuple[str, ...]) -> None:
    """Over one axis the view of the height of one stands between the bias and what follows."""
    layers = [conv(4, rank=rank, activation="relu"), f"GlobalAveragePooling{rank}D"]
    graph = step({"input": [*(8,) * rank, 2], "layers": layers}, "inference").inference_graph()
    (taking,) = (op for op in graph.ops if op.type.startswith("_FusedConv"))
    assert taking.attrs["fused"] == fused
    assert "BiasAdd" not in {op.type for op in graph.ops}


def test_silus_factor_stays_behind_a_grouped_convolution() -> None:
    """β·x with β = 1, of which grappler knows no shape."""
    ops = step(GROUPED, "inference").inference_graph().ops
    assert _factors(ops) == [1.0]
    plain = {**GROUPED, "layers": [conv(16), *GROUPED["layers"][1:]]}
    assert _factors(step(plain, "inference").inference_graph().ops) == []


def _factors(ops: list[Op]) -> list[float]:
    return [value.op.attrs["value"] for op in ops if op.type == "Mul" for value in op.inputs if value.op.name == "beta"]
