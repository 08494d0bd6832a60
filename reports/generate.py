"""Write the example reports of this folder: ``python reports/generate.py``. A test keeps them current."""

from __future__ import annotations

from pathlib import Path

import cnncost
from cnncost.report import render

HERE = Path(__file__).resolve().parent
# name of the report → source and batch
REPORTS = {
    "memory-example": ("zoo:memory-example", 100),
    "lenet5-1998": ("zoo:lenet5-1998", 1),
    "alexnet-table": ("zoo:alexnet-table", 1),
    "googlenet": ("zoo:googlenet", 1),
    "resnet152": ("zoo:resnet152", 1),
}


def markdown(name: str) -> str:
    """The Markdown report of one of REPORTS."""
    source, batch = REPORTS[name]
    return render(cnncost.analyze(source, batch=batch), "markdown")


def main() -> None:
    for name in REPORTS:
        (HERE / f"{name}.md").write_text(markdown(name), encoding="utf-8")
        print(f"reports/{name}.md")


if __name__ == "__main__":
    main()
