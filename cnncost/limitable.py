"""The words of budgets: which figures can be limited, by which bounds and under which conditions.

Specs (whose JSON Schema names them) are read below the analysis that knows the figures; both take the words from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from cnncost.choices import ALLOCATORS, EXECUTORS, MODES, OPTIMIZERS
from cnncost.tensor import POLICY_NAMES

COUNT, BYTES, POSITIONS = "count", "bytes", "positions"
LAYER = "layer."  # begins the names of figures of single layers
BOUNDS = ("max", "min", "warn", "growth")
LEVELS = ("error", "warning")
AT = ("batch", "dtype", "mode", "optimizer", "executor", "allocator", "input")
KEYS = (*BOUNDS, "level", "at", "layers", "kind", "why", *AT)
MAX_BATCH = 2**31 - 1


class Figure(NamedTuple):
    """What a figure counts, and in which unit."""

    unit: str
    doc: str


FIGURES: Mapping[str, Figure] = {
    "params": Figure(COUNT, "scalars of all weights"),
    "trainable_params": Figure(COUNT, "scalars of the weights that training updates"),
    "macs": Figure(COUNT, "multiplications of the weighted sums, per instance"),
    "training_macs": Figure(COUNT, "multiplications of one training step, per instance"),
    "flops": Figure(COUNT, "floating-point operations, per instance"),
    "weight_bytes": Figure(BYTES, "bytes of the weights in their storage dtype"),
    "activation_bytes": Figure(BYTES, "bytes of all outputs, for the batch"),
    "layers": Figure(COUNT, "layers"),
    "inference_peak_bytes": Figure(BYTES, "most bytes that inference holds over weights and input, simulated"),
    "training_peak_bytes": Figure(BYTES, "most bytes that a training step holds over weights and input, simulated"),
    "resident_bytes": Figure(BYTES, "bytes of weights, optimizer slots and the input batch"),
    "textbook_training_bytes": Figure(BYTES, "bytes of all outputs, as training keeps them in textbooks"),
    "textbook_inference_bytes": Figure(BYTES, "bytes of the largest pair of input and output"),
    "receptive_field": Figure(POSITIONS, "positions that a neuron of the last layer with places sees (smaller side)"),
    "layer.params": Figure(COUNT, "scalars of one layer's weights"),
    "layer.trainable_params": Figure(COUNT, "scalars that training updates in one layer"),
    "layer.macs": Figure(COUNT, "multiplications of one layer, per instance"),
    "layer.training_macs": Figure(COUNT, "multiplications of one layer in a training step, per instance"),
    "layer.flops": Figure(COUNT, "floating-point operations of one layer, per instance"),
    "layer.weight_bytes": Figure(BYTES, "bytes of one layer's weights"),
    "layer.activation_bytes": Figure(BYTES, "bytes of one layer's outputs, for the batch"),
    "layer.peak_bytes": Figure(BYTES, "bytes that one layer's buffers add to the simulated peak"),
    "layer.receptive_field": Figure(POSITIONS, "positions that a neuron of one layer sees (smaller side)"),
}  # fmt: skip
# What people write: the same names without their unit, and the plain words.
ALIASES: Mapping[str, str] = {
    "inference_peak": "inference_peak_bytes", "training_peak": "training_peak_bytes", "peak": "inference_peak_bytes",
    "resident": "resident_bytes", "weights": "weight_bytes", "weight": "weight_bytes",
    "activations": "activation_bytes", "activation": "activation_bytes", "parameters": "params", "mult_adds": "macs",
    "layer.activation": "layer.activation_bytes", "layer.activations": "layer.activation_bytes",
    "layer.weights": "layer.weight_bytes", "layer.weight": "layer.weight_bytes", "layer.peak": "layer.peak_bytes",
}  # fmt: skip


def limits_schema() -> dict[str, Any]:
    """The JSON Schema definitions of a mapping of limits: ``limits``, and what it refers to.

    >>> limits_schema()["limits"]["properties"]["inference_peak"]["description"]
    'most bytes that inference holds over weights and input, simulated'
    """
    texts = {COUNT: "26M or 26000000", BYTES: "64 MiB, 1.2 GB or 67108864", POSITIONS: "195"}
    definitions: dict[str, Any] = {
        f"{unit}Amount": {"type": ["integer", "string"], "minimum": 0, "description": f"a number: {text}"}
        for unit, text in texts.items()
    }
    definitions["growth"] = {"type": ["integer", "string"], "minimum": 0,
                             "description": "over the baseline: 0.5%, 0% or an amount"}  # fmt: skip
    definitions["conditions"] = {"type": "object", "additionalProperties": False, "properties": _conditions()}
    for unit in texts:
        for per_layer in (False, True):
            definitions[_name(unit, per_layer)] = _limit(unit, per_layer)
    named = {**{name: name for name in FIGURES}, **ALIASES}
    properties = {
        word: {"$ref": f"#/definitions/{_name(FIGURES[name].unit, name.startswith(LAYER))}",
               "description": FIGURES[name].doc}
        for word, name in named.items()
    }  # fmt: skip
    definitions["limits"] = {"type": "object", "additionalProperties": False, "properties": properties}
    return definitions


def _name(unit: str, per_layer: bool) -> str:
    return f"{unit}{'Layer' if per_layer else ''}Limit"


def _limit(unit: str, per_layer: bool) -> dict[str, Any]:
    """A limit on figures of a unit: a number, a mapping, or a list of those (all of them hold)."""
    amount = {"$ref": f"#/definitions/{unit}Amount"}
    bounds: dict[str, Any] = {
        "max": {**amount, "description": "no more than this"}, "min": {**amount, "description": "no less than this"},
        "warn": {**amount, "description": "more than this is warned of"},
        "growth": {"$ref": "#/definitions/growth"},
    }  # fmt: skip
    patterns: dict[str, Any] = {
        "layers": {"type": "string", "description": "a pattern of layer names such as block_*/conv*"},
        "kind": {"type": "string", "description": "a pattern of layer kinds such as Conv*"},
    }
    if per_layer:
        del bounds["growth"]
    properties = {
        **bounds, "level": {"enum": list(LEVELS)}, "at": {"$ref": "#/definitions/conditions"}, **_conditions(),
        **(patterns if per_layer else {}), "why": {"type": "string", "description": "the reason, told when it fails"},
    }  # fmt: skip
    mapping = {"type": "object", "additionalProperties": False, "properties": properties,
               "anyOf": [{"required": [bound]} for bound in bounds]}  # fmt: skip
    return {"anyOf": [amount, mapping, {"type": "array", "minItems": 1, "items": {"anyOf": [amount, mapping]}}]}


def _conditions() -> dict[str, Any]:
    dim = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}
    return {
        "batch": {"type": "integer", "minimum": 1, "maximum": MAX_BATCH}, "dtype": {"enum": list(POLICY_NAMES)},
        "mode": {"enum": list(MODES)}, "optimizer": {"enum": list(OPTIMIZERS)}, "executor": {"enum": list(EXECUTORS)},
        "allocator": {"enum": list(ALLOCATORS)},
        "input": {"type": "array", "minItems": 1, "maxItems": 64, "items": dim},
    }  # fmt: skip


def budget_schema() -> dict[str, Any]:
    """The JSON Schema (draft-07) of ``cnncost-budget.yaml``.

    >>> budget_schema()["required"]
    ['models']
    """
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "cnncost budget file",
        "type": "object",
        "required": ["models"],
        "additionalProperties": False,
        "properties": {
            "models": {
                "type": "object", "minProperties": 1,
                "description": "limits by model: a pattern of files, zoo:PATTERN, or package.module:callable",
                "additionalProperties": {"allOf": [{"$ref": "#/definitions/limits"}], "minProperties": 1},
            },
            "at": {"$ref": "#/definitions/conditions"},
            "baseline": {"type": "string", "description": "the baseline's file (cnncost-baseline.json)"},
            "description": {"type": "string"},
        },
        "definitions": limits_schema(),
    }  # fmt: skip
