"""The JSON Schema (draft-07) of the spec language, made from the layer kinds' own arguments: editors complete, explain
and check with it. The reader is the judge; what a schema cannot say (geometry, names, sums) it leaves alone."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from cnncost.graph import MAX_LAYERS
from cnncost.kinds import registry
from cnncost.kinds.base import Kind
from cnncost.limitable import limits_schema
from cnncost.sources.spec.entries import COMMON, FORMS
from cnncost.sources.spec.names import MAX_NAME
from cnncost.sources.spec.positional import positional
from cnncost.tensor import DTYPES, POLICY_NAMES

Schema = dict[str, Any]
EXPRESSION: Schema = {"$ref": "#/definitions/expression"}
PLAIN = (str, int, float, bool, type(None))


def json_schema() -> Schema:
    """The whole schema.

    >>> json_schema()["required"]
    ['input', 'layers']
    """
    kinds = {name: registry.lookup(name) for name in registry.names() if name != "InputLayer"}
    definitions = {**_shared(), **_claims(), **limits_schema()}
    for name, kind in kinds.items():
        definitions[f"{name}.arguments"] = _keywords(kind)
        definitions[name] = _call(name, kind)
    spellings = {**{name: name for name in kinds}, **{k: v for k, v in registry.ALIASES.items() if v in kinds}}
    definitions["entry"] = _entry(spellings, "entry", blocks=False)
    definitions["blockEntry"] = _entry(spellings, "blockEntry", blocks=True)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "cnncost model spec",
        "type": "object",
        "required": ["input", "layers"],
        "additionalProperties": False,
        "properties": _top(spellings),
        "if": {"required": ["blocks"]},
        "then": {"properties": {"layers": _list_of("blockEntry")}},
        "else": {"properties": {"layers": _list_of("entry")}},
        "definitions": definitions,
    }


def _or_expression(*schemas: Schema, **more: Any) -> Schema:
    return {"anyOf": [*schemas, EXPRESSION], **more}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _list_of(entry: str) -> Schema:
    return {"anyOf": [{"type": "array", "items": _ref(entry)}, {**_ref(entry)}]}


def _shared() -> dict[str, Schema]:
    dim = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}, {"const": "?"}, EXPRESSION]}
    shape = _or_expression({"type": "array", "items": dim, "minItems": 1, "maxItems": 64})
    dtyped = {
        "type": "object", "required": ["shape"], "additionalProperties": False,
        "properties": {"shape": shape, "dtype": {"enum": sorted(DTYPES)}},
    }  # fmt: skip
    return {
        "expression": {"type": "string", "pattern": r"\$", "description": "$name or $(whole-number arithmetic)"},
        "name": {"type": "string", "pattern": "^[^/:]+$", "maxLength": MAX_NAME},
        "dtype": {"anyOf": [{"enum": sorted({*DTYPES, *POLICY_NAMES} - {"string"})}, EXPRESSION],
                  "description": "Keras's dtype or policy"},
        "flag": _or_expression({"type": "boolean"}),
        "input": {"anyOf": [shape, dtyped]},
        "passive": {"description": "accepted; changes no cost"},
        "variable": {"type": ["number", "string", "boolean", "null", "array"]},
    }  # fmt: skip


def _claims() -> dict[str, Schema]:
    number = {"type": ["integer", "string"], "description": "a whole number, or rounded text such as 25.6M"}
    dims = {"type": "array", "items": {"type": ["integer", "null", "string", "array"]}}
    figures = {"type": "object", "additionalProperties": {"anyOf": [number, dims]}}
    return {
        "figures": {**figures, "minProperties": 1},
        "layerClaim": {"anyOf": [dims, figures, EXPRESSION], "description": "the output shape, or figures by name"},
    }


def _top(spellings: dict[str, str]) -> dict[str, Schema]:
    block = {
        "type": "object", "required": ["layers"], "additionalProperties": False,
        "properties": {
            "params": {"anyOf": [
                {"type": "object", "additionalProperties": _ref("variable")},
                {"type": "array", "items": {"type": "string"}},
                {"type": "null"},
            ], "description": "parameters with their defaults; null must be given"},
            "layers": _list_of("blockEntry"),
            "description": {"type": "string"},
        },
    }  # fmt: skip
    names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    return {
        "name": {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
        "description": {"type": "string"},
        "input": {
            "anyOf": [_ref("input"), {"type": "object", "minProperties": 1, "additionalProperties": _ref("input")}],
            "description": "[height, width, channels] without the batch; several as {left: [...], right: [...]}",
        },
        "variables": {"type": ["object", "null"], "additionalProperties": _ref("variable"),
                      "description": "values for $name; --set NAME=VALUE changes one"},
        "defaults": {"type": ["object", "null"], "additionalProperties": False,
                     "description": "arguments that every layer of a kind takes where it gives none itself",
                     "properties": {name: _ref(f"{kind}.arguments") for name, kind in spellings.items()}},
        "blocks": {"type": ["object", "null"], "description": "named lists of layers with parameters",
                   "propertyNames": {"not": {"enum": [*spellings, *COMMON, *FORMS, "merge", "shortcut"]}},
                   "additionalProperties": {"anyOf": [{"type": "array", "items": _ref("blockEntry")}, block]}},
        "layers": {"description": "the model, first layer first"},
        "outputs": {"anyOf": [{"type": "string"}, names], "description": "names of the outputs; else the last layer"},
        "expect": {**_ref("figures")},
        "budgets": {**_ref("limits"), "description": "limits on figures, held by cnncost check"},
        "dtype": {**_ref("dtype")},
        "recompute": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
                      "description": "names or patterns of layers and blocks that the reverse pass runs again"},
    }  # fmt: skip


def _entry(spellings: dict[str, str], me: str, blocks: bool) -> Schema:
    """An entry of a list of layers. Where there are blocks their names are keys too, so that no key can be refused."""
    steps = _list_of(me)
    inputs = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
              "description": "names of earlier layers; 'previous' is the layer before"}  # fmt: skip
    repeat = _or_expression(
        {"type": "integer", "minimum": 0, "maximum": MAX_LAYERS}, description="how many times; $index counts from 0"
    )
    common = {
        "name": _ref("name"), "inputs": inputs, "repeat": repeat, "when": _ref("flag"), "expect": _ref("layerClaim"),
        "trainable": _ref("flag"), "dtype": _ref("dtype"), "recompute": _ref("flag"),
    }  # fmt: skip
    branch = {"anyOf": [*steps["anyOf"], {"type": "array", "maxItems": 0}]}
    forms = {
        "residual": {
            **steps,
            "minItems": 1,
            "description": "adds its input (or 'shortcut') to these layers' output",
        },
        "shortcut": {**steps, "description": "layers on the other path; [] is the identity"},
        "merge": {"allOf": [_ref("entry")], "description": "Add, Concatenate, Multiply, …"},
        "branches": {"type": "array", "minItems": 1, "items": branch, "description": "lists of layers side by side"},
        "reuse": {"type": "string", "description": "an earlier layer or block, called again with the same weights"},
    }
    body: Schema = {
        "type": "object", "minProperties": 1,
        "properties": {**common, **forms, **{name: _ref(kind) for name, kind in spellings.items()}},
    }  # fmt: skip
    if blocks:
        return {"anyOf": [{"type": "string"}, body]}
    body["additionalProperties"] = False
    body["dependencies"] = {"shortcut": ["residual"], "merge": {"anyOf": [
        {"required": ["residual"]}, {"required": ["branches"]}]}}  # fmt: skip
    body["not"] = {"propertyNames": {"enum": list(common)}}  # it calls something
    return {"anyOf": [{"type": "string", "enum": sorted(spellings)}, body]}


def _keywords(kind: type[Kind]) -> Schema:
    """The arguments by name."""
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    properties: dict[str, Schema] = {}
    for name, type_ in kind.arguments().items():
        options = _options(type_.schema(kind.rank))
        if type_.optional:
            options.append({"type": "null"})
        properties[name] = {"anyOf": options, "description": type_.doc}
        default = defaults.get(name)
        if isinstance(default, PLAIN) and default is not None:
            properties[name]["default"] = default
    moved = {key: ref for key, ref in (("name", _ref("name")), ("trainable", _ref("flag")), ("dtype", _ref("dtype")))
             if key not in properties}  # fmt: skip
    passive = dict.fromkeys(kind.passive, _ref("passive"))
    return {"type": "object", "additionalProperties": False, "properties": {**passive, **moved, **properties}}


def _options(schema: Schema) -> list[Schema]:
    """The alternatives of an argument's schema, with an expression wherever a value may stand."""
    if not schema:
        return [schema]
    given = schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    options: list[Schema] = []
    for option in given:
        if option.get("type") == "array" and isinstance(option.get("items"), dict):
            items = _options(option["items"])
            option = {**option, "items": {"anyOf": items} if len(items) > 1 else items[0]}
        options.append(option)
    return options if EXPRESSION in options else [*options, EXPRESSION]


def _call(name: str, kind: type[Kind]) -> Schema:
    """The three ways to give arguments."""
    items = [{"$ref": f"#/definitions/{name}.arguments/properties/{key}"} for key in positional(kind)]
    listed: Schema = {"type": "array", "items": items, "additionalItems": False, "maxItems": len(items)}
    ways = [_ref(f"{name}.arguments"), listed if items else {"type": "array", "maxItems": 0}, {"type": "null"}]
    if items:
        ways.append({"allOf": [items[0], {"not": {"type": ["array", "object", "null"]}}]})
    return {"anyOf": ways, "description": _meaning(kind)}


def _meaning(kind: type[Kind]) -> str:
    """The first sentence of the kind's docstring, and its arguments in order."""
    text = " ".join((inspect.getdoc(kind) or kind.name()).split("\n\n")[0].split())
    names = ", ".join(kind.arguments())
    return f"{text} Arguments: {names}." if names else text
