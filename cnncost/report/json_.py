"""``Analysis.to_dict()`` as JSON: one line for each layer, so that it can be read, compared and is written fast."""

from __future__ import annotations

from json import dumps
from typing import Any

from cnncost.analysis import Analysis
from cnncost.report.options import Options


def render(analysis: Analysis, options: Options) -> str:
    """The object of CONTRACT; folding and sorting are for people and change nothing here."""
    return to_json(analysis.to_dict())


def to_json(value: dict[str, Any]) -> str:
    """An object whose lists of objects have one line for each member.

    >>> print(to_json({"a": 1, "rows": [{"x": 1}, {"x": 2}]}), end="")
    {
      "a": 1,
      "rows": [
        {"x": 1},
        {"x": 2}
      ]
    }
    """
    return "{\n" + ",\n".join(f"  {dumps(k)}: {_member(v)}" for k, v in value.items()) + "\n}\n"


def _member(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict | str):
        return "[\n" + ",\n".join(f"    {dumps(item, ensure_ascii=False)}" for item in value) + "\n  ]"
    return dumps(value, ensure_ascii=False)
