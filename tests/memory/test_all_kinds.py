"""Every kind of layer is simulated, forward and with gradients, or stands in a list of exceptions with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cnncost.analysis import analyze_graph
from cnncost.errors import CnncostError, UnsupportedLayer
from cnncost.graph import Graph, Layer, Ref
from cnncost.kinds import registry
from cnncost.kinds.activations import FUNCTIONS
from cnncost.kinds.core import InputLayer
from cnncost.kinds.operations import OPERATIONS, operation
from cnncost.kinds.registry import lookup
from cnncost.memory.graph_mode import predict_graph
from cnncost.memory.lowering import NotSimulated, lower, supported
from cnncost.memory.lowering.operations import _RUNS, _activation
from cnncost.memory.optimizers import OPTIMIZERS, optimizer
from cnncost.memory.optypes.base import table
from cnncost.memory.training import training_step
from cnncost.results import Analysis

FILES = sorted((Path(__file__).parents[1] / "kinds").glob("cases_*.yaml"))
CASES = [case for path in FILES for case in yaml.safe_load(path.read_text(encoding="utf-8"))]
BATCH = 2

# Cells stand inside a recurrent layer; recurrent layers and wrappers have tests of their own.
ELSEWHERE = {
    "InputLayer", "SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells", "RNN", "SimpleRNN", "LSTM", "GRU",
    "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "TimeDistributed", "Bidirectional", "SpectralNormalization",
}  # fmt: skip
# What is not simulated in a mode, and a word of the reason.
NEVER = {
    "Equalization": "does not know layer kind",  # Keras cannot call it in a functional model
    "MelSpectrogram": "does not know layer kind",  # its Fourier transforms
}
NOT_IN_TRAINING = dict.fromkeys(
    ("AugMix", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "RandAugment", "RandomColorDegeneration",
     "RandomColorJitter", "RandomElasticTransform", "RandomErasing", "RandomGaussianBlur", "RandomGrayscale",
     "RandomHue", "RandomPerspective", "RandomPosterization", "RandomSaturation", "RandomSharpness"),
    "does in training",
)  # fmt: skip
NOT_AT_INFERENCE = {"RandomCrop": "at inference"}  # the whole image, not the shape that the layer states
NOT_SIMULATED_ACTIVATIONS = {"glu", "sparsemax"}
NOT_SIMULATED_OPERATIONS = {
    "Abs", "Exp2", "Log2", "Log10", "Tan", "Arcsin", "Arccos", "Arctan", "Sinh", "Cosh", "Arcsinh", "Arccosh",
    "Arctanh", "Erfinv", "Trunc", "NanToNum", "LogSoftmax", "Cumsum", "Cumprod", "Arctan2", "Logaddexp", "LogicalXor",
    "Isinf", "Norm", "Argmax", "Argmin", "CountNonzero", "Roll", "Sparsemax", "Linear",
}  # fmt: skip


def model(case: list[Any], dtype: str = "float32") -> Analysis:
    """The layer on top of a dense layer for each input, so that a gradient goes through it."""
    name, arguments, shapes, *options = case
    kind = lookup(name).build(arguments)
    whole = (options[0] if options else {}).get("dtype", "float32")
    layers = [Layer(f"in{i}", InputLayer(tuple(shape), whole)) for i, shape in enumerate(shapes)]
    refs = tuple(Ref(i) for i in range(len(layers)))
    if whole == "float32":
        for i, shape in enumerate(shapes):
            layers.append(Layer(f"pre{i}", lookup("Dense").build({"units": shape[-1]}), (Ref(i),)))
        refs = tuple(Ref(len(shapes) + i) for i in range(len(shapes)))
    layers.append(Layer("layer", kind, refs))
    return analyze_graph(Graph("one", tuple(layers), (Ref(len(layers) - 1),)), batch=BATCH, dtype=dtype)


OWN = [case for case in CASES if case[0] not in ELSEWHERE]


def test_the_list_is_whole() -> None:
    """A kind is simulated or an exception; no exception is out of date."""
    known = set(supported())
    assert set(registry.names()) - ELSEWHERE - known == set(NEVER)
    assert {case[0] for case in OWN} >= set(registry.names()) - ELSEWHERE
    assert known >= set(NOT_IN_TRAINING) | set(NOT_AT_INFERENCE)


@pytest.mark.parametrize("case", OWN, ids=lambda case: str(case[0]))
def test_forward(case: list[Any]) -> None:
    """Shapes and dtypes of the outputs are the layer's own: ``lower`` compares them."""
    reason = (NEVER | NOT_AT_INFERENCE).get(case[0])
    analysis = model(case)
    if reason is not None:
        with pytest.raises(NotSimulated, match=reason) as caught:
            lower(analysis)
        assert caught.value.layer == "layer"
        return
    lowered = lower(analysis)
    assert [value.spec for value in lowered.values[-1]] == [
        (((BATCH, *tensor.shape)), tensor.dtype.name) for tensor in analysis.layers[-1].outputs
    ]
    assert {op.type for op in lowered.graph} <= set(table())
    assert predict_graph(analysis, "inference").peak_bytes > 0


