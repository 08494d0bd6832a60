"""The object of CONTRACT: one row for each limit."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cnncost.budgets.evaluate import Result
from cnncost.budgets.formats import passed, summary

SCHEMA = "cnncost/check/1"


def render(results: Sequence[Result], strict: bool = False, color: bool = False) -> str:
    good = bool(results) and all(passed(result, strict) for result in results)
    head = {"schema": SCHEMA, "ok": good, "summary": summary(results, strict)}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    rows = ",\n".join(f"    {json.dumps(result.to_dict(), ensure_ascii=False)}" for result in results)
    lines.append(f'  "results": [\n{rows}\n  ]' if rows else '  "results": []')
    return "{\n" + ",\n".join(lines) + "\n}\n"
