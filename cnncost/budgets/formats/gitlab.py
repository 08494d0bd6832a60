"""GitLab's code quality report: a list of issues with a fingerprint that stays the same while the issue does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from cnncost.budgets.evaluate import Result
from cnncost.budgets.formats import passed
from cnncost.budgets.wording import advice, headline, place_of


def render(results: Sequence[Result], strict: bool = False, color: bool = False) -> str:
    issues = [_issue(result, strict) for result in results if not result.ok]
    return json.dumps(issues, indent=1, ensure_ascii=False) + "\n"


def _issue(result: Result, strict: bool) -> dict[str, object]:
    file, line, _ = place_of(result) or (result.source, 1, 1)
    own = "\0".join([result.source, result.metric, result.bound, result.at.text(), result.layer or ""])
    return {
        "description": "; ".join([headline(result), *advice(result)]), "check_name": f"cnncost/{result.metric}",
        "fingerprint": hashlib.sha256(own.encode("utf-8", "replace")).hexdigest(),
        "severity": "minor" if passed(result, strict) else "major",
        "location": {"path": file.removeprefix("./"), "lines": {"begin": line}},
    }  # fmt: skip