@pytest.mark.parametrize("case", OWN, ids=lambda case: str(case[0]))
def test_gradients(case: list[Any]) -> None:
    """Every trainable weight, those below the layer too, is updated by the step."""
    reason = (NEVER | NOT_IN_TRAINING).get(case[0])
    analysis = model(case)
    if not any(weight.trainable for row in analysis.layers for weight in row.weights):
        pytest.skip("nothing to train")
    if reason is not None:
        with pytest.raises(NotSimulated, match=reason):
            training_step(analysis, optimizer("sgd"))
        return
    step = training_step(analysis, optimizer("sgd"))
    assert {op.type for op in step.graph} <= set(table())
    updated = {op.attrs["variable"].name for op in step.graph.kept if op.phase == "update"}
    assert {variable.name for variable in step.trained} <= updated | _never_reached(case[0])
    assert predict_graph(analysis, "training", "sgd").peak_bytes > 0


def _never_reached(name: str) -> set[str]:
    """A reverse table that this call does not read; a value with a key of its own is read all the same."""
    return {"layer/reverse_embeddings"} if name == "ReversibleEmbedding" else set()


@pytest.mark.parametrize("case", OWN, ids=lambda case: str(case[0]))
def test_mixed_precision(case: list[Any]) -> None:
    """Half precision gives the layer's own dtypes, or a named refusal."""
    try:
        lower(model(case, "mixed_float16"))
    except UnsupportedLayer as error:
        assert getattr(error, "layer", "layer") == "layer"
    except CnncostError:
        pytest.skip("not a model of its own")


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - NOT_SIMULATED_ACTIVATIONS))
def test_activations(name: str) -> None:
    step = training_step(model(["Activation", {"activation": name}, [[4, 6]]]), optimizer("sgd"))
    assert len(step.trained) == 2


def test_no_activation_is_forgotten() -> None:
    for name in NOT_SIMULATED_ACTIVATIONS & set(FUNCTIONS):
        with pytest.raises(UnsupportedLayer):
            training_step(model(["Activation", {"activation": name}, [[4, 6]]]), optimizer("sgd"))


def test_no_operation_is_forgotten() -> None:
    known = {name for name in OPERATIONS if name in _RUNS or _activation(name)}
    assert set(OPERATIONS) - known <= NOT_SIMULATED_OPERATIONS


def test_an_operation_with_a_layers_name_is_not_that_layer() -> None:
    """``Multiply`` of a tensor and a number: one input, which the layer Multiply would hand on."""
    kind = operation("Multiply")((0, ()), {})
    layers = (Layer("x", InputLayer((4, 6))), Layer("product", kind, (Ref(0),)))
    lowered = lower(analyze_graph(Graph("one", layers, (Ref(1),)), batch=BATCH))
    assert [op.type for op in lowered.graph if op.inputs] == ["Mul"]


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_an_embedding_is_updated_by_rows_or_whole(name: str) -> None:
    """Plain SGD writes the rows that were read; what adds a dense slot makes the gradient dense."""
    step = training_step(model(["Embedding", {"input_dim": 50, "output_dim": 8}, [[5]], {"dtype": "int32"}]),
                         optimizer(name))  # fmt: skip
    types = {op.type for op in step.graph.kept if op.attrs["variable"].name == "layer/embeddings"}
    rows = {"sgd", "rmsprop", "adagrad", "adadelta", "adafactor"}
    assert any(type_.startswith("ResourceScatter") for type_ in types) == (name in rows)
