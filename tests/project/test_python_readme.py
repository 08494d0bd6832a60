"""README's Python block runs and its comments are true."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def test_python_block() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {"my_keras_model": {"input": [8], "layers": [{"Dense": 2}]}}
    checked = 0
    for line in code.splitlines():
        if not line.strip():
            continue
        statement, _, comment = line.partition("#")
        if re.match(r"^(import \w+|\w+ = )", statement):
            exec(statement, names)
            continue
        value = eval(statement, names)
        if re.fullmatch(r"[\d(), ]+", comment.strip()):
            assert repr(value) == comment.strip()
            checked += 1
    assert checked == 2
