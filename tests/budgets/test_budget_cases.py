"""Case files: a budget file, then ``#>`` lines with the exact error or with a line for each limit.

A new case is a new file in ``cases/`` (``.yaml``, or ``.toml`` for a pyproject.toml); run the tests with UPDATE_CASES=1
to have its lines written, and read them. Beside it are ``models/small.yaml`` and ``broken.yaml``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnncost.budgets import baseline
from cnncost.budgets.evaluate import check, unchecked
from cnncost.budgets.limits import Conditions
from cnncost.budgets.targets import targets
from cnncost.budgets.wording import advice, headline
from cnncost.errors import CnncostError

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.suffix in (".yaml", ".toml"))
MARK = "#> "
SMALL = """\
name: small
input: [8, 8, 3]
layers:
  - Conv2D: [4, 3]
  - Flatten:
  - Dense: 10
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "small.yaml").write_text(SMALL)
    (tmp_path / "broken.yaml").write_text(SMALL.replace("Dense", "Dens"))
    monkeypatch.chdir(tmp_path)
    figures = {baseline.key_of("models/small.yaml", Conditions()): {"params": 1562, "macs": 5320}}
    Path("cnncost-baseline.json").write_text(baseline.Baseline(figures, {}, "").text())
    return tmp_path


def outcome(name: str) -> list[str]:
    """The error, or a line for each limit and what is said of it."""
    lines = []
    try:
        for source, limits, record in targets([], name):
            error = limits if isinstance(limits, CnncostError) else None
            for result in [unchecked(source, None, error)] if error else check(source, limits, record):  # type: ignore[arg-type]
                mark = "ok" if result.ok else "????" if result.problem else result.level
                lines += [f"{result.location}: {mark}: {headline(result)}", *(f"  {line}" for line in advice(result))]
    except CnncostError as error:
        return [str(error)]
    return lines


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_case(path: Path, project: Path) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    text = "\n".join(line for line in lines if not line.startswith(MARK))
    expected = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    name = "pyproject.toml" if path.suffix == ".toml" else "cnncost-budget.yaml"
    Path(name).write_text(text, encoding="utf-8")
    actual = outcome(name)
    if os.environ.get("UPDATE_CASES"):
        path.write_text(text.rstrip("\n") + "\n" + "".join(f"{MARK}{line}\n" for line in actual), encoding="utf-8")
    else:
        assert actual == expected
    if not path.stem.startswith("ok-"):
        bad = [line for line in actual if ": ok: " not in line]
        assert bad and all(line.startswith((f"{name}:", "broken.yaml:")) for line in bad), "an error has its place"
        assert all(len(line) < 900 for line in actual)
